//! What pallets ask of each other, and of the node. A pallet names the trait it needs in its
//! configuration; the runtime joins the two ends.

use alloc::vec::Vec;
use sp_runtime::{
    DispatchError, DispatchResult,
    traits::{BlakeTwo256, Hash as _},
};

use crate::{
    AccountId, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::{AccessRequest, Decision},
    approval::BallotOutcome,
    profile::Role,
};

/// Who the hospitals are. Answered by pallet-hospitals.
pub trait Hospitals {
    /// The active hospital whose agent this account is.
    fn active_by_agent(account: &AccountId) -> Option<HospitalId>;
    /// The active hospital whose governance account this is.
    fn active_by_governance(account: &AccountId) -> Option<HospitalId>;
    /// Whether a hospital of this id was ever admitted.
    fn exists(hospital: HospitalId) -> bool;
    /// The active hospitals, ascending.
    fn active() -> Vec<HospitalId>;
    /// For benchmarks: makes an active hospital with these accounts.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(governance: AccountId, agent: AccountId) -> HospitalId;
}

/// Who the users are. Answered by pallet-profiles.
pub trait Users {
    /// The user whose current account this is.
    fn by_account(account: &AccountId) -> Option<UserId>;
    fn role(user: UserId) -> Option<Role>;
    /// Whether the user's registration at the hospital was in force at a moment.
    fn registered(hospital: HospitalId, user: UserId, at: Moment) -> bool;
    /// For benchmarks: registers a user.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, user: UserId, role: Role, account: AccountId);
}

/// Who may do what. Answered by pallet-role-policies.
pub trait AccessPolicies {
    /// Decides by what is in force at a moment.
    fn decide(request: &AccessRequest, at: Moment) -> Decision;
    /// For benchmarks: the largest policy set, whose last policy allows a doctor everything.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId);
}

/// Whose records they are. Answered by pallet-lite-blocks.
pub trait Records {
    /// The patient of a committed record, and the hospital that announced it.
    fn owner(pointer: RecordPointer) -> Option<(UserId, HospitalId)>;
    /// For benchmarks: commits a lite block at this height, as large as can be, with a record of the
    /// patient at its end; returns where that is.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, patient: UserId, height: u32) -> RecordPointer;
}

/// Ballots over subjects of one kind. Answered by pallet-approvals.
pub trait Ballots<Subject> {
    /// Opens a ballot among the active hospitals. Where no other hospital's approval is needed, its
    /// outcome is told before this returns.
    fn open(subject: Subject, opener: HospitalId) -> DispatchResult;
    /// Closes an undecided ballot without telling an outcome.
    fn withdraw(subject: Subject) -> DispatchResult;
}

/// Told how a ballot ended, once for each ballot. Implemented by the subject's owner.
pub trait OnBallotClosed<Subject> {
    fn on_ballot_closed(subject: Subject, outcome: BallotOutcome);
    /// For benchmarks: makes the largest subject, whose ballot is then opened.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(opener: HospitalId) -> Subject;
}

/// The latest record of each patient. Answered by pallet-index-links.
pub trait IndexLinks {
    /// Makes `pointer` the patient's latest record; returns the one before.
    fn link(patient: UserId, pointer: RecordPointer) -> Option<RecordPointer>;
    fn latest(patient: UserId) -> Option<RecordPointer>;
}

/// A body with its Blake2-256 hash. Only [`HashedBody::new`] joins the two, so that none is ever
/// kept under a hash that a caller made up, and 2 MiB are hashed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedBody<'a> {
    bytes: &'a [u8],
    hash: Hash,
}

impl<'a> HashedBody<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, hash: BlakeTwo256::hash(bytes) }
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }
}

/// Keeps bodies in the node's database, outside the state. Answered by the runtime.
pub trait Bodies {
    /// Keeps a body under its hash.
    ///
    /// Call it last: the node indexes even when the dispatch fails afterwards. Fails with
    /// [`BODY_NOT_AT_TAIL`] unless the extrinsic being applied ends with the body, since the node
    /// stores the extrinsic's last bytes, whatever they are.
    fn keep(body: HashedBody<'_>) -> DispatchResult;
    /// For benchmarks: pretends that the extrinsic being applied ends with `body`.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(body: &[u8]);
}

/// The error of [`Bodies::keep`].
pub const BODY_NOT_AT_TAIL: DispatchError =
    DispatchError::Other("the body is not the last argument of the extrinsic's own call");

/// Nothing to tell.
impl<Subject> OnBallotClosed<Subject> for () {
    fn on_ballot_closed(_: Subject, _: BallotOutcome) {}
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: HospitalId) -> Subject {
        unreachable!("a runtime with benchmarks names its subject's owner")
    }
}
