//! A proposal in words: what members read before they sign.

use epione_client::council::{Admission, Proposal};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, consortium::Schedule, hospital::Duty, naming::NamedAccount,
    quota::Limits, text::quoted,
};
use sp_crypto_hashing::blake2_256;

use super::{consents, quotas, state::Council};
use crate::{commands::consortium::lasting, wording::legible};

/// What a call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// On one line, after "The council decides to".
    pub headline: String,
    pub details: Vec<String>,
}

impl Sentence {
    fn new(headline: impl Into<String>, details: impl IntoIterator<Item = String>) -> Self {
        Self { headline: headline.into(), details: details.into_iter().collect() }
    }

    /// A call that this version does not know.
    pub(super) fn unknown(call: &[u8]) -> Self {
        let details = [
            "do not vote for it unless another program that you trust shows you what it does"
                .into(),
            format!("call: 0x{}", hex::encode(call)),
        ];
        Self::new("dispatch a call that this version of epione does not know", details)
    }

    pub(super) fn of(proposal: &Proposal, council: &Council) -> Self {
        let name = |hospital: &HospitalId| council.hospital(*hospital);
        match proposal {
            Proposal::Admit(admission) => admission_of(admission, council),
            Proposal::Suspend { hospital } => Self::new(
                format!("suspend {}", name(hospital)),
                [
                    "at once it makes no more blocks, and its accounts are refused".into(),
                    "its open announcements are withdrawn; the council can reinstate it".into(),
                ],
            ),
            Proposal::Reinstate { hospital } => Self::new(
                format!("reinstate {}", name(hospital)),
                ["a suspended hospital becomes active again; a benched one makes blocks again".into()],
            ),
            Proposal::Remove { hospital } => Self::new(
                format!("remove {} FOR EVER", name(hospital)),
                [
                    "it makes no more blocks, its session keys are deleted, and its accounts are refused".into(),
                    "its open announcements are withdrawn; its records stay".into(),
                ],
            ),
            Proposal::ReplaceGovernance { hospital, governance } => Self::new(
                format!("give {} another governance account", name(hospital)),
                [
                    account("governance", governance),
                    consents::stated(council, *hospital, Duty::Governance, governance),
                    "it takes effect after a delay, in which the present governance can object".into(),
                ],
            ),
            Proposal::Disapprove { motion } | Proposal::Kill { motion } => {
                let headline = format!("end {} without its vote", motion_of(*motion, council));
                Self::new(headline, [ended(*motion, council)])
            }
            Proposal::Schedule(schedule) => schedule_of(schedule),
            Proposal::Seat { committee: None } => Self::new(
                "give every active hospital a seat in the ceremonies of the consortium key",
                ["the next ceremony follows it".into()],
            ),
            Proposal::Seat { committee: Some(seats) } => Self::new(
                format!("give {} hospitals the seats of the consortium key", seats.len()),
                seats.iter().map(|seat| format!("seat: {}", name(seat))).chain([
                    "who chooses the seats chooses who opens what is sealed to the key".into(),
                ]),
            ),
            Proposal::Renew => Self::new(
                "make a new consortium key",
                ["WHAT IS SEALED TO THE PRESENT KEY CANNOT BE OPENED WITH THE NEW ONE".into()],
            ),
            Proposal::AppointCustodian { departed, custodian } => Self::new(
                format!("appoint {} as custodian of {}", name(custodian), name(departed)),
                ["after a delay, it can claim the patient keys that patients entrusted there".into()],
            ),
            Proposal::DismissCustodian { departed } => Self::new(
                format!("dismiss the custodian of {}", name(departed)),
                ["what was claimed already stays with it".into()],
            ),
            Proposal::NameAttribute { name } => Self::new(
                format!("name the attribute {}", quoted(name)),
                ["hospitals can then confirm it of users; a name is never changed".into()],
            ),
            Proposal::CompleteRecovery { user, decision } => Self::new(
                format!("give user {user} the keys that a hospital proposed, in spite of objections"),
                [match decision {
                    Some(decision) => {
                        format!("decision: {decision:?}; to compare it: epione user recovery --help")
                    }
                    None => "NO DECISION IS NAMED, so the chain refuses it".into(),
                }],
            ),
            Proposal::SetLimits(limits) => limits_of(limits, &council.limits),
            Proposal::AuthorizeUpgrade { code_hash, checks } => upgrade_of(*code_hash, *checks),
            Proposal::NoteStalled { delay, best_finalized } => {
                stalled_of(*delay, *best_finalized)
            }
            Proposal::Remark { text } => Self::new(
                "remark, which changes nothing",
                [format!("text: {}", quoted(text))],
            ),
        }
    }

    /// Headline and details, one below the other.
    pub(super) fn lines(&self) -> String {
        let mut lines = self.headline.clone();
        for detail in &self.details {
            lines += "\n  ";
            lines += detail;
        }
        lines
    }
}

fn admission_of(admission: &Admission, council: &Council) -> Sentence {
    let Admission { name, governance, agent, worker_url, sealing_key, tls_key } = admission;
    let next = council.next_hospital();
    let consent = |duty, named| consents::stated(council, next, duty, named);
    Sentence::new(
        format!("admit a hospital: {}", quoted(name)),
        [
            account("governance", governance),
            consent(Duty::Governance, governance),
            account("agent", agent),
            consent(Duty::Agent, agent),
            format!("worker: {}", legible(worker_url)),
            format!("TLS key of the worker: {:?}", Hash::from(*tls_key)),
            format!("sealing key: hash {:?}", Hash::from(blake2_256(sealing_key))),
        ],
    )
}

fn account(duty: &str, named: &NamedAccount) -> String {
    format!("{duty} account: {}", named.account)
}

fn motion_of(motion: Hash, council: &Council) -> String {
    match council.motions.iter().find(|it| it.hash == motion) {
        Some(found) => format!("motion {} ({motion:?})", found.number),
        None => format!("motion {motion:?}, which is not live"),
    }
}

/// What is not dispatched if a motion ends without its vote.
fn ended(motion: Hash, council: &Council) -> String {
    let found = council.motions.iter().find(|it| it.hash == motion);
    match found.map(|it| it.proposal()) {
        None => "there is nothing to end".into(),
        Some(None) => {
            "its call, which this version of epione does not know, is not dispatched".into()
        }
        Some(Some(Proposal::Disapprove { motion } | Proposal::Kill { motion })) => {
            format!("it would end {}, and does not", motion_of(motion, council))
        }
        Some(Some(proposal)) => {
            format!("it would {}, and does not", Sentence::of(&proposal, council).headline)
        }
    }
}

fn schedule_of(schedule: &Schedule) -> Sentence {
    let Schedule { phase, refresh } = schedule;
    Sentence::new(
        "change the schedule of the consortium key",
        [
            format!("a phase of a ceremony lasts for {} at most", lasting(*phase)),
            format!("shares are renewed after {}", lasting(*refresh)),
        ],
    )
}

fn limits_of(limits: &Limits, present: &Limits) -> Sentence {
    let changes = quotas::changes(present, limits);
    let details = match changes.is_empty() {
        true => vec!["nothing is different from the present quotas".into()],
        false => changes,
    };
    Sentence::new("set the quotas of users, duties and hospitals", details)
}

fn upgrade_of(code_hash: Hash, checks: bool) -> Sentence {
    let unchecked = "WITHOUT CHECKS of the runtime's name and version";
    let details = [
        Some("compare the hash with your own build before you vote".into()),
        Some("it takes effect when somebody applies it, a day later at the earliest".into()),
        (!checks).then(|| unchecked.into()),
    ];
    let headline = format!("authorize the runtime whose code has the hash {code_hash:?}");
    Sentence::new(headline, details.into_iter().flatten())
}

fn stalled_of(delay: BlockNumber, best_finalized: BlockNumber) -> Sentence {
    Sentence::new(
        "resume finality, which has stalled, with the next set of authorities",
        [
            format!("the block that all agree on as the last final one: {best_finalized}"),
            "compare it with the newest final block of your own node before you vote".into(),
            format!("the new set votes {} after it is announced", lasting(delay)),
            "the first block of the next session announces it".into(),
        ],
    )
}
