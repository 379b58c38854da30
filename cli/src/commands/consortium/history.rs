//! `epione consortium key history`: the ceremonies that are over, and the epochs that they began.

use std::fmt;

use epione_primitives::{
    BlockNumber,
    consortium::{CeremonyId, Epoch, EpochId, Failure as Reason, KeyId, PastCeremony},
    limits::MAX_PAST_CEREMONIES,
};
use serde::Serialize;

use crate::{
    context::{Context, Output},
    failure::Failure,
    table,
    wording::word,
};

/// The last ceremonies that are over, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    pub ceremonies: Vec<Past>,
}

/// A ceremony that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Past {
    pub ceremony: CeremonyId,
    /// The chain block in which the chain noticed the end.
    pub block: BlockNumber,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a ceremony ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// An epoch began.
    Activated(Begun),
    /// The earlier epoch goes on.
    Failed { reason: Reason },
}

/// An epoch that a ceremony began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Begun {
    pub epoch: EpochId,
    pub key: KeyId,
    pub threshold: u8,
    pub members: usize,
    /// How many members have confirmed that they have their share.
    pub confirmed: usize,
}

impl From<&Epoch> for Begun {
    fn from(epoch: &Epoch) -> Self {
        Self {
            epoch: epoch.id,
            key: epoch.key,
            threshold: epoch.threshold,
            members: epoch.members.len(),
            confirmed: epoch.confirmed.len(),
        }
    }
}

impl Output for History {}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ceremonies.is_empty() {
            return write!(f, "no ceremony of the consortium key is over yet");
        }
        let heading = ["CEREMONY", "BLOCK", "OUTCOME", "KEY", "OPENED BY", "CONFIRMED"];
        let rows = self.ceremonies.iter().map(|past| {
            let (outcome, key, opened_by, confirmed) = match &past.outcome {
                Outcome::Activated(Begun { epoch, key, threshold, members, confirmed }) => (
                    format!("epoch {epoch} began"),
                    key.to_string(),
                    format!("{threshold} of {members}"),
                    confirmed.to_string(),
                ),
                Outcome::Failed { reason } => {
                    let none = String::new;
                    (format!("failed: {}", word(reason)), none(), none(), none())
                }
            };
            let (ceremony, block) = (past.ceremony.to_string(), past.block.to_string());
            [ceremony, block, outcome, key, opened_by, confirmed]
        });
        let rows: Vec<_> = std::iter::once(heading.map(String::from)).chain(rows).collect();
        write!(f, "{}", table::lines(&rows).join("\n"))?;
        if self.ceremonies.len() == MAX_PAST_CEREMONIES as usize {
            write!(f, "\nthe chain does not list earlier ones")?;
        }
        Ok(())
    }
}

/// Reads the ceremonies that are over from final state.
pub async fn history(context: &Context) -> Result<History, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let past = snapshot.past_ceremonies().await?;
    let begun: Vec<EpochId> = past.iter().filter_map(|past| past.outcome.ok()).collect();
    let epochs = snapshot.epochs(&begun).await?;
    let ceremonies = past.iter().map(|past| ended(past, &epochs)).collect::<Result<_, _>>()?;
    Ok(History { ceremonies })
}

fn ended(past: &PastCeremony, epochs: &[Option<Epoch>]) -> Result<Past, Failure> {
    let PastCeremony { id: ceremony, outcome, block } = *past;
    let outcome = match outcome {
        Err(reason) => Outcome::Failed { reason },
        Ok(id) => {
            let epoch = epochs.iter().flatten().find(|epoch| epoch.id == id).ok_or_else(|| {
                Failure::new(
                    format!("the chain has no epoch {id}, which ceremony {ceremony} began"),
                    "use the version of epione that the node has",
                )
            })?;
            Outcome::Activated(epoch.into())
        }
    };
    Ok(Past { ceremony, block, outcome })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash, HospitalId,
        consortium::{SeatSet, Seats},
    };
    use serde_json::json;

    use super::*;

    fn epoch() -> Epoch {
        Epoch {
            id: EpochId(0),
            key: KeyId(0),
            ceremony: CeremonyId(1),
            members: Seats::truncate_from((0..4).map(HospitalId).collect()),
            threshold: 3,
            faulty: 1,
            commitments: Default::default(),
            mixing: Hash::zero(),
            link: None,
            since: 90,
            confirmed: SeatSet::first(4),
        }
    }

    fn past() -> [PastCeremony; 2] {
        let reason = Reason::TooFewDealers;
        [
            PastCeremony { id: CeremonyId(0), outcome: Err(reason), block: 60 },
            PastCeremony { id: CeremonyId(1), outcome: Ok(EpochId(0)), block: 90 },
        ]
    }

    #[test]
    fn failures_have_a_reason_and_successes_an_epoch() {
        let ceremonies = past().map(|past| ended(&past, &[Some(epoch())]).unwrap());
        let history = History { ceremonies: ceremonies.into() };
        let text = history.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].ends_with("failed: too few dealers"), "{text}");
        assert!(lines[2].contains("epoch 0 began") && lines[2].contains("3 of 4"), "{text}");
        assert_eq!(lines.len(), 3);
        let failed = json!({
            "ceremony": 0, "block": 60, "outcome": "failed", "reason": "too-few-dealers",
        });
        let activated = json!({
            "ceremony": 1, "block": 90, "outcome": "activated",
            "epoch": 0, "key": 0, "threshold": 3, "members": 4, "confirmed": 4,
        });
        assert_eq!(
            serde_json::to_value(&history).unwrap()["ceremonies"],
            json!([failed, activated])
        );
    }

    #[test]
    fn an_epoch_that_the_chain_names_and_does_not_have_is_an_error() {
        let refused = ended(&past()[1], &[None]).unwrap_err();
        assert!(refused.error.contains("no epoch 0"), "{refused}");
    }

    #[test]
    fn a_full_list_says_that_the_chain_forgot_earlier_ones() {
        let one = |id| ended(&PastCeremony { id: CeremonyId(id), ..past()[0] }, &[]).unwrap();
        let mut history = History { ceremonies: (0..MAX_PAST_CEREMONIES).map(one).collect() };
        assert!(history.to_string().contains("does not list earlier ones"));
        history.ceremonies.pop();
        assert!(!history.to_string().contains("does not list earlier ones"));
        assert!(History { ceremonies: Vec::new() }.to_string().contains("no ceremony"));
    }
}
