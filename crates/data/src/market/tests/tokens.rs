//! Tokens of others: with six decimals, one that keeps a part of what it moves, one that calls back and asks whom it pays.

use alloy_primitives::{Address, Bytes, U256};
use stoa_contract::{
    Context, Error, NativeContract, Result, abi, natives,
    parts::erc20::{self, Erc20, Erc20State},
    storage::{Blob, Mapping, Value},
};

pub const PLAIN: Address = natives::address(0xf0);
pub const SIX: Address = natives::address(0xf1);
pub const FEE: Address = natives::address(0xf2);
pub const REENTRANT: Address = natives::address(0xf3);

/// Who gets what the token keeps.
pub const SINK: Address = Address::repeat_byte(0x51);

/// How payments fail: they revert; nothing moves and they say so; they say so though it moves; they use up all gas.
pub const REVERTS: u8 = 1;
pub const DENIES: u8 = 2;
pub const LIES: u8 = 3;
pub const BURNS: u8 = 4;

alloy_sol_types::sol! {
    interface ITestToken {
        function mint(address account, uint256 value) external;
        /// At each transfer from now on, calls `target` with this; tells in `calls` how often that went through.
        function arm(address target, bytes data) external;
        function calls() external view returns (uint256);
        /// From now on, what this account is paid fails in one of these ways; 0 for none.
        function refuse(address account, uint8 how) external;
    }
}

stoa_contract::storage! {
    struct State {
        token: Erc20State,
        target: Value<Address>,
        data: Blob,
        calls: Value<U256>,
        refuses: Mapping<Address, Value<u8>>,
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TestToken {
    pub decimals: u8,
    /// Whether it keeps one per cent of each transfer.
    pub keeps: bool,
    /// Whether it calls back, and refuses.
    pub calls_back: bool,
}

impl Erc20 for TestToken {
    fn erc20(&self) -> Erc20State {
        State::root().token
    }

    fn decimals(&self, _: &mut Context<'_>) -> Result<u8> {
        Ok(self.decimals)
    }

    fn transfer(&self, cx: &mut Context<'_>, to: Address, value: U256) -> Result<bool> {
        let from = cx.caller();
        self.move_tokens(cx, from, to, value)?;
        Ok(![DENIES, LIES].contains(&self.refuses(cx, to)?))
    }

    fn update(&self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
        let moves = !from.is_zero() && !to.is_zero();
        match self.refuses(cx, to)? {
            REVERTS => return Err(Error::message("not served")),
            DENIES => return Ok(()),
            BURNS => cx.charge(u64::MAX)?,
            _ => {}
        }
        let kept = if self.keeps && moves { value / U256::from(100) } else { U256::ZERO };
        erc20::update(self.erc20(), cx, from, to, value - kept)?;
        if !kept.is_zero() {
            erc20::update(self.erc20(), cx, from, SINK, kept)?;
        }
        let target = State::root().target.read(cx)?;
        if self.calls_back && moves && !target.is_zero() && cx.tload(U256::ONE)?.is_zero() {
            cx.tstore(U256::ONE, U256::ONE)?;
            let data = State::root().data.read(cx)?;
            if cx.call(target, U256::ZERO, data)?.success {
                let calls = State::root().calls.read(cx)?;
                State::root().calls.write(cx, calls + U256::ONE)?;
            }
            cx.tstore(U256::ONE, U256::ZERO)?;
        }
        Ok(())
    }
}

impl TestToken {
    fn refuses(&self, cx: &mut Context<'_>, account: Address) -> Result<u8> {
        if self.calls_back { State::root().refuses.at(&account).read(cx) } else { Ok(0) }
    }
}

impl NativeContract for TestToken {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        if let Some(call) = abi::decode(cx)? {
            return erc20::token(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::metadata(self, cx, call);
        }
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            ITestToken::ITestTokenCalls::mint(call) => abi::done(self.mint(cx, call.account, call.value)),
            ITestToken::ITestTokenCalls::arm(call) => {
                State::root().target.write(cx, call.target)?;
                State::root().data.write(cx, &call.data)?;
                if !call.target.is_zero() {
                    let this = cx.this();
                    self.set_allowance(cx, this, call.target, U256::MAX, false)?;
                }
                Ok(Bytes::new())
            }
            ITestToken::ITestTokenCalls::calls(call) => abi::reply(&call, State::root().calls.read(cx)),
            ITestToken::ITestTokenCalls::refuse(call) => {
                abi::done(State::root().refuses.at(&call.account).write(cx, call.how))
            }
        }
    }
}
