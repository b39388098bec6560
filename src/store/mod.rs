//! The object store and what lies on it: the ledger that says what is true, the commit that makes it so, the datasets.
//!
//! `docs` for the protocol and every crash point: ARCHITECTURE.md, "Why a commit is safe".

pub mod commit;
pub mod compact;
pub mod datasets;
pub mod ledger;
pub mod policies;
pub mod progress;
pub mod retired;
pub mod verify;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
#[cfg(feature = "query")]
use object_store::GetOptions;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

/// The source name of files.
pub const FILE: &str = "file";
/// The source name of inputs that can be read once only; their partitions never go on.
pub const STDIN: &str = "stdin";

/// Where output goes: a folder, or `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    S3 { bucket: String, prefix: String },
}

impl Location {
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let wrong = |expected: &str| StoreError::Location { text: text.to_owned(), expected: expected.to_owned() };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(wrong("a bucket, such as s3://my-bucket/ghostlight"));
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(wrong(&format!("a folder or an s3:// URL; {scheme}:// is not supported")));
        }
        if text.is_empty() {
            return Err(wrong("a folder, such as ./ghostlight-data/out, or an s3:// URL"));
        }
        Ok(Self::Folder(PathBuf::from(text)))
    }

    /// Whether it is `other`, or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder(folder), Self::Folder(other)) => absolute(folder).starts_with(absolute(other)),
            (Self::S3 { bucket, prefix }, Self::S3 { bucket: other_bucket, prefix: other }) => {
                let rest = prefix.strip_prefix(other.as_str());
                bucket == other_bucket
                    && rest.is_some_and(|rest| other.is_empty() || rest.is_empty() || rest.starts_with('/'))
            }
            _ => false,
        }
    }
}

/// Without links and dots, whether there is such a folder or not.
fn absolute(folder: &std::path::Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    // Again: dots may lead out of what is not there, to a link.
    resolved(&resolved(&folder))
}

fn resolved(folder: &std::path::Path) -> PathBuf {
    let there = folder.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, mut resolved)) = there else { return folder.to_owned() };
    for part in folder.strip_prefix(above).unwrap_or(folder).components() {
        match part {
            std::path::Component::ParentDir => _ = resolved.pop(),
            part => resolved.push(part),
        }
    }
    resolved
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// An operation of the store that failed, and on what.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("output location {text:?}: expected {expected}")]
    Location { text: String, expected: String },
    #[error("opening the output folder {}: {source}", folder.display())]
    OpenFolder { folder: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("opening {location}: {source}")]
    OpenBucket { location: String, source: object_store::Error },
    #[error(
        "nothing is left at {location}, where there was data: was it moved, emptied, or is it not mounted any more?"
    )]
    Gone { location: String },
    #[error("{action} {path}: {source}")]
    Operation { action: &'static str, path: String, source: object_store::Error },
    #[error(
        "the store at {location} does not honour put-if-absent: writing {path} a second time succeeded. ghostlight's \
         exactly-once rests on it; use a local disk or an S3 service with conditional writes (`If-None-Match`)"
    )]
    NoPutIfAbsent { location: String, path: String },
    #[error(
        "{path} is lost: without it not all that was committed can be read. Bring it back, or see what else is wrong by \
         `ghostlight verify`"
    )]
    Lost { path: String },
    #[error(
        "{path} is lost: it says which events were counted, and what comes again of them would be counted twice. Bring it back; \
         to go on without it all the same, put an empty file in its place"
    )]
    LostIds { path: String },
    #[error("{path} is not what ghostlight wrote there: {problem}")]
    Damaged { path: String, problem: String },
    #[error(
        "{path} was written by a newer ghostlight (format {found}, this one reads up to {known}); run that version, or a \
         newer one"
    )]
    Newer { path: String, found: u32, known: u32 },
}

impl StoreError {
    pub(crate) fn damaged(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_string(), problem: problem.to_string() }
    }

    pub(crate) fn lost(path: &Path) -> Self {
        Self::Lost { path: path.to_string() }
    }
}

/// A local file of so many bytes is read where it is asked for: to hand it to another thread takes longer.
const READ_AT_ONCE: u64 = 256 << 10;

/// The object store, with errors that say what was done to what.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    location: String,
}

impl Store {
    /// Opens a location for writing, making the folder if needed.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        if let Location::Folder(folder) = location {
            std::fs::create_dir_all(folder)
                .map_err(|error| StoreError::OpenFolder { folder: folder.clone(), source: error.into() })?;
        }
        Self::open_existing(location)
    }

    /// Opens a location that must exist.
    pub fn open_existing(location: &Location) -> Result<Self, StoreError> {
        let inner: Arc<dyn ObjectStore> = match location {
            Location::Folder(folder) if !folder.is_dir() => {
                let source = "there is no such folder; `ghostlight ingest` and `run` make one".into();
                return Err(StoreError::OpenFolder { folder: folder.clone(), source });
            }
            Location::Folder(folder) => Arc::new(
                LocalFileSystem::new_with_prefix(folder)
                    .map_err(|error| StoreError::OpenFolder { folder: folder.clone(), source: error.into() })?
                    .with_fsync(true),
            ),
            Location::S3 { bucket, prefix } => {
                let failed = |source| StoreError::OpenBucket { location: location.to_string(), source };
                let bucket = AmazonS3Builder::from_env().with_bucket_name(bucket).build().map_err(failed)?;
                Arc::new(PrefixStore::new(bucket, prefix.as_str()))
            }
        };
        Ok(Self { inner, location: location.to_string() })
    }

    /// Any other object store; for tests.
    pub fn of(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, location: "the given store".to_owned() }
    }

    pub fn location(&self) -> &str {
        &self.location
    }

    /// Refuses a store on which two writers could both believe they committed.
    pub async fn probe(&self) -> Result<(), StoreError> {
        // In no folder of its own, which would stay.
        let path = Path::from(format!("_probe-{}", uuid::Uuid::new_v4()));
        self.create(&path, Bytes::from_static(b"probe")).await?;
        let second = self.create(&path, Bytes::from_static(b"probe")).await?;
        self.delete(&path).await?;
        match second {
            Created::Exists => Ok(()),
            Created::Now => Err(StoreError::NoPutIfAbsent { location: self.location.clone(), path: path.to_string() }),
        }
    }

    /// The bytes of an object, for readers of datasets.
    pub async fn read(&self, path: &Path) -> Result<Bytes, StoreError> {
        self.get(path).await
    }

    /// The objects themselves, for an engine that reads parts of them.
    #[cfg(feature = "query")]
    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        self.inner.as_ref()
    }

    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.put(path, bytes.into()).await.map_err(operation("writing", path))?;
        Ok(())
    }

    /// Writes only if nothing is there.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.inner.put_opts(path, bytes.into(), options).await {
            Ok(_) => Ok(Created::Now),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(Created::Exists)
            }
            Err(source) => Err(operation("creating", path)(source)),
        }
    }

    pub(crate) async fn get(&self, path: &Path) -> Result<Bytes, StoreError> {
        let result = self.inner.get(path).await.map_err(operation("reading", path))?;
        if let GetResultPayload::File(file, _) = &result.payload
            && result.meta.size <= READ_AT_ONCE
        {
            let mut bytes = Vec::with_capacity(result.meta.size as usize);
            // A failure is told by those who read in the other way.
            if file.take(result.meta.size).read_to_end(&mut bytes).is_ok_and(|read| read as u64 == result.meta.size) {
                return Ok(bytes.into());
            }
        }
        result.bytes().await.map_err(operation("reading", path))
    }

    /// A part of an object, and how long it is as a whole.
    #[cfg(feature = "query")]
    pub(crate) async fn get_part(&self, path: &Path, range: std::ops::Range<u64>) -> Result<(Bytes, u64), StoreError> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let found = self.inner.get_opts(path, options).await.map_err(operation("reading", path))?;
        let size = found.meta.size;
        Ok((found.bytes().await.map_err(operation("reading", path))?, size))
    }

    /// `None` where nothing is there.
    pub(crate) async fn get_if_there(&self, path: &Path) -> Result<Option<Bytes>, StoreError> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn exists(&self, path: &Path) -> Result<bool, StoreError> {
        match self.inner.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(operation("looking for", path)(source)),
        }
    }

    /// Moves an object; on a bucket that is a copy and a delete.
    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.inner.rename(from, to).await.map_err(operation("publishing", from))
    }

    /// Copies an object; false where it is gone.
    pub(crate) async fn copy(&self, from: &Path, to: &Path) -> Result<bool, StoreError> {
        match self.inner.copy(from, to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(operation("copying", from)(source)),
        }
    }

    /// Deletes what may already be gone.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match self.inner.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(operation("deleting", path)(source)),
        }
    }

    /// Everything under `prefix`, sorted by path.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        self.list_after(prefix, None).await
    }

    /// Everything under `prefix` whose path sorts after `offset`, sorted by path.
    pub(crate) async fn list_after(&self, prefix: &str, offset: Option<&Path>) -> Result<Vec<ObjectMeta>, StoreError> {
        let prefix = Path::from(prefix);
        let prefix_or_all = (!prefix.as_ref().is_empty()).then_some(&prefix);
        let listing = match offset {
            Some(offset) => self.inner.list_with_offset(prefix_or_all, offset),
            None => self.inner.list(prefix_or_all),
        };
        let mut found: Vec<_> = listing.try_collect().await.map_err(operation("listing", &prefix))?;
        found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// The names of the folders directly under `prefix`, sorted.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix = Path::from(prefix);
        let listing = self.inner.list_with_delimiter(Some(&prefix)).await.map_err(operation("listing", &prefix))?;
        let mut names: Vec<_> =
            listing.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }
}

impl StoreError {
    /// Whether the store cannot do what was asked at all. A refusal for other reasons may follow a try whose answer was lost.
    pub(crate) fn is_refusal(&self) -> bool {
        use object_store::Error::{NotImplemented, NotSupported};
        matches!(self, Self::Operation { source: NotImplemented { .. } | NotSupported { .. }, .. })
    }

    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Operation { source: object_store::Error::NotFound { .. }, .. })
    }
}

/// What a put-if-absent did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    Now,
    Exists,
}

fn operation(action: &'static str, path: &Path) -> impl FnOnce(object_store::Error) -> StoreError {
    let path = path.to_string();
    move |source| StoreError::Operation { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_within_another_whatever_way_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        std::fs::create_dir(&out).expect("a folder");
        std::os::unix::fs::symlink(&out, folder.path().join("link")).expect("a link");
        let place = |name: &str| Location::Folder(folder.path().join(name));
        for (name, is_within) in [
            ("out", true),
            ("out/delta", true),
            ("link/delta/new", true),
            ("other/../out/delta", true),
            ("other/../link/delta", true),
            ("delta", false),
            ("outer", false),
        ] {
            assert_eq!(place(name).is_within(&place("out")), is_within, "{name}");
        }
        let s3 = |url: &str| Location::parse(url).expect("a place");
        for (url, is_within) in
            [("s3://a/out", true), ("s3://a/out/delta", true), ("s3://a/outer", false), ("s3://b/out", false)]
        {
            assert_eq!(s3(url).is_within(&s3("s3://a/out")), is_within, "{url}");
            assert!(s3(url).is_within(&s3("s3://a")) || url.contains("//b"), "{url}");
            assert!(!s3(url).is_within(&place("out")), "{url}");
        }
    }
}
