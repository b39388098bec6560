//! The store as DataFusion reads it: by the `object_store` before ours, and read only. The files are never changed, so
//! conditions on their version are not passed on.

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

use crate::store::Store;

const NAME: &str = "ghostlight";

pub struct Files(Store);

impl Files {
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

impl Display for Files {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.location())
    }
}

impl Debug for Files {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.0.location())
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
        let found = self.0.objects().get_opts(&ours(location)?, options).await.map_err(theirs)?;
        let object_store::ObjectMeta { last_modified, size, e_tag, version, .. } = found.meta.clone();
        let meta = ObjectMeta { location: location.clone(), last_modified, size, e_tag, version };
        let range = found.range.clone();
        // At once: parts of a file that were asked for are small, and a stream of a local file is one of small pieces.
        let bytes = found.bytes().await.map_err(theirs);
        let payload = GetResultPayload::Stream(stream::iter([bytes]).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::new() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.objects().get_ranges(&ours(location)?, ranges).await.map_err(theirs)
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
        object_store::Error::NotFound { path, source } => {
            let source = format!(
                "{source}; the ledger named it when the query began: if compaction removed it since, with a short --keep, \
                 ask again; else see `ghostlight verify`"
            );
            Error::NotFound { path, source: source.into() }
        }
        other => Error::Generic { store: NAME, source: Box::new(other) },
    }
}
