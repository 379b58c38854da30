//! Offers of other hospitals: segments of blocks that they will announce soon, and that this hospital fetches ahead.
//!
//! An offer only adds segments. It is accepted while it fits into the offering hospital's quota. When it ends, its
//! segments become garbage, unless a lite block owns them by then.

use codec::{DecodeAll, Encode};
use epione_primitives::{HospitalId, Moment, block::Segment};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    Journal, JournalError,
    references::{self, Owner},
};

/// Open offers of one hospital, at most.
pub const MAX_OPEN: i64 = 64;

/// The limits of offers.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// All segments of one hospital's open offers together, whether they have arrived or not.
    pub bytes: u64,
    /// How long an offer is open, in milliseconds.
    pub lifetime: u64,
}

/// The result of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    New,
    /// The same segments are offered already. The offer does not last longer.
    Known,
    /// The hospital's quota has no room for the offer now.
    NoRoom,
}

/// An open offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub id: i64,
    pub hospital: HospitalId,
    /// In the order of the lite block that will contain them.
    pub segments: Vec<Segment>,
    pub expires: Moment,
}

fn offer(row: &Row<'_>) -> rusqlite::Result<Offer> {
    let segments: Vec<u8> = row.get(2)?;
    Ok(Offer {
        id: row.get(0)?,
        hospital: HospitalId(row.get(1)?),
        segments: Vec::decode_all(&mut segments.as_slice())
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, 0))?,
        expires: row.get::<_, i64>(3)? as Moment,
    })
}

fn take(
    tx: &Transaction<'_>,
    hospital: HospitalId,
    segments: &[Segment],
    quota: Quota,
    now: Moment,
) -> rusqlite::Result<Taken> {
    let encoded = segments.encode();
    let known = tx
        .prepare_cached("SELECT 1 FROM offers WHERE hospital = ?1 AND segments = ?2")?
        .query_row(params![hospital.0, encoded], |_| Ok(()))
        .optional()?;
    if known.is_some() {
        return Ok(Taken::Known);
    }
    let (count, used): (i64, i64) = tx
        .prepare_cached("SELECT count(*), coalesce(sum(bytes), 0) FROM offers WHERE hospital = ?1")?
        .query_row([hospital.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let bytes: u64 = segments.iter().map(|segment| u64::from(segment.length)).sum();
    if count >= MAX_OPEN || bytes.saturating_add(used as u64) > quota.bytes {
        return Ok(Taken::NoRoom);
    }
    tx.prepare_cached(
        "INSERT INTO offers (hospital, segments, bytes, expires) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        hospital.0,
        encoded,
        bytes as i64,
        now.saturating_add(quota.lifetime) as i64
    ])?;
    references::add(tx, Owner::Offer(tx.last_insert_rowid()), segments)?;
    Ok(Taken::New)
}

fn end(tx: &Transaction<'_>, id: i64, now: Moment) -> rusqlite::Result<()> {
    references::release(tx, Owner::Offer(id), now)?;
    tx.prepare_cached("DELETE FROM offers WHERE id = ?1")?.execute([id]).map(drop)
}

/// Ends those offers of a hospital whose segments are all among these, which have another owner now.
fn take_over(
    tx: &Transaction<'_>,
    hospital: HospitalId,
    segments: &[Segment],
    now: Moment,
) -> rusqlite::Result<()> {
    let named: std::collections::HashSet<_> = segments.iter().map(|it| it.hash).collect();
    let offers: Vec<Offer> = tx
        .prepare_cached("SELECT id, hospital, segments, expires FROM offers WHERE hospital = ?1")?
        .query_map([hospital.0], offer)?
        .collect::<rusqlite::Result<_>>()?;
    offers
        .iter()
        .filter(|offer| offer.segments.iter().all(|it| named.contains(&it.hash)))
        .try_for_each(|offer| end(tx, offer.id, now))
}

impl Journal {
    /// Accepts an offer if the hospital's quota has room for it.
    pub async fn take_offer(
        &self,
        hospital: HospitalId,
        segments: Vec<Segment>,
        quota: Quota,
        now: Moment,
    ) -> Result<Taken, JournalError> {
        let _custody = self.shared.custody.lock().await;
        self.write(move |tx| take(tx, hospital, &segments, quota, now)).await
    }

    /// Makes somebody the owner of the segments of a block that a hospital announced. The hospital's offers of these
    /// segments end, so that its quota has room again.
    pub async fn reference_announced(
        &self,
        owner: Owner,
        announcer: HospitalId,
        segments: &[Segment],
        now: Moment,
    ) -> Result<(), JournalError> {
        let segments = segments.to_vec();
        let _custody = self.shared.custody.lock().await;
        self.write(move |tx| {
            references::add(tx, owner, &segments)?;
            take_over(tx, announcer, &segments, now)
        })
        .await
    }

    /// Offers whose segments have not all arrived yet, oldest first.
    pub async fn open_offers(&self) -> Result<Vec<Offer>, JournalError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT id, hospital, segments, expires FROM offers
                     WHERE fulfilled = 0 ORDER BY id",
                )?
                .query_map([], offer)?
                .collect()
        })
        .await
    }

    /// Records that all segments of an offer have arrived.
    pub async fn fulfil_offer(&self, id: i64) -> Result<(), JournalError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE offers SET fulfilled = 1 WHERE id = ?1")?.execute([id])
        })
        .await
        .map(drop)
    }

    /// Ends expired offers; returns how many. It also ends offers that expire later than `lifetime` from now: the clock
    /// was set back, and their age is not known.
    pub async fn expire_offers(&self, lifetime: u64, now: Moment) -> Result<usize, JournalError> {
        let latest = now.saturating_add(lifetime);
        let expired: Vec<i64> = self
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT id FROM offers WHERE expires <= ?1 OR expires > ?2")?
                    .query_map(params![now as i64, latest as i64], |row| row.get(0))?
                    .collect()
            })
            .await?;
        let count = expired.len();
        if count > 0 {
            self.write(move |tx| expired.iter().try_for_each(|id| end(tx, *id, now))).await?;
        }
        Ok(count)
    }

    /// Bytes of each hospital's offers.
    pub async fn offered_bytes(&self) -> Result<Vec<(HospitalId, u64)>, JournalError> {
        self.read(|connection: &Connection| {
            connection
                .prepare_cached("SELECT hospital, sum(bytes) FROM offers GROUP BY hospital")?
                .query_map([], |row| Ok((HospitalId(row.get(0)?), row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::AnnouncementId;

    use super::*;

    const BOB: HospitalId = HospitalId(1);
    const QUOTA: Quota = Quota { bytes: 100, lifetime: 1_000 };

    fn segments(seeds: &[u8]) -> Vec<Segment> {
        seeds.iter().map(|seed| Segment { hash: [*seed; 32], length: 20 }).collect()
    }

    async fn take(journal: &Journal, hospital: HospitalId, seeds: &[u8]) -> Taken {
        journal.take_offer(hospital, segments(seeds), QUOTA, 10).await.unwrap()
    }

    async fn used(journal: &Journal) -> Vec<(HospitalId, u64)> {
        journal.offered_bytes().await.unwrap()
    }

    #[tokio::test]
    async fn offers_stay_below_each_hospital_s_quota_and_repeated_ones_count_once() {
        let journal = Journal::in_memory().await.unwrap();
        assert_eq!(take(&journal, BOB, &[1, 2, 3]).await, Taken::New);
        assert_eq!(take(&journal, BOB, &[1, 2, 3]).await, Taken::Known);
        assert_eq!(take(&journal, BOB, &[4, 5, 6]).await, Taken::NoRoom);
        assert_eq!(take(&journal, BOB, &[4, 5]).await, Taken::New);
        assert_eq!(take(&journal, HospitalId(2), &[4, 5, 6]).await, Taken::New);
        assert_eq!(used(&journal).await, [(BOB, 100), (HospitalId(2), 60)]);
        // Segments that have arrived still count.
        let first = journal.open_offers().await.unwrap().remove(0);
        assert_eq!(first.segments, segments(&[1, 2, 3]));
        journal.fulfil_offer(first.id).await.unwrap();
        assert_eq!(journal.open_offers().await.unwrap().len(), 2);
        assert_eq!(take(&journal, BOB, &[7]).await, Taken::NoRoom);
        assert!(journal.claims([7; 32]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_number_of_offers_is_limited_too() {
        let journal = Journal::in_memory().await.unwrap();
        let one = |seed| vec![Segment { hash: [seed; 32], length: 1 }];
        for seed in 0..MAX_OPEN as u8 {
            let taken = journal.take_offer(BOB, one(seed), QUOTA, 10).await.unwrap();
            assert_eq!(taken, Taken::New);
        }
        let more = journal.take_offer(BOB, one(200), QUOTA, 10).await.unwrap();
        assert_eq!(more, Taken::NoRoom);
    }

    #[tokio::test]
    async fn an_announced_block_ends_its_offer() {
        let journal = Journal::in_memory().await.unwrap();
        take(&journal, BOB, &[1, 2]).await;
        take(&journal, HospitalId(2), &[1]).await;
        let block = Owner::Announcement(AnnouncementId(5));
        journal.reference_announced(block, BOB, &segments(&[2, 1, 9]), 20).await.unwrap();
        // The other hospital's offer stays open.
        assert_eq!(used(&journal).await, [(HospitalId(2), 20)]);
        assert_eq!(take(&journal, BOB, &[3, 4, 5, 6, 7]).await, Taken::New);
        journal.release(block, 30).await.unwrap();
        let garbage = journal.read(|c| references::garbage(c, 30, 9)).await.unwrap();
        assert_eq!(garbage, [[2; 32], [9; 32]]);
    }

    #[tokio::test]
    async fn an_expired_offer_leaves_its_segments_as_garbage() {
        let journal = Journal::in_memory().await.unwrap();
        take(&journal, BOB, &[1]).await;
        journal.reference(Owner::Announcement(AnnouncementId(1)), &segments(&[2])).await.unwrap();
        take(&journal, BOB, &[2, 3]).await;
        // A repeated offer does not last longer.
        journal.take_offer(BOB, segments(&[1]), QUOTA, 900).await.unwrap();
        assert_eq!(journal.expire_offers(QUOTA.lifetime, 1_009).await.unwrap(), 0);
        assert_eq!(journal.expire_offers(QUOTA.lifetime, 1_010).await.unwrap(), 2);
        assert_eq!(used(&journal).await, []);
        let garbage = journal.read(|c| references::garbage(c, 2_000, 9)).await.unwrap();
        assert_eq!(garbage, [[1; 32], [3; 32]]);
    }

    #[tokio::test]
    async fn a_clock_set_back_does_not_prolong_offers() {
        let journal = Journal::in_memory().await.unwrap();
        journal.take_offer(BOB, segments(&[1]), QUOTA, 5_000_000).await.unwrap();
        assert_eq!(journal.expire_offers(QUOTA.lifetime, 100).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn offers_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let journal = Journal::open(&path).await.unwrap();
        take(&journal, BOB, &[1, 2]).await;
        drop(journal);
        let journal = Journal::open(&path).await.unwrap();
        assert_eq!(used(&journal).await, [(BOB, 40)]);
        assert_eq!(journal.open_offers().await.unwrap().len(), 1);
        assert!(!journal.claims([1; 32]).await.unwrap().is_empty());
    }
}
