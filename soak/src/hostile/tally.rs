//! Counts what the attackers sent, by what came of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use epione_client::chain::{Included, SubmitError};

/// The most characters of an outcome, and the most outcomes of one attack: others are counted together.
const CHARACTERS: usize = 100;
const OUTCOMES: usize = 24;

/// By attack and outcome.
pub type Counts = BTreeMap<&'static str, BTreeMap<String, u64>>;

#[derive(Default)]
pub struct Tally(Mutex<Counts>);

impl Tally {
    /// Counts an outcome. A node's message may have several lines, but an outcome is part of one line of the report.
    pub fn count(&self, attack: &'static str, outcome: &str) {
        let mut outcome = on_one_line(outcome);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = counts.entry(attack).or_default();
        if outcomes.len() >= OUTCOMES && !outcomes.contains_key(&outcome) {
            outcome = "other".into();
        }
        *outcomes.entry(outcome).or_default() += 1;
    }

    /// Counts a submitted call. A refusal is an ordinary outcome.
    pub fn submitted(&self, attack: &'static str, outcome: &Result<Included, SubmitError>) {
        let outcome = match outcome {
            Ok(_) => "included".to_owned(),
            Err(SubmitError::Dispatch(failure)) => {
                format!("included, failed: {}.{}", failure.pallet, failure.error)
            }
            Err(SubmitError::Refused(refusal)) => format!("refused: {refusal:?}"),
            Err(SubmitError::Invalid(reason)) => format!("refused: {reason}"),
            Err(SubmitError::TimedOut { .. }) => "not final in time".to_owned(),
            Err(SubmitError::UnknownCall { .. }) => "unknown call".to_owned(),
            Err(SubmitError::Chain(_)) => "the node did not answer".to_owned(),
        };
        self.count(attack, &outcome);
    }

    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The first characters of a text, with one space for each sequence of spaces and line breaks.
fn on_one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use epione_primitives::refusal::Refusal;

    use super::*;

    #[test]
    fn refusals_are_counted_by_their_reason() {
        let tally = Tally::default();
        for _ in 0..2 {
            tally.submitted("batches", &Err(SubmitError::Refused(Refusal::CallNotForRole)));
        }
        assert_eq!(tally.counts()["batches"]["refused: CallNotForRole"], 2);
    }

    #[test]
    fn the_lines_of_a_message_are_joined() {
        let tally = Tally::default();
        let reason = "Transaction is invalid\r\n  0: wrong\tsignature\n".to_owned();
        tally.submitted("garbage", &Err(SubmitError::Invalid(reason)));
        let expected = "refused: Transaction is invalid 0: wrong signature";
        assert_eq!(tally.counts()["garbage"][expected], 1);
        tally.count("garbage", &" \n".repeat(1_000));
        assert_eq!(tally.counts()["garbage"][""], 1);
    }

    #[test]
    fn outcomes_without_end_are_counted_together() {
        let tally = Tally::default();
        (0..100).for_each(|number| tally.count("garbage", &format!("{number}")));
        assert_eq!(tally.counts()["garbage"].len(), OUTCOMES + 1);
        assert_eq!(tally.counts()["garbage"]["other"], 100 - OUTCOMES as u64);
    }
}
