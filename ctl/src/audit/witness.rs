//! `kmsctl audit witness`: runs a witness of logs. The library decides what is cosigned; this holds the key and the port.

use std::io::{self, Write as _};
use std::sync::Arc;

use kms_ledger::note::LogSigner;
use kms_ledger::witness::{Witness, serve_witness};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use zeroize::Zeroizing;

use super::args::WitnessArgs;
use crate::error::CtlError;
use crate::outcome::{Exit, Outcome};
use crate::owner::secret_text;

/// The witness's key. No `Debug`, no `Clone`.
struct Key {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl Key {
    fn open(args: &WitnessArgs) -> Result<Self, CtlError> {
        let unusable = || CtlError::WitnessKey { path: args.key_file.clone() };
        let text = secret_text(&args.key_file)?;
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.as_bytes(), &mut *seed).map_err(|_| unusable())?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| unusable())?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| unusable())?;
        Ok(Self { pair, public })
    }
}

impl LogSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.public
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        // An Ed25519 signature has 64 bytes.
        signature.iter_mut().zip(self.pair.sign(message).as_ref()).for_each(|(to, from)| *to = *from);
        signature
    }
}

/// Serves until the process is ended.
pub(super) fn witness(args: &WitnessArgs) -> Result<Outcome, CtlError> {
    let witness = Witness::open(&args.state, args.logs.iter().cloned(), args.name.clone(), Key::open(args)?);
    let witness = Arc::new(witness.map_err(CtlError::Source)?);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(CtlError::Runtime)?.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(CtlError::Runtime)?;
        let address = listener.local_addr().map_err(CtlError::Runtime)?;
        // Whoever started it waits for this line.
        let _ = writeln!(io::stdout(), "witness {} on {address}", witness.key());
        serve_witness(listener, None, witness).await;
        Ok(Outcome { exit: Exit::Done, stdout: Vec::new(), stderr: String::new() })
    })
}
