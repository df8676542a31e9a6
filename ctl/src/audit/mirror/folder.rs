//! A copy in a folder: each file is made beside, synced, and renamed into its place.
//!
//! One process has the folder at a time; the lock (flock) is the folder's own, and ends with the process. Threat: a file that
//! is torn by a crash, and later believed to be there.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kms_ledger::tree::Tile;
use kms_ledger::{LogPath, Source};
use tokio::task::spawn_blocking;

use super::code::{MirrorCode, TargetRefusal};

/// Files that are being made; without meaning.
const STAGING: &str = ".mirror-staging";

/// A folder.
pub(super) struct Folder {
    root: PathBuf,
    /// Locked for as long as it is open.
    handle: File,
    /// How many files were made: each has a name of its own until it is whole.
    made: AtomicU64,
}

impl Folder {
    /// Opens a folder, or makes it.
    pub(super) fn open(root: impl Into<PathBuf>) -> Result<Self, TargetRefusal> {
        let root = root.into();
        let unavailable = |error| unavailable(&root, &error);
        fs::create_dir_all(&root).map_err(unavailable)?;
        let handle = File::open(&root).map_err(unavailable)?;
        match handle.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
            Err(TryLockError::WouldBlock) => {
                let expected = "a folder that no other process mirrors to";
                return Err(TargetRefusal::new(MirrorCode::Busy, root.display(), expected));
            }
        }
        if_there(fs::remove_dir_all(root.join(STAGING))).map_err(unavailable)?;
        fs::create_dir(root.join(STAGING)).map_err(unavailable)?;
        Ok(Self { root, handle, made: AtomicU64::new(0) })
    }

    pub(super) async fn get(&self, path: LogPath) -> Result<Option<Vec<u8>>, TargetRefusal> {
        Source::folder(&self.root)
            .get(path)
            .await
            .map_err(|refusal| TargetRefusal::new(MirrorCode::Unavailable, refusal.found, refusal.expected))
    }

    pub(super) async fn first_byte(&self, path: LogPath) -> Result<Option<u8>, TargetRefusal> {
        let file = self.root.join(path.to_string());
        self.blocking(path, move || if_there(File::open(file).map(Some)).and_then(first_byte)).await
    }

    pub(super) async fn put(&self, path: LogPath, bytes: Vec<u8>) -> Result<(), TargetRefusal> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let staging = self.root.join(STAGING).join(made.to_string());
        let file = self.root.join(path.to_string());
        self.blocking(path, move || put(&staging, &file, &bytes)).await
    }

    pub(super) async fn put_checkpoint(&self, bytes: Vec<u8>) -> Result<(), TargetRefusal> {
        // The names of the files before it; and then its own.
        self.sync().await?;
        self.put(LogPath::Checkpoint, bytes).await?;
        self.sync().await
    }

    pub(super) async fn remove_partials(&self, full: Tile) -> Result<(), TargetRefusal> {
        let folder = self.root.join(format!("{full}.p"));
        self.blocking(LogPath::Tile(full), || if_there(fs::remove_dir_all(folder))).await
    }

    async fn sync(&self) -> Result<(), TargetRefusal> {
        let handle = self.handle.try_clone().map_err(|error| unavailable(&self.root, &error))?;
        self.blocking(LogPath::Checkpoint, move || Ok(rustix::fs::syncfs(handle)?)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        path: LogPath,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, TargetRefusal> {
        let done = spawn_blocking(work).await.map_err(io::Error::other).flatten();
        done.map_err(|error| unavailable(&self.root.join(path.to_string()), &error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is removed by the next one.
        let _ = fs::remove_dir_all(self.root.join(STAGING));
    }
}

fn put(staging: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = File::create(staging)?;
    new.write_all(bytes)?;
    new.sync_data()?;
    match (fs::rename(staging, file), file.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            fs::rename(staging, file)
        }
        (renamed, _) => renamed,
    }
}

fn first_byte(file: Option<File>) -> io::Result<Option<u8>> {
    let mut first = Vec::new();
    if let Some(file) = file {
        file.take(1).read_to_end(&mut first)?;
    }
    Ok(first.first().copied())
}

fn if_there<T: Default>(outcome: io::Result<T>) -> io::Result<T> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

fn unavailable(path: &Path, error: &io::Error) -> TargetRefusal {
    let found = format!("{}: {error}", path.display());
    TargetRefusal::new(MirrorCode::Unavailable, found, "a folder that can be read and written")
}
