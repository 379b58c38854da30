//! Counts the faults that a run caused.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::visits::board::Activity;

/// A fault that a run causes at a hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    WorkerKilled,
    NodeKilled,
    BothKilled,
    WorkerCutFromNode,
    HospitalCutFromOthers,
    SegmentsDestroyed,
}

impl Fault {
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
    // Results of earlier runs have this name.
    #[serde(rename = "blows")]
    pub faults: BTreeMap<Fault, u32>,
    /// By the hospital's activities at that moment.
    pub by_activity: BTreeMap<Fault, BTreeMap<Activity, u32>>,
    pub segments_destroyed: usize,
}

impl Tally {
    pub fn count(&mut self, fault: Fault, activities: &BTreeSet<Activity>) {
        *self.faults.entry(fault).or_default() += 1;
        let by_activity = self.by_activity.entry(fault).or_default();
        for activity in activities {
            *by_activity.entry(*activity).or_default() += 1;
        }
    }

    /// The number of all faults so far.
    pub fn total(&self) -> u32 {
        self.faults.values().sum()
    }

    /// All counts in one line.
    pub fn line(&self) -> String {
        let parts: Vec<_> = self
            .faults
            .iter()
            .map(|(fault, times)| format!("{} {times} times", fault.words()))
            .collect();
        if parts.is_empty() { "no fault".into() } else { parts.join(", ") }
    }

    /// Rows of the result's table: fault, activity, count.
    pub fn rows(&self) -> Vec<(String, String, u32)> {
        let mut rows = Vec::new();
        for (fault, times) in &self.faults {
            rows.push((fault.words().to_owned(), "at any time".to_owned(), *times));
            for (activity, times) in self.by_activity.get(fault).into_iter().flatten() {
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
    fn a_fault_counts_once_and_at_every_activity() {
        let mut tally = Tally::default();
        let both = [Activity::Queued, Activity::Verifying].into();
        tally.count(Fault::NodeKilled, &both);
        tally.count(Fault::NodeKilled, &[Activity::Idle].into());
        assert_eq!(tally.line(), "node killed 2 times");
        let rows = tally.rows();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[0].2, 2);
        assert_eq!(serde_json::to_value(&tally).unwrap()["byActivity"]["node-killed"]["idle"], 1);
    }
}
