//! Proposals as JSON, for programs and for comparing with other wallets.

use codec::Encode;
use epione_primitives::{naming::NamedAccount, text::legible};
use serde_json::{Value, json};

use super::Proposal;

impl Proposal {
    /// Pallet, call, whether it is dispatched as root, and the arguments by their names in the runtime.
    pub fn to_json(&self) -> Value {
        let (pallet, call) = self.names();
        let (root, arguments) = (self.needs_root(), self.arguments());
        json!({ "pallet": pallet, "call": call, "asRoot": root, "arguments": arguments })
    }

    fn arguments(&self) -> Value {
        match self {
            Self::Admit(admission) => json!({
                "name": legible(&admission.name),
                "governance": named(&admission.governance),
                "agent": named(&admission.agent),
                "worker_url": legible(&admission.worker_url),
                "sealing_key": hexadecimal(&admission.sealing_key),
                "tls_key": hexadecimal(&admission.tls_key),
            }),
            Self::Suspend { hospital }
            | Self::Reinstate { hospital }
            | Self::Remove { hospital } => json!({ "hospital": hospital }),
            Self::ReplaceGovernance { hospital, governance } => {
                json!({ "hospital": hospital, "governance": named(governance) })
            }
            Self::Disapprove { motion } | Self::Kill { motion } => {
                json!({ "proposal_hash": motion })
            }
            Self::Schedule(schedule) => json!({ "schedule": schedule }),
            Self::Seat { committee } => {
                let committee = committee.as_ref().map(|seats| seats.to_vec());
                json!({ "committee": committee })
            }
            Self::Renew => json!({}),
            Self::AppointCustodian { departed, custodian } => {
                json!({ "departed": departed, "custodian": custodian })
            }
            Self::DismissCustodian { departed } => json!({ "departed": departed }),
            Self::NameAttribute { name } => json!({ "name": legible(name) }),
            Self::CompleteRecovery { user, decision } => {
                json!({ "user": user, "decision": decision })
            }
            Self::SetLimits(limits) => json!({ "limits": limits }),
            Self::AuthorizeUpgrade { code_hash, .. } => json!({ "code_hash": code_hash }),
            Self::NoteStalled { delay, best_finalized } => {
                json!({ "delay": delay, "best_finalized_block_number": best_finalized })
            }
            Self::Remark { text } => json!({ "remark": hexadecimal(text) }),
        }
    }
}

fn named(named: &NamedAccount) -> Value {
    let NamedAccount { account, until, consent } = named;
    json!({ "account": account, "until": until, "consent": hexadecimal(&consent.encode()) })
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use epione_primitives::{Hash, HospitalId};

    use super::*;

    #[test]
    fn arguments_have_the_names_of_the_runtime() {
        let stalled = Proposal::NoteStalled { delay: 40, best_finalized: 700 }.to_json();
        let arguments = json!({ "delay": 40, "best_finalized_block_number": 700 });
        let expected = json!({
            "pallet": "grandpa", "call": "note_stalled", "asRoot": true, "arguments": arguments,
        });
        assert_eq!(stalled, expected);
        let suspend = Proposal::Suspend { hospital: HospitalId(2) }.to_json();
        assert_eq!(
            (&suspend["asRoot"], &suspend["arguments"]["hospital"]),
            (&json!(false), &json!(2))
        );
        let hash = Hash::repeat_byte(7);
        let upgrade = Proposal::AuthorizeUpgrade { code_hash: hash, checks: false }.to_json();
        assert_eq!(upgrade["call"], json!("authorize_upgrade_without_checks"));
        assert_eq!(upgrade["arguments"]["code_hash"], json!(hash));
    }
}
