//! What a node computes for others, on its owner's data, and checks that others computed.

use crate::{
    account::{self, Payer},
    common::Background,
    known::known,
    view::Own,
};
use alloy_signer_local::PrivateKeySigner;
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{Result, WrapErr as _};
use futures::FutureExt as _;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use stoa_data::jobs::{
    abi::JOBS,
    check::{Auditor, asking},
    role::{Answering, Computer, Runtimes, Sender},
    wire::JOB,
};
use stoa_data::registry::Registry;
use stoa_ledger::Ledger;
use stoa_net::{Answers, Endpoint, iroh::protocol::RouterBuilder};

/// How often it looks for jobs that are over, or to be checked.
const EVERY: Duration = Duration::from_secs(2);

/// One that answers, and does not bring receipts to the ledger yet.
pub(crate) struct Opened {
    computer: Arc<Computer>,
    auditor: Auditor,
    account: PrivateKeySigner,
}

/// What a node computes on, and what programs run in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of data.
    pub data: PathBuf,
    /// Whether programs run as processes as well, and which folders those see, such as environments of Python.
    pub processes: Option<Vec<PathBuf>>,
}

/// Adds computing to what a node answers, if it has a folder of data. Compiled programs are kept in the node's own folder.
pub(crate) fn add(
    config: Option<Config>,
    node: &Path,
    endpoint: &Endpoint,
    key: &PrivateKey,
    ledger: &Ledger,
    router: RouterBuilder,
) -> Result<(RouterBuilder, Option<Opened>)> {
    let Some(Config { data, processes }) = config else { return Ok((router, None)) };
    let chain = Arc::new(Own(ledger.clone()));
    let mut runtimes = Runtimes::new(Some(node.join("programs")))?;
    if let Some(folders) = processes {
        runtimes = runtimes.with_processes(&folders).wrap_err("this machine cannot run processes for others")?;
    }
    let registry = Registry::new(chain.clone());
    let computer = Computer::open(&data, runtimes, key.clone(), ledger.genesis().chain_id, chain);
    let computer = Arc::new(computer.wrap_err_with(|| format!("cannot compute on what is in {}", data.display()))?);
    let answers = Answers::new(Arc::new(Answering(computer.clone()))).leaving_room_for(known(ledger));
    let router = router.accept(JOB, answers);
    let auditor = Auditor::new(computer.clone(), asking(registry, endpoint));
    Ok((router, Some(Opened { computer, auditor, account: account::of(key)? })))
}

impl Opened {
    /// What runs programs, for the node's other roles.
    pub(crate) fn computer(&self) -> Arc<Computer> {
        self.computer.clone()
    }

    /// Begins to bring receipts to the ledger. `http` is the node's own JSON-RPC, to which it sends its transactions.
    pub(crate) fn start(self, http: SocketAddr) -> Background {
        let Self { computer, auditor, account } = self;
        let payer = Payer::new(account, http);
        let send: Sender = Box::new(move |call| payer.clone().call(JOBS, call).boxed());
        Background::spawn(async move {
            let settling = async {
                loop {
                    tokio::time::sleep(EVERY).await;
                    if let Err(error) = computer.settle(&send).await {
                        tracing::warn!(%error, "jobs that are over could not be looked at");
                    }
                }
            };
            // Beside the other: running a job again may take longer than a receipt may.
            let checking = async {
                loop {
                    tokio::time::sleep(EVERY).await;
                    if let Err(error) = auditor.look(&send).await {
                        tracing::warn!(%error, "jobs to be checked could not be looked at");
                    }
                }
            };
            futures::join!(settling, checking);
        })
    }
}
