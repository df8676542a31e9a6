//! All that the store does with a disk, and nothing else: a layer thin enough to be replaced by one that fails.
//!
//! Paths are relative to the store's folder. What was written is durable after [`DiskFile::sync`] or [`Disk::sync_all`]; a
//! name that was made, changed or removed, after [`Disk::sync_folder`] or [`Disk::sync_all`]. After a sync that failed, nothing
//! that it covered may be believed to be on the disk, even though it can be read: it must be written again. Called by the
//! store alone; tests put a simulated disk here. Threat: a disk that fails, fills up or loses power at any moment.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Files by name.
pub(super) trait Disk: Send + Sync {
    /// The folder is still where it was opened. What was moved away, or has another folder in its place, would grow in two
    /// places.
    fn in_place(&self) -> io::Result<()> {
        Ok(())
    }

    /// Makes a folder, and those that it is in. One that is there stays as it is.
    fn make_folder(&self, path: &str) -> io::Result<()>;
    /// The names in a folder; none when there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// How long a file is, if there is one.
    fn length(&self, path: &str) -> io::Result<Option<u64>>;
    /// Reads from an offset: as much as is there, at most `len` bytes.
    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Makes an empty file, in place of any that was there.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in place of any file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; it is no fault when there is none.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes a folder without files; it is no fault when there is none.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
    /// Makes everything durable.
    fn sync_all(&self) -> io::Result<()>;
    /// How many bytes may still be written.
    fn free(&self) -> io::Result<u64>;
}

/// A file that is open.
pub(super) trait DiskFile: Send {
    /// Writes all of it.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes it longer or shorter.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of this machine.
pub(super) struct Folder {
    root: PathBuf,
    /// Open for as long as the store is: the system reports a lost write to whoever had a file open when it was lost.
    handle: File,
}

impl Folder {
    /// Opens a folder, or makes it. Evidence says which app runs on which device: a new folder is its owner's alone.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self { root: root.to_owned(), handle: File::open(root)? })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// What is not there is no fault.
fn if_there<T: Default>(outcome: io::Result<T>) -> io::Result<T> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

impl Disk for Folder {
    fn in_place(&self) -> io::Result<()> {
        let (there, here) = (fs::metadata(&self.root)?, self.handle.metadata()?);
        if (there.dev(), there.ino()) == (here.dev(), here.ino()) {
            return Ok(());
        }
        Err(io::Error::other("another folder is in its place"))
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.path(path))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        if_there(fs::read_dir(self.path(folder)).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        }))
    }

    fn length(&self, path: &str) -> io::Result<Option<u64>> {
        if_there(fs::metadata(self.path(path)).map(|file| Some(file.len())))
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(path))?;
        let there = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(there)];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o644).open(self.path(path))?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(self.path(path))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        if_there(fs::remove_file(self.path(path)))
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        if_there(fs::remove_dir(self.path(path)))
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.handle)?)
    }

    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(&self.handle)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
