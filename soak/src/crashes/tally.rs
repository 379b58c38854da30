//! What was done to the network, counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::board::Activity;

/// What may befall a hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    WorkerKilled,
    NodeKilled,
    BothKilled,
    WorkerCutFromNode,
    HospitalCutFromOthers,
    SegmentsDestroyed,
}

impl Blow {
    pub const WITHOUT_CUTS: [Self; 4] =
        [Self::WorkerKilled, Self::NodeKilled, Self::BothKilled, Self::SegmentsDestroyed];
    pub const ALL: [Self; 6] = [
        Self::WorkerKilled,
        Self::NodeKilled,
        Self::BothKilled,
        Self::SegmentsDestroyed,
        Self::WorkerCutFromNode,
        Self::HospitalCutFromOthers,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker killed",
            Self::NodeKilled => "node killed",
            Self::BothKilled => "worker and node killed",
            Self::WorkerCutFromNode => "worker cut off from its node",
            Self::HospitalCutFromOthers => "cut off from the other hospitals",
            Self::SegmentsDestroyed => "segments destroyed",
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    pub blows: BTreeMap<Blow, u32>,
    /// By what went on at the hospital just then.
    pub by_activity: BTreeMap<Blow, BTreeMap<Activity, u32>>,
    pub segments_destroyed: usize,
}

impl Tally {
    pub fn count(&mut self, blow: Blow, activities: &BTreeSet<Activity>) {
        *self.blows.entry(blow).or_default() += 1;
        let by_activity = self.by_activity.entry(blow).or_default();
        for activity in activities {
            *by_activity.entry(*activity).or_default() += 1;
        }
    }

    /// Blows so far.
    pub fn total(&self) -> u32 {
        self.blows.values().sum()
    }

    /// In one line.
    pub fn line(&self) -> String {
        let parts: Vec<_> = self
            .blows
            .iter()
            .map(|(blow, times)| format!("{} {times} times", blow.words()))
            .collect();
        if parts.is_empty() { "nothing happened".into() } else { parts.join(", ") }
    }

    /// What, while what, how often.
    pub fn rows(&self) -> Vec<(String, String, u32)> {
        let mut rows = Vec::new();
        for (blow, times) in &self.blows {
            rows.push((blow.words().to_owned(), "at any time".to_owned(), *times));
            for (activity, times) in self.by_activity.get(blow).into_iter().flatten() {
                rows.push((String::new(), format!("{activity:?}").to_lowercase(), *times));
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blow_counts_once_and_at_every_activity() {
        let mut tally = Tally::default();
        let both = [Activity::Queued, Activity::Verifying].into();
        tally.count(Blow::NodeKilled, &both);
        tally.count(Blow::NodeKilled, &[Activity::Idle].into());
        assert_eq!(tally.line(), "node killed 2 times");
        let rows = tally.rows();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[0].2, 2);
        assert_eq!(serde_json::to_value(&tally).unwrap()["byActivity"]["node-killed"]["idle"], 1);
    }
}
