//! The state of every visit of a run, shared by the doctors, the faults and the checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use epione_primitives::{HospitalId, RecordId, block::Segment};
use serde::Serialize;

/// What a hospital does when a fault occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// A visit is being sent to the worker.
    Uploading,
    /// The worker has stored a visit durably.
    Queued,
    /// The visit is part of a block that is being sent to the chain.
    Packed,
    /// The ballot on the visit's block is open, or the block is committed and the worker has not reported it yet.
    Announced,
    /// The ballot on another hospital's block is open.
    Verifying,
    /// Segments were destroyed here, and are being recovered.
    Repairing,
    Idle,
}

impl Activity {
    /// Activities that faults are aimed at.
    pub const AIMED: [Self; 6] = [
        Self::Uploading,
        Self::Queued,
        Self::Packed,
        Self::Announced,
        Self::Verifying,
        Self::Repairing,
    ];
}

/// A visit that a worker has acknowledged: from then on, it must not be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub record: RecordId,
    pub hospital: HospitalId,
    pub text: String,
    /// Seed and length of its media; it has no media if the length is 0.
    pub seed: String,
    pub bytes: u64,
}

/// Clones of an `Arc` of it share one state.
#[derive(Default)]
pub struct Board(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    under_way: BTreeMap<(HospitalId, RecordId), Activity>,
    acknowledged: Vec<Acknowledged>,
    damaged: BTreeMap<HospitalId, Vec<Segment>>,
}

impl Board {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, hospital: HospitalId, record: RecordId, activity: Activity) {
        self.contents().under_way.insert((hospital, record), activity);
    }

    pub fn acknowledge(&self, visit: Acknowledged) {
        let mut contents = self.contents();
        contents.under_way.insert((visit.hospital, visit.record), Activity::Queued);
        contents.acknowledged.push(visit);
    }

    /// Notes that the worker has reported the visit as committed.
    pub fn settle(&self, hospital: HospitalId, record: RecordId) {
        self.contents().under_way.remove(&(hospital, record));
    }

    /// Removes a visit that the worker did not acknowledge, and that its doctor will sign again.
    pub fn drop_unacknowledged(&self, hospital: HospitalId, record: RecordId) {
        let mut contents = self.contents();
        if contents.under_way.get(&(hospital, record)) == Some(&Activity::Uploading) {
            contents.under_way.remove(&(hospital, record));
        }
    }

    /// Visits of a hospital that are acknowledged and not yet reported as committed.
    pub fn open(&self, hospital: HospitalId) -> Vec<RecordId> {
        let contents = self.contents();
        let of_hospital = contents
            .under_way
            .iter()
            .filter(|((at, _), activity)| *at == hospital && **activity != Activity::Uploading);
        of_hospital.map(|((_, record), _)| *record).collect()
    }

    pub fn is_settled(&self) -> bool {
        self.contents().under_way.is_empty()
    }

    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.contents().acknowledged.clone()
    }

    /// Notes which segments of a hospital are damaged or missing; none if all are repaired.
    pub fn damage(&self, hospital: HospitalId, segments: Vec<Segment>) {
        let mut contents = self.contents();
        if segments.is_empty() {
            contents.damaged.remove(&hospital);
        } else {
            contents.damaged.insert(hospital, segments);
        }
    }

    pub fn damaged(&self) -> BTreeMap<HospitalId, Vec<Segment>> {
        self.contents().damaged.clone()
    }

    /// The current activities of a hospital.
    pub fn at(&self, hospital: HospitalId) -> BTreeSet<Activity> {
        let contents = self.contents();
        let mut activities = BTreeSet::new();
        for ((at, _), activity) in &contents.under_way {
            if *at == hospital {
                activities.insert(*activity);
            } else if *activity == Activity::Announced {
                activities.insert(Activity::Verifying);
            }
        }
        if contents.damaged.contains_key(&hospital) {
            activities.insert(Activity::Repairing);
        }
        if activities.is_empty() {
            activities.insert(Activity::Idle);
        }
        activities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HospitalId = HospitalId(0);
    const B: HospitalId = HospitalId(1);

    fn acknowledged(record: u8) -> Acknowledged {
        let record = RecordId([record; 16]);
        Acknowledged { record, hospital: A, text: String::new(), seed: String::new(), bytes: 0 }
    }

    #[test]
    fn a_visit_is_under_way_until_its_worker_reports_it_as_committed() {
        let board = Board::default();
        let record = RecordId([1; 16]);
        board.set(A, record, Activity::Uploading);
        assert!(board.open(A).is_empty() && !board.is_settled());
        board.acknowledge(acknowledged(1));
        assert_eq!(board.open(A), [record]);
        board.settle(A, record);
        assert!(board.is_settled());
        assert_eq!(board.acknowledged(), [acknowledged(1)]);
    }

    #[test]
    fn an_open_ballot_is_an_activity_of_the_other_hospitals_too() {
        let board = Board::default();
        assert_eq!(board.at(B), [Activity::Idle].into());
        board.set(A, RecordId([1; 16]), Activity::Announced);
        board.set(A, RecordId([2; 16]), Activity::Uploading);
        assert_eq!(board.at(A), [Activity::Uploading, Activity::Announced].into());
        assert_eq!(board.at(B), [Activity::Verifying].into());
        board.damage(B, vec![Segment { hash: [0; 32], length: 1 }]);
        assert_eq!(board.at(B), [Activity::Verifying, Activity::Repairing].into());
        board.damage(B, Vec::new());
        assert!(board.damaged().is_empty());
    }
}
