//! The store as DataFusion reads it: by the `object_store` before ours, and read only. The files are never changed, so
//! conditions on their version are not passed on.
//!
//! Parts of a file do not tell whether it is still what was committed. So whoever asks for the first part of one has all of
//! it read once, and held to the size and SHA-256 that the ledger, or the generation, has of it.

use std::collections::HashMap;
use std::fmt::{self, Debug, Display, Formatter};
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store_013::path::Path;
use object_store_013::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::OnceCell;

use crate::store::ledger::FileRecord;
use crate::store::{Store, compact};

const NAME: &str = "ghostlight";
/// What errors of ours begin with; it helps nobody.
pub const LABEL: &str = "Generic ghostlight error: ";

pub struct Files {
    store: Store,
    known: HashMap<String, Known>,
}

/// A file that may be read, and whether it is what was recorded.
struct Known {
    record: FileRecord,
    is_checked: OnceCell<()>,
}

impl Files {
    pub fn new(store: Store, files: impl Iterator<Item = FileRecord>) -> Self {
        let known = |record: FileRecord| (record.path.clone(), Known { record, is_checked: OnceCell::new() });
        Self { store, known: files.map(known).collect() }
    }

    /// The file at a path, which is as it was recorded.
    async fn checked(&self, location: &Path) -> Result<object_store::path::Path> {
        let known = self.known.get(location.as_ref()).ok_or_else(only_reads)?;
        known.is_checked.get_or_try_init(|| self.check(&known.record)).await?;
        ours(location)
    }

    async fn check(&self, record: &FileRecord) -> Result<()> {
        match compact::check_file(&self.store, record).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(gone(&record.path, "it is not there".into())),
            Err(error) => Err(Error::Generic { store: NAME, source: Box::new(error) }),
        }
    }
}

impl Display for Files {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.store.location())
    }
}

impl Debug for Files {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.store.location())
    }
}

#[async_trait]
impl ObjectStore for Files {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let range = options.range.map(|range| match range {
            GetRange::Bounded(range) => object_store::GetRange::Bounded(range),
            GetRange::Offset(offset) => object_store::GetRange::Offset(offset),
            GetRange::Suffix(length) => object_store::GetRange::Suffix(length),
        });
        let options = object_store::GetOptions { range, head: options.head, ..Default::default() };
        let path = self.checked(location).await?;
        let found = self.store.objects().get_opts(&path, options).await.map_err(theirs)?;
        let object_store::ObjectMeta { last_modified, size, e_tag, version, .. } = found.meta.clone();
        let meta = ObjectMeta { location: location.clone(), last_modified, size, e_tag, version };
        let range = found.range.clone();
        // At once: parts of a file that were asked for are small, and a stream of a local file is one of small pieces.
        let bytes = found.bytes().await.map_err(theirs);
        let payload = GetResultPayload::Stream(stream::iter([bytes]).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::new() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.checked(location).await?;
        self.store.objects().get_ranges(&path, ranges).await.map_err(theirs)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(only_reads())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(only_reads())
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(only_reads())]).boxed()
    }

    /// What is read is what the ledger names, never what lies there.
    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter([Err(only_reads())]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(only_reads())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(only_reads())
    }
}

fn only_reads() -> Error {
    Error::NotSupported { source: "queries read the files of the ledger, and do nothing else".into() }
}

fn ours(location: &Path) -> Result<object_store::path::Path> {
    object_store::path::Path::parse(location.as_ref())
        .map_err(|error| Error::Generic { store: NAME, source: Box::new(error) })
}

fn theirs(error: object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { path, source } => gone(&path, source),
        other => Error::Generic { store: NAME, source: Box::new(other) },
    }
}

fn gone(path: &str, why: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let source = format!(
        "{why}; the ledger named it when the query began: if compaction removed it since, with a short --keep, ask again; \
         else see `ghostlight verify`"
    );
    Error::NotFound { path: path.to_owned(), source: source.into() }
}
