//! Tokens, and amounts of them as people write them.

use crate::typed;
use alloy_primitives::{Address, U256};
use eyre::{Result, WrapErr as _, ensure};
use stoa_client::{Client, decimal, view};
use stoa_contract::interfaces::IERC20Metadata;
use stoa_data::jobs::COIN;

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

    pub(crate) fn amount(&self, text: &str) -> Result<U256> {
        typed::amount(text, self.decimals).map_err(|why| eyre::eyre!("{}: {why}", self.symbol))
    }

    pub(crate) fn shown(&self, amount: U256) -> String {
        format!("{} {}", decimal(amount, self.decimals), self.symbol)
    }
}

/// A rate, which has 18 decimals whatever the token has.
pub(super) fn rate(text: &str) -> Result<U256> {
    let rate = typed::amount(text, 18).map_err(eyre::Report::msg)?;
    ensure!(rate >= U256::from(10_000_000_000_u64), "a price is 0.00000001 at least; --free gives it away");
    Ok(rate)
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
        assert!(rate("0").is_err() && rate("0.5").is_ok());
    }
}
