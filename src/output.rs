//! Where what a command writes goes: standard output, or a file that appears, or is replaced, once it is whole.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;

pub struct Output {
    to: To,
    /// Whether who was reading has stopped.
    is_closed: bool,
    /// For errors.
    name: String,
}

enum To {
    Standard(BufWriter<io::Stdout>),
    /// A device or a pipe, which is written to as it is.
    Stream(BufWriter<File>),
    File(Draft),
}

/// A file in the making, beside the one it will be; removed unless it was finished.
struct Draft {
    file: BufWriter<File>,
    draft: PathBuf,
    path: PathBuf,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has its name there is nothing.
        let _ = std::fs::remove_file(&self.draft);
    }
}

impl Draft {
    /// Whoever may read the file that it replaces may read it, and nobody else.
    fn replacing(path: PathBuf, there: Option<&std::fs::Metadata>) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4()));
        let mut options = File::options();
        options.write(true).create_new(true);
        if there.is_some() {
            options.mode(0o600);
        }
        let made = Self { file: BufWriter::new(options.open(&draft)?), draft, path };
        if let Some(there) = there {
            let file = made.file.get_ref();
            // Only root gives a file to somebody else.
            let _ = fchown(file, Some(there.uid()), Some(there.gid()));
            file.set_permissions(there.permissions())?;
        }
        Ok(made)
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.draft, &self.path)
    }
}

impl Output {
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let (to, name) = (To::Standard(BufWriter::new(io::stdout())), "standard output".to_owned());
            return Ok(Self { to, is_closed: false, name });
        };
        let name = path.display().to_string();
        let to = To::open(path).with_context(|| format!("writing {name}"))?;
        Ok(Self { to, is_closed: false, name })
    }

    /// Makes the file what was written, if all of it was. Who stops reading a pipe has read enough.
    pub fn finish(mut self, written: anyhow::Result<()>) -> anyhow::Result<()> {
        let written = written.and_then(|()| Ok(self.flush()?));
        match (written, self.to) {
            (Err(_), _) if self.is_closed => Ok(()),
            (Ok(()), To::File(draft)) => draft.finish().with_context(|| format!("writing {}", self.name)),
            (written, _) => written,
        }
    }

    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            self.is_closed |= error.kind() == ErrorKind::BrokenPipe;
            io::Error::new(error.kind(), format!("writing {}: {error}", self.name))
        })
    }
}

impl To {
    fn open(path: &Path) -> io::Result<Self> {
        // The file behind a link is replaced, not the link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // One that may not be written is not replaced either.
        let there = match File::options().write(true).open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let metadata = there.as_ref().map(File::metadata).transpose()?;
        match (there, metadata) {
            (Some(stream), Some(metadata)) if !metadata.is_file() => Ok(Self::Stream(BufWriter::new(stream))),
            (_, metadata) => Draft::replacing(path, metadata.as_ref()).map(Self::File),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Standard(out) => out,
            Self::Stream(file) => file,
            Self::File(draft) => &mut draft.file,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.writer().write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.to.writer().flush();
        self.noted(flushed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let found = std::fs::read_dir(folder).expect("a folder");
        found.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_once_it_is_whole_and_stays_as_private_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.html");
        let write = |text: &str| {
            let mut output = Output::open(Some(&path)).expect("opens");
            output.write_all(text.as_bytes()).expect("written");
            output
        };
        let mode = || std::fs::metadata(&path).expect("a file").permissions().mode() & 0o7777;
        drop(write("half"));
        assert!(names(folder.path()).is_empty(), "nothing is left of what was not finished");
        write("first").finish(Ok(())).expect("finished");
        for kept in [0o600, 0o640, 0o664] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(kept)).expect("set");
            let before = std::fs::read_to_string(&path).expect("text");
            drop(write("half"));
            assert_eq!((std::fs::read_to_string(&path).expect("text"), mode()), (before, kept));
            let text = format!("{kept:o}");
            let output = write(&text);
            let drafts = names(folder.path());
            let draft = drafts.iter().find(|name| *name != "report.html").expect("a draft");
            let of_draft = std::fs::metadata(folder.path().join(draft)).expect("a file").permissions().mode() & 0o7777;
            output.finish(Ok(())).expect("finished");
            assert_eq!((std::fs::read_to_string(&path).expect("text"), mode(), of_draft), (text, kept, kept));
            assert_eq!(names(folder.path()), ["report.html"]);
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let mut output = Output::open(Some(&link)).expect("opens");
        output.write_all(b"by a link").expect("written");
        output.finish(Ok(())).expect("finished");
        assert!(link.is_symlink());
        assert_eq!((std::fs::read_to_string(&path).expect("text").as_str(), mode()), ("by a link", 0o664));
    }

    #[test]
    fn who_stops_reading_a_pipe_has_read_enough() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let to = To::Stream(BufWriter::new(file));
        let mut output = Output { to, is_closed: false, name: "a pipe".to_owned() };
        output.write_all(b"a line\n").expect("held back");
        let error = output.flush().expect_err("nobody reads");
        assert_eq!(error.to_string(), "writing a pipe: Broken pipe (os error 32)");
        output.finish(Err(error.into())).expect("no error");
    }
}
