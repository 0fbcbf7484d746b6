// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {DoubleEndedQueue} from "@openzeppelin/contracts/utils/structs/DoubleEndedQueue.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

/// OpenZeppelin's functions without state.
contract Functions {
    function mulDiv(uint256 x, uint256 y, uint256 by, Math.Rounding rounding) external pure returns (uint256) {
        return Math.mulDiv(x, y, by, rounding);
    }

    function sqrt(uint256 x) external pure returns (uint256) {
        return Math.sqrt(x);
    }

    function log2(uint256 x) external pure returns (uint256) {
        return Math.log2(x);
    }

    function log10(uint256 x) external pure returns (uint256) {
        return Math.log10(x);
    }

    function average(uint256 x, uint256 y) external pure returns (uint256) {
        return Math.average(x, y);
    }

    function modExp(uint256 base, uint256 power, uint256 modulus) external view returns (uint256) {
        return Math.modExp(base, power, modulus);
    }

    function invMod(uint256 x, uint256 modulus) external pure returns (uint256) {
        return Math.invMod(x, modulus);
    }

    function abs(int256 x) external pure returns (uint256) {
        return SignedMath.abs(x);
    }

    function toUint8(uint256 x) external pure returns (uint8) {
        return SafeCast.toUint8(x);
    }

    function toUint128(uint256 x) external pure returns (uint128) {
        return SafeCast.toUint128(x);
    }

    function toInt256(uint256 x) external pure returns (int256) {
        return SafeCast.toInt256(x);
    }

    function decimal(uint256 x) external pure returns (string memory) {
        return Strings.toString(x);
    }

    function hexadecimal(uint256 x, uint256 length) external pure returns (string memory) {
        return Strings.toHexString(x, length);
    }

    function checksummed(address x) external pure returns (string memory) {
        return Strings.toChecksumHexString(x);
    }

    function parse(string calldata text) external pure returns (uint256) {
        return Strings.parseUint(text);
    }

    function base64(bytes calldata data) external pure returns (string memory) {
        return Base64.encode(data);
    }

    function recover(bytes32 hash, bytes calldata signature) external pure returns (address) {
        return ECDSA.recover(hash, signature);
    }

    function verify(bytes32[] calldata proof, bytes32 root, bytes32 leaf) external pure returns (bool) {
        return MerkleProof.verify(proof, root, leaf);
    }

    function divide(uint256 x, uint256 y) external pure returns (uint256) {
        return x / y;
    }

    function subtract(uint256 x, uint256 y) external pure returns (uint256) {
        return x - y;
    }

    function pick(uint256[] calldata list, uint256 index) external pure returns (uint256) {
        return list[index];
    }

    function precompile(address which, bytes calldata data) external view returns (bool success, bytes memory result) {
        return which.staticcall(data);
    }
}

/// OpenZeppelin's structures in storage.
contract Structures {
    using EnumerableSet for EnumerableSet.UintSet;
    using BitMaps for BitMaps.BitMap;
    using Checkpoints for Checkpoints.Trace208;
    using DoubleEndedQueue for DoubleEndedQueue.Bytes32Deque;

    event Changed(bool done);

    EnumerableSet.UintSet private set;
    BitMaps.BitMap private bits;
    Checkpoints.Trace208 private trace;
    DoubleEndedQueue.Bytes32Deque private queue;

    function add(uint256 value) external {
        emit Changed(set.add(value));
    }

    function remove(uint256 value) external {
        emit Changed(set.remove(value));
    }

    function values() external view returns (uint256[] memory) {
        return set.values();
    }

    function setBit(uint256 index, bool to) external {
        bits.setTo(index, to);
    }

    function bit(uint256 index) external view returns (bool) {
        return bits.get(index);
    }

    function push(uint48 key, uint208 value) external {
        trace.push(key, value);
    }

    function lookup(uint48 key) external view returns (uint256) {
        return trace.upperLookupRecent(key);
    }

    function pushBack(bytes32 value) external {
        queue.pushBack(value);
    }

    function pushFront(bytes32 value) external {
        queue.pushFront(value);
    }

    function popBack() external {
        queue.popBack();
    }

    function popFront() external {
        queue.popFront();
    }

    function queued() external view returns (bytes32[] memory all) {
        all = new bytes32[](queue.length());
        for (uint256 i = 0; i < all.length; i++) all[i] = queue.at(i);
    }
}

/// What a contract sees of its surroundings.
contract Surroundings {
    uint256 public stored = 7;
    mapping(address => uint256) public mapped;

    function block_() external view returns (uint256, uint256, uint256, uint256, address, uint256) {
        return (block.number, block.timestamp, block.basefee, block.chainid, block.coinbase, block.prevrandao);
    }

    function sender() external view returns (address, address) {
        return (msg.sender, tx.origin);
    }

    function balance(address of_) external view returns (uint256) {
        return of_.balance;
    }

    function codeHash(address of_) external view returns (bytes32) {
        return of_.codehash;
    }

    function store(uint256 to) external {
        stored = to;
        mapped[msg.sender] = to;
    }
}
