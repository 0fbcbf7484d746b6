//! Tokens, and amounts of them as people write them.

use crate::typed;
use alloy_primitives::{Address, U256};
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use stoa_client::{Client, decimal, view};
use stoa_contract::interfaces::IERC20Metadata;
use stoa_data::jobs::COIN;

/// The decimals of a rate, whatever the token has.
const RATE: u8 = 18;

/// The lowest rate that an exchange takes.
const LOWEST: U256 = U256::from_limbs([10_000_000_000, 0, 0, 0]);

/// A token as people write amounts of it.
pub(crate) struct Token {
    pub(crate) address: Address,
    decimals: u8,
    pub(super) symbol: String,
}

impl Token {
    /// The chain's coin.
    pub(crate) fn coin() -> Self {
        Self { address: COIN, decimals: 18, symbol: "STOA".into() }
    }

    pub(crate) async fn at(client: &Client, address: Address) -> Result<Self> {
        if address == COIN {
            return Ok(Self::coin());
        }
        let decimals = view(client, address, &IERC20Metadata::decimalsCall {}).await;
        let (decimals, _) = decimals.wrap_err_with(|| format!("{address} is no ERC-20 token"))?;
        let symbol = view(client, address, &IERC20Metadata::symbolCall {}).await.map(|(symbol, _)| symbol);
        let symbol: String = symbol.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(12).collect();
        Ok(Self { address, decimals, symbol })
    }

    /// One of which it is not known how people write amounts: in its units.
    pub(super) fn in_units(address: Address) -> Self {
        Self { address, decimals: 0, symbol: format!("units of {address}") }
    }

    pub(crate) fn amount(&self, text: &str) -> Result<U256> {
        typed::amount(text, self.decimals).map_err(|why| eyre::eyre!("{}: {why}", self.symbol))
    }

    /// The rate at which a datatoken costs so much of it. What is less than a unit nobody could pay.
    pub(super) fn rate(&self, text: &str) -> Result<U256> {
        let decimals = self.decimals.min(RATE);
        let amount = typed::amount(text, decimals).map_err(|why| eyre::eyre!("{}: {why}", self.symbol))?;
        let unit = U256::from(10).pow(U256::from(RATE - decimals));
        let (rate, lowest) = (amount.checked_mul(unit).wrap_err("no price is so high")?, unit.max(LOWEST));
        ensure!(rate >= lowest, "a price is {} {} at least; --free gives it away", decimal(lowest, RATE), self.symbol);
        Ok(rate)
    }

    pub(crate) fn shown(&self, amount: U256) -> String {
        format!("{} {}", decimal(amount, self.decimals), self.symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_people_write_them() {
        let token = Token { address: Address::ZERO, decimals: 6, symbol: "USDC".into() };
        assert_eq!(token.shown(token.amount("2.5").unwrap()), "2.5 USDC");
        assert_eq!((token.shown(U256::ZERO), token.shown(U256::from(10_000_000))), ("0 USDC".into(), "10 USDC".into()));
        assert!(token.amount("-1").is_err() && token.amount("x").is_err());
        let unknown = Token::in_units(Address::ZERO);
        assert_eq!(unknown.shown(U256::from(7)), format!("7 units of {}", Address::ZERO));
    }

    #[test]
    fn a_price_is_one_that_can_be_paid_to_the_last_unit() {
        let token = |decimals| Token { address: Address::ZERO, decimals, symbol: "USDC".into() };
        let whole = U256::from(10).pow(U256::from(RATE));
        for decimals in [1, 6, 18, 30] {
            assert_eq!(token(decimals).rate("2.5").unwrap(), whole * U256::from(5) / U256::from(2), "{decimals}");
        }
        let nines = "9".repeat(70);
        for (decimals, text, want) in [
            (6, "1.1234567", "USDC: want an amount such as 0.5, of 6 decimals at most, got 1.1234567"),
            (6, "0.0000001", "of 6 decimals at most"),
            (6, "0", "a price is 0.000001 USDC at least"),
            (18, "0.000000009", "a price is 0.00000001 USDC at least"),
            (30, "0.0000000000000000001", "of 18 decimals at most"),
            (6, "-1", "got -1"),
            (0, nines.as_str(), "no price is so high"),
        ] {
            let why = token(decimals).rate(text).unwrap_err().to_string();
            assert!(why.contains(want), "{why}");
        }
    }
}
