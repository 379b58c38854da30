//! Rejects transactions from unknown accounts, calls that the signer's role may not make, calls without a signature,
//! and calls that exceed a quota, before they reach a block.
//!
//! The chain has no fees, so this check reserves its blocks for its members: an account can make only the calls of its
//! role, while its hospital serves and, for a user, while a registration is in force. A leaving hospital serves its
//! patients and readers, so its users make all of their calls, and its own accounts few; a suspended one makes none.
//! Only to end access, by withdrawing a consent, by removing sections from its slot, by withdrawing or refusing a query,
//! by ending a mandate, or by objecting to new keys, a user needs no registration in force: a hospital could keep the
//! access open otherwise. For an objection, no hospital has to answer. Only a doctor asks for an opening in an emergency.
//! The pallets check again, in more detail. What a transaction uses is debited to its signer and to the hospital that
//! answers for it ([`pallet_quotas`]). [`crate::lanes`] says which transactions come first.

use alloc::{vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_primitives::{
    AccountId, HospitalId, UserId,
    hospital::{Duty, HospitalStatus},
    limits::{MAX_BATCH_CALLS, MAX_REGISTRATIONS_IN_FORCE},
    ports::{Custodians as _, Hospitals as _, Records as _, Users},
    profile::Role,
    refusal::Refusal,
};
use frame_support::{
    dispatch::{DispatchInfo, PostDispatchInfo},
    pallet_prelude::TransactionSource,
    weights::Weight,
};
use pallet_quotas::{Debit, Exhausted, Holder};
use scale_info::TypeInfo;
use sp_runtime::{
    DispatchResult,
    traits::{AsSystemOriginSigner, TransactionExtension, ValidateResult},
    transaction_validity::{
        InvalidTransaction, TransactionValidity, TransactionValidityError, ValidTransaction,
    },
};

use crate::{
    Custody, Hospitals, LiteBlocks, Mandates, Profiles, Queries, Quotas, Runtime, RuntimeCall,
    RuntimeOrigin, Sharing, cost, governance, lanes, lengths, weights,
};

pub trait WeightInfo {
    /// Checking a signer, a call and the quotas, debiting and refunding.
    fn check() -> Weight;
}

/// Rejects a signed transaction, with the code of a [`Refusal`], if its signer is unknown, the signer's role may
/// not make its call, or a quota does not cover it. Rejects every call without a signature, except two. Debits and
/// refunds the quotas, and sets the transaction's priority. It adds no bytes to a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CheckCaller;

/// The role of an account on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Governance,
    Agent,
    User,
}

impl TransactionExtension<RuntimeCall> for CheckCaller {
    const IDENTIFIER: &'static str = "CheckCaller";
    type Implicit = ();
    /// None for a transaction without a signer.
    type Val = Option<Debit>;
    type Pre = Option<Debit>;

    fn weight(&self, call: &RuntimeCall) -> Weight {
        weights::epione_runtime_caller::Measured::<Runtime>::check()
            .saturating_add(<Runtime as frame_system::Config>::DbWeight::get().reads(others(call)))
            // The hospitals that are leaving.
            .saturating_add(<Runtime as frame_system::Config>::DbWeight::get().reads(1))
            .saturating_add(governance::weight(call))
    }

    fn validate(
        &self,
        origin: RuntimeOrigin,
        call: &RuntimeCall,
        info: &DispatchInfo,
        length: usize,
        (): (),
        _: &impl Encode,
        _: TransactionSource,
    ) -> ValidateResult<Option<Debit>, RuntimeCall> {
        let Some(signer) = origin.as_system_origin_signer() else {
            return Ok((ValidTransaction::default(), None, origin));
        };
        let debit = check(signer, call, info, length).map_err(rejection)?;
        Ok((lanes::validity(debit.lane), Some(debit), origin))
    }

    fn prepare(
        self,
        debit: Option<Debit>,
        _: &RuntimeOrigin,
        _: &RuntimeCall,
        _: &DispatchInfo,
        _: usize,
    ) -> Result<Option<Debit>, TransactionValidityError> {
        if let Some(debit) = &debit {
            Quotas::debit(debit);
        }
        Ok(debit)
    }

    fn post_dispatch_details(
        debit: Option<Debit>,
        info: &DispatchInfo,
        post_info: &PostDispatchInfo,
        _: usize,
        _: &DispatchResult,
    ) -> Result<Weight, TransactionValidityError> {
        if let Some(debit) = debit {
            Quotas::refund(&debit, post_info.calc_unspent(info).ref_time());
        }
        Ok(Weight::zero())
    }

    fn bare_validate(call: &RuntimeCall, _: &DispatchInfo, _: usize) -> TransactionValidity {
        check_bare(call)?;
        Ok(ValidTransaction::default())
    }

    fn bare_validate_and_prepare(
        call: &RuntimeCall,
        _: &DispatchInfo,
        _: usize,
    ) -> Result<(), TransactionValidityError> {
        check_bare(call)
    }
}

/// Checks a call without a signature: only the block's time and reports of equivocations need none. The SDK also
/// accepts an authorized upgrade without a signature, at the highest priority. Such an upgrade would avoid the delay.
/// [`crate::equivocations`] says which reports count; pallet-grandpa asks before a report is in a pool or a block.
fn check_bare(call: &RuntimeCall) -> Result<(), TransactionValidityError> {
    match call {
        RuntimeCall::Timestamp(pallet_timestamp::Call::set { .. })
        | RuntimeCall::Grandpa(pallet_grandpa::Call::report_equivocation_unsigned { .. }) => Ok(()),
        _ => Err(InvalidTransaction::Call.into()),
    }
}

/// Maximum number of hospitals that answer for a user.
const ANSWERING_HOSPITALS: u32 = MAX_REGISTRATIONS_IN_FORCE;

/// The budgets that may be read for a user, in addition to the first hospital's.
const OTHER_BUDGETS: u64 = ANSWERING_HOSPITALS as u64 - 1;

/// Maximum number of a user's registrations that are read to find hospitals that answer for a user who ends access.
const REGISTRATIONS: u32 = 2 * MAX_REGISTRATIONS_IN_FORCE;

/// What may be read for a user who ends access, in addition to the first hospital's budget: the query and the mandate
/// of a representative, or the consent, or the block and the header of the first of the records, or a mandate and where
/// a representative is registered; the registrations; and the budgets of the other hospitals.
const ENDING_READS: u64 = 2 + REGISTRATIONS as u64 + OTHER_BUDGETS;

/// How many entries may be read to find a hospital whose budget covers a call, in addition to the first budget.
fn others(call: &RuntimeCall) -> u64 {
    if may_end_access(call) {
        ENDING_READS.saturating_add(removed(call))
    } else if lanes::asks_in_emergency(call) {
        // And the role.
        OTHER_BUDGETS.saturating_add(1)
    } else if user_makes(call) {
        OTHER_BUDGETS
    } else {
        0
    }
}

/// What is read in addition for a user who removes sections from a slot: each placement, and the appointment of a
/// custodian with its delay, in case the hospital of the first record was removed.
fn removed(call: &RuntimeCall) -> u64 {
    match call {
        RuntimeCall::Sharing(pallet_sharing::Call::remove { records, .. }) => {
            (records.len() as u64).saturating_add(2)
        }
        _ => 0,
    }
}

/// How nodes report a refusal.
pub(crate) fn rejection(refusal: Refusal) -> TransactionValidityError {
    InvalidTransaction::Custom(refusal.code()).into()
}

/// Checks a transaction of this many bytes. Returns what is debited for it.
pub(crate) fn check(
    signer: &AccountId,
    call: &RuntimeCall,
    info: &DispatchInfo,
    length: usize,
) -> Result<Debit, Refusal> {
    let Signer { caller, holder, hospitals, ends_access, leaves } = identify(signer, call)?;
    caller.may_make(call, length)?;
    if leaves && !all_calls(call, |call| leaving_makes(caller, call)) {
        return Err(Refusal::HospitalLeaving);
    }
    governance::check(signer, call)?;
    let lane = lanes::lane(caller, call, ends_access);
    let cost = cost::of(call, info, length);
    for hospital in hospitals {
        let debit = Debit { signer: holder, hospital, lane, cost };
        match Quotas::check(&debit) {
            Ok(()) => return Ok(debit),
            Err(Exhausted::Account) => return Err(Refusal::QuotaExceeded),
            Err(Exhausted::Hospital) => {}
        }
    }
    Err(Refusal::HospitalQuotaExceeded)
}

/// An account that may sign transactions.
struct Signer {
    caller: Caller,
    /// What is debited for the account.
    holder: Holder,
    /// The hospitals that answer for the account, at least one. The first whose budget covers the transaction is
    /// debited. None in place of a hospital: the transaction needs no hospital's budget.
    hospitals: Vec<Option<HospitalId>>,
    /// Whether the call ends access to records of a patient, and succeeds.
    ends_access: bool,
    /// Whether the account belongs to a hospital that is leaving.
    leaves: bool,
}

impl Signer {
    /// The account of a user, for whom one of these hospitals answers.
    fn user(user: UserId, hospitals: Vec<Option<HospitalId>>, ends_access: bool) -> Self {
        let (caller, holder) = (Caller::User, Holder::User(user));
        Self { caller, holder, hospitals, ends_access, leaves: false }
    }
}

fn identify(signer: &AccountId, call: &RuntimeCall) -> Result<Signer, Refusal> {
    let Some((id, duty)) = Hospitals::hospital_of(signer.clone()) else {
        let user = Profiles::user_of(signer.clone()).ok_or(Refusal::UnknownAccount)?;
        if objects(user, call) {
            return Ok(Signer::user(user, vec![None], true));
        }
        // Before it uses a budget or a place that doctors need.
        if lanes::asks_in_emergency(call) && <Profiles as Users>::role(user) != Some(Role::Doctor) {
            return Err(Refusal::CallNotForRole);
        }
        let concerned = concerned(user, call);
        let ends_access = concerned.is_some();
        let hospitals = responsible(user, concerned)?.into_iter().map(Some).collect();
        return Ok(Signer::user(user, hospitals, ends_access));
    };
    let status = Hospitals::hospital(id).map(|hospital| hospital.status);
    let leaves = status == Some(HospitalStatus::Leaving);
    if !status.is_some_and(HospitalStatus::serves) {
        return Err(Refusal::HospitalNotActive);
    }
    let (caller, holder) = (duty.into(), Holder::Duty(id, duty));
    Ok(Signer { caller, holder, hospitals: vec![Some(id)], ends_access: false, leaves })
}

/// The hospitals that answer for a user: the serving hospitals at which a registration is in force, beginning with the
/// one at which it has been in force for the longest time. A hospital that is hostile to its former patients can use up
/// its own budget, but not that of the patients' other hospitals.
///
/// For a user who ends access, they are followed by the serving ones among the hospitals that this concerns, and by
/// those at which the user is or was registered: up to 16 hospitals altogether. So neither a hospital that suspends its
/// patients nor the suspension of a patient's only hospital keeps an access open.
fn responsible(
    user: UserId,
    concerned: Option<Vec<HospitalId>>,
) -> Result<Vec<HospitalId>, Refusal> {
    let serving = Hospitals::serving();
    let serves = |id: &HospitalId| serving.binary_search(id).is_ok();
    let mut hospitals = Profiles::in_force(user);
    let refusal =
        if hospitals.is_empty() { Refusal::NotInForce } else { Refusal::HospitalNotActive };
    hospitals.retain(serves);
    if let Some(concerned) = concerned {
        let former = Profiles::ever_registered_at(user, REGISTRATIONS, serves);
        for id in concerned.into_iter().filter(serves).chain(former) {
            if !hospitals.contains(&id) {
                hospitals.push(id);
            }
        }
        hospitals.truncate(ANSWERING_HOSPITALS as usize);
    }
    if hospitals.is_empty() { Err(refusal) } else { Ok(hospitals) }
}

/// The hospitals without which the access that a user ends cannot be used: the one that releases the first of the
/// records, or its custodian; the mailbox and the requester's hospital of a query; those at which a representative is
/// registered, without which the representative neither reads nor accepts; or the one that a patient authorized. None
/// if the call does not end access, or cannot succeed. Nobody else spends a budget of a hospital at which no
/// registration of the signer is in force.
///
/// A patient appoints whom they like, also somebody of a hospital that does not know the patient. So the hospitals of
/// the representative answer only if the signer is registered at no serving hospital.
///
/// A consent may share records of many hospitals. Each of these is one at which the patient is or was registered, and
/// up to 16 of those answer in any case ([`responsible`]).
fn concerned(user: UserId, call: &RuntimeCall) -> Option<Vec<HospitalId>> {
    use pallet_queries::Call as Query;
    use pallet_sharing::Call as Share;
    match call {
        RuntimeCall::Sharing(Share::withdraw { slot }) => {
            Sharing::can_withdraw(user, *slot).then(Vec::new)
        }
        RuntimeCall::Sharing(Share::remove { slot, records }) => {
            let (_, announcer) = LiteBlocks::owner(records.first()?.pointer)?;
            let releasing = Custody::custodian_of(announcer).unwrap_or(announcer);
            Sharing::can_remove(user, *slot, records).then(|| vec![releasing])
        }
        RuntimeCall::Queries(Query::withdraw { query }) => {
            let query = Queries::query(*query)?;
            let mailbox = query.acceptance().map(|acceptance| acceptance.mailbox);
            let concerned = mailbox.into_iter().chain([query.hospital]).collect();
            Queries::can_withdraw(user, &query).then_some(concerned)
        }
        RuntimeCall::Queries(Query::refuse { query }) => {
            let query = Queries::query(*query)?;
            Queries::can_refuse(user, &query).then(|| vec![query.hospital])
        }
        RuntimeCall::Mandates(pallet_mandates::Call::dismiss { patient, representative }) => {
            Mandates::can_dismiss(user, *patient, *representative).then(|| {
                let serving = Hospitals::serving();
                let serves = |id: &HospitalId| serving.binary_search(id).is_ok();
                match Profiles::in_force(user).iter().any(serves) {
                    true => Vec::new(),
                    false => Profiles::in_force(*representative),
                }
            })
        }
        RuntimeCall::Mandates(pallet_mandates::Call::revoke { hospital }) => {
            Mandates::can_revoke(user, *hospital).then(|| vec![*hospital])
        }
        _ => None,
    }
}

/// Whether a user objects to new keys for that user, or ends what the user entrusted at a hospital, and succeeds. No
/// hospital answers for that: the one that proposed the keys, or the custodian, could use up the budgets. It happens at
/// most once for each proposal, and for each time that something is entrusted, which have paid for it ([`cost`]).
fn objects(user: UserId, call: &RuntimeCall) -> bool {
    match call {
        RuntimeCall::Profiles(pallet_profiles::Call::object { user: named }) => {
            *named == user && Profiles::can_object(user)
        }
        RuntimeCall::Mandates(pallet_mandates::Call::end_custody { hospital }) => {
            Mandates::can_end_custody(user, *hospital)
        }
        _ => false,
    }
}

impl From<Duty> for Caller {
    fn from(duty: Duty) -> Self {
        match duty {
            Duty::Governance => Self::Governance,
            Duty::Agent => Self::Agent,
        }
    }
}

impl Caller {
    /// The role of an account that [`check`] accepts.
    pub(crate) fn of(account: &AccountId) -> Self {
        Hospitals::hospital_of(account.clone()).map_or(Self::User, |(_, duty)| duty.into())
    }

    /// Checks a call, or every call of a batch, in a transaction of this many bytes.
    fn may_make(self, call: &RuntimeCall, length: usize) -> Result<(), Refusal> {
        if length > lengths::most(self, call) {
            return Err(Refusal::CallTooLarge);
        }
        match batched(call) {
            Some(_) if self == Self::User => Err(Refusal::CallNotForRole),
            Some(calls) if calls.len() > MAX_BATCH_CALLS as usize => Err(Refusal::BatchTooLong),
            Some(calls) if calls.iter().all(|call| self.may_batch(call)) => Ok(()),
            Some(_) => Err(Refusal::CallNotForBatch),
            None if self.makes(call) => Ok(()),
            None => Err(Refusal::CallNotForRole),
        }
    }

    fn may_batch(self, call: &RuntimeCall) -> bool {
        carries_no_body(call) && !governance::limits(call) && self.makes(call)
    }

    /// Whether the role may make this call, apart from batches.
    fn makes(self, call: &RuntimeCall) -> bool {
        match self {
            Self::Governance => governance_makes(call),
            Self::Agent => agent_makes(call),
            Self::User => user_makes(call),
        }
    }
}

/// Whether the call, or each call of its batch, is one of these.
fn all_calls(call: &RuntimeCall, is_one: impl Fn(&RuntimeCall) -> bool) -> bool {
    batched(call).map_or_else(|| is_one(call), |calls| calls.iter().all(&is_one))
}

/// The calls of a batch.
pub(crate) fn batched(call: &RuntimeCall) -> Option<&[RuntimeCall]> {
    match call {
        RuntimeCall::Utility(
            pallet_utility::Call::batch { calls }
            | pallet_utility::Call::batch_all { calls }
            | pallet_utility::Call::force_batch { calls },
        ) => Some(calls),
        _ => None,
    }
}

/// A body in a batch would not be at the extrinsic's tail, or would displace another body from it.
fn carries_no_body(call: &RuntimeCall) -> bool {
    !matches!(
        call,
        RuntimeCall::LiteBlocks(pallet_lite_blocks::Call::announce { .. })
            | RuntimeCall::Profiles(
                pallet_profiles::Call::register { .. } | pallet_profiles::Call::update { .. }
            )
            | RuntimeCall::ConsortiumKey(
                pallet_consortium_key::Call::begin { .. }
                    | pallet_consortium_key::Call::enrol { .. }
                    | pallet_consortium_key::Call::deal { .. }
            )
            | RuntimeCall::Openings(pallet_openings::Call::wrap { .. })
    )
}

fn governance_makes(call: &RuntimeCall) -> bool {
    use pallet_collective::Call as Motion;
    use pallet_credentials::Call as Credential;
    use pallet_hospitals::Call as Hospital;
    matches!(
        call,
        // Not `purge_keys`: a chain whose validators have no keys stops.
        RuntimeCall::Session(pallet_session::Call::set_keys { .. })
            | RuntimeCall::Council(
                Motion::propose { .. }
                    | Motion::vote { .. }
                    | Motion::close { .. }
                    | Motion::release_proposal_cost { .. }
            )
            // Provides the code of an upgrade that the council has authorized.
            | RuntimeCall::System(frame_system::Call::apply_authorized_upgrade { .. })
            | RuntimeCall::RolePolicies(pallet_role_policies::Call::set_policies { .. })
            | RuntimeCall::Credentials(Credential::issue { .. } | Credential::revoke { .. })
            | RuntimeCall::Releases(pallet_releases::Call::judge { .. })
            | RuntimeCall::ConsortiumKey(pallet_consortium_key::Call::refresh { .. })
    ) || matches!(
        call,
        RuntimeCall::Hospitals(call) if !matches!(
            call,
            Hospital::admit { .. }
                | Hospital::suspend { .. }
                | Hospital::reinstate { .. }
                | Hospital::remove { .. }
                | Hospital::replace_governance { .. }
                // The agent's: its worker knows what it stores.
                | Hospital::ready { .. }
        )
    )
}

fn agent_makes(call: &RuntimeCall) -> bool {
    use pallet_custody::Call as Custody;
    use pallet_openings::Call as Opening;
    use pallet_profiles::Call as Profile;
    use pallet_releases::Call as Release;
    use pallet_role_policies::Call as Policy;
    match call {
        RuntimeCall::LiteBlocks(_) | RuntimeCall::Approvals(_) => true,
        RuntimeCall::Hospitals(call) => matches!(call, pallet_hospitals::Call::ready { .. }),
        RuntimeCall::Profiles(call) => !matches!(call, Profile::rotate_keys { .. }),
        RuntimeCall::RolePolicies(call) => {
            matches!(call, Policy::relate { .. } | Policy::unrelate { .. })
        }
        RuntimeCall::Releases(call) => {
            matches!(call, Release::record { .. } | Release::refuse { .. })
        }
        RuntimeCall::Queries(call) => matches!(call, pallet_queries::Call::transfer { .. }),
        RuntimeCall::Sharing(call) => matches!(call, pallet_sharing::Call::place_by_kind { .. }),
        RuntimeCall::ConsortiumKey(call) => takes_part(call),
        RuntimeCall::Openings(call) => {
            matches!(call, Opening::wrap { .. } | Opening::hand_out { .. })
        }
        RuntimeCall::Custody(call) => {
            matches!(call, Custody::keep { .. } | Custody::claim { .. } | Custody::hand_out { .. })
        }
        _ => false,
    }
}

/// Which of the calls of its duty an account of a leaving hospital makes: those that serve its patients and readers,
/// protect what they have, or end an access. None of them takes part in a decision of the hospitals, and none adds a
/// record, a user or a credential. Each pallet checks again who serves.
fn leaving_makes(caller: Caller, call: &RuntimeCall) -> bool {
    use pallet_custody::Call as Custody;
    use pallet_hospitals::Call as Hospital;
    use pallet_profiles::Call as Profile;
    match (caller, call) {
        (Caller::Governance, RuntimeCall::Hospitals(call)) => matches!(
            call,
            Hospital::rotate_accounts { .. }
                | Hospital::set_endpoint { .. }
                | Hospital::set_sealing_key { .. }
        ),
        (Caller::Governance, RuntimeCall::RolePolicies(_)) => true,
        (Caller::Governance, RuntimeCall::Credentials(call)) => {
            matches!(call, pallet_credentials::Call::revoke { .. })
        }
        (
            Caller::Agent,
            RuntimeCall::Releases(_)
            | RuntimeCall::RolePolicies(_)
            | RuntimeCall::Queries(_)
            | RuntimeCall::Sharing(_)
            | RuntimeCall::Openings(_),
        ) => true,
        (Caller::Agent, RuntimeCall::Profiles(call)) => matches!(
            call,
            Profile::update { .. }
                | Profile::suspend { .. }
                | Profile::end_registration { .. }
                | Profile::object { .. }
        ),
        (Caller::Agent, RuntimeCall::Custody(call)) => {
            matches!(call, Custody::keep { .. } | Custody::hand_out { .. })
        }
        _ => false,
    }
}

/// Whether the call is one with which a worker takes part in a ceremony.
fn takes_part(call: &pallet_consortium_key::Call<Runtime>) -> bool {
    use pallet_consortium_key::Call as Key;
    matches!(
        call,
        Key::begin { .. }
            | Key::enrol { .. }
            | Key::deal { .. }
            | Key::judge { .. }
            | Key::answer { .. }
            | Key::confirm { .. }
    )
}

/// Whether the call withdraws a consent or removes sections from its slot, withdraws or refuses a query, ends a
/// mandate, or objects to new keys. [`concerned`] and [`objects`] decide whether it succeeds.
fn may_end_access(call: &RuntimeCall) -> bool {
    matches!(
        call,
        RuntimeCall::Sharing(
            pallet_sharing::Call::withdraw { .. } | pallet_sharing::Call::remove { .. }
        ) | RuntimeCall::Queries(
            pallet_queries::Call::withdraw { .. } | pallet_queries::Call::refuse { .. }
        ) | RuntimeCall::Mandates(
            pallet_mandates::Call::dismiss { .. }
                | pallet_mandates::Call::revoke { .. }
                | pallet_mandates::Call::end_custody { .. }
        ) | RuntimeCall::Profiles(pallet_profiles::Call::object { .. })
    )
}

fn user_makes(call: &RuntimeCall) -> bool {
    use pallet_profiles::Call as Profile;
    use pallet_queries::Call as Query;
    use pallet_role_policies::Call as Policy;
    use pallet_sharing::Call as Share;
    matches!(
        call,
        RuntimeCall::Profiles(Profile::rotate_keys { .. } | Profile::object { .. })
            | RuntimeCall::RolePolicies(Policy::relate { .. } | Policy::unrelate { .. })
            | RuntimeCall::Releases(pallet_releases::Call::note { .. })
            | RuntimeCall::Sharing(
                Share::give { .. }
                    | Share::withdraw { .. }
                    | Share::place { .. }
                    | Share::remove { .. }
            )
            | RuntimeCall::Queries(
                Query::ask { .. }
                    | Query::accept { .. }
                    | Query::refuse { .. }
                    | Query::withdraw { .. }
            )
            | RuntimeCall::Openings(pallet_openings::Call::ask { .. })
            // Every call about mandates is by a user.
            | RuntimeCall::Mandates(_)
    )
}
