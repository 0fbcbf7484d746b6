//! ERC-721 with metadata, that can be listed.

use crate::pair::{Pair, cases, init_code};
use alloy_primitives::{Address, Bytes, FixedBytes, U256};
use alloy_sol_types::SolCall;
use proptest::prelude::*;
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    bench::assert_handles,
    interfaces::{IERC165, IERC721, IERC721Enumerable, IERC721Metadata},
    parts::erc721::{self, Erc721, Erc721Enumerable, Erc721EnumerableState, Erc721State},
};

alloy_sol_types::sol! {
    interface ICollection {
        function mint(address to, uint256 tokenId) external;
        function safeMint(address to, uint256 tokenId, bytes calldata data) external;
        function burn(uint256 tokenId) external;
    }
}

stoa_contract::storage! {
    struct State {
        erc721: Erc721State,
        enumerable: Erc721EnumerableState,
    }
}

struct Collection;

impl Erc721 for Collection {
    fn erc721(&self) -> Erc721State {
        State::root().erc721
    }

    fn base_uri(&self, _: &mut Context<'_>) -> Result<String> {
        Ok("stoa:".to_owned())
    }

    fn update(&self, cx: &mut Context<'_>, to: Address, token: U256, auth: Address) -> Result<Address> {
        let from = erc721::update(self, cx, to, token, auth)?;
        self.update_lists(cx, from, to, token)?;
        Ok(from)
    }
}

impl Erc721Enumerable for Collection {
    fn enumerable(&self) -> Erc721EnumerableState {
        State::root().enumerable
    }
}

impl NativeContract for Collection {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        if let Some(call) = abi::decode(cx)? {
            return erc721::token(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc721::metadata(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc721::enumerable(self, cx, call);
        }
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            ICollection::ICollectionCalls::mint(call) => abi::done(self.mint(cx, call.to, call.tokenId)),
            ICollection::ICollectionCalls::safeMint(call) => {
                abi::done(self.safe_mint(cx, call.to, call.tokenId, call.data))
            }
            ICollection::ICollectionCalls::burn(call) => abi::done(self.burn(cx, call.tokenId)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![
            abi::interface_id::<IERC721::IERC721Calls>(),
            abi::interface_id::<IERC721Metadata::IERC721MetadataCalls>(),
            abi::interface_id::<IERC721Enumerable::IERC721EnumerableCalls>(),
        ]
    }
}

fn construct(cx: &mut Context<'_>) -> Result<()> {
    let state = State::root().erc721;
    state.name.write(cx, "A collection whose name needs more than one slot")?;
    state.symbol.write(cx, "COLL")
}

/// Both collections, a contract that takes tokens, and one that knows nothing of them.
fn pair() -> (Pair, [Address; 2]) {
    let mut pair = Pair::new(Collection, construct, "OzCollection", &[]);
    let contracts = ["Receiver", "EveryLayout"].map(|name| pair.bench.deploy(Address::ZERO, init_code(name, &[])));
    (pair, contracts)
}

#[derive(Clone, Debug)]
enum Step {
    Mint { to: u8, token: u8 },
    SafeMint { to: u8, token: u8, mood: u8 },
    Burn { token: u8 },
    Transfer { from: u8, to: u8, token: u8 },
    SafeTransfer { from: u8, to: u8, token: u8, mood: Option<u8> },
    Approve { to: u8, token: u8 },
    ApproveAll { operator: u8, approved: bool },
    Views { owner: u8, other: u8, token: u8, index: u8, interface: [u8; 4] },
    Garbage { function: usize, words: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..6u8;
    let token = || 0..8u8;
    prop_oneof![
        5 => (who(), token()).prop_map(|(to, token)| Step::Mint { to, token }),
        3 => (who(), token(), 0..5u8).prop_map(|(to, token, mood)| Step::SafeMint { to, token, mood }),
        2 => token().prop_map(|token| Step::Burn { token }),
        6 => (who(), who(), token()).prop_map(|(from, to, token)| Step::Transfer { from, to, token }),
        4 => (who(), who(), token(), prop::option::of(0..5u8))
            .prop_map(|(from, to, token, mood)| Step::SafeTransfer { from, to, token, mood }),
        3 => (who(), token()).prop_map(|(to, token)| Step::Approve { to, token }),
        2 => (who(), any::<bool>()).prop_map(|(operator, approved)| Step::ApproveAll { operator, approved }),
        4 => (who(), who(), token(), 0..4u8, any::<[u8; 4]>())
            .prop_map(|(owner, other, token, index, interface)| Step::Views { owner, other, token, index, interface }),
        1 => (0..16usize, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(function, words)| Step::Garbage { function, words }),
    ]
}

fn run(pair: &mut Pair, contracts: [Address; 2], caller: u8, step: Step) {
    let account = |number: u8| match number {
        3 | 4 => contracts[usize::from(number) - 3],
        5 => Address::ZERO,
        _ => Address::repeat_byte(0xa0 + number),
    };
    let id = U256::from;
    let caller = account(caller);
    let data = match step {
        Step::Mint { to, token } => ICollection::mintCall { to: account(to), tokenId: id(token) }.abi_encode(),
        Step::SafeMint { to, token, mood } => {
            ICollection::safeMintCall { to: account(to), tokenId: id(token), data: vec![mood].into() }.abi_encode()
        }
        Step::Burn { token } => ICollection::burnCall { tokenId: id(token) }.abi_encode(),
        Step::Transfer { from, to, token } => {
            IERC721::transferFromCall { from: account(from), to: account(to), tokenId: id(token) }.abi_encode()
        }
        Step::SafeTransfer { from, to, token, mood: None } => {
            IERC721::safeTransferFrom_1Call { from: account(from), to: account(to), tokenId: id(token) }.abi_encode()
        }
        Step::SafeTransfer { from, to, token, mood: Some(mood) } => IERC721::safeTransferFrom_0Call {
            from: account(from),
            to: account(to),
            tokenId: id(token),
            data: vec![mood].into(),
        }
        .abi_encode(),
        Step::Approve { to, token } => IERC721::approveCall { to: account(to), tokenId: id(token) }.abi_encode(),
        Step::ApproveAll { operator, approved } => {
            IERC721::setApprovalForAllCall { operator: account(operator), approved }.abi_encode()
        }
        Step::Views { owner, other, token, index, interface } => {
            let (owner, token, index) = (account(owner), id(token), id(index));
            let calls = [
                IERC721::balanceOfCall { owner }.abi_encode(),
                IERC721::ownerOfCall { tokenId: token }.abi_encode(),
                IERC721::getApprovedCall { tokenId: token }.abi_encode(),
                IERC721::isApprovedForAllCall { owner, operator: account(other) }.abi_encode(),
                IERC721Metadata::nameCall {}.abi_encode(),
                IERC721Metadata::symbolCall {}.abi_encode(),
                IERC721Metadata::tokenURICall { tokenId: token }.abi_encode(),
                IERC721Enumerable::totalSupplyCall {}.abi_encode(),
                IERC721Enumerable::tokenByIndexCall { index }.abi_encode(),
                IERC721Enumerable::tokenOfOwnerByIndexCall { owner, index }.abi_encode(),
                IERC165::supportsInterfaceCall { interfaceId: FixedBytes(interface) }.abi_encode(),
            ];
            for call in calls {
                let _ = pair.same(caller, U256::ZERO, |_| call.clone().into());
            }
            return;
        }
        Step::Garbage { function, words } => {
            let functions = [
                IERC721::IERC721Calls::SELECTORS,
                IERC721Enumerable::IERC721EnumerableCalls::SELECTORS,
                ICollection::ICollectionCalls::SELECTORS,
            ]
            .concat();
            [&functions[function % functions.len()][..], &words].concat()
        }
    };
    let _ = pair.same(caller, U256::ZERO, |_| data.clone().into());
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_collection_does_what_openzeppelin_does(steps in prop::collection::vec((0..5u8, step()), 1..80)) {
        let (mut pair, contracts) = pair();
        for (caller, step) in steps {
            // Contracts sign nothing.
            run(&mut pair, contracts, caller % 3, step);
        }
        pair.same_storage();
    }
}

#[test]
fn interfaces_are_told_as_openzeppelin_tells_them() {
    let (mut pair, _) = pair();
    for id in ["01ffc9a7", "80ac58cd", "5b5e139f", "780e9d63", "ffffffff", "36372b07"] {
        let interface = alloy_primitives::hex::decode(id).expect("hex");
        let call = IERC165::supportsInterfaceCall { interfaceId: FixedBytes::from_slice(&interface) };
        pair.same(Address::ZERO, U256::ZERO, |_| call.abi_encode().into()).expect("an answer");
    }
}

#[test]
fn every_function_of_the_collection_has_a_handler() {
    assert_handles::<IERC721::IERC721Calls>(Collection);
    assert_handles::<IERC721Metadata::IERC721MetadataCalls>(Collection);
    assert_handles::<IERC721Enumerable::IERC721EnumerableCalls>(Collection);
    assert_handles::<IERC165::IERC165Calls>(Collection);
}
