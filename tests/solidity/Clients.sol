// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

/// What the tests of clients call: values, events, logs, every kind of revert.
contract Probe {
    struct Point {
        uint128 x;
        uint128 y;
    }

    error Refused(address caller, uint256 asked, string why);

    event Stored(address indexed by, uint256 indexed value, bytes32 indexed tag, string note);
    event Paid(address indexed from, uint256 amount);

    uint256 public value;
    string public note;
    mapping(address => uint256) public paid;
    Point public point;
    uint256[] private list;
    uint256 private locked = 1;

    constructor(uint256 initial, string memory text) payable {
        value = initial;
        note = text;
    }

    receive() external payable {
        paid[msg.sender] += msg.value;
        emit Paid(msg.sender, msg.value);
    }

    function store(uint256 wanted, string calldata text) external returns (uint256 before) {
        before = value;
        value = wanted;
        note = text;
        emit Stored(msg.sender, wanted, keccak256(bytes(text)), text);
    }

    function storeMany(uint256 from, uint256 count) external {
        for (uint256 i = 0; i < count; i++) {
            emit Stored(msg.sender, from + i, bytes32(i), "");
        }
        value = from + count;
    }

    function setPoint(Point calldata to) external {
        point = to;
    }

    function push(uint256[] calldata more) external {
        for (uint256 i = 0; i < more.length; i++) list.push(more[i]);
    }

    function values() external view returns (uint256[] memory) {
        return list;
    }

    function echo(bytes calldata data, Point calldata where, string[] calldata words)
        external
        pure
        returns (bytes memory, Point memory, string[] memory)
    {
        return (data, where, words);
    }

    function sender() external view returns (address, uint256, uint256, uint256) {
        return (msg.sender, block.chainid, block.number, block.timestamp);
    }

    function failWithReason() external pure {
        require(false, "a reason in words");
    }

    function failWithError(uint256 asked) external view {
        revert Refused(msg.sender, asked, "too much");
    }

    function failWithPanic(uint256 divisor) external pure returns (uint256) {
        return 1 / divisor;
    }

    function failWithNothing() external pure {
        revert();
    }

    function failByAssert() external pure {
        assert(false);
    }

    function failIfStored(uint256 wanted) external {
        value = wanted;
        if (wanted == 13) revert Refused(msg.sender, wanted, "unlucky");
    }

    function burnGas(uint256 rounds) external returns (uint256 sum) {
        for (uint256 i = 0; i < rounds; i++) {
            sum = uint256(keccak256(abi.encode(sum, i)));
        }
        locked = sum | 1;
    }

    function forward(address to, bytes calldata data) external payable returns (bytes memory) {
        (bool success, bytes memory result) = to.call{value: msg.value}(data);
        if (!success) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
        return result;
    }
}

/// Whom an account delegates to with EIP-7702: calls several in one transaction.
contract Batcher {
    error NotSelf();

    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    function run(Call[] calldata calls) external payable {
        if (msg.sender != address(this)) revert NotSelf();
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory result) = calls[i].to.call{value: calls[i].value}(calls[i].data);
            if (!success) {
                assembly {
                    revert(add(result, 32), mload(result))
                }
            }
        }
    }

    receive() external payable {}
}

/// Checks EIP-712 signatures as contracts do.
contract Mailbox {
    bytes32 private constant DOMAIN = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant PERSON = keccak256("Person(string name,address wallet)");
    bytes32 private constant MAIL = keccak256("Mail(Person from,Person to,string contents)Person(string name,address wallet)");

    struct Person {
        string name;
        address wallet;
    }

    function signer(Person calldata from, Person calldata to, string calldata contents, uint8 v, bytes32 r, bytes32 s)
        external
        view
        returns (address)
    {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN, keccak256("Mailbox"), keccak256("1"), block.chainid, address(this))
        );
        bytes32 content = keccak256(abi.encode(MAIL, person(from), person(to), keccak256(bytes(contents))));
        return ecrecover(keccak256(abi.encodePacked("\x19\x01", domain, content)), v, r, s);
    }

    function person(Person calldata of_) private pure returns (bytes32) {
        return keccak256(abi.encode(PERSON, keccak256(bytes(of_.name)), of_.wallet));
    }
}
