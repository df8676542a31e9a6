//! A small disk of its own for a node's state: a real file system in a file, which can be full and can be read-only.
//!
//! Needs the right to mount. Where there is none, there is no disk, and the test says loudly that it was skipped.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The size of the disk: a node's collateral and a few hundred records.
const BYTES: u64 = 4 * 1024 * 1024;

/// A mounted disk.
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Makes and mounts a disk; none where that is not permitted.
    pub fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("image");
        File::create(&image).and_then(|file| file.set_len(BYTES)).expect("an image");
        let disk = Self { folder };
        fs::create_dir(disk.path()).expect("a mount point");
        // Small blocks, so that a full disk has no room for half a record; no journal, which would take most of it.
        let options = ["-q", "-F", "-m", "0", "-b", "1024", "-O", "^has_journal"];
        let made = run(Command::new("mkfs.ext4").args(options).arg(&image));
        let mounted =
            made.and_then(|()| run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.path())));
        match mounted {
            Ok(()) => Some(disk),
            Err(error) => {
                eprintln!("SKIPPED: no disk of its own can be mounted here ({error})");
                None
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Writes until there is no room: again and again, because a file system keeps some back until all is written out.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file");
        let mut room = true;
        while room {
            room = false;
            while file.write_all(&[7; 1024]).is_ok() {
                room = true;
            }
            file.sync_all().expect("what was taken is written");
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("the file that filled the disk");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Not there where it was never mounted; "lazy" because the node may still be ending.
        drop(Command::new("umount").arg("--lazy").arg(self.path()).output());
    }
}

/// A folder in which nothing can be written, not even to files that are open. It can again when this is dropped.
pub struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    /// From now on.
    pub fn begin(folder: &'a Path) -> Self {
        run(Command::new("chattr").args(["-R", "+i"]).arg(folder)).expect("chattr (e2fsprogs)");
        Self(folder)
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        drop(run(Command::new("chattr").args(["-R", "-i"]).arg(self.0)));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", words.trim())) }
}
