//! Turns of transfers: which announcing hospitals' blocks are fetched at once.
//!
//! Each announcing hospital has a share of the places, and a free place goes to the waiting hospital that has the
//! fewest. A transfer that is much slower than those of other hospitals gives its place back while others wait, and is
//! continued later: what has arrived is kept.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use epione_primitives::HospitalId;
use tokio::time::{Instant, interval_at};

use super::TaskError;
use crate::{
    shares::{Bounds, Place, Shares},
    transfer::FetchError,
};

/// How many transfers may wait for a place: all together, and those of one hospital.
const WAITING: usize = 1_024;
const WAITING_EACH: usize = 64;
/// How long a transfer waits for a place. A ballot ends sooner.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How often the speed of a transfer is measured.
const WINDOW: Duration = Duration::from_secs(30);
/// A transfer with this many bytes per second never gives way.
const ENOUGH: u64 = 256 * 1024;
/// A transfer gives way if it is slower than this fraction of the other hospitals' median.
const FRACTION: u64 = 10;

/// Places for transfers.
pub struct Turns {
    places: Arc<Shares<HospitalId>>,
    /// Bytes per second of each hospital's last transfer.
    speeds: Mutex<HashMap<HospitalId, u64>>,
    window: Duration,
}

impl Turns {
    /// `all` transfers at once, and `each` of one hospital.
    pub fn new(all: usize, each: usize) -> Self {
        Self::measured(all, each, WINDOW)
    }

    fn measured(all: usize, each: usize, window: Duration) -> Self {
        let bounds = Bounds { all, each, waiting: WAITING, waiting_each: WAITING_EACH };
        Self { places: Shares::new(bounds), speeds: Mutex::default(), window }
    }

    /// A place for a short step of the worker; waits for one.
    pub async fn take(&self, announcer: HospitalId) -> Result<Place<HospitalId>, TaskError> {
        self.places.take(announcer, 1, PATIENCE).await.map_err(|_| TaskError::NoTurn)
    }

    /// Does a transfer in a place. `arrived` counts its bytes.
    pub async fn during(
        &self,
        announcer: HospitalId,
        arrived: &AtomicU64,
        transfer: impl Future<Output = Result<(), FetchError>>,
    ) -> Result<(), TaskError> {
        let place = self.take(announcer).await?;
        let mut ticks = interval_at(Instant::now() + self.window, self.window);
        let mut before = 0;
        tokio::pin!(transfer);
        loop {
            tokio::select! {
                biased;
                done = &mut transfer => return Ok(done?),
                _ = ticks.tick() => {}
            }
            let now = arrived.load(Ordering::Relaxed);
            let speed = per_second(now.saturating_sub(before), self.window);
            before = now;
            if self.is_slow(announcer, speed) && place.is_wanted() {
                return Err(TaskError::GaveWay { bytes_per_second: speed });
            }
        }
    }

    /// Whether a hospital's transfer is much slower than those of the others.
    fn is_slow(&self, announcer: HospitalId, speed: u64) -> bool {
        let mut speeds = self.speeds.lock().unwrap_or_else(PoisonError::into_inner);
        speeds.insert(announcer, speed);
        let others = speeds.iter().filter(|(hospital, _)| **hospital != announcer);
        let mut others: Vec<u64> = others.map(|(_, speed)| *speed).collect();
        others.sort_unstable();
        // Without other hospitals to compare with, no transfer is slow.
        let median = others.get(others.len() / 2).copied().unwrap_or(0);
        speed < (median / FRACTION).min(ENOUGH)
    }
}

fn per_second(bytes: u64, window: Duration) -> u64 {
    let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1_000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: HospitalId = HospitalId(1);
    const OTHER: HospitalId = HospitalId(2);
    const MIB: u64 = 1024 * 1024;

    #[test]
    fn slow_means_slower_than_a_tenth_of_the_others_median() {
        let turns = Turns::new(8, 3);
        assert!(!turns.is_slow(SLOW, 0), "nothing to compare with");
        for (hospital, speed) in [(2, MIB), (3, 2 * MIB), (4, 100)] {
            turns.is_slow(HospitalId(hospital), speed);
        }
        assert!(turns.is_slow(SLOW, 23_000));
        assert!(!turns.is_slow(SLOW, MIB / 8));
        // If all are slow, none is.
        for hospital in 2..5 {
            turns.is_slow(HospitalId(hospital), 30_000);
        }
        assert!(!turns.is_slow(SLOW, 23_000));
    }

    #[tokio::test]
    async fn a_stalled_hospital_does_not_stop_the_others_ballots() {
        let turns = Arc::new(Turns::measured(8, 3, Duration::from_millis(50)));
        turns.is_slow(OTHER, MIB);
        let stalled: Vec<_> = (0..8)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move {
                    turns.during(SLOW, &AtomicU64::new(0), std::future::pending()).await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        for _ in 0..20 {
            let received = AtomicU64::new(0);
            let quick = turns.during(OTHER, &received, async { Ok(()) });
            tokio::time::timeout(Duration::from_secs(30), quick).await.unwrap().unwrap();
        }
        stalled.iter().for_each(|task| task.abort());
    }

    #[tokio::test]
    async fn a_slow_transfer_gives_its_place_back_only_while_others_wait() {
        let turns = Arc::new(Turns::measured(1, 1, Duration::from_millis(50)));
        turns.is_slow(OTHER, MIB);
        let slow = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.during(SLOW, &AtomicU64::new(0), std::future::pending()).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!slow.is_finished());
        turns.during(OTHER, &AtomicU64::new(0), async { Ok(()) }).await.unwrap();
        let gave_way = slow.await.unwrap();
        assert!(matches!(gave_way, Err(TaskError::GaveWay { .. })), "{gave_way:?}");
    }
}
