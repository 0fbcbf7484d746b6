"""What the Python suites share: where the node is, the development accounts, compiled contracts."""

import json
import os
import time
from pathlib import Path

from eth_account import Account

Account.enable_unaudited_hdwallet_features()

MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 31337
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"


def variable(name):
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f"{name} is not set: run this as `cargo xtask test --only clients`")
    return value


URL = variable("STOA_URL")
WS = variable("STOA_WS")


def account(index):
    """One of the ten development accounts."""
    return Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")


def contract(name):
    """A contract that tests/solidity/compile.js compiled."""
    return json.loads((Path(variable("STOA_SOLIDITY")) / f"{name}.json").read_text())


def until(what, check, seconds=10):
    """Waits until the function gives something true, and returns that."""
    end = time.monotonic() + seconds
    while not (value := check()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)
    return value
