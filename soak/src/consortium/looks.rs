//! Looks at the same eight sections in two ways, in turns: the hospitals open them together while the patient is away,
//! from the requester's `ask` on; and the requester collects what the patient has accepted before.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use epione_client::{
    chain::SubmitError,
    opening::{NewOpening, OpeningError, Openings},
    query::{NewQuery, Queries, QueryError},
};
use epione_primitives::{
    BlockNumber, QueryId,
    limits::{DAY_MILLIS, SLOT_MILLIS},
};
use serde::Serialize;
use tokio::time::sleep;

use super::{
    network::{Case, PURPOSE},
    spread::Spread,
};

const TERMS: &str = "For a study of blood pressure.";
/// The patient accepts within so many chain blocks, long before their end.
const ANSWER_BLOCKS: BlockNumber = 1_000;
/// Pause while a quota of the chain is used up, which is renewed every half a minute.
const PAUSE: Duration = Duration::from_secs(5);
const MAX_ATTEMPTS: u32 = 36;

/// Looks in one way.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Looks {
    /// Seconds.
    pub seconds: Spread,
    /// Chain blocks that became final at the requester's node from the begin to the end of a look.
    pub blocks: Blocks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Blocks {
    pub least: BlockNumber,
    pub median: BlockNumber,
    pub most: BlockNumber,
}

impl Blocks {
    /// Of at least one look; otherwise all are 0.
    pub fn of(mut blocks: Vec<BlockNumber>) -> Self {
        blocks.sort_unstable();
        let at = |rank: usize| blocks.get(rank).copied().unwrap_or_default();
        let last = blocks.len().saturating_sub(1);
        Self { least: at(0), median: at(last / 2), most: at(last) }
    }
}

/// Looks in both ways.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Compared {
    pub standing: Looks,
    pub collect: Looks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Standing,
    Collect,
}

impl Way {
    /// Both, so that neither is always the second one.
    fn both(number: u16) -> [Self; 2] {
        match number % 2 {
            0 => [Self::Standing, Self::Collect],
            _ => [Self::Collect, Self::Standing],
        }
    }
}

/// How long one look took.
#[derive(Clone, Copy, Debug)]
struct Took {
    time: Duration,
    blocks: BlockNumber,
}

/// Looks so often in each way. Both looks of a pair begin after the same pause, and each pair after another one: so
/// looks begin at all times of a slot.
pub(super) async fn measure(case: &Case, count: u16) -> anyhow::Result<Compared> {
    let (mut standing, mut collect) = (Vec::new(), Vec::new());
    for number in 0..count {
        let query = accepted(case).await?;
        let pause = Duration::from_millis(SLOT_MILLIS) * u32::from(number) / u32::from(count);
        for way in Way::both(number) {
            sleep(pause).await;
            let took = match way {
                Way::Standing => opened_together(case).await?,
                Way::Collect => collected(case, query).await?,
            };
            println!("{way:?}: {:.2} s, {} blocks", took.time.as_secs_f64(), took.blocks);
            match way {
                Way::Standing => standing.push(took),
                Way::Collect => collect.push(took),
            }
        }
    }
    Ok(Compared { standing: Looks::of(&standing), collect: Looks::of(&collect) })
}

impl Looks {
    fn of(took: &[Took]) -> Self {
        let Spread { least, median, most } = Spread::of(took.iter().map(|it| it.time).collect());
        // A spread is in milliseconds.
        let [least, median, most] = [least, median, most].map(|millis| millis / 1_000.0);
        let blocks = took.iter().map(|it| it.blocks).collect();
        Self { seconds: Spread { least, median, most }, blocks: Blocks::of(blocks) }
    }
}

/// The begin of a look.
struct Begun {
    at: Instant,
    head: BlockNumber,
}

impl Begun {
    async fn now(case: &Case) -> anyhow::Result<Self> {
        let head = case.requester.chain.finalized_head().await?.number;
        Ok(Self { at: Instant::now(), head })
    }

    async fn took(&self, case: &Case) -> anyhow::Result<Took> {
        let time = self.at.elapsed();
        let head = case.requester.chain.finalized_head().await?.number;
        Ok(Took { time, blocks: head.saturating_sub(self.head) })
    }
}

/// The requester asks, and the hospitals open.
async fn opened_together(case: &Case) -> anyhow::Result<Took> {
    let record = case.record().await?;
    let new = NewOpening {
        hospital: case.requester.hospital,
        patient: case.home.patient,
        records: case.records.clone(),
        purpose: PURPOSE,
        emergency: None,
    };
    let openings = Openings::new(case.requester.chain.clone());
    for _ in 0..MAX_ATTEMPTS {
        let begun = Begun::now(case).await?;
        let asked = match openings.ask(&new, &case.requester.account).await {
            Err(OpeningError::Submit(error)) if is_temporary(&error) => {
                sleep(PAUSE).await;
                continue;
            }
            asked => asked?,
        };
        let records = vec![record];
        let opened = case.reader.open_standing(asked.id, records, &case.members).await?;
        let took = begun.took(case).await?;
        ensure!(opened.faults.0.is_empty(), "parts do not count: {}", opened.faults);
        let record = opened.records.into_iter().next().context("no record was opened")??;
        case.check(&record)?;
        return Ok(took);
    }
    bail!("the requester's quota stays used up")
}

/// The requester collects what the patient has accepted.
async fn collected(case: &Case, query: QueryId) -> anyhow::Result<Took> {
    let record = case.record().await?;
    let begun = Begun::now(case).await?;
    let opened = case.reader.open_query(query, vec![record]).await?;
    let took = begun.took(case).await?;
    let record = opened.into_iter().next().context("no record was opened")??;
    case.check(&record)?;
    Ok(took)
}

/// Has the requester ask for the sections, and the patient accept all of them.
async fn accepted(case: &Case) -> anyhow::Result<QueryId> {
    let asking = Queries::new(case.requester.chain.clone());
    let new = NewQuery {
        hospital: case.requester.hospital,
        patient: case.home.patient,
        records: case.records.clone(),
        purpose: PURPOSE,
        expires: case.requester.chain.finalized_head().await?.number + ANSWER_BLOCKS,
        terms: TERMS,
    };
    let mut asked = None;
    for _ in 0..MAX_ATTEMPTS {
        match asking.ask(&new, &case.requester.account).await {
            Err(QueryError::Submit(error)) if is_temporary(&error) => sleep(PAUSE).await,
            outcome => {
                asked = Some(outcome?);
                break;
            }
        }
    }
    let (query, block) = asked.context("the requester's quota stays used up")?;
    // The patient reads by another node.
    while case.home.chain.finalized_head().await?.number < block.number {
        sleep(PAUSE / 10).await;
    }
    let answering = Queries::new(case.home.chain.clone());
    for _ in 0..MAX_ATTEMPTS {
        let considered = answering.consider(query, &case.patient).await?;
        let sections = considered.choose(&[])?;
        let until = case.home.chain.finalized().await?.time().await? + DAY_MILLIS;
        let (patient, unsent) = (&case.patient, &case.unsent);
        match answering.accept(&considered, &sections, until, patient, unsent).await {
            Err(QueryError::Submit(error)) if is_temporary(&error) => sleep(PAUSE).await,
            outcome => {
                let block = outcome?;
                // The requester reads by another node.
                while case.requester.chain.finalized_head().await?.number < block.number {
                    sleep(PAUSE / 10).await;
                }
                return Ok(query);
            }
        }
    }
    bail!("the patient's quota stays used up")
}

/// Whether a quota of the chain is used up.
fn is_temporary(error: &SubmitError) -> bool {
    matches!(error, SubmitError::Refused(refusal) if refusal.is_temporary())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_a_median_that_was_counted() {
        let blocks = |all: &[BlockNumber]| Blocks::of(all.to_vec());
        assert_eq!(blocks(&[7, 3, 4]), Blocks { least: 3, median: 4, most: 7 });
        assert_eq!(blocks(&[9, 5]), Blocks { least: 5, median: 5, most: 9 });
        assert_eq!(blocks(&[]), Blocks { least: 0, median: 0, most: 0 });
    }

    #[test]
    fn neither_way_is_always_the_first_one() {
        assert_eq!(Way::both(0), [Way::Standing, Way::Collect]);
        assert_eq!(Way::both(1), [Way::Collect, Way::Standing]);
    }

    #[test]
    fn times_of_looks_are_in_seconds() {
        let took = |seconds, blocks| Took { time: Duration::from_secs(seconds), blocks };
        let looks = Looks::of(&[took(9, 3), took(3, 2), took(6, 2)]);
        let Spread { least, median, most } = looks.seconds;
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(near(least, 3.0) && near(median, 6.0) && near(most, 9.0), "{looks:?}");
        assert_eq!(looks.blocks, Blocks { least: 2, median: 2, most: 3 });
    }
}
