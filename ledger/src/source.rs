//! Where a log is read from: a folder, or a web server that serves one.
//!
//! One operation, bounded by what the path can hold. Nothing that it gives is checked here: see [`LogReader`].
//!
//! [`LogReader`]: crate::reader::LogReader

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::http::{Http, Trust, base, below, secure};
use crate::path::LogPath;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// How long one file may take from the web, with every try: a little more than three requests that take as long as they may.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Where a log is read from.
#[derive(Debug, Clone)]
pub struct Source(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Folder(PathBuf),
    Web { base: String, http: Box<Http>, patience: Duration },
}

impl Source {
    /// A copy of a log on this machine.
    #[must_use]
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self(Kind::Folder(folder.into()))
    }

    /// A log on the web: `http` or `https`, and the path that its files are below; `https` alone for
    /// a client with a certificate. Refused with `log-source-invalid`.
    pub fn web(url: &str, trust: Trust) -> Result<Self, LedgerRefusal> {
        let base = base(url)?;
        if trust.identity.is_some() {
            secure(&base)?;
        }
        Ok(Self(Kind::Web { base, http: Box::new(Http::new(trust)?), patience: PATIENCE }))
    }

    /// A URL if it begins like one, otherwise a folder. Refused with `log-source-invalid`.
    pub fn open(place: &str, trust: Trust) -> Result<Self, LedgerRefusal> {
        if place.contains("://") { Self::web(place, trust) } else { Ok(Self::folder(place)) }
    }

    /// The same, which waits so long for a file from the web instead of [`PATIENCE`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self(match self.0 {
            Kind::Web { base, http, .. } => Kind::Web { base, http, patience },
            folder @ Kind::Folder(_) => folder,
        })
    }

    /// The bytes of a file, unless there is none. Refused with `log-source-unavailable`, `log-file-too-large` or
    /// `log-source-invalid`.
    pub async fn get(&self, path: LogPath) -> Result<Option<Vec<u8>>, LedgerRefusal> {
        match &self.0 {
            Kind::Folder(folder) => read_file(&folder.join(path.to_string()), path.max_bytes()).await,
            Kind::Web { base, http, patience } => {
                timeout(*patience, fetch(base, http, path)).await.unwrap_or_else(|_| {
                    let found = format!("{base}/{path}: nothing in {} s", patience.as_secs());
                    Err(LedgerRefusal::new(LedgerCode::LogSource, found, "an answer"))
                })
            }
        }
    }
}

async fn fetch(base: &str, http: &Http, path: LogPath) -> Result<Option<Vec<u8>>, LedgerRefusal> {
    let url = below(base, &path.to_string())?;
    let answer = http.get(&url, path.max_bytes()).await?;
    match answer.status {
        StatusCode::OK => Ok(Some(answer.body)),
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        status => {
            Err(LedgerRefusal::new(LedgerCode::LogSource, format!("{url}: status {status}"), "200 or 404"))
        }
    }
}

async fn read_file(path: &Path, max: usize) -> Result<Option<Vec<u8>>, LedgerRefusal> {
    let unreadable = |error: io::Error| {
        LedgerRefusal::new(LedgerCode::LogSource, format!("{}: {error}", path.display()), "a readable file")
    };
    let file = match File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() <= max {
        return Ok(Some(bytes));
    }
    let expected = format!("at most {max} bytes");
    Err(LedgerRefusal::new(LedgerCode::LogFileTooLarge, format!("more in {}", path.display()), expected))
}
