//! Quarantine of damaged objects, for inspection: they show when a disk begins to fail.

use epione_primitives::Moment;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};

use super::{QUARANTINE, Store, StoreError, segment_path, unless_missing};
use crate::now;

impl Store {
    /// Whether a failed read shows that the stored bytes themselves are wrong, so that they may be moved away: they
    /// were read and are not the segment's, or the disk does not return them. On S3, a second read must show the same,
    /// because the way from there is not certain either; and a failed read shows nothing.
    pub async fn shows_damage(&self, hash: &[u8; 32], error: &StoreError) -> bool {
        match error {
            StoreError::Damaged if self.is_remote() => {
                matches!(self.read(hash).await, Err(StoreError::Damaged))
            }
            StoreError::Damaged => true,
            error => !self.is_remote() && error.is_of_the_disk(),
        }
    }

    /// Moves whatever is stored as this segment to the quarantine. Only
    /// [`journal::quarantine`](crate::journal::quarantine) knows whether it is still damaged. Its name there ends with
    /// the time, because moving a file does not change the file's time.
    pub async fn quarantine(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.may_write()?;
        let name = format!("{}-{}", hex::encode(hash), now());
        let (path, aside) = (segment_path(hash), Path::from_iter([QUARANTINE, &name]));
        unless_missing(self.within(async { Ok(self.backend.rename(&path, &aside).await?) }).await)
    }

    /// Deletes objects that were quarantined before a moment; returns how many were deleted, and how many remain.
    pub async fn purge_quarantine(&self, before: Moment) -> Result<(u64, u64), StoreError> {
        self.may_write()?;
        let path = Path::from(QUARANTINE);
        let listed = async { Ok(self.backend.list(Some(&path)).try_collect::<Vec<_>>().await?) };
        let aside = self.within(listed).await?;
        let (mut deleted, mut left) = (0, 0);
        for object in aside {
            if quarantined_at(&object.location) > before {
                left += 1;
                continue;
            }
            let gone = async { Ok(self.backend.delete(&object.location).await?) };
            unless_missing(self.within(gone).await)?;
            deleted += 1;
        }
        Ok((deleted, left))
    }
}

/// The time at which an object was quarantined. Names without a time are from earlier versions.
fn quarantined_at(location: &Path) -> Moment {
    let time = location.filename().and_then(|name| name.split_once('-'));
    time.and_then(|(_, time)| time.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use epione_primitives::block::Segment;

    #[tokio::test]
    async fn only_an_error_of_the_disk_shows_damage_without_bytes() {
        let store = Store::in_memory();
        let failed = |code| StoreError::from(std::io::Error::from_raw_os_error(code));
        // EIO, EBADMSG, EUCLEAN
        for code in [5, 74, 117] {
            assert!(store.shows_damage(&[7; 32], &failed(code)).await, "{code}");
        }
        // EAGAIN, ENOMEM, EMFILE, ETIMEDOUT
        for error in [failed(11), failed(12), failed(24), failed(110)] {
            assert!(!store.shows_damage(&[7; 32], &error).await, "{error:?}");
        }
        for error in [StoreError::Missing, StoreError::Busy, StoreError::Unreachable(None)] {
            assert!(!store.shows_damage(&[7; 32], &error).await, "{error:?}");
        }
        assert!(store.shows_damage(&[7; 32], &StoreError::Damaged).await);
    }

    #[tokio::test]
    async fn damaged_objects_stay_in_quarantine_for_their_time() {
        let folder = tempfile::tempdir().unwrap();
        for store in [Store::local(folder.path()).unwrap(), Store::in_memory()] {
            let segment = Segment { hash: [7; 32], length: 3 };
            let damaged = bytes::Bytes::from_static(b"bad");
            store.backend.put(&segment_path(&segment.hash), damaged.into()).await.unwrap();
            let begun = now();
            store.quarantine(&segment.hash).await.unwrap();
            assert!(matches!(store.read(&segment.hash).await, Err(StoreError::Missing)));
            assert_eq!(store.purge_quarantine(begun - 1).await.unwrap(), (0, 1));
            // From a version that recorded no time.
            let early = Path::from_iter([QUARANTINE, &hex::encode([8; 32])]);
            store.backend.put(&early, bytes::Bytes::from_static(b"x").into()).await.unwrap();
            assert_eq!(store.purge_quarantine(begun - 1).await.unwrap(), (1, 1));
            assert_eq!(store.purge_quarantine(now()).await.unwrap(), (1, 0));
        }
    }
}
