//! A copy in a bucket of an object store that speaks S3.
//!
//! An object is there whole or not at all: that is the store's promise. The checkpoint is put with a condition, that it
//! follows the one that was seen: of two mirrors, the slower does not put an older checkpoint over a newer one. Credentials
//! are the environment's, and stay inside `object_store`. Threat: a store that fails, throttles, or loses an answer.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use hyper::Uri;
use kms_attestation::refusal::sanitise;
use kms_ledger::LogPath;
use kms_ledger::http::{Http, Trust};
use kms_ledger::tree::Tile;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, Error as StoreError, GetOptions, GetRange, ObjectStore as _,
    ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use tokio::time::sleep;

use super::code::{MirrorCode, TargetRefusal};
use super::connector::Connector;
use super::target::Standing;
use crate::audit::source::certificates;

/// How often a request is made again, where that is safe, and for how long at most.
const RETRIES: usize = 8;
const RETRY_TIME: Duration = Duration::from_mins(2);
/// How long to wait before a request is made again: longer each time, with some chance in it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often a checkpoint is put, if its answer is lost.
const CHECKPOINT_TRIES: u32 = 4;

/// Each of these says where credentials are, or that there need be none. Without any, `object_store` would ask a cloud's
/// metadata server; nobody told us to.
const CREDENTIALS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_METADATA_ENDPOINT",
    "AWS_SKIP_SIGNATURE",
];
/// More roots of servers, in PEM.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// A prefix in a bucket.
pub(super) struct Bucket {
    store: AmazonS3,
    prefix: Path,
}

impl Bucket {
    /// Of `bucket/prefix`. Asks nothing of the store yet.
    pub(super) fn open(address: &str, endpoint: Option<&str>) -> Result<Self, TargetRefusal> {
        let invalid = || {
            TargetRefusal::quoting(
                MirrorCode::TargetAddress,
                address,
                "s3://<bucket>/<prefix>, and a plain URL",
            )
        };
        let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(named) {
            return Err(invalid());
        }
        let prefix = Path::parse(prefix).map_err(|_| invalid())?;
        if !CREDENTIALS.iter().any(|name| env::var_os(name).is_some()) {
            let expected = format!("one of {}", CREDENTIALS.join(", "));
            return Err(TargetRefusal::new(MirrorCode::Credentials, "none in the environment", expected));
        }
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        if let Some(endpoint) = endpoint {
            if !is_endpoint(endpoint) {
                return Err(invalid());
            }
            // It goes before that of the environment.
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        let builder = builder
            .with_http_connector(Connector(http()?))
            .with_retry(retry())
            // Not every store has it, and hardly anything is removed.
            .with_disable_bulk_delete(true);
        let store = builder.build().map_err(|error| {
            let found = format!("AWS_* variables: {}", cause(&error));
            TargetRefusal::new(MirrorCode::TargetAddress, found, "variables that fit each other")
        })?;
        Ok(Self { store, prefix })
    }

    /// The bytes of an object, and which writing of it they are.
    pub(super) async fn get(&self, path: LogPath) -> Result<Option<(Vec<u8>, UpdateVersion)>, TargetRefusal> {
        let object = match self.store.get(&self.key(path)).await {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            object => object.map_err(|error| refused(&path.to_string(), &error))?,
        };
        let version =
            UpdateVersion { e_tag: object.meta.e_tag.clone(), version: object.meta.version.clone() };
        let bytes = object.bytes().await.map_err(|error| refused(&path.to_string(), &error))?;
        Ok(Some((bytes.into(), version)))
    }

    pub(super) async fn first_byte(&self, path: LogPath) -> Result<Option<u8>, TargetRefusal> {
        let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
        let refused = |error| refused(&path.to_string(), &error);
        match self.store.get_opts(&self.key(path), options).await {
            Err(StoreError::NotFound { .. }) => Ok(None),
            object => Ok(object.map_err(refused)?.bytes().await.map_err(refused)?.first().copied()),
        }
    }

    pub(super) async fn put(&self, path: LogPath, bytes: Vec<u8>) -> Result<(), TargetRefusal> {
        let put = self.put_as(path, bytes, PutMode::Overwrite).await;
        put.map_err(|error| refused(&path.to_string(), &error))
    }

    async fn put_as(&self, path: LogPath, bytes: Vec<u8>, mode: PutMode) -> Result<(), StoreError> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, path.content_type()),
            (Attribute::CacheControl, path.cache_control()),
        ]);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        self.store.put_opts(&self.key(path), bytes.into(), options).await.map(drop)
    }

    pub(super) async fn checkpoint(&self) -> Result<Option<Standing>, TargetRefusal> {
        let object = self.get(LogPath::Checkpoint).await?;
        Ok(object.map(|(bytes, version)| Standing {
            bytes,
            version: Some(version).filter(|version| version.e_tag.is_some()),
        }))
    }

    pub(super) async fn put_checkpoint(
        &self,
        bytes: Vec<u8>,
        standing: Option<&Standing>,
    ) -> Result<(), TargetRefusal> {
        let mut mode = match standing.map(|standing| &standing.version) {
            None => PutMode::Create,
            Some(Some(version)) => PutMode::Update(version.clone()),
            Some(None) => PutMode::Overwrite,
        };
        let (mut wait, mut left) = (FIRST_WAIT, CHECKPOINT_TRIES);
        loop {
            left -= 1;
            let error = match self.put_as(LogPath::Checkpoint, bytes.clone(), mode.clone()).await {
                Ok(()) => return Ok(()),
                // AWS_CONDITIONAL_PUT=disabled: for stores that know no conditions.
                Err(StoreError::NotImplemented { .. }) => {
                    mode = PutMode::Overwrite;
                    continue;
                }
                Err(error) => error,
            };
            // It may be there, and the answer lost.
            let there = self.checkpoint().await?.map(|standing| standing.bytes);
            if there.as_ref() == Some(&bytes) {
                return Ok(());
            }
            if there.as_deref() != standing.map(|standing| &*standing.bytes) {
                let expected = "the checkpoint that was there before";
                return Err(TargetRefusal::new(MirrorCode::Busy, "another checkpoint by now", expected));
            }
            if left == 0 || is_denied(&error) {
                return Err(refused("checkpoint", &error));
            }
            sleep(wait).await;
            wait *= 4;
        }
    }

    pub(super) async fn remove_partials(&self, full: Tile) -> Result<(), TargetRefusal> {
        let folder = format!("{full}.p");
        let refused = |error| refused(&folder, &error);
        let there = self.store.list(Some(&self.below(&folder)));
        let objects: Vec<_> = there.try_collect().await.map_err(refused)?;
        for object in objects {
            self.store.delete(&object.location).await.map_err(refused)?;
        }
        Ok(())
    }

    fn key(&self, path: LogPath) -> Path {
        self.below(&path.to_string())
    }

    fn below(&self, path: &str) -> Path {
        self.prefix.parts().chain(Path::from(path).parts()).collect()
    }
}

/// Whether it is an address with nothing after its host and path; what has a password in it stands on the command line.
fn is_endpoint(text: &str) -> bool {
    let url: Option<Uri> = text.parse().ok();
    url.is_some_and(|url| {
        let web = matches!(url.scheme_str(), Some("http" | "https"));
        web && url.authority().is_some_and(|host| !host.as_str().contains('@')) && url.query().is_none()
    })
}

fn http() -> Result<Http, TargetRefusal> {
    let unusable = |found: String| {
        TargetRefusal::new(
            MirrorCode::TargetAddress,
            format!("{CA_BUNDLE}: {found}"),
            "a file of certificates",
        )
    };
    let file = env::var_os(CA_BUNDLE).map(PathBuf::from);
    let roots = file.map_or_else(|| Ok(Vec::new()), |file| certificates(&file));
    let roots = roots.map_err(|error| unusable(error.to_string()))?;
    Http::new(Trust { roots, identity: None }).map_err(|refusal| unusable(refusal.found))
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: FIRST_WAIT, max_backoff: LONGEST_WAIT, base: 2.0 };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIME }
}

const fn is_denied(error: &StoreError) -> bool {
    matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. })
}

fn refused(path: &str, error: &StoreError) -> TargetRefusal {
    let code = if is_denied(error) { MirrorCode::Denied } else { MirrorCode::Unavailable };
    TargetRefusal::new(code, format!("{path}: {}", cause(error)), "an object store that reads and writes")
}

/// The innermost cause: the store's status and code, or what happened to the connection.
fn cause(error: &StoreError) -> String {
    let causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source());
    sanitise(&causes.last().map(ToString::to_string).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint__should_be_an_address_and_no_more() {
        for good in ["https://s3.example", "http://127.0.0.1:9000", "https://s3.example/base"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "s3.example",
            "ftp://s3.example",
            "https://user:secret@s3.example",
            "https://s3.example/?a=b",
            "",
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }
}
