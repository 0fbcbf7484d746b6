//! Several validators: how long until a receipt is final, how much they do, and what a certificate takes.

use commonware_codec::Encode as _;
use commonware_consensus::{
    simplex::types::{Finalization, Finalize, Proposal},
    types::{Epoch, Round, View},
};
use commonware_cryptography::sha256::Digest;
use commonware_parallel::Sequential;
use commonware_utils::NZU32;
use eyre::{ContextCompat as _, Result};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{num::NonZeroU32, time::Instant};
use stoa_benchmarks::{
    load::{WINDOW, latency, throughput},
    median,
    node::Program,
};
use stoa_consensus::Committee;

/// Transactions a second of a light load.
const LIGHT: f64 = 20.0;

/// Senders of the load for throughput.
const SENDERS: usize = 100;

/// How often each throughput is measured.
const ROUNDS: usize = 3;

async fn load() -> Result<()> {
    let one = Program::Stoa { validators: 1 };
    let (four, apart) = (Program::Stoa { validators: 4 }, Program::Validators(4));
    let several = [("4 validators, threads of one process", four), ("4 validators, each a process", apart)];
    println!("Signed transfers to final receipts, all validators and the generator on this machine.\n");
    println!("| figure | measured | to reach |\n|---|---|---|");
    for (name, program) in [("1 validator", one)].into_iter().chain(several) {
        let (p50, p99) = latency(program, 1, LIGHT).await?;
        println!("| p50, p99 at {LIGHT} transfers a second, {name} | {p50:.0} ms, {p99:.0} ms | 400 ms, 1000 ms |");
    }
    let mut figures = [one, four, apart].map(|program| (program, Vec::new()));
    for _ in 0..ROUNDS {
        for (program, figures) in &mut figures {
            figures.push(throughput(*program, SENDERS, WINDOW).await?);
        }
    }
    let [alone, together, apart] = figures.map(|(_, mut figures)| median(&mut figures));
    println!("| throughput, 1 validator, {SENDERS} senders | {alone:.0} tx/s | - |");
    for ((name, _), figure) in several.into_iter().zip([together, apart]) {
        let part = 4.0 * figure / alone;
        println!("| throughput, {name}, {SENDERS} senders | {figure:.0} tx/s, {part:.2} of a quarter | 0.6 |");
    }
    Ok(())
}

fn certificates() -> Result<()> {
    println!("\n| validators | certificate of a block | verified in (to be constant) | made of a quorum's votes in |");
    println!("|---|---|---|---|");
    for count in [4, 10, 30, 100] {
        let count = NonZeroU32::new(count).unwrap_or(NZU32!(1));
        let (committee, identities) = Committee::deal(&mut StdRng::seed_from_u64(1), count);
        let signers = identities.iter().map(|identity| committee.signer(b"benchmark", identity));
        let signers = signers.collect::<Option<Vec<_>>>().wrap_err("every identity is one of the committee's")?;
        let round = Round::new(Epoch::zero(), View::new(7));
        let proposal = Proposal::new(round, View::new(6), Digest([1; 32]));
        let votes = signers.iter().map(|signer| Finalize::sign(signer, proposal.clone()));
        let votes = votes.collect::<Option<Vec<_>>>().wrap_err("every validator can sign")?;
        let quorum = &votes[..(2 * votes.len()).div_ceil(3) + usize::from(votes.len() % 3 == 0)];
        let start = Instant::now();
        let certificate =
            Finalization::from_finalizes(&signers[0], commonware_utils::non_empty![@quorum.iter()], &Sequential)?;
        let made = start.elapsed();
        let mut times = (0..50).map(|_| {
            let start = Instant::now();
            assert!(certificate.verify(&mut rand::rng(), &signers[0], &Sequential), "the certificate is not good");
            start.elapsed().as_secs_f64() * 1e3
        });
        let verified = median(&mut times.by_ref().collect::<Vec<_>>());
        println!(
            "| {count} | {} bytes | {verified:.2} ms | {:.2} ms |",
            certificate.encode().len(),
            made.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(load())?;
    certificates()
}
