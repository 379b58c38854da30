//! A storage that is full after a number of bytes, like a disk, or that waits in the middle of an operation. It counts
//! how often objects are read.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
    memory::InMemory, path::Path,
};
use tokio::sync::Notify;

/// The remaining space. Clones share it.
#[derive(Clone, Debug)]
pub struct Room(Arc<AtomicU64>);

impl Room {
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::SeqCst);
    }

    fn take(&self, bytes: usize) -> Result<()> {
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes as u64))
            .map(|_| ())
            .map_err(|_| object_store::Error::Generic {
                store: "faulty",
                source: Box::new(io::Error::from(io::ErrorKind::StorageFull)),
            })
    }
}

/// A point at which an operation waits for the test.
#[derive(Debug, Default)]
pub struct Pause {
    reached: Notify,
    go_on: Notify,
}

impl Pause {
    /// Waits until an operation waits here.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets one operation go on.
    pub fn go_on(&self) {
        self.go_on.notify_one();
    }

    async fn pass(&self) {
        self.reached.notify_one();
        self.go_on.notified().await;
    }
}

/// Where every operation of a kind waits.
#[derive(Debug, Default)]
pub struct Pauses {
    /// The object was read, and is not returned yet.
    pub after_get: Pause,
    /// The object is still there.
    pub before_delete: Pause,
}

#[derive(Debug)]
pub struct Faulty {
    inner: Arc<InMemory>,
    room: Room,
    pauses: Option<Arc<Pauses>>,
    reads: AtomicUsize,
}

impl Faulty {
    /// A storage with space for a number of bytes, and its content.
    pub fn with_room(bytes: u64) -> (Arc<Self>, Room, Arc<InMemory>) {
        let inner = Arc::new(InMemory::new());
        let room = Room(Arc::new(AtomicU64::new(bytes)));
        (Arc::new(Self::new(&inner, room.clone(), None)), room, inner)
    }

    /// A storage that waits in every GET and DELETE, and its content.
    pub fn with_pauses() -> (Arc<Self>, Arc<Pauses>, Arc<InMemory>) {
        let (pauses, inner) = (Arc::<Pauses>::default(), Arc::new(InMemory::new()));
        let room = Room(Arc::new(AtomicU64::new(u64::MAX)));
        (Arc::new(Self::new(&inner, room, Some(Arc::clone(&pauses)))), pauses, inner)
    }

    fn new(inner: &Arc<InMemory>, room: Room, pauses: Option<Arc<Pauses>>) -> Self {
        Self { inner: Arc::clone(inner), room, pauses, reads: AtomicUsize::new(0) }
    }

    /// How often the bytes of an object were read so far.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    room: Room,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.room.take(data.content_length()) {
            Ok(()) => self.inner.put_part(data),
            Err(error) => async move { Err(error) }.boxed(),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.room.take(payload.content_length())?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(FaultyUpload { inner, room: self.room.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_get = !options.head;
        self.reads.fetch_add(is_get.into(), Ordering::SeqCst);
        let found = self.inner.get_opts(location, options).await;
        if let Some(pauses) = self.pauses.as_ref().filter(|_| is_get) {
            pauses.after_get.pass().await;
        }
        found
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let Some(pauses) = self.pauses.clone() else { return self.inner.delete_stream(locations) };
        let inner = Arc::clone(&self.inner);
        locations
            .then(move |location| {
                let (inner, pauses) = (Arc::clone(&inner), Arc::clone(&pauses));
                async move {
                    let location = location?;
                    pauses.before_delete.pass().await;
                    inner.delete(&location).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
