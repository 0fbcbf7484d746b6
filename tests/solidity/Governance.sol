// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {TimelockedGovernor} from "../hardhat/contracts/TimelockedGovernor.sol";

/// A token with votes whose clock is the block's timestamp.
contract VoteToken is ERC20, ERC20Permit, ERC20Votes {
    constructor(uint256 supply) ERC20("Vote", "VOTE") ERC20Permit("Vote") {
        _mint(msg.sender, supply);
    }

    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }
}

/// Its delays are given in seconds.
contract VoteGovernor is TimelockedGovernor {
    constructor(IVotes token, TimelockController timelock, uint48 delay, uint32 period)
        TimelockedGovernor("VoteGovernor", token, timelock, delay, period, 1, 4)
    {}
}

/// What a proposal changes; only the timelock may.
contract Box {
    error NotOwner(address caller);

    event Changed(uint256 to);

    address public immutable owner;
    uint256 public value;

    constructor(address owner_) {
        owner = owner_;
    }

    function change(uint256 to) external payable {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        value = to;
        emit Changed(to);
    }
}
