//! Prices, gifts, money held until work is done, and lists of people.

use alloy_sol_types::sol;

sol! {
    /// Money of an account.
    #[derive(Debug, PartialEq, Eq)]
    struct Funds {
        uint256 available;
        uint256 locked;
    }

    /// What a payee may lock.
    #[derive(Debug, PartialEq, Eq)]
    struct Authorization {
        address payee;
        uint256 maxLockedAmount;
        uint256 currentLockedAmount;
        uint256 maxLockSeconds;
        uint256 maxLockCounts;
        uint256 currentLocks;
    }

    /// Money locked for a job.
    #[derive(Debug, PartialEq, Eq)]
    struct LockedFunds {
        uint256 jobId;
        address payer;
        uint256 amount;
        uint256 expiry;
        address token;
    }

    /// Datatokens at a fixed rate: Ocean's `FixedRateExchange`.
    #[derive(Debug, PartialEq, Eq)]
    interface IFixedRate {
        event ExchangeCreated(bytes32 indexed exchangeId, address indexed baseToken, address indexed datatoken, address exchangeOwner, uint256 fixedRate);
        event ExchangeRateChanged(bytes32 indexed exchangeId, address indexed exchangeOwner, uint256 newRate);
        event ExchangeMintStateChanged(bytes32 indexed exchangeId, address indexed exchangeOwner, bool withMint);
        event ExchangeActivated(bytes32 indexed exchangeId, address indexed exchangeOwner);
        event ExchangeDeactivated(bytes32 indexed exchangeId, address indexed exchangeOwner);
        event ExchangeAllowedSwapperChanged(bytes32 indexed exchangeId, address indexed allowedSwapper);
        event Swapped(bytes32 indexed exchangeId, address indexed by, uint256 baseTokenSwappedAmount, uint256 datatokenSwappedAmount, address tokenOutAddress, uint256 marketFeeAmount, uint256 oceanFeeAmount, uint256 consumeMarketFeeAmount);
        event TokenCollected(bytes32 indexed exchangeId, address indexed to, address indexed token, uint256 amount);
        event OceanFeeCollected(bytes32 indexed exchangeId, address indexed feeToken, uint256 feeAmount);
        event MarketFeeCollected(bytes32 indexed exchangeId, address indexed feeToken, uint256 feeAmount);
        event ConsumeMarketFee(bytes32 indexed exchangeId, address to, address token, uint256 amount);
        event SWAP_FEES(bytes32 indexed exchangeId, uint256 oceanFeeAmount, uint256 marketFeeAmount, uint256 consumeMarketFeeAmount, address tokenFeeAddress);
        event PublishMarketFeeChanged(bytes32 indexed exchangeId, address caller, address newMarketCollector, uint256 swapFee);

        function MIN_FEE() external view returns (uint256);
        function MAX_FEE() external view returns (uint256);
        function MIN_RATE() external view returns (uint256);
        function getId() external pure returns (uint8);
        function router() external view returns (address);
        function createWithDecimals(address datatoken, address[] addresses, uint256[] uints) external returns (bytes32 exchangeId);
        function generateExchangeId(address baseToken, address datatoken) external pure returns (bytes32);
        function calcBaseInGivenOutDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 consumeMarketSwapFeeAmount) external view returns (uint256 baseTokenAmount, uint256 oceanFeeAmount, uint256 publishMarketFeeAmount, uint256 consumeMarketFeeAmount);
        function calcBaseOutGivenInDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 consumeMarketSwapFeeAmount) external view returns (uint256 baseTokenAmount, uint256 oceanFeeAmount, uint256 publishMarketFeeAmount, uint256 consumeMarketFeeAmount);
        function buyDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 maxBaseTokenAmount, address consumeMarketAddress, uint256 consumeMarketSwapFeeAmount) external;
        function sellDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 minBaseTokenAmount, address consumeMarketAddress, uint256 consumeMarketSwapFeeAmount) external;
        function collectBT(bytes32 exchangeId, uint256 amount) external;
        function collectDT(bytes32 exchangeId, uint256 amount) external;
        function collectMarketFee(bytes32 exchangeId) external;
        function collectOceanFee(bytes32 exchangeId) external;
        function updateMarketFee(bytes32 exchangeId, uint256 newMarketFee) external;
        function updateMarketFeeCollector(bytes32 exchangeId, address newMarketCollector) external;
        function setRate(bytes32 exchangeId, uint256 newRate) external;
        function toggleExchangeState(bytes32 exchangeId) external;
        function toggleMintState(bytes32 exchangeId, bool withMint) external;
        function setAllowedSwapper(bytes32 exchangeId, address newAllowedSwapper) external;
        function getExchange(bytes32 exchangeId) external view returns (address exchangeOwner, address datatoken, uint256 dtDecimals, address baseToken, uint256 btDecimals, uint256 fixedRate, bool active, uint256 dtSupply, uint256 btSupply, uint256 dtBalance, uint256 btBalance, bool withMint);
        function getFeesInfo(bytes32 exchangeId) external view returns (uint256 marketFee, address marketFeeCollector, uint256 opcFee, uint256 marketFeeAvailable, uint256 oceanFeeAvailable);
        function getAllowedSwapper(bytes32 exchangeId) external view returns (address);
        function getBTSupply(bytes32 exchangeId) external view returns (uint256);
        function getDTSupply(bytes32 exchangeId) external view returns (uint256);
        function getMarketFee(bytes32 exchangeId) external view returns (uint256);
        function getOPCFee(address baseTokenAddress) external view returns (uint256);
        function getRate(bytes32 exchangeId) external view returns (uint256);
        function isActive(bytes32 exchangeId) external view returns (bool);
        function getNumberOfExchanges() external view returns (uint256);
        function getExchanges() external view returns (bytes32[] memory);

        error ExchangeWrongDecimals(address token, uint256 said);
        /// The datatoken's own: it orders nothing while the asset is in this state.
        error OrderingClosed(uint8 state);
    }

    /// Datatokens for nothing: Ocean's `Dispenser`.
    #[derive(Debug, PartialEq, Eq)]
    interface IDispenser {
        event DispenserCreated(address indexed datatokenAddress, address indexed owner, uint256 maxTokens, uint256 maxBalance, address allowedSwapper);
        event DispenserActivated(address indexed datatokenAddress);
        event DispenserDeactivated(address indexed datatokenAddress);
        event DispenserAllowedSwapperChanged(address indexed datatoken, address indexed newAllowedSwapper);
        event TokensDispensed(address indexed datatokenAddress, address indexed userAddress, uint256 amount);
        event OwnerWithdrawed(address indexed datatoken, address indexed owner, uint256 amount);

        function getId() external pure returns (uint8);
        function router() external view returns (address);
        function create(address datatoken, uint256 maxTokens, uint256 maxBalance, address owner, address allowedSwapper) external;
        function activate(address datatoken, uint256 maxTokens, uint256 maxBalance) external;
        function deactivate(address datatoken) external;
        function setAllowedSwapper(address datatoken, address newAllowedSwapper) external;
        function dispense(address datatoken, uint256 amount, address destination) external;
        function ownerWithdraw(address datatoken) external;
        function status(address datatoken) external view returns (bool active, address owner, bool isMinter, uint256 maxTokens, uint256 maxBalance, uint256 balance, address allowedSwapper);
        function datatokensList(uint256 index) external view returns (address);

        /// The datatoken's own: it orders nothing while the asset is in this state.
        error OrderingClosed(uint8 state);
    }

    /// Money locked until the work is done: Ocean's `Escrow`.
    #[derive(Debug, PartialEq, Eq)]
    interface IEscrow {
        event Deposit(address indexed payer, address token, uint256 amount);
        event Withdraw(address indexed payer, address token, uint256 amount);
        event Auth(address indexed payer, address indexed payee, uint256 maxLockedAmount, uint256 maxLockSeconds, uint256 maxLockCounts);
        event Lock(address payer, address payee, uint256 jobId, uint256 amount, uint256 expiry, address token);
        event Claimed(address indexed payee, uint256 jobId, address token, address indexed payer, uint256 amount, bytes proof);
        event Canceled(address indexed payee, uint256 jobId, address token, address indexed payer, uint256 amount);

        function factoryRouter() external view returns (address);
        function opcCollector() external view returns (address);
        function deposit(address token, uint256 amount) external;
        function depositMultiple(address[] tokens, uint256[] amounts) external;
        function depositWithPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
        function withdraw(address[] tokens, uint256[] amounts) external;
        function authorize(address token, address payee, uint256 maxLockedAmount, uint256 maxLockSeconds, uint256 maxLockCounts) external;
        function authorizeMultiple(address[] tokens, address[] payees, uint256[] maxLockedAmounts, uint256[] maxLockSeconds, uint256[] maxLockCounts) external;
        function createLock(uint256 jobId, address token, address payer, uint256 amount, uint256 expiry) external;
        function createLocks(uint256[] jobIds, address[] tokens, address[] payers, uint256[] amounts, uint256[] expiries) external;
        function claimLock(uint256 jobId, address token, address payer, uint256 amount, bytes proof) external;
        function claimLocks(uint256[] jobIds, address[] tokens, address[] payers, uint256[] amounts, bytes[] proofs) external;
        function claimLockAndWithdraw(uint256 jobId, address token, address payer, uint256 amount, bytes proof) external;
        function claimLocksAndWithdraw(uint256[] jobIds, address[] tokens, address[] payers, uint256[] amounts, bytes[] proofs) external;
        function cancelExpiredLock(uint256 jobId, address token, address payer, address payee) external;
        function cancelExpiredLocks(uint256[] jobIds, address[] tokens, address[] payers, address[] payees) external;
        function getFunds(address token) external view returns (Funds memory);
        function getUserFunds(address payer, address token) external view returns (Funds memory);
        function getUserTokens(address user) external view returns (address[] memory);
        function getLocks(address token, address payer, address payee) external view returns (LockedFunds[] memory);
        function getAuthorizations(address token, address payer, address payee) external view returns (Authorization[] memory);
    }

    /// A list of people: Ocean's `AccessList` without the functions of ERC-721 and `Ownable`.
    #[derive(Debug, PartialEq, Eq)]
    interface IAccessList {
        event AddressAdded(address indexed wallet, uint256 tokenId);
        event AddressRemoved(uint256 tokenId);

        function initialize(address owner, string name, string symbol, bool transferable, address[] users, string[] uris) external returns (bool);
        function transferable() external view returns (bool);
        function mint(address user, string uri) external returns (uint256);
        function batchMint(address[] users, string[] uris) external;
        function burn(uint256 tokenId) external;

        /// Whether an account is on the list, and whether it has burned a place of its own since the list's owner last took it off.
        function placeOf(address account) external view returns (bool listed, bool gaveUp);
    }

    /// The factory of lists: Ocean's `AccessListFactory`.
    #[derive(Debug, PartialEq, Eq)]
    interface IAccessListFactory {
        event NewAccessList(address indexed contractAddress, address indexed owner);

        function deployAccessListContract(string name, string symbol, bool transferable, address owner, address[] users, string[] uris) external returns (address token);
        function isDeployed(address contractAddress) external view returns (bool);
        function isSoulBound(address contractAddress) external view returns (bool);
        function owner() external view returns (address);
    }
}
