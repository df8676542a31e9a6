//! Quotes from an emulation of the kernel's report entries, with the faults that a kernel and its users have.
//!
//! The emulation follows `drivers/virt/coco/guest/report.c`: a write increments the entry's generation and drops
//! its report, a read of `outblob` makes the report, and what closing `inblob` fails with is lost.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard};

use super::report::Entry;
use super::*;
use crate::platform::tests::quote_with;
use crate::quote::MAX_QUOTE_BYTES;

const ASKED: ReportData = ReportData([7; 64]);

/// The faults of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// `mkdir` fails with this error number.
    Create(i32),
    /// The write on closing `inblob` fails and nobody hears of it.
    LostWrite,
    /// Reading `outblob` fails with this error number.
    Quote(i32),
    /// Somebody else writes to the entry between our write and our look at the generation.
    WriteBeforeQuote,
    /// Somebody else writes to the entry while we wait for the quote.
    WriteDuringQuote,
    /// The quote has this many bytes.
    Size(usize),
    /// The quote takes a while.
    Slow,
}

#[derive(Clone)]
struct Kernel(Arc<Mutex<State>>);

struct State {
    provider: &'static str,
    faults: Vec<Fault>,
    attempts: usize,
    entries: usize,
}

struct FakeEntry {
    kernel: Kernel,
    fault: Fault,
    report: Mutex<Report>,
}

#[derive(Default)]
struct Report {
    generation: u64,
    inblob: Vec<u8>,
}

impl Report {
    fn write(&mut self, inblob: &[u8]) {
        self.generation += 1;
        self.inblob = inblob.to_vec();
    }
}

impl Kernel {
    /// A kernel whose attempts have these faults; the last one stays.
    fn with(faults: &[Fault]) -> Self {
        let faults = faults.to_vec();
        Self(Arc::new(Mutex::new(State { provider: "tdx_guest\n", faults, attempts: 0, entries: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn quote(&self) -> Result<Vec<u8>, PlatformError> {
        let quote = persistently(self.clone(), ASKED).await;
        assert_eq!(self.state().entries, 0, "an entry was left behind");
        quote
    }

    async fn code(&self) -> &'static str {
        self.quote().await.unwrap_err().code()
    }
}

impl Reports for Kernel {
    type Entry = FakeEntry;

    fn root(&self) -> &Path {
        Path::new(DEFAULT_TSM_ROOT)
    }

    fn create(&self) -> io::Result<FakeEntry> {
        let mut state = self.state();
        let fault = *state.faults.get(state.attempts).unwrap_or(state.faults.last().unwrap());
        state.attempts += 1;
        if let Fault::Create(number) = fault {
            return Err(io::Error::from_raw_os_error(number));
        }
        state.entries += 1;
        Ok(FakeEntry { kernel: self.clone(), fault, report: Mutex::default() })
    }
}

impl FakeEntry {
    fn outblob(&self, report: &mut Report) -> io::Result<Vec<u8>> {
        let made = quote_with(&ReportData::try_from(report.inblob.as_slice()).unwrap());
        match self.fault {
            Fault::Quote(number) => Err(io::Error::from_raw_os_error(number)),
            Fault::Size(size) => Ok(vec![0; size]),
            Fault::Slow => {
                std::thread::sleep(Duration::from_millis(100));
                Ok(made)
            }
            Fault::WriteDuringQuote => {
                report.write(&[8; 64]);
                Ok(made)
            }
            _ => Ok(made),
        }
    }
}

impl Entry for FakeEntry {
    fn path(&self) -> &Path {
        Path::new(DEFAULT_TSM_ROOT)
    }

    fn read(&self, attribute: &str, limit: usize) -> io::Result<Vec<u8>> {
        let mut report = self.report.lock().unwrap();
        let bytes = match attribute {
            "provider" => self.kernel.state().provider.as_bytes().to_vec(),
            "generation" => format!("{}\n", report.generation).into_bytes(),
            "outblob" => self.outblob(&mut report)?,
            other => panic!("no attribute {other}"),
        };
        if bytes.len() > limit { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn write_inblob(&self, report_data: &ReportData) -> io::Result<()> {
        let mut report = self.report.lock().unwrap();
        if self.fault != Fault::LostWrite {
            report.write(&report_data.0);
        }
        if self.fault == Fault::WriteBeforeQuote {
            report.write(&[8; 64]);
        }
        Ok(())
    }
}

impl Drop for FakeEntry {
    fn drop(&mut self) {
        self.kernel.state().entries -= 1;
    }
}

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENXIO: i32 = 6;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EFBIG: i32 = 27;
const ETIMEDOUT: i32 = 110;

#[tokio::test]
async fn quote__should_carry_the_report_data() {
    let kernel = Kernel::with(&[Fault::None]);
    assert_eq!(kernel.quote().await.unwrap(), quote_with(&ASKED));
    assert_eq!(kernel.state().attempts, 1);
}

#[tokio::test]
async fn quote__should_try_again_after_what_passes() {
    for fault in [
        Fault::Create(EBUSY),
        Fault::LostWrite,
        Fault::Quote(EBUSY),
        Fault::Quote(EAGAIN),
        Fault::Quote(EINTR),
        Fault::WriteBeforeQuote,
        Fault::WriteDuringQuote,
    ] {
        let kernel = Kernel::with(&[fault, fault, Fault::None]);
        assert_eq!(kernel.quote().await.unwrap(), quote_with(&ASKED), "{fault:?}");
        assert_eq!(kernel.state().attempts, 3, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn quote__should_give_up_when_it_does_not_pass() {
    for (fault, code) in [
        (Fault::LostWrite, "tsm-busy"),
        (Fault::Quote(EBUSY), "tsm-busy"),
        (Fault::WriteBeforeQuote, "tsm-conflict"),
        (Fault::WriteDuringQuote, "tsm-conflict"),
    ] {
        let kernel = Kernel::with(&[fault]);
        let start = tokio::time::Instant::now();
        assert_eq!(kernel.code().await, code, "{fault:?}");
        assert_eq!(kernel.state().attempts, ATTEMPTS as usize);
        // Our own pauses, which the paused clock counts, stay about a second in all.
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn quote__should_not_try_again_what_lasts() {
    for (fault, code) in [
        (Fault::Create(ENXIO), "tsm-provider"),
        (Fault::Create(EACCES), "tsm-io"),
        (Fault::Quote(EIO), "tsm-io"),
        (Fault::Quote(ETIMEDOUT), "tsm-io"),
        (Fault::Quote(EFBIG), "tsm-quote-too-large"),
        (Fault::Size(MAX_QUOTE_BYTES + 1), "tsm-quote-too-large"),
        (Fault::Size(0), "quote-wrong-report-data"),
    ] {
        let kernel = Kernel::with(&[fault]);
        assert_eq!(kernel.code().await, code, "{fault:?}");
        assert_eq!(kernel.state().attempts, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn quote__should_remove_its_entry_when_the_caller_gives_up() {
    let kernel = Kernel::with(&[Fault::Slow]);
    let asked = persistently(kernel.clone(), ASKED);
    assert!(tokio::time::timeout(Duration::from_millis(10), asked).await.is_err());
    tokio::time::timeout(Duration::from_secs(5), async {
        while kernel.state().attempts == 0 || kernel.state().entries > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the entry goes when the kernel is done");
}

#[tokio::test]
async fn quote__should_refuse_another_provider() {
    let kernel = Kernel::with(&[Fault::None]);
    kernel.state().provider = "sev_guest\n";
    let error = kernel.quote().await.unwrap_err();
    assert_eq!(error.code(), "tsm-provider");
    assert!(error.found().contains("sev_guest") && error.expected().contains("tdx_guest"), "{error}");
}

#[tokio::test]
async fn quote__should_say_that_configfs_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("report");
    let error = Tsm::new(&absent).quote(ASKED).await.unwrap_err();
    assert_eq!(error.code(), "tsm-missing");
    assert_eq!(error.place(), absent);
}

#[tokio::test]
async fn quote__should_leave_nothing_in_a_directory_that_is_not_configfs() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tsm::new(folder.path()).quote(ASKED).await.unwrap_err();
    assert_eq!(error.code(), "tsm-missing");
    assert!(error.place().ends_with("provider"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
