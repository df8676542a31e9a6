//! The log as one append-only file: a record a line, durable before anybody is told.
//!
//! ```text
//! append ─▶ queue ─▶ one thread: write all that waits ─▶ one fdatasync ─▶ each is told its index
//! ```
//!
//! Many appends share one sync (group commit). A line that was cut short by a crash was never acknowledged, and is
//! removed when the file is opened. After a fault the file is brought back to its last durable line before anything
//! else is written: a disk that was full for a while does no lasting harm. Threats: a full, read-only or failing disk; a
//! file that is moved or removed, and would take the records along.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use kms_attestation::hash::sha256;
use tokio::sync::{mpsc, oneshot};

use super::{Appending, Record, RecordFault, RecordReference, Recorder};

/// The most records that share one sync: as many as the node has requests in hand.
const MAX_BATCH: usize = 1024;
/// How much of the file is read at once when it is opened, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Appends to one file.
pub struct FileRecorder {
    queue: mpsc::Sender<Pending>,
}

struct Pending {
    line: Vec<u8>,
    done: oneshot::Sender<Result<RecordReference, RecordFault>>,
}

impl FileRecorder {
    /// Opens or makes the file, and removes a line that was cut short. Reads the whole file once, to count.
    pub fn open(path: &Path) -> Result<Self, RecordFault> {
        let log = Log::open(path)?;
        let (queue, pending) = mpsc::channel(MAX_BATCH);
        thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || serve(log, pending))
            .map_err(|error| disk("starting the writer")(error))?;
        Ok(Self { queue })
    }
}

impl Recorder for FileRecorder {
    fn append<'a>(&'a self, record: &Record) -> Appending<'a> {
        let line = serde_json::to_vec(record);
        Box::pin(async move {
            let mut line = line.map_err(|_| RecordFault::Unwritable)?;
            line.push(b'\n');
            let (done, outcome) = oneshot::channel();
            self.queue.send(Pending { line, done }).await.map_err(|_| RecordFault::Closed)?;
            outcome.await.map_err(|_| RecordFault::Closed)?
        })
    }
}

fn serve(mut log: Log, mut pending: mpsc::Receiver<Pending>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while pending.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        let outcome = log.commit(batch.iter().map(|entry| entry.line.as_slice()));
        for (offset, Pending { line, done }) in (0..).zip(batch.drain(..)) {
            let digest = sha256(&[line.strip_suffix(b"\n").unwrap_or(&line)]);
            let reference = |first| RecordReference { index: first + offset, digest };
            // Whoever no longer waits has been refused; the record says that it was decided.
            drop(done.send(outcome.clone().map(reference)));
        }
    }
}

/// The file, as far as it is durable.
struct Log {
    path: PathBuf,
    file: File,
    durable_bytes: u64,
    durable_records: u64,
    broken: bool,
}

fn disk(what: &'static str) -> impl Fn(io::Error) -> RecordFault {
    move |error| RecordFault::Disk { what, kind: error.kind() }
}

impl Log {
    fn open(path: &Path) -> Result<Self, RecordFault> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(disk("opening the log"))?;
        let (durable_bytes, durable_records) = count(&file).map_err(disk("reading the log"))?;
        let path = path.to_owned();
        let mut log = Self { path, file, durable_bytes, durable_records, broken: true };
        log.repair()?;
        sync_folder(&log.path).map_err(disk("syncing the log's folder"))?;
        Ok(log)
    }

    /// Writes the lines and syncs; the index of the first.
    fn commit<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> Result<u64, RecordFault> {
        self.check_place().map_err(disk("finding the log in its place"))?;
        if self.broken {
            self.repair()?;
        }
        let first = self.durable_records;
        let outcome = self.write(lines);
        self.broken = outcome.is_err();
        outcome.map(|()| first)
    }

    /// That this file is still the one that people look into: what is written to one that was moved or removed is lost.
    fn check_place(&self) -> io::Result<()> {
        let (there, ours) = (fs::metadata(&self.path)?, self.file.metadata()?);
        let same = (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        if same { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn write<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> Result<(), RecordFault> {
        let (mut bytes, mut records) = (Vec::new(), 0);
        for line in lines {
            bytes.extend_from_slice(line);
            records += 1;
        }
        self.file.write_all(&bytes).map_err(disk("writing the log"))?;
        self.file.sync_data().map_err(disk("syncing the log"))?;
        self.durable_bytes += bytes.len() as u64;
        self.durable_records += records;
        Ok(())
    }

    /// Takes away whatever is behind the last durable line.
    fn repair(&mut self) -> Result<(), RecordFault> {
        let cut = self.file.set_len(self.durable_bytes).and_then(|()| self.file.sync_data());
        let seek = cut.and_then(|()| self.file.seek(SeekFrom::Start(self.durable_bytes)));
        seek.map_err(disk("repairing the log"))?;
        self.broken = false;
        Ok(())
    }
}

/// The bytes and the number of the whole lines. What is no regular file has no end to find, and is refused.
fn count(mut file: &File) -> io::Result<(u64, u64)> {
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (mut read, mut whole, mut lines) = (0, 0, 0);
    let mut chunk = vec![0; READ_BYTES];
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            return Ok((whole, lines));
        }
        for byte in chunk.iter().take(length) {
            read += 1;
            if *byte == b'\n' {
                (whole, lines) = (read, lines + 1);
            }
        }
    }
}

/// A new file is only there for good when its folder says so.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::{EvidenceStamp, NodeStamp, Outcome, RECORD_VERSION, Subject};

    fn record(time: u64) -> Record {
        Record {
            version: RECORD_VERSION,
            time,
            subject: Subject::AppKeys,
            node: NodeStamp { name: "a".to_owned(), software: "0", rules: 1, policy: String::new() },
            binding: None,
            evidence: EvidenceStamp::default(),
            out_of_date_since: None,
            identity: None,
            outcome: Outcome::Deny { code: "x", found: "a\nb".to_owned(), expected: String::new() },
        }
    }

    #[tokio::test]
    async fn append__should_number_records_and_put_each_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let recorder = FileRecorder::open(&path).unwrap();
        for index in 0..3 {
            let reference = recorder.append(&record(index)).await.unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let line = text.lines().last().unwrap();
            assert_eq!((reference.index, reference.digest), (index, sha256(&[line.as_bytes()])));
        }
        drop(recorder);
        let again = FileRecorder::open(&path).unwrap();
        assert_eq!(again.append(&record(9)).await.unwrap().index, 3);
    }

    #[tokio::test]
    async fn open__should_remove_a_line_that_was_cut_short_and_never_reuse_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, b"{\"a\":1}\n{\"b\":2}\n{\"c\":").unwrap();
        let recorder = FileRecorder::open(&path).unwrap();
        assert_eq!(recorder.append(&record(1)).await.unwrap().index, 2);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\"a\":1}\n{\"b\":2}\n{\"version\":1,"), "{text}");
    }

    #[tokio::test]
    async fn append__should_refuse_while_another_file_is_in_the_logs_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, away) = (folder.path().join("log"), folder.path().join("away"));
        let recorder = FileRecorder::open(&path).unwrap();
        recorder.append(&record(0)).await.unwrap();
        fs::rename(&path, &away).unwrap();
        let lost = RecordFault::Disk { what: "finding the log in its place", kind: io::ErrorKind::NotFound };
        assert_eq!(recorder.append(&record(1)).await, Err(lost.clone()));
        fs::write(&path, "another").unwrap();
        assert_eq!(recorder.append(&record(2)).await, Err(lost));
        fs::rename(&away, &path).unwrap();
        assert_eq!(recorder.append(&record(3)).await.unwrap().index, 1);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn open__should_refuse_what_is_no_regular_file() {
        let refused = FileRecorder::open(Path::new("/dev/full")).err();
        let expected = RecordFault::Disk { what: "reading the log", kind: io::ErrorKind::InvalidInput };
        assert_eq!(refused, Some(expected));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn append__should_give_concurrent_records_an_index_each() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = std::sync::Arc::new(FileRecorder::open(&folder.path().join("log")).unwrap());
        let appends = (0..200).map(|time| {
            let recorder = std::sync::Arc::clone(&recorder);
            tokio::spawn(async move { recorder.append(&record(time)).await.unwrap().index })
        });
        let mut indices = Vec::new();
        for append in appends.collect::<Vec<_>>() {
            indices.push(append.await.unwrap());
        }
        indices.sort_unstable();
        assert_eq!(indices, (0..200).collect::<Vec<_>>());
    }
}
