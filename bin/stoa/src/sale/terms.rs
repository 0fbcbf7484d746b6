//! On which terms programs run on an asset, in words: for its owner before he publishes, and for buyers before they order.

use super::{options::lasting, token::Token};
use crate::job::leaving;
use stoa_data::{jobs::MILLION, sale::Computing};

/// What a job costs beside the order, and what bounds it, line by line.
pub(crate) fn costs(computing: &Computing, token: &Token) -> Vec<String> {
    let (base, price) = (token.shown(computing.base), token.shown(computing.price));
    let steps = match (computing.wasm, computing.processes) {
        (true, true) => "a step is an instruction of WebAssembly, of other programs a nanosecond of a processor",
        (_, true) => "a step is a nanosecond of a processor",
        _ => "a step is an instruction of WebAssembly, about a nanosecond",
    };
    let each = format!("{price} for each million steps that it begins ({steps})");
    let mut lines = vec![match (computing.base.is_zero(), computing.price.is_zero()) {
        (true, true) => "a job costs nothing beside the order".to_owned(),
        (false, true) => format!("a job costs {base} beside the order, however many steps it takes ({steps})"),
        (true, false) => format!("a job costs {each}, beside the order"),
        (false, false) => format!("a job costs {base}, and {each}, beside the order"),
    }];
    if computing.processes && !computing.price.is_zero() {
        let second = token.shown(computing.cost(1_000 * MILLION).saturating_sub(computing.base));
        lines.push(format!("a second of a processor costs {second}"));
    }
    let millions = computing.steps / MILLION;
    lines.push(match computing.cost(computing.steps) {
        most if most.is_zero() => format!("it takes {millions} million steps at most"),
        most => format!(
            "it takes {millions} million steps at most, which cost {}: so much is held as those cost that it asks for, and what it \
             does not use comes back",
            token.shown(most)
        ),
    });
    lines.push(format!("it ends within {}, or all that is held comes back", lasting(computing.time.into())));
    lines
}

/// What may leave in a job, and of which programs, line by line.
pub(crate) fn leaves(computing: &Computing) -> Vec<String> {
    match &computing.leaving {
        Some(rules) => leaving(rules),
        None => vec![format!(
            "what the rules with hash {} say, which are not in its document: ask its owner",
            computing.rules
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, U256};
    use stoa_data::jobs::{COIN, rules::Rules};

    fn computing(base: u64, price: u64) -> Computing {
        let thousandth = U256::from(10).pow(U256::from(15));
        Computing {
            node: B256::ZERO,
            token: COIN,
            base: U256::from(base) * thousandth,
            price: U256::from(price) * thousandth,
            steps: 100_000 * MILLION,
            time: 86_400,
            wasm: true,
            processes: false,
            rules: B256::repeat_byte(3),
            leaving: Some(Rules::usual(B256::repeat_byte(9))),
        }
    }

    #[test]
    fn what_a_job_costs_is_said_with_its_units_and_its_bounds() {
        let said = |computing: &Computing| costs(computing, &Token::coin()).join("\n");
        let both = said(&computing(50, 1));
        for part in [
            "a job costs 0.05 STOA, and 0.001 STOA for each million steps",
            "an instruction of WebAssembly",
            "100000 million steps at most, which cost 100.05 STOA",
            "within 1 day, or all that is held comes back",
        ] {
            assert!(both.contains(part), "{part} is not in {both}");
        }
        assert!(!both.contains("a second"), "{both}");
        let processes = said(&Computing { processes: true, ..computing(50, 1) });
        assert!(processes.contains("a second of a processor costs 1 STOA"), "{processes}");
        let free = said(&computing(0, 0));
        assert!(free.starts_with("a job costs nothing beside the order") && !free.contains("which cost"), "{free}");
        assert!(said(&computing(50, 0)).contains("0.05 STOA beside the order, however many steps"));
        assert!(said(&computing(0, 1)).starts_with("a job costs 0.001 STOA for each million"));
    }

    #[test]
    fn what_may_leave_is_said_or_that_nobody_says_it() {
        let said = leaves(&computing(0, 0)).join("\n");
        assert!(said.contains("of 10 rows or more") && said.contains("0x0909"), "{said}");
        let unsaid = leaves(&Computing { leaving: None, ..computing(0, 0) }).join("\n");
        assert!(unsaid.contains("0x0303") && unsaid.contains("ask its owner"), "{unsaid}");
    }
}
