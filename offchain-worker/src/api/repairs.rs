//! Repairs for which no caller waits. Each segment is repaired by one task, and there are few tasks: otherwise a caller
//! that requests damaged segments again and again starts tasks without end.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::AppState;

/// Repairs at once. The scrub repairs what found no place here.
const AT_ONCE: usize = 16;

/// The segments that are being repaired.
#[derive(Default)]
pub(super) struct Repairs(Mutex<HashSet<[u8; 32]>>);

/// The right to repair a segment, until dropped.
struct Underway {
    repairs: Arc<Repairs>,
    segment: [u8; 32],
}

impl Repairs {
    fn segments(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        // No code under this lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None if the segment is being repaired, or too many others are.
    fn begin(self: &Arc<Self>, segment: [u8; 32]) -> Option<Underway> {
        let mut segments = self.segments();
        let may_begin = segments.len() < AT_ONCE && segments.insert(segment);
        may_begin.then(|| Underway { repairs: Arc::clone(self), segment })
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.repairs.segments().remove(&self.segment);
    }
}

impl AppState {
    /// Has a segment repaired, unless it is being repaired already or too many others are.
    pub(super) fn repair_later(&self, segment: [u8; 32]) {
        let Some(underway) = self.shared.repairs.begin(segment) else { return };
        let state = self.clone();
        tokio::spawn(async move {
            let _underway = underway;
            if state.repair.repair(segment).await.is_ok() {
                state.metrics.segments_repaired.inc();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_damaged_segments_start_no_tasks_without_end() {
        let repairs = Arc::<Repairs>::default();
        let first = repairs.begin([0; 32]).unwrap();
        assert!(repairs.begin([0; 32]).is_none(), "it is being repaired");
        let others: Vec<_> = (1..=255).filter_map(|seed| repairs.begin([seed; 32])).collect();
        assert_eq!(others.len(), AT_ONCE - 1);
        drop(first);
        assert!(repairs.begin([0; 32]).is_some());
        drop(others);
        assert!(repairs.segments().is_empty());
    }
}
