// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

// OpenZeppelin's contracts with nothing added but open doors, to compare the native parts with.

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {ERC721Enumerable} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721Enumerable.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// A pausable token with permits and votes on a clock of seconds.
contract OzToken is ERC20, ERC20Burnable, ERC20Permit, ERC20Votes, Pausable {
    constructor() ERC20("Compared", "CMP") ERC20Permit("Compared") {}

    function mint(address to, uint256 value) external {
        _mint(to, value);
    }

    function pause() external {
        _pause();
    }

    function unpause() external {
        _unpause();
    }

    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) whenNotPaused {
        super._update(from, to, value);
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }
}

/// A collection of tokens that can be listed.
contract OzCollection is ERC721, ERC721Enumerable {
    constructor() ERC721("A collection whose name needs more than one slot", "COLL") {}

    function mint(address to, uint256 tokenId) external {
        _mint(to, tokenId);
    }

    function safeMint(address to, uint256 tokenId, bytes calldata data) external {
        _safeMint(to, tokenId, data);
    }

    function burn(uint256 tokenId) external {
        _burn(tokenId);
    }

    function _baseURI() internal pure override returns (string memory) {
        return "stoa:";
    }

    function _update(
        address to,
        uint256 tokenId,
        address auth
    ) internal override(ERC721, ERC721Enumerable) returns (address) {
        return super._update(to, tokenId, auth);
    }

    function _increaseBalance(address account, uint128 value) internal override(ERC721, ERC721Enumerable) {
        super._increaseBalance(account, value);
    }

    function supportsInterface(bytes4 interfaceId) public view override(ERC721, ERC721Enumerable) returns (bool) {
        return super.supportsInterface(interfaceId);
    }
}

/// Roles whose admins anyone may set.
contract OzRoles is AccessControl {
    constructor(address admin) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    function setRoleAdmin(bytes32 role, bytes32 admin) external {
        _setRoleAdmin(role, admin);
    }

    function guarded(bytes32 role) external onlyRole(role) {}
}

contract OzOwnable is Ownable {
    constructor(address owner) Ownable(owner) {}

    function guarded() external onlyOwner {}
}

contract OzOwnable2Step is Ownable2Step {
    constructor(address owner) Ownable(owner) {}

    function guarded() external onlyOwner {}
}

/// Makes clones and says where they will be.
contract OzClones {
    function clone(address implementation) external returns (address) {
        return Clones.clone(implementation);
    }

    function cloneDeterministic(address implementation, bytes32 salt) external returns (address) {
        return Clones.cloneDeterministic(implementation, salt);
    }

    function predict(address implementation, bytes32 salt) external view returns (address) {
        return Clones.predictDeterministicAddress(implementation, salt);
    }
}

/// Every kind of thing that storage can hold.
contract EveryLayout {
    using EnumerableSet for EnumerableSet.AddressSet;
    using EnumerableSet for EnumerableSet.UintSet;

    enum Phase {
        Open,
        Closed,
        Settled
    }

    struct Offer {
        address seller;
        uint64 until;
        bool open;
        uint256 price;
        string terms;
        uint32[3] weights;
    }

    bool public flag;
    uint8 public small;
    address public owner;
    Phase public phase;
    uint256 public big;
    bytes4 public selector;
    int64 public signed;
    uint128 public half;
    uint128 public otherHalf;
    mapping(address => uint256) public balances;
    mapping(address => mapping(uint64 => bool)) public nested;
    mapping(bytes4 => uint16) public bySelector;
    mapping(string => uint256) public byName;
    uint64[] public numbers;
    Offer[] public offers;
    mapping(bytes32 => Offer) public offersById;
    uint16[20] public fixedNumbers;
    bytes public blob;
    string public text;
    EnumerableSet.AddressSet private _members;
    EnumerableSet.UintSet private _ids;

    function setValues(
        bool flag_,
        uint8 small_,
        address owner_,
        Phase phase_,
        uint256 big_,
        bytes4 selector_,
        int64 signed_,
        uint128 half_,
        uint128 otherHalf_
    ) external {
        flag = flag_;
        small = small_;
        owner = owner_;
        phase = phase_;
        big = big_;
        selector = selector_;
        signed = signed_;
        half = half_;
        otherHalf = otherHalf_;
    }

    function setMappings(address account, uint64 key, bytes4 id, string calldata name, uint256 value) external {
        balances[account] = value;
        nested[account][key] = !nested[account][key];
        bySelector[id] = uint16(value);
        byName[name] = value;
    }

    function pushNumber(uint64 value) external {
        numbers.push(value);
    }

    function popNumber() external {
        numbers.pop();
    }

    function number(uint256 index) external view returns (uint64) {
        return numbers[index];
    }

    function setFixed(uint256 index, uint16 value) external {
        fixedNumbers[index] = value;
    }

    function offer(bytes32 id, uint64 until, uint256 price, string calldata terms, uint32[3] calldata weights) external {
        Offer memory made = Offer(msg.sender, until, true, price, terms, weights);
        offers.push(made);
        offersById[id] = made;
    }

    function setBytes(bytes calldata blob_, string calldata text_) external {
        blob = blob_;
        text = text_;
    }

    function bytesAndText() external view returns (bytes memory, string memory) {
        return (blob, text);
    }

    function addMember(address member, uint256 id) external returns (bool, bool) {
        return (_members.add(member), _ids.add(id));
    }

    function removeMember(address member, uint256 id) external returns (bool, bool) {
        return (_members.remove(member), _ids.remove(id));
    }

    function members() external view returns (address[] memory, uint256[] memory) {
        return (_members.values(), _ids.values());
    }
}

/// Takes ERC-721 tokens, or does not, as the first byte of the data says.
contract Receiver is IERC721Receiver {
    error NotToday(uint256 tokenId);

    function onERC721Received(address, address, uint256 tokenId, bytes calldata data) external pure returns (bytes4) {
        uint8 mood = data.length == 0 ? 0 : uint8(data[0]);
        if (mood == 1) revert NotToday(tokenId);
        // solhint-disable-next-line reason-string,gas-custom-errors
        if (mood == 2) revert();
        return mood == 3 ? bytes4(0) : IERC721Receiver.onERC721Received.selector;
    }
}

/// Calls other contracts and keeps count, which a revert must undo.
contract Caller is ReentrancyGuard {
    error Enough(uint256 calls);

    uint256 public calls;

    /// Calls and passes on what comes back.
    function forward(address to, bytes calldata data) public payable returns (bytes memory) {
        calls += 1;
        (bool success, bytes memory result) = to.call{value: msg.value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
        return result;
    }

    function guardedForward(address to, bytes calldata data) external payable nonReentrant returns (bytes memory) {
        return forward(to, data);
    }

    /// Calls and reverts whatever comes back.
    function forwardAndRevert(address to, bytes calldata data) external payable {
        forward(to, data);
        revert Enough(calls);
    }

    /// Calls, and goes on whatever comes back.
    function attempt(address to, bytes calldata data) external payable returns (bool, bytes memory) {
        calls += 1;
        return to.call{value: msg.value}(data);
    }

    function attemptStatic(address to, bytes calldata data) external view returns (bool, bytes memory) {
        return to.staticcall(data);
    }

    function attemptDelegate(address to, bytes calldata data) external returns (bool, bytes memory) {
        return to.delegatecall(data);
    }

    function attemptWithGas(address to, uint256 gasLimit, bytes calldata data) external returns (bool, bytes memory) {
        calls += 1;
        return to.call{gas: gasLimit}(data);
    }

    receive() external payable {}
}
