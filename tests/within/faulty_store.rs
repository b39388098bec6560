//! An object store that fails, or is interrupted, at an operation of the test's choice.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::stream::BoxStream;
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
}

impl FaultyStore {
    /// Operation number `at`, from 1, meets `fault`.
    pub fn new(inner: Arc<dyn ObjectStore>, at: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, at, fault, operations: AtomicU64::new(0) })
    }

    /// How many there were.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// Whether the operation of the fault was reached.
    pub fn was_reached(&self) -> bool {
        self.operations.load(Ordering::SeqCst) >= self.at
    }

    async fn meet<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        let is_now = number == self.at;
        match &self.fault {
            Fault::Before if is_now => Err(failure(number)),
            Fault::After if is_now => operation.await.and_then(|_| Err(failure(number))),
            Fault::Crash if number >= self.at => Err(failure(number)),
            Fault::CrashAfter if is_now => operation.await.and_then(|_| Err(failure(number))),
            Fault::CrashAfter if number > self.at => Err(failure(number)),
            Fault::Frozen(meanwhile) if is_now => {
                // Off this runtime: what happens meanwhile runs its own.
                let meanwhile = meanwhile.clone();
                std::thread::spawn(move || meanwhile()).join().expect("what happens meanwhile works");
                operation.await
            }
            _ => operation.await,
        }
    }
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
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = match self.fault {
            Fault::Before | Fault::After => number == self.at,
            Fault::Crash | Fault::CrashAfter => number >= self.at,
            Fault::Frozen(_) => false,
        };
        if let Fault::Frozen(meanwhile) = &self.fault
            && number == self.at
        {
            let meanwhile = meanwhile.clone();
            std::thread::spawn(move || meanwhile()).join().expect("what happens meanwhile works");
        }
        if fails {
            return futures::stream::once(async move { Err(failure(number)) }).boxed();
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
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
