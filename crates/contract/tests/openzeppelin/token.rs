//! ERC-20 with burning, permits, votes and a pause.

use crate::pair::{DEPLOYER, NATIVE, Pair, cases};
use alloy_primitives::{Address, B256, Bytes, U256, aliases::U48};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{Eip712Domain, SolCall, SolStruct};
use proptest::prelude::*;
use std::borrow::Cow;
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    bench::assert_handles,
    interfaces::{
        IERC20, IERC20Burnable, IERC20Metadata, IERC20Permit, IERC20Votes, IERC5267, IERC6372, IPausable, IVotes,
    },
    parts::{
        eip712::{self, Eip712},
        erc20::{self, Erc20, Erc20Permit, Erc20State, Permit},
        nonces::Nonces,
        pausable::{self, Pausable},
        votes::{self, Delegation, Votes, VotesState},
    },
    storage::Text,
};

alloy_sol_types::sol! {
    interface IToken {
        function mint(address to, uint256 value) external;
        function pause() external;
        function unpause() external;
    }
}

stoa_contract::storage! {
    struct State {
        erc20: Erc20State,
        // OpenZeppelin keeps a domain's name and version here if they are long.
        name_fallback: Text,
        version_fallback: Text,
        nonces: Nonces,
        votes: VotesState,
        pausable: Pausable,
    }
}

pub struct Token;

impl Erc20 for Token {
    fn erc20(&self) -> Erc20State {
        State::root().erc20
    }

    fn update(&self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
        State::root().pausable.when_not_paused(cx)?;
        erc20::update(self.erc20(), cx, from, to, value)?;
        erc20::update_votes(self, cx, from, to, value)
    }
}

impl Eip712 for Token {
    fn name_and_version(&self, _: &mut Context<'_>) -> Result<(Cow<'static, str>, Cow<'static, str>)> {
        Ok(("Compared".into(), "1".into()))
    }
}

impl Erc20Permit for Token {
    fn permit_nonces(&self) -> Nonces {
        State::root().nonces
    }
}

impl Votes for Token {
    fn votes(&self) -> VotesState {
        State::root().votes
    }

    fn nonces(&self) -> Nonces {
        State::root().nonces
    }

    fn voting_units(&self, cx: &mut Context<'_>, account: Address) -> Result<U256> {
        self.balance_of(cx, account)
    }
}

impl NativeContract for Token {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        if let Some(call) = abi::decode(cx)? {
            return erc20::token(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::metadata(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::burnable(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::permit(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return votes::dispatch(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return votes::dispatch_checkpoints(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return votes::dispatch_clock(cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return eip712::dispatch(self, cx, call);
        }
        let pausable = State::root().pausable;
        if let Some(call) = abi::decode(cx)? {
            return pausable::dispatch(pausable, cx, call);
        }
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            IToken::ITokenCalls::mint(call) => abi::done(self.mint(cx, call.to, call.value)),
            IToken::ITokenCalls::pause(_) => abi::done(pausable.pause(cx)),
            IToken::ITokenCalls::unpause(_) => abi::done(pausable.unpause(cx)),
        }
    }
}

pub fn construct(cx: &mut Context<'_>) -> Result<()> {
    let state = State::root().erc20;
    state.name.write(cx, "Compared")?;
    state.symbol.write(cx, "CMP")
}

fn pair() -> Pair {
    Pair::new(Token, construct, "OzToken", &[])
}

fn signer(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[number + 1; 32]).expect("a key")
}

/// Five accounts that can sign, and nobody.
fn account(number: u8) -> Address {
    if number >= 5 { Address::ZERO } else { signer(number).address() }
}

fn sign(signer: &PrivateKeySigner, data: &impl SolStruct, contract: Address, flaw: u8) -> (u8, B256, B256) {
    let domain = Eip712Domain::new(
        Some(Cow::Borrowed("Compared")),
        Some(Cow::Borrowed("1")),
        Some(U256::from(31337)),
        Some(contract),
        None,
    );
    let signature = signer.sign_hash_sync(&data.eip712_signing_hash(&domain)).expect("signed");
    let (r, s, v) = (signature.r(), signature.s(), 27 + u8::from(signature.v()));
    match flaw {
        0 => (26, r.into(), s.into()),
        1 => (v, r.into(), U256::MAX.into()),
        2 => (v, B256::ZERO, s.into()),
        _ => (v, r.into(), s.into()),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Transfer { to: u8, value: U256 },
    Approve { spender: u8, value: U256 },
    TransferFrom { from: u8, to: u8, value: U256 },
    Mint { to: u8, value: U256 },
    Burn { value: U256 },
    BurnFrom { account: u8, value: U256 },
    Permit { owner: u8, signer: u8, spender: u8, value: U256, deadline: i64, flaw: u8 },
    Delegate { to: u8 },
    DelegateBySig { signer: u8, to: u8, nonce: u8, expiry: i64, flaw: u8 },
    Pause { on: bool },
    Pass { seconds: u64 },
    Views { account: u8, other: u8, time: i64, position: u32 },
    Garbage { function: usize, words: Vec<u8>, value: u8 },
}

fn amount() -> impl Strategy<Value = U256> {
    prop_oneof![
        10 => (0..1000u64).prop_map(U256::from),
        1 => Just(U256::MAX),
        1 => Just(U256::ONE << 208),
        1 => Just((U256::ONE << 208) - U256::from(500)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..6u8;
    prop_oneof![
        6 => (who(), amount()).prop_map(|(to, value)| Step::Transfer { to, value }),
        3 => (who(), amount()).prop_map(|(spender, value)| Step::Approve { spender, value }),
        4 => (who(), who(), amount()).prop_map(|(from, to, value)| Step::TransferFrom { from, to, value }),
        6 => (who(), amount()).prop_map(|(to, value)| Step::Mint { to, value }),
        2 => amount().prop_map(|value| Step::Burn { value }),
        2 => (who(), amount()).prop_map(|(account, value)| Step::BurnFrom { account, value }),
        3 => (0..5u8, 0..5u8, who(), amount(), -1..3i64, 0..12u8).prop_map(
            |(owner, signer, spender, value, deadline, flaw)| {
                let signer = if flaw == 11 { signer } else { owner };
                Step::Permit { owner, signer, spender, value, deadline, flaw }
            }
        ),
        5 => who().prop_map(|to| Step::Delegate { to }),
        3 => (0..5u8, who(), 0..3u8, -1..3i64, 0..12u8)
            .prop_map(|(signer, to, nonce, expiry, flaw)| Step::DelegateBySig { signer, to, nonce, expiry, flaw }),
        1 => any::<bool>().prop_map(|on| Step::Pause { on }),
        4 => (0..100u64).prop_map(|seconds| Step::Pass { seconds }),
        4 => (who(), who(), -400..3i64, 0..6u32)
            .prop_map(|(account, other, time, position)| Step::Views { account, other, time, position }),
        2 => (0..16usize, prop::collection::vec(any::<u8>(), 0..200), 0..3u8)
            .prop_map(|(function, words, value)| Step::Garbage { function, words, value }),
    ]
}

fn run(pair: &mut Pair, caller: Address, step: Step) {
    let now = pair.bench.time() as i64;
    let data: Bytes = match step {
        Step::Transfer { to, value } => IERC20::transferCall { to: account(to), value }.abi_encode().into(),
        Step::Approve { spender, value } => {
            IERC20::approveCall { spender: account(spender), value }.abi_encode().into()
        }
        Step::TransferFrom { from, to, value } => {
            IERC20::transferFromCall { from: account(from), to: account(to), value }.abi_encode().into()
        }
        Step::Mint { to, value } => IToken::mintCall { to: account(to), value }.abi_encode().into(),
        Step::Burn { value } => IERC20Burnable::burnCall { value }.abi_encode().into(),
        Step::BurnFrom { account: who, value } => {
            IERC20Burnable::burnFromCall { account: account(who), value }.abi_encode().into()
        }
        Step::Permit { owner, signer: by, spender, value, deadline, flaw } => {
            let (owner, spender, deadline) = (account(owner), account(spender), U256::from(now + deadline));
            let nonce = pair.bench.view(NATIVE, &IERC20Permit::noncesCall { owner }).expect("a view");
            let _ = pair.same(caller, U256::ZERO, |contract| {
                let permit = Permit { owner, spender, value, nonce, deadline };
                let (v, r, s) = sign(&signer(by), &permit, contract, flaw);
                IERC20Permit::permitCall { owner, spender, value, deadline, v, r, s }.abi_encode().into()
            });
            return;
        }
        Step::Delegate { to } => IVotes::delegateCall { delegatee: account(to) }.abi_encode().into(),
        Step::DelegateBySig { signer: by, to, nonce, expiry, flaw } => {
            let (delegatee, nonce, expiry) = (account(to), U256::from(nonce), U256::from(now + expiry));
            let _ = pair.same(caller, U256::ZERO, |contract| {
                let (v, r, s) = sign(&signer(by), &Delegation { delegatee, nonce, expiry }, contract, flaw);
                IVotes::delegateBySigCall { delegatee, nonce, expiry, v, r, s }.abi_encode().into()
            });
            return;
        }
        Step::Pause { on: true } => IToken::pauseCall {}.abi_encode().into(),
        Step::Pause { on: false } => IToken::unpauseCall {}.abi_encode().into(),
        Step::Pass { seconds } => return pair.bench.pass(seconds),
        Step::Views { account: who, other, time, position } => {
            return views(pair, account(who), account(other), U256::from(now + time), position);
        }
        Step::Garbage { function, words, value } => {
            let functions: Vec<_> = [
                IERC20::IERC20Calls::SELECTORS,
                IVotes::IVotesCalls::SELECTORS,
                &[IERC20Permit::permitCall::SELECTOR],
                IERC20Votes::IERC20VotesCalls::SELECTORS,
            ]
            .concat();
            let data: Bytes = [&functions[function % functions.len()][..], &words].concat().into();
            let _ = pair.same(DEPLOYER, U256::from(value / 2), |_| data.clone());
            return;
        }
    };
    let _ = pair.same(caller, U256::ZERO, |_| data.clone());
}

fn views(pair: &mut Pair, account: Address, other: Address, timepoint: U256, pos: u32) {
    let calls = [
        IERC20::totalSupplyCall {}.abi_encode(),
        IERC20::balanceOfCall { account }.abi_encode(),
        IERC20::allowanceCall { owner: account, spender: other }.abi_encode(),
        IERC20Metadata::nameCall {}.abi_encode(),
        IERC20Metadata::symbolCall {}.abi_encode(),
        IERC20Metadata::decimalsCall {}.abi_encode(),
        IERC20Permit::noncesCall { owner: account }.abi_encode(),
        IERC5267::eip712DomainCall {}.abi_encode(),
        IERC6372::clockCall {}.abi_encode(),
        IERC6372::CLOCK_MODECall {}.abi_encode(),
        IVotes::getVotesCall { account }.abi_encode(),
        IVotes::getPastVotesCall { account, timepoint }.abi_encode(),
        IVotes::getPastTotalSupplyCall { timepoint }.abi_encode(),
        IVotes::delegatesCall { account }.abi_encode(),
        IERC20Votes::numCheckpointsCall { account }.abi_encode(),
        IERC20Votes::checkpointsCall { account, pos }.abi_encode(),
        IPausable::pausedCall {}.abi_encode(),
    ];
    for call in calls {
        let _ = pair.same(account, U256::ZERO, |_| call.clone().into());
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_token_does_what_openzeppelin_does(steps in prop::collection::vec((0..5u8, step()), 1..60)) {
        let mut pair = pair();
        for (caller, step) in steps {
            run(&mut pair, account(caller), step);
        }
        pair.same_storage();
    }
}

#[test]
fn a_long_history_is_searched_alike() {
    let mut pair = pair();
    run(&mut pair, account(0), Step::Delegate { to: 1 });
    for round in 0..40u64 {
        run(&mut pair, account(0), Step::Mint { to: 0, value: U256::from(round) });
        pair.bench.pass(1 + round % 3);
        for time in [-1, -2, -7, -20, -60] {
            run(&mut pair, account(0), Step::Views { account: 1, other: 0, time, position: round as u32 });
        }
    }
    pair.same_storage();
    let clock = pair.bench.view(NATIVE, &IERC6372::clockCall {}).expect("a view");
    assert_eq!(clock, U48::from(pair.bench.time()));
}

#[test]
fn domain_separators_are_those_of_the_standard() {
    let mut pair = pair();
    let separator = pair.bench.view(NATIVE, &IERC20Permit::DOMAIN_SEPARATORCall {}).expect("a view");
    let theirs = pair.bench.view(pair.solidity, &IERC20Permit::DOMAIN_SEPARATORCall {}).expect("a view");
    let domain = |contract| {
        Eip712Domain::new(
            Some(Cow::Borrowed("Compared")),
            Some(Cow::Borrowed("1")),
            Some(U256::from(31337)),
            Some(contract),
            None,
        )
    };
    assert_eq!(separator, domain(NATIVE).separator());
    assert_eq!(theirs, domain(pair.solidity).separator());
}

#[test]
fn every_function_of_the_token_has_a_handler() {
    assert_handles::<IERC20::IERC20Calls>(Token);
    assert_handles::<IERC20Burnable::IERC20BurnableCalls>(Token);
    assert_handles::<IERC20Metadata::IERC20MetadataCalls>(Token);
    assert_handles::<IERC20Permit::IERC20PermitCalls>(Token);
    assert_handles::<IVotes::IVotesCalls>(Token);
    assert_handles::<IPausable::IPausableCalls>(Token);
    assert_handles::<IToken::ITokenCalls>(Token);
}
