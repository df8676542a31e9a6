//! The key that signs: from a file or a keystore that only its owner may read, never from the command line.
//!
//! Threat: a key that leaks through a process list, a shell's history, a readable file, an error or a log. The text and
//! the password are zeroised after use; the key itself lives in the signer's type, which zeroises it when dropped, and
//! which nothing here prints.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::{Fault, OwnerError};
use crate::error::CtlError;

/// The largest key, keystore or password file, in bytes.
const MAX_SECRET_BYTES: usize = 4096;
/// Four times the cost that wallets choose: 1 GiB of memory with the usual block size of 8.
const MAX_SCRYPT_N: u64 = 1 << 20;
/// Block size and parallelism: wallets choose 8 and 1, or 1 and 8.
const MAX_SCRYPT_RP: u64 = 16;
/// Forty times the rounds that wallets choose: some ten seconds.
const MAX_PBKDF2_ROUNDS: u64 = 10_000_000;
/// Permissions of anyone but the file's owner.
const OTHERS: u32 = 0o077;

/// Where a key is.
#[derive(Clone, Copy)]
pub(crate) enum KeySource<'a> {
    PrivateKeyFile(&'a Path),
    Keystore { path: &'a Path, password_file: Option<&'a Path> },
}

/// A key that signs transactions. No `Debug`, no `Clone`.
pub(crate) struct Signer {
    key: PrivateKeySigner,
}

impl Signer {
    /// Reads the key; asks for a password on the terminal where there is no file with it.
    pub(crate) fn open(source: KeySource<'_>) -> Result<Self, CtlError> {
        let key = match source {
            KeySource::PrivateKeyFile(path) => private_key(path)?,
            KeySource::Keystore { path, password_file } => keystore(path, password_file)?,
        };
        Ok(Self { key })
    }

    /// The account that pays and acts.
    pub(crate) fn address(&self) -> Address {
        self.key.address()
    }

    /// The signed transaction as it goes over the wire, and its hash.
    pub(crate) fn sign(&self, transaction: TxEip1559) -> Result<(Bytes, B256), OwnerError> {
        let signature = self.key.sign_hash_sync(&transaction.signature_hash());
        let signature =
            signature.map_err(|_| OwnerError::new(Fault::KeyUnusable, "a key that cannot sign", "a key"))?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        Ok((signed.encoded_2718().into(), *signed.tx_hash()))
    }
}

fn private_key(path: &Path) -> Result<PrivateKeySigner, CtlError> {
    let text = secret_text(path)?;
    let unusable = || OwnerError::new(Fault::KeyUnusable, path.display(), "32 bytes in hexadecimal");
    let mut bytes = Zeroizing::new([0; 32]);
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    hex::decode_to_slice(digits, &mut *bytes).map_err(|_| unusable())?;
    Ok(PrivateKeySigner::from_slice(&*bytes).map_err(|_| unusable())?)
}

fn keystore(path: &Path, password_file: Option<&Path>) -> Result<PrivateKeySigner, CtlError> {
    // As private as a key in clear: a keystore's password can be guessed at leisure.
    let text = secret_text(path)?;
    let closed = || {
        OwnerError::new(Fault::KeystoreClosed, path.display(), "a keystore of version 3 with this password")
    };
    if !is_sane(&text) {
        return Err(closed().into());
    }
    let password = match password_file {
        Some(file) => secret_text(file)?,
        None => ask_password()?,
    };
    Ok(PrivateKeySigner::decrypt_keystore(path, password.as_bytes()).map_err(|_| closed())?)
}

/// Whether a keystore's parameters are in the range that the decryption takes for granted: its lengths are not checked
/// there, and its cost is whatever the file says.
fn is_sane(text: &str) -> bool {
    let Ok(keystore) = serde_json::from_str::<Value>(text) else { return false };
    let number = |pointer: &str| keystore.pointer(pointer).and_then(Value::as_u64);
    let at_most = |pointer: &str, most: u64| number(pointer).is_none_or(|found| found <= most);
    let iv = keystore.pointer("/crypto/cipherparams/iv").and_then(Value::as_str);
    number("/crypto/kdfparams/dklen") == Some(32)
        && iv.is_some_and(|iv| iv.len() == 32)
        && at_most("/crypto/kdfparams/n", MAX_SCRYPT_N)
        && at_most("/crypto/kdfparams/r", MAX_SCRYPT_RP)
        && at_most("/crypto/kdfparams/p", MAX_SCRYPT_RP)
        && at_most("/crypto/kdfparams/c", MAX_PBKDF2_ROUNDS)
}

fn ask_password() -> Result<Zeroizing<String>, OwnerError> {
    let password = rpassword::prompt_password("Password of the keystore: ").map(Zeroizing::new);
    password.map_err(|_| OwnerError::new(Fault::NoPassword, "no terminal", "a terminal or a password file"))
}

/// The text of a file, without the white space around it.
/// The text of a file that only its owner may read.
pub(crate) fn secret_text(path: &Path) -> Result<Zeroizing<String>, CtlError> {
    let mut file = open_private(path)?;
    // Of fixed size: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new([0; MAX_SECRET_BYTES]);
    let mut length = 0;
    while let Some(free) = bytes.get_mut(length..).filter(|free| !free.is_empty()) {
        match file.read(free).map_err(|source| CtlError::Unreadable { path: path.to_owned(), source })? {
            0 => break,
            read => length += read,
        }
    }
    let unusable = || OwnerError::new(Fault::KeyUnusable, path.display(), "a short text");
    let text = bytes.get(..length).filter(|text| text.len() < MAX_SECRET_BYTES);
    let text = text.and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(unusable)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// The file, if only its owner may read it. What is checked is the open file, not a path that may change.
fn open_private(path: &Path) -> Result<File, CtlError> {
    let unreadable = |source| CtlError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode();
    if mode & OTHERS == 0 {
        return Ok(file);
    }
    let found = format!("{} with permissions {:04o}", path.display(), mode & 0o7777);
    Err(OwnerError::new(Fault::KeyExposed, found, "permissions 0600 or 0400").into())
}
