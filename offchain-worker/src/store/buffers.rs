//! Reusable memory for whole segments. The allocator would spread buffers of 4 MiB over its arenas and keep freed ones;
//! with this pool, the worker uses only as much memory as it needs at once.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use epione_primitives::limits::SEGMENT_BYTES;

const CAPACITY: usize = SEGMENT_BYTES as usize;
/// Free buffers that are kept. More are in use at once only if the configured limits are high.
const KEPT: usize = 8;

/// Free buffers. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    pub fn take(&self) -> Buffer {
        let free = self.free().pop();
        let bytes = free.unwrap_or_else(|| Vec::with_capacity(CAPACITY));
        Buffer { bytes, home: self.clone() }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        // No code under this lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory for one segment. It returns to the pool when dropped.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffer {
    /// Appends bytes if they fit; returns whether they do.
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= CAPACITY - self.bytes.len();
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Appends a file's next `bytes` bytes, as far as they fit.
    pub fn append_file(&mut self, file: File, bytes: u32) -> io::Result<()> {
        let room = (CAPACITY - self.bytes.len()) as u64;
        file.take(u64::from(bytes).min(room)).read_to_end(&mut self.bytes).map(drop)
    }

    /// The bytes, without copying. The memory returns to the pool with the last clone.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes.len())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut free = self.home.free();
        if free.len() < KEPT {
            bytes.clear();
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_once_its_last_clone_is_dropped() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        assert!(buffer.append(b"a segment"));
        let bytes = buffer.freeze();
        let part = bytes.slice(2..);
        let place = bytes.as_ptr();
        drop(bytes);
        assert!(buffers.free().is_empty(), "a part of it is still in use");
        assert_eq!(part, "segment");
        drop(part);
        let again = buffers.take();
        assert_eq!((again.bytes.len(), again.as_ref().as_ptr()), (0, place));
    }

    #[test]
    fn no_more_than_a_segment_fits() {
        let mut buffer = Buffers::default().take();
        assert!(buffer.append(&vec![1; CAPACITY - 1]));
        assert!(!buffer.append(b"xy"));
        assert!(buffer.append(b"x"));
        assert_eq!((buffer.bytes.len(), buffer.bytes.capacity()), (CAPACITY, CAPACITY));
    }

    #[test]
    fn reading_a_whole_segment_needs_no_larger_buffer() {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), vec![7; CAPACITY]).unwrap();
        let mut buffer = Buffers::default().take();
        buffer.append_file(File::open(path.path()).unwrap(), SEGMENT_BYTES).unwrap();
        assert_eq!((buffer.bytes.len(), buffer.bytes.capacity()), (CAPACITY, CAPACITY));
    }

    #[test]
    fn few_free_buffers_are_kept() {
        let buffers = Buffers::default();
        let taken: Vec<_> = (0..KEPT + 3).map(|_| buffers.take()).collect();
        drop(taken);
        assert_eq!(buffers.free().len(), KEPT);
    }
}
