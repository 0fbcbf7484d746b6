//! Assets, their tokens, and the table of fees.

use alloy_sol_types::sol;

sol! {
    /// What a data NFT is created with.
    #[derive(Debug, PartialEq, Eq)]
    struct NftData {
        string name;
        string symbol;
        uint256 templateIndex;
        string tokenURI;
        bool transferable;
        address owner;
    }

    /// What a datatoken is created with: `strings` name and symbol; `addresses` minter, payment collector, address and token
    /// of the publishing market's fee; `uints` cap (not 0, and no limit), amount of that fee.
    #[derive(Debug, PartialEq, Eq)]
    struct DatatokenData {
        uint256 templateIndex;
        string[] strings;
        address[] addresses;
        uint256[] uints;
        bytes[] bytess;
    }

    /// What an exchange is created with: `addresses` base token, owner, collector of the market's fee, the one account that may
    /// swap (zero for all); `uints` decimals of the base token, decimals of the datatoken (18), rate, the market's fee, whether
    /// the exchange may mint.
    #[derive(Debug, PartialEq, Eq)]
    struct FixedRateData {
        address fixedPriceAddress;
        address[] addresses;
        uint256[] uints;
    }

    /// What a dispenser is created with.
    #[derive(Debug, PartialEq, Eq)]
    struct DispenserData {
        address dispenserAddress;
        uint256 maxTokens;
        uint256 maxBalance;
        bool withMint;
        address allowedSwapper;
    }

    /// A validator's signature over the hash of metadata.
    #[derive(Debug, PartialEq, Eq)]
    struct MetaDataProof {
        address validatorAddress;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// An asset's first metadata.
    #[derive(Debug, PartialEq, Eq)]
    struct MetaData {
        uint8 state;
        string decryptorUrl;
        string decryptorAddress;
        bytes flags;
        bytes data;
        bytes32 dataHash;
        MetaDataProof[] proofs;
    }

    /// An asset's metadata and its token's URI.
    #[derive(Debug, PartialEq, Eq)]
    struct MetaDataAndUri {
        uint8 state;
        string decryptorUrl;
        string decryptorAddress;
        bytes flags;
        bytes data;
        bytes32 dataHash;
        uint256 tokenId;
        string tokenURI;
        MetaDataProof[] proofs;
    }

    /// What a provider asks for an order, and signed.
    #[derive(Debug, PartialEq, Eq)]
    struct ProviderQuote {
        address feeAddress;
        address feeToken;
        uint256 amount;
        uint8 v;
        bytes32 r;
        bytes32 s;
        uint256 validUntil;
        bytes data;
    }

    /// What the market that the buyer came through asks for an order.
    #[derive(Debug, PartialEq, Eq)]
    struct MarketQuote {
        address feeAddress;
        address feeToken;
        uint256 amount;
    }

    /// One order of several.
    #[derive(Debug, PartialEq, Eq)]
    struct TokenOrder {
        address token;
        address consumer;
        uint256 serviceIndex;
        ProviderQuote providerFee;
        MarketQuote consumeMarketFee;
    }

    /// One reuse of several.
    #[derive(Debug, PartialEq, Eq)]
    struct ReuseOrder {
        address token;
        bytes32 orderTxId;
        ProviderQuote providerFee;
    }

    /// One purchase of several; `operation` 2 buys at a fixed rate, 3 takes from a dispenser.
    #[derive(Debug, PartialEq, Eq)]
    struct Operation {
        bytes32 exchangeId;
        address source;
        uint8 operation;
        address tokenIn;
        uint256 amountsIn;
        address tokenOut;
        uint256 amountsOut;
        uint256 maxPrice;
        uint256 swapMarketFee;
        address marketFeeAddress;
    }

    /// A template and whether it may be used.
    #[derive(Debug, PartialEq, Eq)]
    struct Template {
        address templateAddress;
        bool isActive;
    }

    /// What an account may do with an asset.
    #[derive(Debug, PartialEq, Eq)]
    struct Roles {
        bool manager;
        bool deployERC20;
        bool updateMetadata;
        bool store;
    }

    /// What an account may do with a datatoken.
    #[derive(Debug, PartialEq, Eq)]
    struct DatatokenRoles {
        bool minter;
        bool paymentManager;
    }

    /// An exchange that sells a datatoken.
    #[derive(Debug, PartialEq, Eq)]
    struct ExchangeRef {
        address contractAddress;
        bytes32 id;
    }

    /// Somebody who may order or may not: an account, or a list of accounts.
    #[derive(Debug, PartialEq, Eq)]
    struct AccessEntry {
        address who;
        /// Whether it is a list of the market's factory, and stands for those on it.
        bool list;
    }

    /// A right to use a service.
    #[derive(Debug, PartialEq, Eq)]
    struct Order {
        /// Who may use it.
        address consumer;
        /// Who paid.
        address payer;
        uint256 serviceIndex;
        /// The first second since 1970 at which it no longer stands; 0 for no end.
        uint256 until;
    }

    /// The factory of assets: Ocean's `ERC721Factory`.
    #[derive(Debug, PartialEq, Eq)]
    interface IFactory {
        event NFTCreated(address newTokenAddress, address indexed templateAddress, string tokenName, address indexed admin, string symbol, string tokenURI, bool transferable, address indexed creator);
        event TokenCreated(address indexed newTokenAddress, address indexed templateAddress, string name, string symbol, uint256 cap, address creator);

        function deployERC721Contract(string name, string symbol, uint256 templateIndex, address additionalERC20Deployer, address additionalMetaDataUpdater, string tokenURI, bool transferable, address owner) external returns (address token);
        function createToken(uint256 templateIndex, string[] strings, address[] addresses, uint256[] uints, bytes[] bytess) external returns (address token);
        function createNftWithErc20(NftData nft, DatatokenData datatoken) external returns (address erc721Address, address erc20Address);
        function createNftWithErc20WithFixedRate(NftData nft, DatatokenData datatoken, FixedRateData fixedRate) external returns (address erc721Address, address erc20Address, bytes32 exchangeId);
        function createNftWithErc20WithDispenser(NftData nft, DatatokenData datatoken, DispenserData dispenser) external returns (address erc721Address, address erc20Address);
        function createNftWithMetaData(NftData nft, MetaData metaData) external returns (address erc721Address);
        function startMultipleTokenOrder(TokenOrder[] orders) external;
        function reuseMultipleTokenOrder(ReuseOrder[] orders) external;
        function owner() external view returns (address);
        function router() external view returns (address);
        function erc20List(address token) external view returns (bool);
        function erc721List(address token) external view returns (address);
        function getCurrentNFTCount() external view returns (uint256);
        function getCurrentTokenCount() external view returns (uint256);
        function getCurrentNFTTemplateCount() external view returns (uint256);
        function getCurrentTemplateCount() external view returns (uint256);
        function getNFTTemplate(uint256 index) external view returns (Template memory);
        function getTokenTemplate(uint256 index) external view returns (Template memory);
    }

    /// An asset: Ocean's `ERC721Template` without the functions of ERC-721 itself.
    #[derive(Debug, PartialEq, Eq)]
    interface INft {
        event MetadataCreated(address indexed createdBy, uint8 state, string decryptorUrl, bytes flags, bytes data, bytes32 metaDataHash, uint256 timestamp, uint256 blockNumber);
        event MetadataUpdated(address indexed updatedBy, uint8 state, string decryptorUrl, bytes flags, bytes data, bytes32 metaDataHash, uint256 timestamp, uint256 blockNumber);
        event MetadataState(address indexed updatedBy, uint8 state, uint256 timestamp, uint256 blockNumber);
        event MetadataValidated(address indexed validator, bytes32 metaDataHash, uint8 v, bytes32 r, bytes32 s);
        event TokenURIUpdate(address indexed updatedBy, string tokenURI, uint256 tokenID, uint256 timestamp, uint256 blockNumber);
        event DataChanged(bytes32 indexed key, bytes value);
        event AddedManager(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event RemovedManager(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event AddedToCreateERC20List(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event RemovedFromCreateERC20List(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event AddedToMetadataList(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event RemovedFromMetadataList(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event AddedTo725StoreList(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event RemovedFrom725StoreList(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event CleanedPermissions(address indexed signer, uint256 timestamp, uint256 blockNumber);

        function initialize(address owner, string name, string symbol, address tokenFactory, address additionalERC20Deployer, address additionalMetaDataUpdater, string tokenURI, bool transferable) external returns (bool);
        function isInitialized() external view returns (bool);
        function getId() external pure returns (uint8);
        function transferable() external view returns (bool);
        function createERC20(uint256 templateIndex, string[] strings, address[] addresses, uint256[] uints, bytes[] bytess) external returns (address);
        function isERC20Deployer(address account) external view returns (bool);
        function isDeployed(address datatoken) external view returns (bool);
        function getTokensList() external view returns (address[] memory);
        function setMetaData(uint8 state, string decryptorUrl, string decryptorAddress, bytes flags, bytes data, bytes32 dataHash, MetaDataProof[] proofs) external;
        function setMetaDataState(uint8 state) external;
        function setMetaDataAndTokenURI(MetaDataAndUri metaData) external;
        function getMetaData() external view returns (string memory decryptorUrl, string memory decryptorAddress, uint8 state, bool hasMetaData);
        function hasMetaData() external view returns (bool);
        function metaDataState() external view returns (uint8);
        function metaDataDecryptorUrl() external view returns (string memory);
        function metaDataDecryptorAddress() external view returns (string memory);
        function setTokenURI(uint256 tokenId, string tokenURI) external;
        function setNewData(bytes32 key, bytes value) external;
        function setDataERC20(bytes32 key, bytes value) external;
        function getData(bytes32 key) external view returns (bytes memory);
        function getPermissions(address user) external view returns (Roles memory);
        function addManager(address manager) external;
        function removeManager(address manager) external;
        function addToCreateERC20List(address account) external;
        function removeFromCreateERC20List(address account) external;
        function addToMetadataList(address account) external;
        function removeFromMetadataList(address account) external;
        function addTo725StoreList(address account) external;
        function removeFrom725StoreList(address account) external;
        function addMultipleUsersToRoles(address[] addresses, uint8[] roles) external;
        function cleanPermissions() external;

        error AssetStateUnknown(uint8 state);
        error AssetProofInvalid(address validator);
        error AssetAncestryInvalid(address ancestor);
        error AssetAncestorsTooMany(uint256 most);
        error AccessDenied(address account);
        error AccessNotAllowed(address account);
        error AccessTooMany(uint256 most);
        error AccessListTransferable(address list);

        /// Somebody has said who may order.
        event AccessSet(address[] allow, address[] deny, address indexed setBy);
        /// Another asset was recorded as one that this was made from.
        event DerivationRecorded(address indexed ancestor, address indexed recordedBy);

        /// The hash of the metadata that were set last.
        function metaDataHash() external view returns (bytes32);
        /// Who owns the asset, its state, how often it changed hands, which ends what earlier owners allowed, and whether some may not
        /// order (`checkAccess`).
        function standing() external view returns (address owner, uint8 state, uint32 transfers, bool restricted);
        /// Says who may order, in place of what was said before: `allow`, or everybody if it is empty, but for `deny`. Each is an account,
        /// or a list of the market's factory whose places nobody passes on, and stands for those on it; 6 of each at most. By a manager.
        function setAccess(address[] allow, address[] deny) external;
        /// Who may order, and who may not.
        function getAccess() external view returns (AccessEntry[] memory allow, AccessEntry[] memory deny);
        /// Reverts with the reason if no order of this account is taken, nor one that it has of any use.
        function checkAccess(address account) external view;
        /// Records assets of this factory from which this one was made, at most 64 in all.
        function recordDerivation(address[] ancestors) external;
        /// The assets from which this one was made, as its owners say.
        function getDerivations() external view returns (address[] memory);
    }

    /// A datatoken: Ocean's `ERC20Template` without the functions of ERC-20 itself.
    #[derive(Debug, PartialEq, Eq)]
    interface IDatatoken {
        event OrderStarted(address indexed consumer, address payer, uint256 amount, uint256 serviceIndex, uint256 timestamp, address indexed publishMarketAddress, uint256 blockNumber);
        event OrderReused(bytes32 orderTxId, address caller, uint256 timestamp, uint256 number);
        event OrderExecuted(address indexed providerAddress, address indexed consumerAddress, bytes32 orderTxId, bytes providerData, bytes providerSignature, bytes consumerData, bytes consumerSignature, uint256 timestamp, uint256 blockNumber);
        event ProviderFee(address indexed providerFeeAddress, address indexed providerFeeToken, uint256 providerFeeAmount, bytes providerData, uint8 v, bytes32 r, bytes32 s, uint256 validUntil);
        event PublishMarketFee(address indexed PublishMarketFeeAddress, address indexed PublishMarketFeeToken, uint256 PublishMarketFeeAmount);
        event ConsumeMarketFee(address indexed consumeMarketFeeAddress, address indexed consumeMarketFeeToken, uint256 consumeMarketFeeAmount);
        event PublishMarketFeeChanged(address caller, address PublishMarketFeeAddress, address PublishMarketFeeToken, uint256 PublishMarketFeeAmount);
        event NewFixedRate(bytes32 exchangeId, address indexed owner, address exchangeContract, address indexed baseToken);
        event NewDispenser(address dispenserContract);
        event NewPaymentCollector(address indexed caller, address indexed newPaymentCollector, uint256 timestamp, uint256 blockNumber);
        event AddedMinter(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event RemovedMinter(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event AddedPaymentManager(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event RemovedPaymentManager(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event CleanedPermissions(address indexed signer, uint256 timestamp, uint256 blockNumber);

        function initialize(string[] strings, address[] addresses, address[] factoryAddresses, uint256[] uints, bytes[] bytess) external returns (bool);
        function isInitialized() external view returns (bool);
        function getId() external pure returns (uint8);
        function router() external view returns (address);
        function cap() external view returns (uint256);
        function getERC721Address() external view returns (address);
        function mint(address account, uint256 value) external;
        function isMinter(address account) external view returns (bool);
        function isERC20Deployer(address user) external view returns (bool);
        function getPermissions(address user) external view returns (DatatokenRoles memory);
        function permissions(address user) external view returns (bool minter, bool paymentManager);
        function addMinter(address minter) external;
        function removeMinter(address minter) external;
        function addPaymentManager(address manager) external;
        function removePaymentManager(address manager) external;
        function cleanPermissions() external;
        function setPaymentCollector(address collector) external;
        function getPaymentCollector() external view returns (address);
        function setPublishingMarketFee(address feeAddress, address feeToken, uint256 amount) external;
        function getPublishingMarketFee() external view returns (address feeAddress, address feeToken, uint256 amount);
        function setData(bytes value) external;
        function createFixedRate(address fixedPriceAddress, address[] addresses, uint256[] uints) external returns (bytes32 exchangeId);
        function createDispenser(address dispenser, uint256 maxTokens, uint256 maxBalance, bool withMint, address allowedSwapper) external;
        function getFixedRates() external view returns (ExchangeRef[] memory);
        function getDispensers() external view returns (address[] memory);
        function startOrder(address consumer, uint256 serviceIndex, ProviderQuote providerFee, MarketQuote consumeMarketFee) external;
        function reuseOrder(bytes32 orderTxId, ProviderQuote providerFee) external;
        function orderExecuted(bytes32 orderTxId, bytes providerData, bytes providerSignature, bytes consumerData, bytes consumerSignature, address consumerAddress) external;

        error OrderingClosed(uint8 state);
        error OrderUnknown(bytes32 order);
        error OrderNotYours(bytes32 order, address caller);
        error OrderExpired(bytes32 order, uint256 until);
        error OrderInvalidService(uint256 serviceIndex);
        error OrderInvalidTimeout(uint256 timeout);
        error ProviderFeeExpired(uint256 validUntil);
        error ProviderFeeSpent(bytes32 digest);
        error OrderStandsAlready(bytes32 order);

        /// An order is on the ledger, with an id of its own.
        event OrderRecorded(bytes32 indexed order, address indexed consumer, address indexed payer, uint256 serviceIndex, uint256 until);
        /// A consumer has said yes to an order that somebody else paid for him.
        event OrderAccepted(bytes32 indexed order, address indexed consumer, address indexed payer);
        /// Later orders of a service stand so long, in seconds; 0 for ever.
        event ServiceTimeoutSet(uint256 indexed serviceIndex, uint256 timeout);

        /// `startOrder` by the factory, for whoever called it.
        function startOrderFor(address payer, address consumer, uint256 serviceIndex, ProviderQuote providerFee, MarketQuote consumeMarketFee) external returns (bytes32 order);
        /// `reuseOrder` by the factory, for whoever called it.
        function reuseOrderFor(address caller, bytes32 order, ProviderQuote providerFee) external;
        /// Says how long later orders of a service stand, in seconds; 0 for ever.
        function setServiceTimeout(uint256 serviceIndex, uint256 timeout) external;
        /// How long orders of a service stand that are made now, in seconds; 0 for ever.
        function serviceTimeout(uint256 serviceIndex) external view returns (uint256);
        /// How many orders there were.
        function orderCount() external view returns (uint256);
        /// An order.
        function orderOf(bytes32 order) external view returns (Order memory);
        /// Reverts with the reason if this account has no right from this order now.
        function checkOrder(bytes32 order, address account) external view;
        /// Accepts an order that somebody else paid for the caller: from then on it counts as one that the caller paid for himself, so that
        /// grants of consent that are for buyers are for him.
        function acceptOrder(bytes32 order) external;
        /// The last order of a service that `payer` paid for `consumer`, if it stands now; else zero. Of one's own, the last that one has
        /// paid for or accepted.
        function validOrder(address consumer, address payer, uint256 serviceIndex) external view returns (bytes32 order);
        /// How often the asset changed hands.
        function timesTransferred() external view returns (uint32);
    }

    /// The table of community fees: Ocean's `FactoryRouter` without its pools.
    #[derive(Debug, PartialEq, Eq)]
    interface IRouter {
        event OPCFeeChanged(address indexed caller, uint256 newSwapOceanFee, uint256 newSwapNonOceanFee, uint256 newConsumeFee, uint256 newProviderFee);
        event OPCCollectorChanged(address indexed caller, address indexed newOpcCollector);
        event TokenAdded(address indexed caller, address indexed token);
        event TokenRemoved(address indexed caller, address indexed token);
        event RouterChanged(address indexed caller, address indexed newRouter);

        function routerOwner() external view returns (address);
        function changeRouterOwner(address owner) external;
        function factory() external view returns (address);
        function getOPCCollector() external view returns (address);
        function opcCollector() external view returns (address);
        function updateOPCCollector(address collector) external;
        function getOPCFee(address baseToken) external view returns (uint256);
        function getOPCFees() external view returns (uint256 swapOceanFee, uint256 swapNonOceanFee);
        function getOPCConsumeFee() external view returns (uint256);
        function getOPCProviderFee() external view returns (uint256);
        function swapOceanFee() external view returns (uint256);
        function swapNonOceanFee() external view returns (uint256);
        function consumeFee() external view returns (uint256);
        function providerFee() external view returns (uint256);
        function updateOPCFee(uint256 newSwapOceanFee, uint256 newSwapNonOceanFee, uint256 newConsumeFee, uint256 newProviderFee) external;
        function isApprovedToken(address token) external view returns (bool);
        function getApprovedTokens() external view returns (address[] memory);
        function addApprovedToken(address token) external;
        function removeApprovedToken(address token) external;
        function isFixedRateContract(address fixedRate) external view returns (bool);
        function getFixedRatesContracts() external view returns (address[] memory);
        function isDispenserContract(address dispenser) external view returns (bool);
        function getDispensersContracts() external view returns (address[] memory);
        function buyDTBatch(Operation[] operations) external;

        error RouterFeeTooHigh(uint256 fee);
    }
}
