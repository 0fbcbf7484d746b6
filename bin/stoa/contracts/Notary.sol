// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

/// Writes down who first claimed a document, for a fee that goes to the contract's owner in the chain's own coin.
contract Notary {
    Coin constant COIN = Coin(0x0000000000000000000000000000000000000C01);

    address public immutable owner = msg.sender;
    uint256 public immutable fee;
    mapping(bytes32 document => address claimant) public claimants;

    event Claimed(bytes32 indexed document, address indexed claimant);

    error AlreadyClaimed(bytes32 document, address claimant);

    constructor(uint256 fee_) {
        fee = fee_;
    }

    /// Claims a document. The fee is taken from the caller's coins as from any ERC-20 token.
    function claim(bytes32 document) external {
        if (claimants[document] != address(0)) {
            revert AlreadyClaimed(document, claimants[document]);
        }
        claimants[document] = msg.sender;
        require(COIN.transferFrom(msg.sender, owner, fee), "the fee was not paid");
        emit Claimed(document, msg.sender);
    }
}

/// The part of ERC-20 that the notary needs.
interface Coin {
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}
