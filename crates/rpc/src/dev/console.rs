//! `console.log` of Solidity: calls of an address without code, as the libraries of Hardhat and Foundry make them.

use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::{Address, address, hex, keccak256, map::HashMap};
use revm::{
    Inspector,
    context_interface::ContextTr,
    interpreter::{CallInputs, CallOutcome},
};
use std::{
    io::{Write as _, stderr},
    slice,
    sync::LazyLock,
};

/// Where the calls go: the name in ASCII.
const ADDRESS: Address = address!("000000000000000000636f6e736f6c652e6c6f67");

/// Up to so many values in one call.
const MOST: usize = 4;

/// What each function takes, by its selector.
static FUNCTIONS: LazyLock<HashMap<[u8; 4], DynSolType>> = LazyLock::new(|| {
    let types = [DynSolType::String, DynSolType::Uint(256), DynSolType::Bool, DynSolType::Address];
    // These come alone only.
    let alone = [DynSolType::Int(256), DynSolType::Bytes].into_iter().chain((1..=32).map(DynSolType::FixedBytes));
    let mut lists = alone.map(|one| vec![one]).collect::<Vec<_>>();
    let mut longest = vec![Vec::new()];
    for _ in 0..MOST {
        let longer =
            |list: &Vec<DynSolType>| types.each_ref().map(|one| [list.as_slice(), slice::from_ref(one)].concat());
        longest = longest.iter().flat_map(longer).collect();
        lists.extend_from_slice(&longest);
    }
    let function = |list: Vec<DynSolType>| {
        let names = list.iter().map(DynSolType::sol_type_name).collect::<Vec<_>>().join(",");
        let hash = keccak256(format!("log({names})"));
        ([hash[0], hash[1], hash[2], hash[3]], DynSolType::Tuple(list))
    };
    lists.into_iter().map(function).collect()
});

/// Prints what contracts log, while it watches them, to standard error.
pub(crate) struct Console;

impl<CTX: ContextTr> Inspector<CTX> for Console {
    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if inputs.bytecode_address == ADDRESS
            && let Some(line) = line(&inputs.input.bytes(context))
        {
            // Where nobody reads it, nothing is lost.
            let _ = writeln!(stderr(), "console.log: {line}");
        }
        None
    }
}

/// What a call of the console says, `None` if it is none of its functions.
fn line(data: &[u8]) -> Option<String> {
    let (selector, arguments) = data.split_first_chunk::<4>()?;
    let DynSolValue::Tuple(values) = FUNCTIONS.get(selector)?.abi_decode_params(arguments).ok()? else { return None };
    let mut words = values.iter().map(word);
    let first = words.next()?;
    let (mut line, mut rest) = (String::new(), first.as_str());
    while let Some((before, after)) = rest.split_once('%') {
        line.push_str(before);
        let value = if after.starts_with(['s', 'd', 'i']) { words.next() } else { None };
        rest = if value.is_some() { &after[1..] } else { after };
        line.push_str(value.as_deref().unwrap_or("%"));
    }
    line.push_str(rest);
    for more in words {
        line.push(' ');
        line.push_str(&more);
    }
    // What would steer a terminal is left out.
    Some(line.chars().map(|char| if char.is_control() && char != '\n' && char != '\t' { ' ' } else { char }).collect())
}

fn word(value: &DynSolValue) -> String {
    match value {
        DynSolValue::String(text) => text.clone(),
        DynSolValue::Bool(bool) => bool.to_string(),
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::FixedBytes(word, size) => hex::encode_prefixed(&word[..*size]),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;

    fn said(signature: &str, values: Vec<DynSolValue>) -> Option<String> {
        let arguments = DynSolValue::Tuple(values).abi_encode_params();
        line(&[&keccak256(signature)[..4], &arguments].concat())
    }

    #[test]
    fn the_functions_are_those_of_the_libraries() {
        for selector in [hex!("41304fac"), hex!("f82c50f1"), hex!("32458eed"), hex!("2c2ecbc2")] {
            assert!(FUNCTIONS.contains_key(&selector), "{}", hex::encode(selector));
        }
        assert_eq!(FUNCTIONS.len(), 4 + 16 + 64 + 256 + 34);
    }

    #[test]
    fn values_are_shown_in_a_row_or_where_the_text_wants_them() {
        let (text, number) = (|text: &str| DynSolValue::String(text.into()), DynSolValue::Uint(U256::from(7), 256));
        let (yes, zero) = (DynSolValue::Bool(true), DynSolValue::Address(Address::ZERO));
        assert_eq!(said("log(string)", vec![text("hi\u{1b}[2J")]).unwrap(), "hi [2J");
        assert_eq!(said("log(uint256)", vec![number.clone()]).unwrap(), "7");
        assert_eq!(
            said("log(string,uint256,bool,address)", vec![text("a"), number.clone(), yes.clone(), zero]).unwrap(),
            "a 7 true 0x0000000000000000000000000000000000000000"
        );
        let values = vec![text("100% is %s of %d, %s"), number, yes];
        assert_eq!(said("log(string,uint256,bool)", values).unwrap(), "100% is 7 of true, %s");
        assert_eq!(said("log(bytes)", vec![DynSolValue::Bytes(vec![0xab])]).unwrap(), "0xab");
    }

    #[test]
    fn what_is_no_call_of_the_console_says_nothing() {
        for data in [&[0_u8][..], &[1, 2, 3], &[0; 36], &hex!("41304fac00")] {
            assert_eq!(line(data), None);
        }
    }
}
