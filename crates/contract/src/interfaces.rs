//! The Solidity interfaces of the ready parts: functions, events and errors of OpenZeppelin Contracts 5.7 and of the
//! ERCs that they implement.

alloy_sol_types::sol! {
    /// ERC-165: which interfaces a contract has.
    interface IERC165 {
        function supportsInterface(bytes4 interfaceId) external view returns (bool);
    }

    /// ERC-20: fungible tokens.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC20 {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event Approval(address indexed owner, address indexed spender, uint256 value);

        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function transfer(address to, uint256 value) external returns (bool);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 value) external returns (bool);
        function transferFrom(address from, address to, uint256 value) external returns (bool);
    }

    /// ERC-20: what a token is called.
    interface IERC20Metadata {
        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function decimals() external view returns (uint8);
    }

    /// OpenZeppelin's `ERC20Burnable`.
    interface IERC20Burnable {
        function burn(uint256 value) external;
        function burnFrom(address account, uint256 value) external;
    }

    /// ERC-6093: errors of ERC-20 tokens.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC20Errors {
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InvalidSender(address sender);
        error ERC20InvalidReceiver(address receiver);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error ERC20InvalidApprover(address approver);
        error ERC20InvalidSpender(address spender);
    }

    /// ERC-2612: approval by signature.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC20Permit {
        error ERC2612ExpiredSignature(uint256 deadline);
        error ERC2612InvalidSigner(address signer, address owner);

        function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
        function nonces(address owner) external view returns (uint256);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
    }

    /// ERC-5267: the domain of a contract's typed data.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC5267 {
        event EIP712DomainChanged();

        function eip712Domain() external view returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );
    }

    /// OpenZeppelin's `Nonces`.
    #[derive(Debug, PartialEq, Eq)]
    interface INonces {
        error InvalidAccountNonce(address account, uint256 currentNonce);

        function nonces(address owner) external view returns (uint256);
    }

    /// OpenZeppelin's `ECDSA`.
    #[derive(Debug, PartialEq, Eq)]
    interface IECDSAErrors {
        error ECDSAInvalidSignature();
        error ECDSAInvalidSignatureLength(uint256 length);
        error ECDSAInvalidSignatureS(bytes32 s);
    }

    /// ERC-6372: a contract's clock.
    interface IERC6372 {
        function clock() external view returns (uint48);
        function CLOCK_MODE() external view returns (string memory);
    }

    /// ERC-5805: votes that can be delegated.
    #[derive(Debug, PartialEq, Eq)]
    interface IVotes {
        error VotesExpiredSignature(uint256 expiry);
        error ERC5805FutureLookup(uint256 timepoint, uint48 clock);

        event DelegateChanged(address indexed delegator, address indexed fromDelegate, address indexed toDelegate);
        event DelegateVotesChanged(address indexed delegate, uint256 previousVotes, uint256 newVotes);

        function getVotes(address account) external view returns (uint256);
        function getPastVotes(address account, uint256 timepoint) external view returns (uint256);
        function getPastTotalSupply(uint256 timepoint) external view returns (uint256);
        function delegates(address account) external view returns (address);
        function delegate(address delegatee) external;
        function delegateBySig(address delegatee, uint256 nonce, uint256 expiry, uint8 v, bytes32 r, bytes32 s) external;
    }

    /// A point in a history: the value from a time on.
    #[derive(Debug, PartialEq, Eq)]
    struct Checkpoint208 {
        uint48 _key;
        uint208 _value;
    }

    /// What OpenZeppelin's `ERC20Votes` adds to ERC-5805.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC20Votes {
        error ERC20ExceededSafeSupply(uint256 increasedSupply, uint256 cap);

        function checkpoints(address account, uint32 pos) external view returns (Checkpoint208 memory);
        function numCheckpoints(address account) external view returns (uint32);
    }

    /// Errors of OpenZeppelin's `Checkpoints` and `SafeCast`.
    #[derive(Debug, PartialEq, Eq)]
    interface ICheckpointErrors {
        error CheckpointUnorderedInsertion();
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
    }

    /// ERC-721: tokens of which each is one of its kind.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC721 {
        event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
        event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId);
        event ApprovalForAll(address indexed owner, address indexed operator, bool approved);

        function balanceOf(address owner) external view returns (uint256);
        function ownerOf(uint256 tokenId) external view returns (address);
        function safeTransferFrom(address from, address to, uint256 tokenId, bytes calldata data) external;
        function safeTransferFrom(address from, address to, uint256 tokenId) external;
        function transferFrom(address from, address to, uint256 tokenId) external;
        function approve(address to, uint256 tokenId) external;
        function setApprovalForAll(address operator, bool approved) external;
        function getApproved(uint256 tokenId) external view returns (address);
        function isApprovedForAll(address owner, address operator) external view returns (bool);
    }

    /// ERC-721: what a collection and its tokens are called.
    interface IERC721Metadata {
        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function tokenURI(uint256 tokenId) external view returns (string memory);
    }

    /// ERC-721: listing tokens.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC721Enumerable {
        error ERC721OutOfBoundsIndex(address owner, uint256 index);

        function totalSupply() external view returns (uint256);
        function tokenOfOwnerByIndex(address owner, uint256 index) external view returns (uint256);
        function tokenByIndex(uint256 index) external view returns (uint256);
    }

    /// ERC-721: contracts that take tokens.
    interface IERC721Receiver {
        function onERC721Received(address operator, address from, uint256 tokenId, bytes calldata data) external returns (bytes4);
    }

    /// ERC-6093: errors of ERC-721 tokens.
    #[derive(Debug, PartialEq, Eq)]
    interface IERC721Errors {
        error ERC721InvalidOwner(address owner);
        error ERC721NonexistentToken(uint256 tokenId);
        error ERC721IncorrectOwner(address sender, uint256 tokenId, address owner);
        error ERC721InvalidSender(address sender);
        error ERC721InvalidReceiver(address receiver);
        error ERC721InsufficientApproval(address operator, uint256 tokenId);
        error ERC721InvalidApprover(address approver);
        error ERC721InvalidOperator(address operator);
    }

    /// OpenZeppelin's `Ownable`.
    #[derive(Debug, PartialEq, Eq)]
    interface IOwnable {
        error OwnableUnauthorizedAccount(address account);
        error OwnableInvalidOwner(address owner);

        event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

        function owner() external view returns (address);
        function renounceOwnership() external;
        function transferOwnership(address newOwner) external;
    }

    /// OpenZeppelin's `Ownable2Step`, with the functions of `Ownable`.
    #[derive(Debug, PartialEq, Eq)]
    interface IOwnable2Step {
        event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);

        function owner() external view returns (address);
        function pendingOwner() external view returns (address);
        function renounceOwnership() external;
        function transferOwnership(address newOwner) external;
        function acceptOwnership() external;
    }

    /// OpenZeppelin's `IAccessControl`.
    #[derive(Debug, PartialEq, Eq)]
    interface IAccessControl {
        error AccessControlUnauthorizedAccount(address account, bytes32 neededRole);
        error AccessControlBadConfirmation();

        event RoleAdminChanged(bytes32 indexed role, bytes32 indexed previousAdminRole, bytes32 indexed newAdminRole);
        event RoleGranted(bytes32 indexed role, address indexed account, address indexed sender);
        event RoleRevoked(bytes32 indexed role, address indexed account, address indexed sender);

        function hasRole(bytes32 role, address account) external view returns (bool);
        function getRoleAdmin(bytes32 role) external view returns (bytes32);
        function grantRole(bytes32 role, address account) external;
        function revokeRole(bytes32 role, address account) external;
        function renounceRole(bytes32 role, address callerConfirmation) external;
    }

    /// The role above all, in OpenZeppelin's `AccessControl`.
    interface IDefaultAdminRole {
        function DEFAULT_ADMIN_ROLE() external view returns (bytes32);
    }

    /// OpenZeppelin's `Pausable`.
    #[derive(Debug, PartialEq, Eq)]
    interface IPausable {
        error EnforcedPause();
        error ExpectedPause();

        event Paused(address account);
        event Unpaused(address account);

        function paused() external view returns (bool);
    }

    /// OpenZeppelin's `ReentrancyGuard`.
    #[derive(Debug, PartialEq, Eq)]
    interface IReentrancyGuardErrors {
        error ReentrancyGuardReentrantCall();
    }

    /// OpenZeppelin's `Errors`, which `Clones` uses.
    #[derive(Debug, PartialEq, Eq)]
    interface IDeploymentErrors {
        error FailedDeployment();
    }
}
