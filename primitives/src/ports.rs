//! The traits through which pallets call each other and the node. A pallet's configuration names the traits
//! that it needs, and the runtime connects each to its implementation.

use alloc::vec::Vec;
use sp_runtime::{
    DispatchError, DispatchResult, Weight,
    traits::{BlakeTwo256, Hash as _},
};

use crate::{
    AccountId, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::{AccessRequest, Decision, Purpose},
    approval::BallotOutcome,
    consortium::{EpochId, KeyId},
    credential::AttributeId,
    mandate::Mandate,
    opening::OpeningId,
    profile::Role,
    release::{EmergencyReason, ReviewId, SectionSet},
    sharing::{SlotId, SlotSet},
};

/// Which hospitals there are. Implemented by pallet-hospitals.
///
/// [`HospitalStatus`](crate::hospital::HospitalStatus) says what an active hospital does and a leaving one does not.
pub trait Hospitals {
    /// The active hospital with this agent account.
    fn active_by_agent(account: &AccountId) -> Option<HospitalId>;
    /// The active hospital with this governance account.
    fn active_by_governance(account: &AccountId) -> Option<HospitalId>;
    /// The active or leaving hospital with this agent account.
    fn serving_by_agent(account: &AccountId) -> Option<HospitalId>;
    /// The active or leaving hospital with this governance account.
    fn serving_by_governance(account: &AccountId) -> Option<HospitalId>;
    /// Whether a hospital with this id was ever admitted.
    fn exists(hospital: HospitalId) -> bool;
    /// Whether the hospital was removed permanently.
    fn is_removed(hospital: HospitalId) -> bool;
    /// Whether the hospital served at a moment: it was active or leaving.
    fn served_at(hospital: HospitalId, at: Moment) -> bool;
    /// The active hospitals, ascending.
    fn active() -> Vec<HospitalId>;
    /// The active hospitals that do not validate until their agents say that they are ready, ascending.
    fn unready() -> Vec<HospitalId>;
    /// The hospitals that serve their patients and readers, ascending: the active and the leaving ones.
    fn serving() -> Vec<HospitalId>;
    /// The account of an active hospital's agent, and Blake2-256 of the hospital's sealing key.
    fn recipient(hospital: HospitalId) -> Option<(AccountId, Hash)>;
    /// For benchmarks: removes a hospital.
    #[cfg(feature = "runtime-benchmarks")]
    fn remove(hospital: HospitalId);
    /// For benchmarks: admits an active hospital with these accounts.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(governance: AccountId, agent: AccountId) -> HospitalId;
}

/// Called when a hospital leaves, is suspended or is removed. Implemented by the pallet that owns what the hospital has open.
pub trait OnHospitalInactive {
    fn on_hospital_inactive(hospital: HospitalId);
}

/// For runtimes in which hospitals have nothing open.
impl OnHospitalInactive for () {
    fn on_hospital_inactive(_: HospitalId) {}
}

/// Which users there are. Implemented by pallet-profiles.
pub trait Users {
    /// The user with this current account.
    fn by_account(account: &AccountId) -> Option<UserId>;
    /// The user's current account.
    fn account(user: UserId) -> Option<AccountId>;
    fn role(user: UserId) -> Option<Role>;
    /// The hash of the user's current sealing key.
    fn sealing_key(user: UserId) -> Option<Hash>;
    /// The hospitals at which the user's registration is in force now, whatever the status of the hospital. At most
    /// [`MAX_REGISTRATIONS_IN_FORCE`](crate::limits::MAX_REGISTRATIONS_IN_FORCE).
    fn in_force(user: UserId) -> Vec<HospitalId>;
    /// Whether the user's registration at the hospital was in force at a moment.
    fn registered(hospital: HospitalId, user: UserId, at: Moment) -> bool;
    /// Whether the user is or was registered at the hospital.
    fn was_registered(hospital: HospitalId, user: UserId) -> bool;
    /// The hash of the newest profile body of a user's registration at a hospital, whatever its status.
    fn profile_body(hospital: HospitalId, user: UserId) -> Option<Hash>;
    /// The hospitals at which the user's registration was in force at a moment.
    fn hospitals(user: UserId, at: Moment) -> Vec<HospitalId>;
    /// For benchmarks: registers a user.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, user: UserId, role: Role, account: AccountId);
}

/// Which actions the policies allow. Implemented by pallet-role-policies.
pub trait AccessPolicies {
    /// Decides by the relationships, registrations and policies in force at a moment.
    fn decide(request: &AccessRequest, at: Moment) -> Decision;
    /// For benchmarks: sets the largest policy set, whose last policy allows a doctor everything.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId);
}

/// Which records there are. Implemented by pallet-lite-blocks.
pub trait Records {
    /// The patient of a committed record, and the hospital that announced it.
    fn owner(pointer: RecordPointer) -> Option<(UserId, HospitalId)>;
    /// When a record was committed.
    fn committed_at(pointer: RecordPointer) -> Option<Moment>;
    /// For benchmarks: commits the largest lite block at this height, with a record of the patient at its
    /// end, and returns that record's pointer.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, patient: UserId, height: u32) -> RecordPointer;
}

/// Which sections of committed records their patients share. Implemented by pallet-sharing.
pub trait Sharing {
    /// The slots whose consents share with a requester for a purpose now. None in an emergency.
    fn admitting(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet;
    /// The slots whose standing consents share with a requester for a purpose now, also in an emergency.
    fn standing(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet;
    /// Whether the slot has a standing consent in force.
    fn is_standing(patient: UserId, slot: SlotId) -> bool;
    /// The sections of a record that are in one of these slots of its patient.
    fn placed(pointer: RecordPointer, slots: SlotSet) -> SectionSet;
    /// For benchmarks: places sections of a record in the patient's last slot, and gives each of the patient's slots
    /// the largest consent that admits the requester: for every purpose but emergency, or only for emergencies.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(
        patient: UserId,
        pointer: RecordPointer,
        sections: SectionSet,
        requester: UserId,
        emergency: bool,
    );
}

/// An opening in an emergency, before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmergencyOpening {
    pub opening: OpeningId,
    pub requester: UserId,
    pub patient: UserId,
    /// The hospital for which the requester asks. It does not judge the emergency, and neither do the other hospitals
    /// at which the requester's registration is in force.
    pub hospital: HospitalId,
    pub reason: EmergencyReason,
}

/// The emergencies and their reviews. Implemented by pallet-releases.
pub trait Emergencies {
    /// Counts the emergency now, within the daily limit of the requester at all hospitals and the limit of its hospital
    /// for all requesters, and opens its review.
    ///
    /// Fails with the errors of the implementing pallet if a limit is reached, or if the requester's last reviewed
    /// emergency was found unjustified less than [`UNJUSTIFIED_MILLIS`](crate::limits::UNJUSTIFIED_MILLIS) ago.
    fn open(emergency: EmergencyOpening) -> Result<ReviewId, DispatchError>;
    /// Whether the other hospitals found the emergency unjustified.
    fn is_unjustified(review: ReviewId) -> bool;
}

/// The consortium key. Implemented by pallet-consortium-key.
pub trait ConsortiumKey {
    /// The key and the epoch of which hospitals have shares now.
    fn current() -> Option<(KeyId, EpochId)>;
    /// Whether the hospital has a share of the current epoch.
    fn is_member(hospital: HospitalId) -> bool;
    /// For benchmarks: begins an epoch in which the hospital has a share.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId);
}

/// Which attributes of users hospitals confirm. Implemented by pallet-credentials.
pub trait Credentials {
    /// Whether the credential of this issuer was in force at a moment, whatever the status of the issuer.
    fn holds(user: UserId, attribute: AttributeId, issuer: HospitalId, at: Moment) -> bool;
    /// For benchmarks: issues a credential that is in force.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(user: UserId, attribute: AttributeId, issuer: HospitalId);
}

/// What patients let others do in their names. Implemented by pallet-mandates.
pub trait Mandates {
    /// The mandate by which the user represented the patient at a moment.
    fn representation(user: UserId, patient: UserId, at: Moment) -> Option<Mandate>;
    /// Whether the user was the patient's representative at a moment.
    fn represents(user: UserId, patient: UserId, at: Moment) -> bool {
        Self::representation(user, patient, at).is_some()
    }
    /// Whether the patient had authorized the hospital, at a moment, to submit without the patient's signature.
    fn authorizes(patient: UserId, hospital: HospitalId, at: Moment) -> bool;
    /// Whether the patient entrusts the patient keys at the hospital to the consortium key now.
    fn entrusts(patient: UserId, hospital: HospitalId) -> bool;
    /// For benchmarks: makes the user a representative of the patient, authorizes the hospital, and entrusts the
    /// patient keys there.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(patient: UserId, user: UserId, hospital: HospitalId);
}

/// Which hospitals answer for the records of removed hospitals. Implemented by pallet-custody.
pub trait Custodians {
    /// The custodian of a removed hospital: appointed, active, and the delay after the appointment is over.
    fn custodian_of(departed: HospitalId) -> Option<HospitalId>;
    /// Whether a hospital answers for the records that another one, or the same, announced.
    fn answers_for(hospital: HospitalId, announcer: HospitalId) -> bool {
        hospital == announcer || Self::custodian_of(announcer) == Some(hospital)
    }
}

/// Ballots over subjects of one type. Implemented by pallet-approvals.
pub trait Ballots<Subject> {
    /// Opens a ballot among the active hospitals. Every vote must contain `verified`, the hash of what the hospitals
    /// verify. If no other hospital's approval is needed, [`OnBallotClosed`] is called before this returns.
    fn open(subject: Subject, verified: Hash, opener: HospitalId) -> DispatchResult;
    /// Closes an undecided ballot without calling [`OnBallotClosed`].
    fn withdraw(subject: Subject) -> DispatchResult;
    /// Removes a closed ballot. Does nothing while the ballot is open.
    fn remove(subject: Subject);
}

/// Called once for each ballot, with its outcome. Implemented by the pallet that owns the subject.
pub trait OnBallotClosed<Subject> {
    /// Returns the weight of what it did.
    fn on_ballot_closed(subject: Subject, outcome: BallotOutcome) -> Weight;
    /// For benchmarks: creates the largest subject, without a ballot.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(opener: HospitalId) -> Subject;
}

/// The latest record of each patient. Implemented by pallet-index-links.
pub trait IndexLinks {
    /// Makes `pointer` the patient's latest record, and returns the previous one.
    fn link(patient: UserId, pointer: RecordPointer) -> Option<RecordPointer>;
    fn latest(patient: UserId) -> Option<RecordPointer>;
}

/// A body with its Blake2-256 hash. Only [`HashedBody::new`] computes the hash, so a caller cannot
/// store a body under another hash, and a body of 2 MiB is hashed once.
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

/// Stores bodies in the node's database, outside the state. Implemented by the runtime.
pub trait Bodies {
    /// Stores a body under its hash.
    ///
    /// Call it last: the node stores the body even if the dispatch fails afterwards. Fails with
    /// [`BODY_NOT_AT_TAIL`] unless the extrinsic being applied ends with the body, because the node
    /// stores the extrinsic's last bytes without looking at them.
    fn keep(body: HashedBody<'_>) -> DispatchResult;
    /// For benchmarks: makes the extrinsic being applied end with `body`.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(body: &[u8]);
}

/// The error of [`Bodies::keep`].
pub const BODY_NOT_AT_TAIL: DispatchError =
    DispatchError::Other("the body is not the last argument of the extrinsic's own call");

/// For runtimes in which no pallet needs the outcome.
impl<Subject> OnBallotClosed<Subject> for () {
    fn on_ballot_closed(_: Subject, _: BallotOutcome) -> Weight {
        Weight::zero()
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: HospitalId) -> Subject {
        unreachable!("a runtime with benchmarks names its subject's owner")
    }
}
