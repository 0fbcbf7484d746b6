//! Cases of what the contract has really said; the proofs around it are audits' as well.

use super::*;
use crate::{
    abi::IConsent::{Terms, eraseCall, grantCall, moveKeepersCall, registerCall, revokeAllCall, revokeCall},
    contract::{asset_id, tests::terms},
    reading::Reading,
};
use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use commonware_cryptography::{Signer as _, ed25519};
use stoa_contract::{
    Natives,
    bench::{Bench, START},
};
use stoa_privacy::{AssetId, Dealt, Grant, GrantId, Release, Seen, deal};

const OWNER: Address = Address::repeat_byte(0xa1);
const READER: Address = Address::repeat_byte(0xb0);
const CHAIN: u64 = 31337;

fn key(seed: u8) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&[seed; 32])).unwrap()
}

fn word(key: &ed25519::PrivateKey) -> B256 {
    NodeId::from(&key.public_key()).into()
}

/// The hash of a block of this chain.
fn hash(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

/// The time of a block of this chain: one comes each second.
const fn time(number: u64) -> u64 {
    START + number - 1
}

/// A chain with one transaction a block, an asset of which keeper 1 has the key, and a reader.
struct Told {
    bench: Bench,
    events: Vec<(At, Log)>,
    dealt: Dealt,
    asset: B256,
    reading: Reading,
}

fn dealt(asset: B256, keeper: u8) -> Dealt {
    deal(AssetId(asset), 1, vec![key(keeper).public_key()], &mut rand::rng()).unwrap()
}

impl Told {
    fn new() -> Self {
        let (bench, salt) = (Bench::new(crate::natives(Natives::stoa())), B256::repeat_byte(1));
        let asset = asset_id(CHAIN, OWNER, salt);
        let (dealt, reading) = (dealt(asset, 1), Reading::of(&PrivateKeySigner::random(), CHAIN).unwrap());
        let mut told = Self { bench, events: Vec::new(), dealt, asset, reading };
        let (sharing, keepers) = (told.dealt.sharing.digest(), vec![word(&key(1))]);
        told.send(registerCall { salt, object: B256::ZERO, sharing, needed: 1, keepers, ownerHalf: true });
        told
    }

    /// The block that is being made.
    fn block(&self) -> u64 {
        self.bench.evm.ctx().block.number.to()
    }

    fn send<C: SolCall>(&mut self, call: C) -> C::Return {
        let block = self.block();
        let sent = self.bench.send(OWNER, CONSENT, &call).unwrap();
        let logs = sent.logs.into_iter().enumerate().map(|(position, log)| ((block, 0, position), log));
        self.events.extend(logs);
        self.bench.pass(1);
        sent.value
    }

    fn grant(&mut self) -> B256 {
        self.send(grantCall { asset: self.asset, terms: terms(READER) })
    }

    /// What a keeper signs that gives its share of this sharing.
    fn release(&self, dealt: &Dealt, keeper: u8, grant: B256, seen: Seen) -> Evidence {
        let grant = Grant { asset: AssetId(self.asset), id: GrantId(grant), reader: self.reading.key.reader() };
        let share = &dealt.shares[0];
        let release =
            Release::new(&key(keeper), &dealt.sharing, share, &grant, &self.reading.key, seen, &mut rand::rng());
        release.unwrap().evidence()
    }

    /// One that keeper 1 gives, at a block that there is.
    fn given(&self, grant: B256, at: u64) -> Evidence {
        self.release(&self.dealt, 1, grant, Seen { number: at, hash: hash(at) })
    }

    /// What is to be said of a release; blocks to this one are proven.
    fn judged(&self, release: &Evidence, to: u64) -> Verdict {
        let blocks = (1..=to).map(|number| (number, Block { hash: hash(number), time: time(number) })).collect();
        let case = Case::new(CHAIN, self.asset, std::slice::from_ref(release));
        let mut judged = case.judge_by(&self.events, &blocks).unwrap();
        assert_eq!((judged.len(), &judged[0].release), (1, release));
        judged.remove(0).verdict
    }

    fn after(&self, seen: u64, revoked: u64) -> Verdict {
        let keeper = NodeId::from(&key(1).public_key());
        Verdict::Breach(Breach::AfterRevocation { keeper, seen, revoked })
    }
}

fn open(verdict: Verdict) -> String {
    let Verdict::Open(why) = verdict else { panic!("{verdict:?}") };
    why
}

#[test]
fn a_keeper_that_released_after_the_end_of_a_grant_is_shown_however_that_came() {
    let mut told = Told::new();
    let one = told.grant();
    assert_eq!(told.judged(&told.given(one, 2), 100), Verdict::Stood);
    let revoked = told.block();
    told.send(revokeCall { grant: one });
    assert_eq!(told.judged(&told.given(one, revoked - 1), 100), Verdict::Stood);
    // The block of the revocation counts, and so does one that the ledger has not come to.
    for seen in [revoked, revoked + 7, 10_000] {
        assert_eq!(told.judged(&told.given(one, seen), 100), told.after(seen, revoked));
    }
    // The end of all grants ends those that there were, and none that is made later.
    let two = told.grant();
    let all = told.block();
    told.send(revokeAllCall { asset: told.asset });
    let three = told.grant();
    assert_eq!(told.judged(&told.given(two, all), 100), told.after(all, all));
    assert_eq!(told.judged(&told.given(one, all), 100), told.after(all, revoked), "the first end counts");
    assert_eq!(told.judged(&told.given(three, all + 1), 100), Verdict::Stood);
    let erased = told.block();
    told.send(eraseCall { asset: told.asset });
    assert_eq!(told.judged(&told.given(three, erased), 100), told.after(erased, erased));
    assert_eq!(told.judged(&told.given(two, erased), 100), told.after(erased, all));
}

#[test]
fn a_keeper_that_released_after_the_time_of_a_grant_is_shown() {
    let mut told = Told::new();
    let until = time(told.block() + 5);
    let grant = told.send(grantCall { asset: told.asset, terms: Terms { until, ..terms(READER) } });
    let end = told.block() + 4;
    assert_eq!((time(end), told.judged(&told.given(grant, end - 1), 100)), (until, Verdict::Stood));
    let keeper = NodeId::from(&key(1).public_key());
    let after = |seen| Verdict::Breach(Breach::AfterEnd { keeper, seen, until });
    for seen in [end, end + 7] {
        assert_eq!(told.judged(&told.given(grant, seen), 100), after(seen));
    }
    // Its own block says when that was; while nobody proves it, nothing is said.
    assert!(open(told.judged(&told.given(grant, end), 1)).contains("does not prove block"));
    // Where it was revoked before, that counts.
    let revoked = told.block();
    told.send(revokeCall { grant });
    assert_eq!(told.judged(&told.given(grant, end), 100), told.after(end, revoked));
}

#[test]
fn a_keeper_that_names_a_block_that_there_is_not_is_shown() {
    let mut told = Told::new();
    let grant = told.grant();
    let invented = told.release(&told.dealt, 1, grant, Seen { number: 2, hash: B256::repeat_byte(9) });
    let keeper = NodeId::from(&key(1).public_key());
    assert_eq!(told.judged(&invented, 100), Verdict::Breach(Breach::NoSuchBlock { keeper, seen: 2 }));
    // As long as nobody proves which block that is, nothing is said.
    assert!(open(told.judged(&invented, 1)).contains("does not prove block 2"));
}

#[test]
fn who_was_never_a_keeper_or_has_not_signed_is_not_accused() {
    let mut told = Told::new();
    let grant = told.grant();
    told.send(revokeCall { grant });
    let late = told.block();
    let seen = Seen { number: late, hash: hash(late) };
    // Somebody shares another key in the asset's name, with himself as its keeper.
    let strangers = dealt(told.asset, 2);
    assert!(open(told.judged(&told.release(&strangers, 2, grant, seen), 100)).contains("ever kept such a share"));
    let others = dealt(told.asset, 1);
    assert!(open(told.judged(&told.release(&others, 1, grant, seen), 100)).contains("ever kept such a share"));
    // One that was a keeper later, or before, has had a share.
    let (sharing, keepers) = (strangers.sharing.digest(), vec![word(&key(2))]);
    let (asset, from) = (told.asset, told.dealt.sharing.digest());
    told.send(moveKeepersCall { asset, from, sharing, needed: 1, keepers, until: 0, votes: vec![] });
    let guilty = told.judged(&told.release(&strangers, 2, grant, seen), 100);
    assert!(matches!(guilty, Verdict::Breach(Breach::AfterRevocation { .. })), "{guilty:?}");
    assert_eq!(told.judged(&told.given(grant, late), 100), told.after(late, late - 1));
    // A grant that there is not, of another asset, and one that was not made then.
    assert!(open(told.judged(&told.given(B256::repeat_byte(8), late), 100)).contains("no block shows grant"));
    let other = asset_id(CHAIN, OWNER, B256::repeat_byte(2));
    let release = {
        let dealt = dealt(other, 1);
        let grant = Grant { asset: AssetId(other), id: GrantId(grant), reader: told.reading.key.reader() };
        let key = key(1);
        Release::new(&key, &dealt.sharing, &dealt.shares[0], &grant, &told.reading.key, seen, &mut rand::rng())
    };
    assert!(open(told.judged(&release.unwrap().evidence(), 100)).contains("it is of asset"));
    assert!(open(told.judged(&told.given(grant, 1), 100)).contains("before it was made"));
    // Any changed byte is no statement of a keeper's.
    let bytes = told.given(grant, late).encode().to_vec();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let Ok(forged) = Evidence::decode(Copying(&changed[..])) else { continue };
        assert!(matches!(told.judged(&forged, 100), Verdict::Open(_)), "byte {at}");
    }
    // And events that another contract emits end nothing.
    let emitted = told.events.iter().map(|(at, log)| (*at, Log { address: READER, ..log.clone() })).collect();
    let told = Told { events: emitted, ..told };
    assert!(matches!(told.judged(&told.given(grant, late), 100), Verdict::Open(_)));
}

#[test]
fn a_case_is_read_as_it_was_written_and_nothing_else_is() {
    let mut told = Told::new();
    let grant = told.grant();
    let case = Case::new(CHAIN, told.asset, &[told.given(grant, 2)]);
    let json = serde_json::to_vec(&case).unwrap();
    assert_eq!(Case::read(&json).unwrap(), case);
    let said = serde_json::json!({ "asset": told.asset, "breaches": [], "evidence": case });
    assert_eq!(Case::read(&serde_json::to_vec(&said).unwrap()).unwrap(), case);
    for none in ["", "{}", "[]", r#"{"evidence":null}"#] {
        assert!(matches!(Case::read(none.as_bytes()), Err(CaseError::None(_))), "{none}");
    }
    // Of a key that is there twice some readers take the first value, and others the last.
    let text = said.to_string();
    for key in ["format", "evidence"] {
        let is = format!("\"{key}\":");
        let twice = text.replacen(&is, &format!("{is}{{}},{is}"), 1);
        let why = Case::read(twice.as_bytes()).unwrap_err().to_string();
        assert!(why.contains(&format!("the key {key:?} twice")), "{why}");
    }
    let other = serde_json::to_vec(&Case { format: "stoa-breach/2".into(), ..case.clone() }).unwrap();
    assert!(matches!(Case::read(&other), Err(CaseError::Format(_))));
    let cut = Case { releases: vec![case.releases[0].slice(1..)], ..case };
    assert!(matches!(cut.judge(&[]), Err(CaseError::Release)));
}

#[test]
fn what_keepers_signed_is_kept_once_and_the_oldest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Kept::at(folder.path().join("bob/releases"));
    assert_eq!(kept.all().unwrap(), (vec![], 0));
    let mut told = Told::new();
    let grant = told.grant();
    let [one, two, three] = [1, 2, 3].map(|at| told.given(grant, at));
    kept.add(&[one.clone(), two.clone()]).unwrap();
    assert_eq!(kept.add(&[two.clone(), three.clone()]).unwrap(), None);
    assert_eq!(kept.of(told.asset).unwrap(), (vec![one.clone(), two.clone(), three.clone()], 0));
    assert_eq!(kept.of(B256::ZERO).unwrap(), (vec![], 0));
    // What a disk changed is passed over, and what follows it is still there.
    let mut bytes = std::fs::read(kept.file()).unwrap();
    let size = bytes.len() / 3;
    // A reader is a wallet or a node, and nothing else.
    bytes[64] = 9;
    bytes.push(0);
    std::fs::write(kept.file(), &bytes).unwrap();
    assert_eq!(kept.all().unwrap(), (vec![two.clone(), three.clone()], 2));
    // Before anything is written over it, it is copied.
    for name in ["releases.damaged", "releases.damaged-2"] {
        std::fs::write(kept.file(), &bytes).unwrap();
        let copy = kept.add(std::slice::from_ref(&one)).unwrap().unwrap();
        assert!(copy.ends_with(name) && std::fs::read(copy).unwrap() == bytes, "{name}");
        assert_eq!(kept.all().unwrap(), (vec![two.clone(), three.clone(), one.clone()], 0));
    }
    // As many as there may be are there, and another comes.
    let most: Vec<_> = std::iter::repeat_n(&bytes[size..2 * size], MOST_KEPT).flatten().copied().collect();
    std::fs::write(kept.file(), most).unwrap();
    kept.add(std::slice::from_ref(&three)).unwrap();
    let (all, _) = kept.all().unwrap();
    assert_eq!((all.len(), all.first(), all.last()), (MOST_KEPT, Some(&two), Some(&three)));
}
