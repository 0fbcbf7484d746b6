//! A network of four processes: they generate a key, agree, are killed, and lose nothing.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use stoa_client::{Client, Status};

const CHAIN_ID: u64 = 4242;

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

fn stoa() -> Result<Command> {
    let program = env::var_os("STOA_BIN").wrap_err("STOA_BIN is not set: run `cargo xtask test --only clients`")?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

fn free_ports(count: usize) -> Result<Vec<u16>> {
    let bound = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
    bound.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

struct Network {
    folders: Vec<PathBuf>,
    processes: Vec<Option<Child>>,
    clients: Vec<Client>,
}

impl Network {
    /// Makes keys and files as the handbook says, and starts all.
    fn start(folder: &Path, funded: Address) -> Result<Self> {
        let (dir, passphrase) = (folder.join("network"), folder.join("passphrase"));
        fs::write(&passphrase, "correct horse battery staple")?;
        let hosts = free_ports(4)?.into_iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>();
        let made = stoa()?
            .args(["init", "--chain-id", &CHAIN_ID.to_string(), "--block-time", "20", "--hosts", &hosts.join(",")])
            .args(["--fund", &format!("{funded}=1000"), "--passphrase-file"])
            .arg(&passphrase)
            .arg("--dir")
            .arg(&dir)
            .status()?;
        ensure!(made.success(), "`stoa init` failed");
        let folders = (0..4).map(|index| dir.join(format!("validator-{index}"))).collect::<Vec<_>>();
        let mut clients = Vec::new();
        for (folder, port) in folders.iter().zip(free_ports(4)?) {
            let path = folder.join("stoa.toml");
            let text = fs::read_to_string(&path)?;
            let text = text.replace("# passphrase_file = \"passphrase\"", &format!("passphrase_file = {passphrase:?}"));
            let lines = text.lines().map(|line| match line.starts_with("http =") {
                true => format!("http = \"127.0.0.1:{port}\"\n"),
                false => format!("{line}\n"),
            });
            fs::write(&path, lines.collect::<String>())?;
            clients.push(Client::new(format!("http://127.0.0.1:{port}")));
        }
        let mut network = Self { processes: folders.iter().map(|_| None).collect(), folders, clients };
        (0..4).try_for_each(|index| network.launch(index))?;
        Ok(network)
    }

    fn launch(&mut self, index: usize) -> Result<()> {
        let config = self.folders[index].join("stoa.toml");
        let errors = fs::File::create(self.folders[index].join("stderr"))?;
        let process = stoa()?.args(["node", "run", "--config"]).arg(config).stderr(errors).spawn()?;
        self.processes[index] = Some(process);
        Ok(())
    }

    /// `kill -9`.
    fn kill(&mut self, index: usize) -> Result<()> {
        let mut process = self.processes[index].take().wrap_err("it does not run")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Waits until a node is at a height.
    async fn reaches(&self, index: usize, height: u64) -> Result<()> {
        let until = Instant::now() + LONG;
        loop {
            match self.clients[index].block_number().await {
                Ok(number) if number >= height => return Ok(()),
                _ if Instant::now() > until => {
                    let said = fs::read_to_string(self.folders[index].join("stderr")).unwrap_or_default();
                    bail!("node {index} does not reach block {height}; it said: {said}");
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for mut process in self.processes.iter_mut().filter_map(Option::take) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn transfer(from: &PrivateKeySigner, nonce: u64) -> Result<(B256, Bytes)> {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0xaa)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = from.sign_hash_sync(&transaction.signature_hash())?;
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    Ok((*envelope.tx_hash(), envelope.encoded_2718().into()))
}

async fn place(client: &Client, hash: B256) -> Result<Option<B256>> {
    let receipt: Option<Value> = client.call("eth_getTransactionReceipt", (hash,)).await?;
    receipt.map(|receipt| Ok(serde_json::from_value(receipt["blockHash"].clone())?)).transpose()
}

#[tokio::test]
async fn four_processes_of_which_one_is_killed_again_and_again_lose_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let mut network = Network::start(folder.path(), signer.address())?;
    for index in 0..4 {
        network.reaches(index, 1).await.wrap_err("the validators did not generate a key")?;
    }
    let status: Status = network.clients[1].call("stoa_status", ()).await?;
    ensure!(status.validators.len() == 4, "{status}");

    let mut random = StdRng::seed_from_u64(11);
    let mut seen = Vec::new();
    let mut nonce = 0;
    for round in 0..4 {
        let victim = random.random_range(0..4_usize);
        network.kill(victim)?;
        // Given to any of the others, none of whom has to be the one that proposes next.
        for _ in 0..5 {
            let node = (victim + random.random_range(1..4_usize)) % 4;
            let (hash, raw) = transfer(&signer, nonce)?;
            nonce += 1;
            let given: B256 = network.clients[node].call("eth_sendRawTransaction", (raw,)).await?;
            ensure!(given == hash);
            let until = Instant::now() + LONG;
            let block = loop {
                if let Some(block) = place(&network.clients[node], hash).await? {
                    break block;
                }
                ensure!(Instant::now() < until, "round {round}: a transfer is not final without node {victim}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            seen.push((hash, block));
        }
        network.launch(victim)?;
        let height = network.clients[(victim + 1) % 4].block_number().await?;
        network.reaches(victim, height).await?;
    }
    for client in &network.clients {
        for (hash, block) in &seen {
            ensure!(place(client, *hash).await? == Some(*block), "the receipt of {hash} is lost, or another one");
        }
    }

    // A light client believes none of them.
    let key = status.network_key;
    let proof = network.clients[2].prove(signer.address(), &[], None).await?;
    let until = Instant::now() + LONG;
    let certificate = loop {
        match network.clients[3].certificate(Some(proof.block_number.to())).await {
            Ok(certificate) => break certificate,
            Err(error) => ensure!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let header = certificate.verify(&key)?;
    let proven = proof.verify(header.hash_slow(), signer.address(), &[])?;
    ensure!(proven.nonce == nonce);
    let mut forged = certificate.clone();
    forged.headers[0] = proof.header.iter().rev().copied().collect::<Vec<_>>().into();
    ensure!(forged.verify(&key).is_err());
    let other = [&key[..key.len() - 1], &[key[key.len() - 1] ^ 1]].concat();
    ensure!(certificate.verify(&other).is_err());
    Ok(())
}
