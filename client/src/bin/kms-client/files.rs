//! Files: what is read, and where keys go.
//!
//! Keys go to a folder in memory, as files of mode 0600 that did not exist before. Threats: keys on a disk, keys that
//! others can read, a link that somebody put there.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kms_client::boot::{AppCertificate, AppKeys, LeafRequest};
use rustix::fs::statfs;

use crate::Failure;
use crate::args::Args;
use crate::leaf::pem;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// `f_type` of tmpfs and ramfs (statfs(2)).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// A file, bounded.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content));
    match read {
        Ok(bytes) if bytes as u64 <= MAX_FILE_BYTES => Ok(content),
        Ok(_) => Err(Failure::usage(format!("{} is larger than {MAX_FILE_BYTES} bytes", path.display()))),
        Err(error) => Err(Failure::usage(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Where the keys go: settled before they are asked for.
pub(crate) struct Destination {
    folder: Option<PathBuf>,
    disk_key: Option<File>,
}

impl Destination {
    pub(crate) fn prepare(args: &Args) -> Result<Self, Failure> {
        if let Some(folder) = &args.out {
            check_in_memory(folder, args.insecure_allow_disk)?;
        }
        let open = |fd: u32| {
            let file = OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}"));
            file.map_err(|error| Failure::usage(format!("cannot write to file descriptor {fd}: {error}")))
        };
        Ok(Self { folder: args.out.clone(), disk_key: args.disk_key_to_fd.map(open).transpose()? })
    }

    pub(crate) fn write(mut self, keys: &AppKeys) -> Result<(), Failure> {
        if let Some(file) = &mut self.disk_key {
            file.write_all(keys.disk_key.expose())
                .map_err(|error| Failure::usage(format!("the disk key: {error}")))?;
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        let chain = keys.ca_chain.concat();
        for (name, content) in [
            ("env.key", &keys.env_key.expose()[..]),
            ("signing.key", &keys.signing_key.expose()[..]),
            ("signing.endorsement", &keys.endorsement.to_bytes()[..]),
            ("ca.chain.der", &chain[..]),
        ] {
            create(folder, name, content)?;
        }
        if self.disk_key.is_none() {
            create(folder, "disk.key", keys.disk_key.expose())?;
        }
        Ok(())
    }
}

/// An app's certificate and its key, PEM: what servers read.
pub(crate) fn write_certificate(
    folder: &Path,
    request: &LeafRequest,
    certificate: &AppCertificate,
) -> Result<(), Failure> {
    let chain: String = certificate.chain.iter().map(|der| pem("CERTIFICATE", der).to_string()).collect();
    create(folder, "certificate.key.pem", pem("PRIVATE KEY", request.key()).as_bytes())?;
    create(folder, "certificate.chain.pem", chain.as_bytes())
}

fn check_in_memory(folder: &Path, allow_disk: bool) -> Result<(), Failure> {
    let unusable = |why: String| Failure::usage(format!("{}: {why}", folder.display()));
    fs::create_dir_all(folder).map_err(|error| unusable(error.to_string()))?;
    let kind = statfs(folder).map_err(|error| unusable(error.to_string()))?.f_type;
    if allow_disk || IN_MEMORY.contains(&kind) {
        return Ok(());
    }
    Err(unusable("is not in memory; give a folder on a tmpfs such as /run".to_owned()))
}

/// A file that was not there before.
fn create(folder: &Path, name: &str, content: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
}
