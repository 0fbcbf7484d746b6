//! Every kind of thing that storage can hold lies where the Solidity compiler puts it.

use crate::pair::{NATIVE, Pair, artifact, cases};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, I64, U256};
use alloy_sol_types::SolCall;
use proptest::prelude::*;
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    bench::{Failure, assert_handles},
    storage::{Array, Blob, EnumerableSet, FixedArray, Layout, Mapping, Text, Value},
};

alloy_sol_types::sol! {
    interface IEveryLayout {
        function setValues(bool flag, uint8 small, address owner, uint8 phase, uint256 big, bytes4 selector, int64 signed, uint128 half, uint128 otherHalf) external;
        function setMappings(address account, uint64 key, bytes4 id, string calldata name, uint256 value) external;
        function pushNumber(uint64 value) external;
        function popNumber() external;
        function number(uint256 index) external view returns (uint64);
        function setFixed(uint256 index, uint16 value) external;
        function offer(bytes32 id, uint64 until, uint256 price, string calldata terms, uint32[3] calldata weights) external;
        function setBytes(bytes calldata blob, string calldata text) external;
        function bytesAndText() external view returns (bytes memory, string memory);
        function addMember(address member, uint256 id) external returns (bool, bool);
        function removeMember(address member, uint256 id) external returns (bool, bool);
        function members() external view returns (address[] memory, uint256[] memory);
    }
}
use IEveryLayout::IEveryLayoutCalls as Calls;

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Phase {
    Open,
    Closed,
    Settled,
}

stoa_contract::storage_enum!(Phase { Open, Closed, Settled });

stoa_contract::storage! {
    struct Offer {
        seller: Value<Address>,
        until: Value<u64>,
        open: Value<bool>,
        price: Value<U256>,
        terms: Text,
        weights: FixedArray<Value<u32>, 3>,
    }

    struct State {
        flag: Value<bool>,
        small: Value<u8>,
        owner: Value<Address>,
        phase: Value<Phase>,
        big: Value<U256>,
        selector: Value<FixedBytes<4>>,
        signed: Value<I64>,
        half: Value<u128>,
        other_half: Value<u128>,
        balances: Mapping<Address, Value<U256>>,
        nested: Mapping<Address, Mapping<u64, Value<bool>>>,
        by_selector: Mapping<FixedBytes<4>, Value<u16>>,
        by_name: Mapping<str, Value<U256>>,
        numbers: Array<Value<u64>>,
        offers: Array<Offer>,
        offers_by_id: Mapping<B256, Offer>,
        fixed_numbers: FixedArray<Value<u16>, 20>,
        blob: Blob,
        text: Text,
        members: EnumerableSet<Address>,
        ids: EnumerableSet<U256>,
    }
}

struct EveryLayout;

impl NativeContract for EveryLayout {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let state = State::root();
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::setValues(call) => {
                state.flag.write(cx, call.flag)?;
                state.small.write(cx, call.small)?;
                state.owner.write(cx, call.owner)?;
                let phase = [Phase::Open, Phase::Closed, Phase::Settled];
                state.phase.write(cx, *phase.get(usize::from(call.phase)).ok_or(Error::EMPTY)?)?;
                state.big.write(cx, call.big)?;
                state.selector.write(cx, call.selector)?;
                state.signed.write(cx, I64::try_from(call.signed).map_err(|_| Error::overflow())?)?;
                state.half.write(cx, call.half)?;
                abi::done(state.other_half.write(cx, call.otherHalf))
            }
            Calls::setMappings(call) => {
                state.balances.at(&call.account).write(cx, call.value)?;
                let nested = state.nested.at(&call.account).at(&call.key);
                let on = nested.read(cx)?;
                nested.write(cx, !on)?;
                state.by_selector.at(&call.id).write(cx, call.value.wrapping_to())?;
                abi::done(state.by_name.at(&call.name).write(cx, call.value))
            }
            Calls::pushNumber(call) => abi::done(state.numbers.push(cx, call.value)),
            Calls::popNumber(_) => abi::done(state.numbers.pop(cx).map(|_| ())),
            Calls::number(call) => {
                let number = state.numbers.get(cx, call.index.saturating_to()).and_then(|number| number.read(cx));
                abi::reply(&call, number)
            }
            Calls::setFixed(call) => {
                abi::done(state.fixed_numbers.get(call.index.saturating_to())?.write(cx, call.value))
            }
            Calls::offer(call) => {
                let listed = state.offers.grow(cx)?;
                for offer in [listed, state.offers_by_id.at(&call.id)] {
                    let seller = cx.caller();
                    offer.seller.write(cx, seller)?;
                    offer.until.write(cx, call.until)?;
                    offer.open.write(cx, true)?;
                    offer.price.write(cx, call.price)?;
                    offer.terms.write(cx, &call.terms)?;
                    for (index, weight) in call.weights.iter().enumerate() {
                        offer.weights.get(index)?.write(cx, *weight)?;
                    }
                }
                Ok(Bytes::new())
            }
            Calls::setBytes(call) => {
                state.blob.write(cx, &call.blob)?;
                abi::done(state.text.write(cx, &call.text))
            }
            Calls::bytesAndText(call) => {
                let (blob, text) = (state.blob.read(cx)?, state.text.read(cx)?);
                abi::reply(&call, Ok((blob, text).into()))
            }
            Calls::addMember(call) => {
                let added = (state.members.add(cx, call.member)?, state.ids.add(cx, call.id)?);
                abi::reply(&call, Ok(added.into()))
            }
            Calls::removeMember(call) => {
                let removed = (state.members.remove(cx, call.member)?, state.ids.remove(cx, call.id)?);
                abi::reply(&call, Ok(removed.into()))
            }
            Calls::members(call) => {
                let members = (state.members.values(cx)?, state.ids.values(cx)?);
                abi::reply(&call, Ok(members.into()))
            }
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,40}",
        prop::sample::select(vec![0, 1, 30, 31, 32, 33, 63, 64, 65, 100]).prop_map(|len| "x".repeat(len)),
    ]
}

fn step() -> impl Strategy<Value = Vec<u8>> {
    let values = (
        any::<bool>(),
        any::<u8>(),
        any::<[u8; 20]>(),
        0..4u8,
        any::<u64>(),
        any::<[u8; 4]>(),
        any::<i64>(),
        any::<u128>(),
        any::<u128>(),
    );
    let member = || (0..5u8, 0..5u64);
    prop_oneof![
        values.prop_map(|(flag, small, owner, phase, big, selector, signed, half, other_half)| {
            IEveryLayout::setValuesCall {
                flag,
                small,
                owner: owner.into(),
                phase,
                big: U256::from(big) << 100,
                selector: selector.into(),
                signed,
                half,
                otherHalf: other_half,
            }
            .abi_encode()
        }),
        (0..3u8, 0..3u64, 0..3u8, text(), any::<u64>()).prop_map(|(account, key, id, name, value)| {
            let (account, id) = (Address::repeat_byte(account), FixedBytes([id, 1, 2, 3]));
            IEveryLayout::setMappingsCall { account, key, id, name, value: U256::from(value) }.abi_encode()
        }),
        any::<u64>().prop_map(|value| IEveryLayout::pushNumberCall { value }.abi_encode()),
        any::<u64>().prop_map(|value| IEveryLayout::pushNumberCall { value }.abi_encode()),
        Just(IEveryLayout::popNumberCall {}.abi_encode()),
        (0..8u64).prop_map(|index| IEveryLayout::numberCall { index: U256::from(index) }.abi_encode()),
        (0..22u64, any::<u16>()).prop_map(|(index, value)| IEveryLayout::setFixedCall {
            index: U256::from(index),
            value
        }
        .abi_encode()),
        (0..3u8, any::<u64>(), any::<u64>(), text(), any::<[u32; 3]>()).prop_map(
            |(id, until, price, terms, weights)| {
                let (id, price) = (B256::repeat_byte(id), U256::from(price));
                IEveryLayout::offerCall { id, until, price, terms, weights }.abi_encode()
            }
        ),
        (prop::collection::vec(any::<u8>(), 0..100), text())
            .prop_map(|(blob, text)| { IEveryLayout::setBytesCall { blob: blob.into(), text }.abi_encode() }),
        Just(IEveryLayout::bytesAndTextCall {}.abi_encode()),
        member().prop_map(|(member, id)| {
            IEveryLayout::addMemberCall { member: Address::repeat_byte(member), id: U256::from(id) }.abi_encode()
        }),
        member().prop_map(|(member, id)| {
            IEveryLayout::removeMemberCall { member: Address::repeat_byte(member), id: U256::from(id) }.abi_encode()
        }),
        Just(IEveryLayout::membersCall {}.abi_encode()),
    ]
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn storage_is_the_same_slot_by_slot(steps in prop::collection::vec(step(), 1..40)) {
        let mut pair = Pair::new(EveryLayout, |_| Ok(()), "EveryLayout", &[]);
        for data in steps {
            let _ = pair.same(Address::repeat_byte(0xa1), U256::ZERO, |_| data.clone().into());
        }
        pair.same_storage();
    }
}

#[test]
fn places_are_those_that_the_compiler_tells() {
    let layout = &artifact("EveryLayout")["storageLayout"]["storage"];
    let place = |name: &str| {
        let entry = layout.as_array().expect("a layout").iter().find(|entry| entry["label"] == name);
        let entry = entry.unwrap_or_else(|| panic!("{name} is not in the layout"));
        let slot: U256 = entry["slot"].as_str().expect("a slot").parse().expect("a number");
        (slot, entry["offset"].as_u64().expect("an offset") as u8)
    };
    let state = State::root();
    macro_rules! check {
        ($($field:ident $label:literal),+ $(,)?) => {$(
            let ours = state.$field.place();
            assert_eq!((ours.slot, ours.offset), place($label), $label);
        )+};
    }
    check!(
        flag "flag", small "small", owner "owner", phase "phase", big "big", selector "selector", signed "signed",
        half "half", other_half "otherHalf", balances "balances", nested "nested", by_selector "bySelector",
        by_name "byName", numbers "numbers", offers "offers", offers_by_id "offersById",
        fixed_numbers "fixedNumbers", blob "blob", text "text", members "_members", ids "_ids",
    );
}

#[test]
fn what_is_no_byte_array_panics_as_in_solidity() {
    let mut pair = Pair::new(EveryLayout, |_| Ok(()), "EveryLayout", &[]);
    let slot = State::root().blob.place().slot;
    let solidity = pair.solidity;
    for head in [U256::from(2 * 32), U256::from(2 * 31 + 1)] {
        for address in [NATIVE, solidity] {
            pair.bench.evm.system(address, |cx| cx.sstore(slot, head)).expect("written");
        }
        let call = IEveryLayout::bytesAndTextCall {}.abi_encode();
        let failure = pair.same(Address::ZERO, U256::ZERO, |_| call.clone().into()).unwrap_err();
        assert!(matches!(failure, Failure::Revert(data) if data.last() == Some(&0x22)));
    }
}

#[test]
fn every_function_of_the_layout_has_a_handler() {
    assert_handles::<Calls>(EveryLayout);
}
