//! Turns of transfers: which announcing hospitals' blocks are fetched at once.
//!
//! Each announcing hospital has a share of the places, and a free place goes to the waiting hospital that has the
//! fewest. A transfer that is much slower than those of other hospitals gives its place back while others wait, and is
//! continued later: whole segments are kept. So each turn lasts until a segment has ended at least: a slow but honest
//! hospital makes progress.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use epione_primitives::HospitalId;
use tokio::time::{Instant, interval_at};

use super::TaskError;
use crate::{
    shares::{Bounds, Place, Shares},
    transfer::{Arrivals, FetchError},
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

    /// Does a transfer in a place. `arrived` counts what arrives of it.
    pub async fn during(
        &self,
        announcer: HospitalId,
        arrived: &Arrivals,
        transfer: impl Future<Output = Result<(), FetchError>>,
    ) -> Result<(), TaskError> {
        let place = self.take(announcer).await?;
        let mut ticks = interval_at(Instant::now() + self.window, self.window);
        let (mut before, mut is_measured) = (0, false);
        tokio::pin!(transfer);
        loop {
            tokio::select! {
                biased;
                done = &mut transfer => return Ok(done?),
                _ = ticks.tick() => {}
            }
            let now = arrived.bytes();
            let speed = per_second(now.saturating_sub(before), self.window);
            before = now;
            // The first window that downloads fill is the one after that in which they began.
            if !std::mem::replace(&mut is_measured, arrived.have_begun()) {
                continue;
            }
            let has_progress = arrived.ended_segments() > 0;
            if self.is_slow(announcer, speed) && has_progress && place.is_wanted() {
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

    /// What has arrived of a transfer whose downloads have begun, with so many that have ended.
    fn begun(ended: usize) -> Arrivals {
        let arrived = Arrivals::default();
        arrived.begin();
        (0..ended).for_each(|_| arrived.end_segment());
        arrived
    }

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    /// Turns with one place, which another hospital waits for while `transfer` runs. Returns its result, or none if it
    /// still runs after many windows.
    async fn while_others_wait(arrived: &Arrivals) -> Option<Result<(), TaskError>> {
        let turns = Arc::new(Turns::measured(1, 1, SHORT));
        turns.is_slow(OTHER, MIB);
        let others = Arc::clone(&turns);
        let waiting = async move {
            others.take(OTHER).await.map(drop)?;
            std::future::pending::<Result<(), TaskError>>().await
        };
        let stalled = turns.during(SLOW, arrived, std::future::pending());
        tokio::select! {
            biased;
            result = stalled => Some(result),
            _ = waiting => None,
            () = tokio::time::sleep(20 * SHORT) => None,
        }
    }

    #[tokio::test]
    async fn a_stalled_hospital_does_not_stop_the_others_ballots() {
        let turns = Arc::new(Turns::measured(8, 3, LONG));
        let stalled: Vec<_> = (0..8)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move {
                    turns.during(SLOW, &Arrivals::default(), std::future::pending()).await
                })
            })
            .collect();
        // They have all places that one hospital may have.
        while turns.places.try_take(SLOW, 1).is_ok() {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            let received = Arrivals::default();
            let quick = turns.during(OTHER, &received, async { Ok(()) });
            tokio::time::timeout(LONG, quick).await.unwrap().unwrap();
        }
        stalled.iter().for_each(|task| task.abort());
    }

    #[tokio::test]
    async fn a_slow_transfer_gives_its_place_back_only_while_others_wait() {
        let turns = Turns::measured(1, 1, SHORT);
        turns.is_slow(OTHER, MIB);
        let arrived = begun(1);
        let alone = turns.during(SLOW, &arrived, std::future::pending());
        assert!(tokio::time::timeout(10 * SHORT, alone).await.is_err());
        let gave_way = tokio::time::timeout(LONG, while_others_wait(&arrived)).await.unwrap();
        assert!(matches!(gave_way, Some(Err(TaskError::GaveWay { .. }))), "{gave_way:?}");
    }

    #[tokio::test]
    async fn a_slow_transfer_keeps_its_place_until_a_segment_has_ended() {
        // Neither while the worker checks what it has, nor before the first segment.
        for arrived in [Arrivals::default(), begun(0)] {
            assert!(while_others_wait(&arrived).await.is_none());
        }
    }
}
