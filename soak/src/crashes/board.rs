//! What is known of the visits under way: who waits for what, and what was acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use epione_primitives::{HospitalId, RecordId, block::Segment};
use serde::Serialize;

/// What goes on at a hospital when something befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// A visit is on its way into the worker.
    Uploading,
    /// A visit is durable at the worker.
    Queued,
    /// It is part of a block that is being sent to the chain.
    Packed,
    /// The ballot on its block is open; or it is committed, and the worker has not said so yet.
    Announced,
    /// The ballot on another hospital's block is open.
    Verifying,
    /// Segments were destroyed here, and are being had again.
    Repairing,
    Idle,
}

impl Activity {
    pub const AIMED: [Self; 6] = [
        Self::Uploading,
        Self::Queued,
        Self::Packed,
        Self::Announced,
        Self::Verifying,
        Self::Repairing,
    ];
}

/// A visit that a worker has acknowledged: it must not be lost any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub record: RecordId,
    pub hospital: HospitalId,
    pub text: String,
    /// Seed and length of its media; no media if 0.
    pub seed: String,
    pub bytes: u64,
}

/// Shared by everybody who takes part.
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

    /// The worker has said that the visit is committed.
    pub fn settle(&self, hospital: HospitalId, record: RecordId) {
        self.contents().under_way.remove(&(hospital, record));
    }

    /// Visits of a hospital that are acknowledged and not known as committed.
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

    /// Segments of a hospital that were destroyed; none any more, if they are whole again.
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

    /// What goes on at a hospital now.
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
    fn a_visit_is_under_way_until_its_worker_says_that_it_is_committed() {
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
    fn an_open_ballot_concerns_the_others_too() {
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
