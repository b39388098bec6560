//! The spool's folder: its identity, its lock, its segments, and what has to hold of them before anything is appended.
//!
//! Nothing here runs beside the writer, except the names of files and the sync of the folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::SpoolError;
use super::record::{self, Seal, Tail};

const IDENTITY_FILE: &str = "spool.json";
const LOCK_FILE: &str = "lock";
const FORMAT: u32 = 2;

#[derive(serde::Serialize, serde::Deserialize)]
struct Identity {
    format: u32,
    id: String,
}

/// A segment as found: the stream offset of its first byte, and its length.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub start: u64,
    pub bytes: u64,
}

impl Segment {
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }
}

/// The file of the segment that begins at `start`. Padded, so that names sort as offsets do.
pub fn segment_path(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}.seg"))
}

/// Makes names created in or removed from `folder` survive a loss of power.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub fn create_segment(folder: &Path, start: u64) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(segment_path(folder, start))
}

/// Creates `folder` where it is missing, durably: each new folder is a name in its parent.
pub fn make(folder: &Path) -> Result<(), SpoolError> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| is_missing(path)).collect();
    fs::create_dir_all(folder).map_err(SpoolError::io("create the folder", folder))?;
    for made in missing {
        let parent = match made.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        sync(parent).map_err(SpoolError::io("sync the folder", parent))?;
    }
    Ok(())
}

fn is_missing(path: &Path) -> bool {
    !path.as_os_str().is_empty() && !path.exists()
}

/// The lock is the returned file: it is held until that is closed, also by a crash.
pub fn lock(folder: &Path) -> Result<File, SpoolError> {
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(SpoolError::io("open the lock file", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::Locked { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(SpoolError::io("lock", &path)(source)),
    }
}

/// The spool's identity and its segments, in order and without a gap; both are made where the spool is new.
///
/// The first segment is created before the identity is written, so an identity without a segment means that segments
/// were taken away, and starting again at 0 would give old offsets new content.
pub fn open(folder: &Path) -> Result<(String, Vec<Segment>), SpoolError> {
    let mut segments = list(folder)?;
    let id = match read_identity(folder)? {
        Some(_) if segments.is_empty() => return Err(SpoolError::NoSegments { folder: folder.to_owned() }),
        Some(id) => id,
        None => {
            match segments[..] {
                [] => {
                    let path = segment_path(folder, 0);
                    create_segment(folder, 0).map_err(SpoolError::io("create the segment", &path))?;
                    segments.push(Segment { start: 0, bytes: 0 });
                }
                // Making the spool was cut off at this point the last time.
                [Segment { start: 0, bytes: 0 }] => {}
                _ => return Err(SpoolError::NoIdentity { file: folder.join(IDENTITY_FILE) }),
            }
            sync(folder).map_err(SpoolError::io("sync the folder", folder))?;
            make_identity(folder)?
        }
    };
    for pair in segments.windows(2) {
        if pair[0].end() != pair[1].start {
            return Err(SpoolError::Gap {
                file: segment_path(folder, pair[0].start),
                end: pair[0].end(),
                next: segment_path(folder, pair[1].start),
            });
        }
    }
    Ok((id, segments))
}

fn list(folder: &Path) -> Result<Vec<Segment>, SpoolError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder).map_err(SpoolError::io("list", folder))? {
        let entry = entry.map_err(SpoolError::io("list", folder))?;
        let name = entry.file_name();
        let Some(digits) = name.to_str().and_then(|name| name.strip_suffix(".seg")) else { continue };
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(start) = digits.parse() else { continue };
        let found = entry.metadata().map_err(SpoolError::io("look at", &entry.path()))?;
        segments.push(Segment { start, bytes: found.len() });
    }
    segments.sort_unstable_by_key(|segment| segment.start);
    Ok(segments)
}

fn read_identity(folder: &Path) -> Result<Option<String>, SpoolError> {
    let file = folder.join(IDENTITY_FILE);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SpoolError::io("read", &file)(error)),
    };
    let identity: Identity = match serde_json::from_slice(&text) {
        Ok(identity) => identity,
        Err(error) => return Err(SpoolError::Identity { file, reason: error.to_string() }),
    };
    if identity.format != FORMAT {
        let reason = format!("it has format {}, this version reads format {FORMAT}", identity.format);
        return Err(SpoolError::Identity { file, reason });
    }
    match uuid::Uuid::try_parse(&identity.id) {
        Ok(id) => Ok(Some(id.to_string())),
        Err(error) => Err(SpoolError::Identity { file, reason: format!("its id is not a UUID: {error}") }),
    }
}

fn make_identity(folder: &Path) -> Result<String, SpoolError> {
    let file = folder.join(IDENTITY_FILE);
    let identity = Identity { format: FORMAT, id: uuid::Uuid::new_v4().to_string() };
    serde_json::to_vec(&identity)
        .map_err(io::Error::from)
        .and_then(|bytes| replace(folder, IDENTITY_FILE, &bytes))
        .map_err(SpoolError::io("write", &file))?;
    Ok(identity.id)
}

/// Writes a file whole: a crash leaves the old one or the new one.
pub fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut new = File::create(&temporary)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    sync(folder)
}

/// Opens the last segment for appending, after cutting off what a crash left unfinished in it. What is kept has been
/// synced, whether or not the last process came to it. The segment is read whole: that is `segment_bytes` and a record.
pub fn recover(folder: &Path, seal: Seal, last: &mut Segment) -> Result<File, SpoolError> {
    let path = segment_path(folder, last.start);
    let bytes = fs::read(&path).map_err(SpoolError::io("read", &path))?;
    let file = OpenOptions::new().append(true).open(&path).map_err(SpoolError::io("open", &path))?;
    match record::scan(&bytes, seal) {
        Tail::Whole => last.bytes = bytes.len() as u64,
        Tail::Torn { sound } => {
            tracing::warn!(
                file = %path.display(),
                offset = last.start + sound as u64,
                bytes = bytes.len() - sound,
                "the spool's last segment ends in records that were never finished nor acknowledged; they are cut off"
            );
            last.bytes = sound as u64;
            file.set_len(last.bytes).map_err(SpoolError::io("cut off the torn end of", &path))?;
        }
        Tail::Damaged { at, flaw, proof } => {
            return Err(SpoolError::Damaged {
                file: path,
                offset: last.start + at as u64,
                reason: format!("{}, and acknowledged records follow at {}", flaw.reason(), last.start + proof as u64),
            });
        }
    }
    file.sync_all().map_err(SpoolError::io("sync", &path))?;
    Ok(file)
}
