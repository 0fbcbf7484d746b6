// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {AccessControlEnumerable} from "@openzeppelin/contracts/access/extensions/AccessControlEnumerable.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {VestingWallet} from "@openzeppelin/contracts/finance/VestingWallet.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {TimelockedGovernor} from "./TimelockedGovernor.sol";

/// Roles that can be listed.
contract Roles is AccessControlEnumerable {
    bytes32 public constant WRITER_ROLE = keccak256("WRITER_ROLE");
    uint256 public value;

    constructor(address admin) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    function write(uint256 to) external onlyRole(WRITER_ROLE) {
        value = to;
    }
}

/// An administrator who is replaced with a delay.
contract SlowAdmin is AccessControlDefaultAdminRules {
    constructor(uint48 delay, address admin) AccessControlDefaultAdminRules(delay, admin) {}
}

/// Its delays are given in blocks.
contract BlockGovernor is TimelockedGovernor {
    constructor(IVotes token, TimelockController timelock)
        TimelockedGovernor("BlockGovernor", token, timelock, 2, 20, 10, 10)
    {}
}

/// What governors and timelocks call.
contract Target {
    error Refused(uint256 value);

    event Called(address indexed by, uint256 value, uint256 paid);

    uint256 public value;

    function set(uint256 to) external payable {
        if (to == 13) revert Refused(to);
        value = to;
        emit Called(msg.sender, to, msg.value);
    }
}

/// Coin that is freed over time.
contract Vesting is VestingWallet {
    constructor(address to, uint64 start, uint64 duration) VestingWallet(to, start, duration) {}
}

/// Keeps coin for many; guarded against being entered again, or not.
contract Bank is ReentrancyGuard {
    error NotEnough(uint256 has, uint256 wants);

    mapping(address => uint256) public balances;

    function deposit() external payable {
        balances[msg.sender] += msg.value;
    }

    function withdrawGuarded(uint256 amount) external nonReentrant {
        withdraw(amount);
    }

    function withdrawOpen(uint256 amount) external {
        withdraw(amount);
    }

    function withdraw(uint256 amount) private {
        uint256 has = balances[msg.sender];
        if (has < amount) revert NotEnough(has, amount);
        (bool success, bytes memory result) = msg.sender.call{value: amount}("");
        if (!success) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
        unchecked {
            balances[msg.sender] = has - amount;
        }
    }
}

/// Enters the bank again while it pays.
contract Thief {
    Bank private immutable bank;
    bytes4 private selector;
    uint256 private times;

    constructor(Bank bank_) {
        bank = bank_;
    }

    function rob(bytes4 selector_, uint256 times_) external payable {
        (selector, times) = (selector_, times_);
        bank.deposit{value: msg.value}();
        enter(msg.value);
    }

    receive() external payable {
        if (times > 0) {
            times--;
            enter(msg.value);
        }
    }

    function enter(uint256 amount) private {
        (bool success, bytes memory result) = address(bank).call(abi.encodeWithSelector(selector, amount));
        if (!success) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }
}

/// What clones are copies of.
contract Account is Initializable {
    address public owner;
    uint256 public count;

    constructor() {
        _disableInitializers();
    }

    function initialize(address owner_) external initializer {
        owner = owner_;
    }

    function increment() external {
        count++;
    }
}

/// Makes clones.
contract Factory {
    event Made(address clone);

    address public immutable implementation = address(new Account());

    function make(bytes32 salt) external returns (address clone) {
        clone = Clones.cloneDeterministic(implementation, salt);
        Account(clone).initialize(msg.sender);
        emit Made(clone);
    }

    function predict(bytes32 salt) external view returns (address) {
        return Clones.predictDeterministicAddress(implementation, salt);
    }
}
