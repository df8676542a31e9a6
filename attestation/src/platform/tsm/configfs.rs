//! Report entries as directories: the file operations behind [`super::report`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use super::report::{Entry, Reports};
use crate::ids::ReportData;

/// The kernel's directory of reports.
#[derive(Debug, Clone)]
pub(super) struct ConfigFs {
    pub(super) root: PathBuf,
}

/// One directory in it. The kernel fills it on `mkdir` and removes everything on `rmdir`.
pub(super) struct Directory {
    path: PathBuf,
}

impl Reports for ConfigFs {
    type Entry = Directory;

    fn root(&self) -> &Path {
        &self.root
    }

    fn create(&self) -> io::Result<Directory> {
        let path = self.root.join(unique_name()?);
        fs::create_dir(&path)?;
        Ok(Directory { path })
    }
}

impl Entry for Directory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, attribute: &str, limit: usize) -> io::Result<Vec<u8>> {
        // Attributes have no length before they are read: the bound is on what comes.
        let file = File::open(self.path.join(attribute))?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn write_inblob(&self, report_data: &ReportData) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path.join("inblob"))?;
        file.write_all(&report_data.0)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A failure leaves an entry in the kernel's memory, nothing else, and there is nobody to tell.
        let _ = fs::remove_dir(&self.path);
    }
}

/// A name that no other process uses or guesses.
fn unique_name() -> io::Result<String> {
    let mut random = [0_u8; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
    Ok(format!("kms-{}", hex::encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().unwrap();
        let entry = ConfigFs { root: root.path().to_owned() }.create().unwrap();
        (root, entry)
    }

    #[test]
    fn create__should_make_an_entry_of_its_own_that_goes_with_it() {
        let (root, first) = entry();
        let second = ConfigFs { root: root.path().to_owned() }.create().unwrap();
        assert_ne!(first.path, second.path);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
        drop((first, second));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn read__should_bound_what_it_reads() {
        let (_root, entry) = entry();
        fs::write(entry.path.join("outblob"), [7; 100]).unwrap();
        assert_eq!(entry.read("outblob", 100).unwrap(), [7; 100]);
        assert_eq!(entry.read("outblob", 99).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(entry.read("provider", 99).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn write_inblob__should_write_the_report_data_and_make_no_file() {
        let (_root, entry) = entry();
        assert_eq!(entry.write_inblob(&ReportData([7; 64])).unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(entry.path.join("inblob"), "").unwrap();
        entry.write_inblob(&ReportData([7; 64])).unwrap();
        assert_eq!(fs::read(entry.path.join("inblob")).unwrap(), [7; 64]);
    }
}
