//! What the council can decide, as calls of the runtime that this client knows by their numbers.
//!
//! The node's metadata is not proven. A member who reads a motion by it could be shown another call than the one that
//! the votes dispatch. So calls are encoded and decoded here, without metadata. A call that is not here is no
//! [`Proposal`]: it is shown as bytes. A test of the runtime includes this file, and compares it with the true calls.

use codec::{Decode, DecodeAll, Encode};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, UserId,
    consortium::{Schedule, Seats},
    council::{more_than_half, two_thirds},
    credential::AttributeName,
    limits::{MAX_NAME_BYTES, MAX_SEALING_KEY_BYTES, MAX_URL_BYTES},
    naming::NamedAccount,
    quota::Limits,
};
use sp_core::{ConstU32, bounded::BoundedVec};

/// The numbers of `councilRoot.dispatch`, before a call that needs root.
const AS_ROOT: [u8; 2] = [16, 0];

// The numbers of pallet and call.
const REMARK: [u8; 2] = [0, 0];
const AUTHORIZE_UPGRADE: [u8; 2] = [0, 9];
const AUTHORIZE_UPGRADE_WITHOUT_CHECKS: [u8; 2] = [0, 10];
const ADMIT: [u8; 2] = [6, 0];
const SUSPEND: [u8; 2] = [6, 1];
const REINSTATE: [u8; 2] = [6, 2];
const REMOVE: [u8; 2] = [6, 3];
const REPLACE_GOVERNANCE: [u8; 2] = [6, 9];
const NOTE_STALLED: [u8; 2] = [8, 2];
const DISAPPROVE: [u8; 2] = [9, 5];
const KILL: [u8; 2] = [9, 7];
const COMPLETE_RECOVERY: [u8; 2] = [10, 8];
const SET_LIMITS: [u8; 2] = [18, 0];
const NAME_ATTRIBUTE: [u8; 2] = [21, 0];
const RENEW: [u8; 2] = [23, 7];
const SEAT: [u8; 2] = [23, 8];
const SCHEDULE: [u8; 2] = [23, 9];
const APPOINT: [u8; 2] = [25, 1];
const DISMISS: [u8; 2] = [25, 2];

/// A hospital that the council may admit, with the arguments of `hospitals.admit` in their order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Admission {
    /// UTF-8.
    pub name: BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>,
    pub governance: NamedAccount,
    pub agent: NamedAccount,
    pub worker_url: BoundedVec<u8, ConstU32<MAX_URL_BYTES>>,
    /// The suite byte, then the key.
    pub sealing_key: BoundedVec<u8, ConstU32<MAX_SEALING_KEY_BYTES>>,
    /// Ed25519 public key of the worker's TLS endpoint.
    pub tls_key: [u8; 32],
}

/// The call of a motion. [`encode`](Self::encode) wraps what needs root into `councilRoot.dispatch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// `hospitals.admit`
    Admit(Box<Admission>),
    /// `hospitals.suspend`
    Suspend { hospital: HospitalId },
    /// `hospitals.reinstate`
    Reinstate { hospital: HospitalId },
    /// `hospitals.remove`
    Remove { hospital: HospitalId },
    /// `hospitals.replace_governance`, as root
    ReplaceGovernance { hospital: HospitalId, governance: Box<NamedAccount> },
    /// `council.disapprove_proposal`: closes a motion without its vote.
    Disapprove { motion: Hash },
    /// `council.kill`, as root: the same by two thirds.
    Kill { motion: Hash },
    /// `consortium_key.schedule`
    Schedule(Schedule),
    /// `consortium_key.seat`, as root. None: every active hospital gets a seat.
    Seat { committee: Option<Seats> },
    /// `consortium_key.renew`, as root
    Renew,
    /// `custody.appoint`, as root
    AppointCustodian { departed: HospitalId, custodian: HospitalId },
    /// `custody.dismiss`, as root
    DismissCustodian { departed: HospitalId },
    /// `credentials.name_attribute`, as root
    NameAttribute { name: AttributeName },
    /// `profiles.complete_recovery`, as root
    CompleteRecovery { user: UserId, decision: Option<Hash> },
    /// `quotas.set_limits`, as root
    SetLimits(Box<Limits>),
    /// `system.authorize_upgrade`, or without checks of name and version, as root
    AuthorizeUpgrade { code_hash: Hash, checks: bool },
    /// `grandpa.note_stalled`, as root
    NoteStalled { delay: BlockNumber, best_finalized: BlockNumber },
    /// `system.remark`, as root: changes nothing.
    Remark { text: Vec<u8> },
}

impl Proposal {
    /// Names of pallet and call, as the runtime spells them.
    pub fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Admit(_) => ("hospitals", "admit"),
            Self::Suspend { .. } => ("hospitals", "suspend"),
            Self::Reinstate { .. } => ("hospitals", "reinstate"),
            Self::Remove { .. } => ("hospitals", "remove"),
            Self::ReplaceGovernance { .. } => ("hospitals", "replace_governance"),
            Self::Disapprove { .. } => ("council", "disapprove_proposal"),
            Self::Kill { .. } => ("council", "kill"),
            Self::Schedule(_) => ("consortium_key", "schedule"),
            Self::Seat { .. } => ("consortium_key", "seat"),
            Self::Renew => ("consortium_key", "renew"),
            Self::AppointCustodian { .. } => ("custody", "appoint"),
            Self::DismissCustodian { .. } => ("custody", "dismiss"),
            Self::NameAttribute { .. } => ("credentials", "name_attribute"),
            Self::CompleteRecovery { .. } => ("profiles", "complete_recovery"),
            Self::SetLimits(_) => ("quotas", "set_limits"),
            Self::AuthorizeUpgrade { checks: true, .. } => ("system", "authorize_upgrade"),
            Self::AuthorizeUpgrade { checks: false, .. } => {
                ("system", "authorize_upgrade_without_checks")
            }
            Self::NoteStalled { .. } => ("grandpa", "note_stalled"),
            Self::Remark { .. } => ("system", "remark"),
        }
    }

    /// Whether it needs root, and so two thirds of the council.
    pub fn needs_root(&self) -> bool {
        !matches!(
            self,
            Self::Admit(_)
                | Self::Suspend { .. }
                | Self::Reinstate { .. }
                | Self::Remove { .. }
                | Self::Disapprove { .. }
                | Self::Schedule(_)
        )
    }

    /// SCALE of the call that the motion dispatches.
    pub fn encode(&self) -> Vec<u8> {
        let (numbers, arguments) = self.parts();
        let as_root: &[u8] = if self.needs_root() { &AS_ROOT } else { &[] };
        [as_root, &numbers, &arguments].concat()
    }

    /// The call that these bytes are; none if the council does not decide about it in this way, or if this client does
    /// not know it.
    pub fn decode(call: &[u8]) -> Option<Self> {
        let inner = call.strip_prefix(&AS_ROOT).unwrap_or(call);
        let (numbers, arguments) = inner.split_first_chunk::<2>()?;
        let read = Self::read(*numbers, arguments).ok()??;
        // The same bytes: with or without root as the call needs it, and no other encoding of the same values.
        (read.encode() == call).then_some(read)
    }

    /// The numbers of the call, and SCALE of its arguments.
    fn parts(&self) -> ([u8; 2], Vec<u8>) {
        match self {
            Self::Admit(admission) => (ADMIT, admission.encode()),
            Self::Suspend { hospital } => (SUSPEND, hospital.encode()),
            Self::Reinstate { hospital } => (REINSTATE, hospital.encode()),
            Self::Remove { hospital } => (REMOVE, hospital.encode()),
            Self::ReplaceGovernance { hospital, governance } => {
                (REPLACE_GOVERNANCE, (hospital, governance).encode())
            }
            Self::Disapprove { motion } => (DISAPPROVE, motion.encode()),
            Self::Kill { motion } => (KILL, motion.encode()),
            Self::Schedule(schedule) => (SCHEDULE, schedule.encode()),
            Self::Seat { committee } => (SEAT, committee.encode()),
            Self::Renew => (RENEW, Vec::new()),
            Self::AppointCustodian { departed, custodian } => {
                (APPOINT, (departed, custodian).encode())
            }
            Self::DismissCustodian { departed } => (DISMISS, departed.encode()),
            Self::NameAttribute { name } => (NAME_ATTRIBUTE, name.encode()),
            Self::CompleteRecovery { user, decision } => {
                (COMPLETE_RECOVERY, (user, decision).encode())
            }
            Self::SetLimits(limits) => (SET_LIMITS, limits.encode()),
            Self::AuthorizeUpgrade { code_hash, checks: true } => {
                (AUTHORIZE_UPGRADE, code_hash.encode())
            }
            Self::AuthorizeUpgrade { code_hash, checks: false } => {
                (AUTHORIZE_UPGRADE_WITHOUT_CHECKS, code_hash.encode())
            }
            Self::NoteStalled { delay, best_finalized } => {
                (NOTE_STALLED, (delay, best_finalized).encode())
            }
            Self::Remark { text } => (REMARK, text.encode()),
        }
    }

    fn read(numbers: [u8; 2], arguments: &[u8]) -> Result<Option<Self>, codec::Error> {
        let mut arguments = arguments;
        let arguments = &mut arguments;
        Ok(Some(match numbers {
            ADMIT => Self::Admit(DecodeAll::decode_all(arguments)?),
            SUSPEND => Self::Suspend { hospital: DecodeAll::decode_all(arguments)? },
            REINSTATE => Self::Reinstate { hospital: DecodeAll::decode_all(arguments)? },
            REMOVE => Self::Remove { hospital: DecodeAll::decode_all(arguments)? },
            REPLACE_GOVERNANCE => {
                let (hospital, governance) = DecodeAll::decode_all(arguments)?;
                Self::ReplaceGovernance { hospital, governance }
            }
            DISAPPROVE => Self::Disapprove { motion: DecodeAll::decode_all(arguments)? },
            KILL => Self::Kill { motion: DecodeAll::decode_all(arguments)? },
            SCHEDULE => Self::Schedule(DecodeAll::decode_all(arguments)?),
            SEAT => Self::Seat { committee: DecodeAll::decode_all(arguments)? },
            RENEW => Self::Renew,
            APPOINT => {
                let (departed, custodian) = DecodeAll::decode_all(arguments)?;
                Self::AppointCustodian { departed, custodian }
            }
            DISMISS => Self::DismissCustodian { departed: DecodeAll::decode_all(arguments)? },
            NAME_ATTRIBUTE => Self::NameAttribute { name: DecodeAll::decode_all(arguments)? },
            COMPLETE_RECOVERY => {
                let (user, decision) = DecodeAll::decode_all(arguments)?;
                Self::CompleteRecovery { user, decision }
            }
            SET_LIMITS => Self::SetLimits(DecodeAll::decode_all(arguments)?),
            AUTHORIZE_UPGRADE | AUTHORIZE_UPGRADE_WITHOUT_CHECKS => Self::AuthorizeUpgrade {
                code_hash: DecodeAll::decode_all(arguments)?,
                checks: numbers == AUTHORIZE_UPGRADE,
            },
            NOTE_STALLED => {
                let (delay, best_finalized) = DecodeAll::decode_all(arguments)?;
                Self::NoteStalled { delay, best_finalized }
            }
            REMARK => Self::Remark { text: DecodeAll::decode_all(arguments)? },
            _ => return Ok(None),
        }))
    }
}

/// How many votes an encoded call needs in a council of so many members, also if this client does not know the call.
pub fn needed(call: &[u8], members: u32) -> u32 {
    if call.starts_with(&AS_ROOT) { two_thirds(members) } else { more_than_half(members) }
}
