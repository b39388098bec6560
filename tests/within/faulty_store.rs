//! An object store that fails, or is interrupted, at an operation of the test's choice.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens at the chosen operation.
#[derive(Clone)]
pub enum Fault {
    /// It fails without having done anything.
    Before,
    /// It is done, and its answer is lost.
    After,
    /// The process dies: this operation and all that follow fail, without effect.
    Crash,
    /// The process dies just after it: done, and all that follow fail.
    CrashAfter,
    /// The process is frozen before it, and something else happens meanwhile.
    Frozen(Arc<dyn Fn() + Send + Sync>),
}

pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    at: u64,
    fault: Fault,
    operations: AtomicU64,
    /// Whether a listing is one of the operations.
    are_listings_met: bool,
    listings: Mutex<Vec<String>>,
}

impl FaultyStore {
    /// Operation number `at`, from 1, meets `fault`; listings work.
    pub fn new(inner: Arc<dyn ObjectStore>, at: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            inner,
            at,
            fault,
            operations: AtomicU64::new(0),
            are_listings_met: false,
            listings: Mutex::default(),
        })
    }

    /// The same where listings are operations like others.
    pub fn with_listings(inner: Arc<dyn ObjectStore>, at: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            inner,
            at,
            fault,
            operations: AtomicU64::new(0),
            are_listings_met: true,
            listings: Mutex::default(),
        })
    }

    /// How many there were.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// How often a folder was listed.
    pub fn listed(&self, folder: &str) -> usize {
        self.listings.lock().expect("a lock").iter().filter(|listed| *listed == folder).count()
    }

    /// Whether the operation of the fault was reached.
    pub fn was_reached(&self) -> bool {
        self.operations.load(Ordering::SeqCst) >= self.at
    }

    /// What becomes of the next operation.
    fn arrive(&self) -> Met {
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        let is_now = number == self.at;
        match &self.fault {
            Fault::Before if is_now => Met::Fails(failure(number)),
            Fault::After | Fault::CrashAfter if is_now => Met::Lost(failure(number)),
            Fault::Crash if number >= self.at => Met::Fails(failure(number)),
            Fault::CrashAfter if number > self.at => Met::Fails(failure(number)),
            Fault::Frozen(meanwhile) if is_now => {
                // Off this runtime: what happens meanwhile runs its own.
                let meanwhile = meanwhile.clone();
                std::thread::spawn(move || meanwhile()).join().expect("what happens meanwhile works");
                Met::Works
            }
            _ => Met::Works,
        }
    }

    async fn meet<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        match self.arrive() {
            Met::Works => operation.await,
            Met::Fails(error) => Err(error),
            Met::Lost(error) => operation.await.and(Err(error)),
        }
    }
}

enum Met {
    Works,
    /// Without effect.
    Fails(Error),
    /// Done, and its answer is lost.
    Lost(Error),
}

fn failure(number: u64) -> Error {
    Error::Generic { store: "faulty", source: format!("made to fail at operation {number}").into() }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore at {}", self.at)
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore at {}", self.at)
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.meet(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.meet(self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.meet(self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, met) = (self.inner.clone(), self.arrive());
        // What is deleted may be gone although the answer is lost.
        let deleted = async move {
            match met {
                Met::Fails(error) => vec![Err(error)],
                Met::Works => inner.delete_stream(locations).collect().await,
                Met::Lost(error) => {
                    inner.delete_stream(locations).collect::<Vec<_>>().await;
                    vec![Err(error)]
                }
            }
        };
        deleted.map(futures::stream::iter).flatten_stream().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listings.lock().expect("a lock").extend(prefix.map(Path::to_string));
        match if self.are_listings_met { self.arrive() } else { Met::Works } {
            Met::Works => self.inner.list(prefix),
            Met::Fails(error) | Met::Lost(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.meet(self.inner.list_with_delimiter(prefix)).await
    }

    // The default `rename_opts` copies and deletes, as on a bucket: so both can fail apart.
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.meet(self.inner.copy_opts(from, to, options)).await
    }
}

/// A store that accepts every put, also where something is.
#[derive(Debug)]
pub struct Overwriting(pub object_store::memory::InMemory);

impl fmt::Display for Overwriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Overwriting")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Overwriting {
    async fn put_opts(&self, location: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, PutOptions::default()).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}
