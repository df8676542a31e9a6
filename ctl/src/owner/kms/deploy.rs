//! `kmsctl kms deploy`: the apps' code, the KMS contract's code, and the proxy that is the KMS contract.
//!
//! The proxy's constructor initialises it, so that nobody else can. What a run that broke off has deployed is told, and
//! can be given to the next.

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::{SolCall, SolConstructor};
use kms_chain::bindings::{DstackApp, DstackKms, ERC1967Proxy};

use super::args::DeployArgs;
use crate::error::CtlError;
use crate::owner::error::{Fault, OwnerError};
use crate::owner::provider::{self, At, Provider};
use crate::owner::report::{Deployed, TransactionReport, WriteReport, WriteResult};
use crate::owner::signer::Signer;
use crate::owner::transact::{self, Outgoing, Receipt};
use crate::owner::write;

/// Deploys all three.
pub(super) fn deploy(provider: &Provider, args: &DeployArgs) -> Result<WriteReport, CtlError> {
    let signer = write::open_signer(&args.signer, args.sending.password_file.as_ref())?;
    let chain_id = provider.expect_chain(&mut provider.ask(&[provider::chain_id()])?)?;
    for given in [args.app_implementation, args.kms_implementation].into_iter().flatten() {
        expect_code(provider, given)?;
    }
    let mut deployment =
        Deployment { provider, signer: &signer, args, transactions: Vec::new(), done: Deployed::default() };
    let kms = deployment.run().map_err(|error| deployment.resumable(error))?;
    let Deployment { transactions, done, .. } = deployment;
    Ok(WriteReport {
        command: "kms deploy",
        result: WriteResult::Done,
        change: format!("deploy a KMS contract of {}", args.owner),
        chain_id,
        contract: kms,
        sender: Some(signer.address()),
        transactions,
        calls: Vec::new(),
        safe_batch: None,
        operation: None,
        deployed: Some(Deployed { kms: Some(kms), owner: args.owner, ..done }),
        notes: vec!["nothing is allowed yet: kms add-os-image, kms add-mr, kms add-device".to_owned()],
    })
}

fn expect_code(provider: &Provider, contract: Address) -> Result<(), OwnerError> {
    let code = provider.ask(&[provider::code(contract, At::Latest)])?.value::<Bytes>("eth_getCode")?;
    if code.is_empty() {
        return Err(OwnerError::new(
            Fault::NotAContract,
            format_args!("no code at {contract}"),
            "a contract",
        ));
    }
    Ok(())
}

/// A deployment, as far as it has come.
struct Deployment<'a> {
    provider: &'a Provider,
    signer: &'a Signer,
    args: &'a DeployArgs,
    transactions: Vec<TransactionReport>,
    done: Deployed,
}

impl Deployment<'_> {
    fn run(&mut self) -> Result<Address, OwnerError> {
        let app = match self.args.app_implementation {
            Some(given) => given,
            None => self.create(DstackApp::BYTECODE.clone())?.1,
        };
        self.done.app_implementation = Some(app);
        let code = match self.args.kms_implementation {
            Some(given) => given,
            None => self.create(DstackKms::BYTECODE.clone())?.1,
        };
        self.done.kms_implementation = Some(code);
        let initialize = DstackKms::initializeCall { initialOwner: self.args.owner, appImplementation_: app };
        let arguments =
            ERC1967Proxy::constructorCall { implementation: code, _data: initialize.abi_encode().into() };
        let init_code = [&ERC1967Proxy::BYTECODE[..], &arguments.abi_encode()].concat();
        let (receipt, kms) = self.create(init_code.into())?;
        self.inspect(kms, app, &receipt)?;
        Ok(kms)
    }

    fn create(&mut self, init_code: Bytes) -> Result<(Receipt, Address), OwnerError> {
        let outgoing = Outgoing { to: None, data: init_code };
        let receipt = transact::send(self.provider, self.signer, &outgoing, &self.args.sending)?;
        self.transactions.push((&receipt).into());
        let Some(contract) = receipt.contract_address else {
            let found = format!("transaction {} without a contract", receipt.transaction_hash);
            return Err(OwnerError::new(Fault::EffectMissing, found, "a contract"));
        };
        Ok((receipt, contract))
    }

    /// That the proxy is set up as asked, at its block.
    fn inspect(&self, kms: Address, app: Address, receipt: &Receipt) -> Result<(), OwnerError> {
        let at = At::Block(receipt.block_number.to());
        let mut answers = self.provider.ask(&[
            provider::view(kms, &DstackKms::ownerCall {}, at),
            provider::view(kms, &DstackKms::appImplementationCall {}, at),
        ])?;
        let found =
            (answers.view::<DstackKms::ownerCall>()?, answers.view::<DstackKms::appImplementationCall>()?);
        if found == (self.args.owner, app) {
            return Ok(());
        }
        let found = format!("owner {}, apps' code {}", found.0, found.1);
        let expected = format!("owner {}, apps' code {app}", self.args.owner);
        Err(OwnerError::new(Fault::EffectMissing, found, expected))
    }

    /// The error, with what is deployed already.
    fn resumable(&self, error: OwnerError) -> OwnerError {
        let option = |name: &str, at: Option<Address>| at.map(|at| format!("{name} {at}"));
        let given: Vec<String> = [
            option("--app-implementation", self.done.app_implementation),
            option("--kms-implementation", self.done.kms_implementation),
        ]
        .into_iter()
        .flatten()
        .collect();
        if given.is_empty() {
            return error;
        }
        let fix = format!("{} Then go on with {}", error.fix(), given.join(" "));
        error.fixed_by(fix)
    }
}
