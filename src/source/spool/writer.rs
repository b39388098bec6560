//! The one thread that writes: it takes what waits, writes it to the active segment, syncs once, and only then tells
//! readers and those who appended.
//!
//! A write that fails is undone and the spool goes on. A sync that fails ends it: the kernel may have dropped the pages
//! and report success the next time, so nothing written since the last good sync can be vouched for any more.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::record::Header;
use super::{AppendError, Pending, Shared, folder};

/// Records are copied together up to this much before a write, so that many small ones cost one call.
const WRITE_BYTES: usize = 1 << 20;

pub struct Writer {
    pub shared: Arc<Shared>,
    /// The active segment, opened for appending: what is written lands at its end, also after it was cut back.
    pub file: File,
    pub start: u64,
    /// The length up to which the segment is synced.
    pub synced_bytes: u64,
}

/// How much a probe writes: more than a block.
const PROBE_BYTES: usize = 16 << 10;

enum Failed {
    /// Nothing of the group is in the segment; the next group may succeed.
    Group(String),
    ForGood(String),
}

impl Writer {
    pub fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.shared));
        let mut buffer = Vec::new();
        loop {
            // As soon as it is full, not with the next record: only a segment that is no longer active can be released,
            // and a full spool gets no next record.
            let is_asked = self.shared.take_roll() && self.synced_bytes > 0;
            if (is_asked || self.synced_bytes >= self.shared.segment_bytes)
                && let Err(reason) = self.roll()
            {
                return self.shared.fail(reason);
            }
            let room = self.shared.segment_bytes.saturating_sub(self.synced_bytes);
            let Some(group) = self.shared.next_group(room) else { return };
            if group.is_empty() && self.shared.state().rolls {
                continue;
            }
            if group.is_empty() {
                match self.probe() {
                    Ok(()) => self.shared.set_failing(None),
                    Err(Failed::Group(reason)) => self.shared.set_failing(Some(reason)),
                    Err(Failed::ForGood(reason)) => return self.shared.fail(reason),
                }
                continue;
            }
            match self.commit(&group, &mut buffer) {
                Ok(()) => {
                    let mut offset = self.shared.publish(self.start + self.synced_bytes);
                    for pending in group {
                        let bytes = pending.record_bytes();
                        pending.answer(Ok(offset));
                        offset += bytes;
                    }
                }
                Err(Failed::Group(reason)) => {
                    tracing::warn!(appends = group.len(), reason, "the spool could not write; nothing was kept");
                    self.shared.forget(&group);
                    self.shared.set_failing(Some(reason.clone()));
                    group.into_iter().for_each(|pending| pending.answer(Err(AppendError::Disk(reason.clone()))));
                }
                Err(Failed::ForGood(reason)) => {
                    self.shared.forget(&group);
                    self.shared.fail(reason.clone());
                    return group
                        .into_iter()
                        .for_each(|pending| pending.answer(Err(AppendError::Disk(reason.clone()))));
                }
            }
        }
    }

    fn commit(&mut self, group: &[Pending], buffer: &mut Vec<u8>) -> Result<(), Failed> {
        let written = match self.write_group(group, buffer) {
            Ok(written) => written,
            Err(error) => {
                let reason = format!("cannot write to the spool: {error}; nothing of it was kept");
                // Synced as well, or a loss of power might bring back what was just refused.
                return match self.cut_back().and_then(|()| self.sync()) {
                    Ok(()) => Err(Failed::Group(reason)),
                    Err(undo) => Err(Failed::ForGood(format!(
                        "cannot write to the spool: {error}; undoing it failed too: {undo}; restart to recover"
                    ))),
                };
            }
        };
        if let Err(error) = self.sync() {
            // Only so that a restart does not meet it again: its outcome changes nothing here.
            let _ = self.cut_back();
            return Err(Failed::ForGood(format!(
                "cannot sync the spool: {error}; what the disk holds is uncertain until a restart has checked it"
            )));
        }
        self.synced_bytes += written;
        Ok(())
    }

    /// Whether a write would work: zeros behind what is synced, cut off again. A crash in between leaves what a torn write
    /// leaves.
    fn probe(&mut self) -> Result<(), Failed> {
        let written = self.write(&[0; PROBE_BYTES]);
        self.cut_back()
            .map_err(|undo| Failed::ForGood(format!("cannot cut the spool back: {undo}; restart to recover")))?;
        written.map_err(|error| Failed::Group(format!("cannot write to the spool: {error}; nothing of it was kept")))
    }

    fn write_group(&mut self, group: &[Pending], buffer: &mut Vec<u8>) -> io::Result<u64> {
        let mut written = 0;
        buffer.clear();
        for (index, pending) in group.iter().enumerate() {
            let header = Header::of(&pending.body, pending.arrived, index == 0, self.shared.seal)
                .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
            buffer.extend_from_slice(&header.encode());
            if buffer.len() + pending.body.len() > WRITE_BYTES {
                self.write(buffer)?;
                buffer.clear();
            }
            if pending.body.len() > WRITE_BYTES {
                self.write(&pending.body)?;
            } else {
                buffer.extend_from_slice(&pending.body);
            }
            written += header.record_bytes();
        }
        self.write(buffer)?;
        Ok(written)
    }

    /// Begins the next segment. Where its file cannot be created the active one simply grows on; an error is a reason
    /// to end for good.
    fn roll(&mut self) -> Result<(), String> {
        let start = self.start + self.synced_bytes;
        let path = folder::segment_path(&self.shared.folder, start);
        let file = match folder::create_segment(&self.shared.folder, start) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot create the spool's next segment yet");
                return Ok(());
            }
        };
        if let Err(error) = folder::sync(&self.shared.folder) {
            return Err(format!("cannot sync the folder {}: {error}", self.shared.folder.display()));
        }
        self.shared.state().segments.push_back(start);
        (self.file, self.start, self.synced_bytes) = (file, start, 0);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Err(error) = self.shared.faults.on_write() {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        #[cfg(test)]
        self.shared.faults.on_sync()?;
        self.file.sync_data()
    }

    fn cut_back(&mut self) -> io::Result<()> {
        #[cfg(test)]
        self.shared.faults.on_cut()?;
        self.file.set_len(self.synced_bytes)
    }
}

/// Says that the writer has ended however it ends, so that nobody waits for it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let expected = {
            let mut state = self.0.state();
            state.ended = true;
            state.failed.is_some() || (state.closed && state.queue.is_empty())
        };
        if !expected {
            self.0.fail("the spool's writer ended unexpectedly".to_owned());
        }
        self.0.synced.notify_all();
    }
}
