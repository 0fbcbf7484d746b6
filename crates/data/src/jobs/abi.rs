//! The Solidity interface of jobs.

use alloy_primitives::Address;
use alloy_sol_types::sol;
use stoa_contract::natives;

/// Where the contract of jobs lives.
pub const JOBS: Address = natives::address(14);

/// It goes on.
pub const RUNNING: u8 = 1;
/// Its receipt is on the ledger.
pub const FINISHED: u8 = 2;
/// No receipt came in time.
pub const EXPIRED: u8 = 3;

/// The program ended by itself and says that all is well.
pub const SUCCEEDED: u8 = 0;
/// The program ended by itself and says that something is wrong, or did what it may not.
pub const FAILED: u8 = 1;
/// The program used up what it may use.
pub const LIMITED: u8 = 2;
/// The buyer had it stopped.
pub const STOPPED: u8 = 3;
/// What it left is nothing that the owner lets go.
pub const WITHHELD: u8 = 4;
/// The node could not do it; it costs nothing.
pub const BROKEN: u8 = 5;

sol! {
    /// Computing on data where they are: what it costs, who asked for it, what came of it.
    #[derive(Debug, PartialEq, Eq)]
    interface IJobs {
        /// What an owner offers of an asset.
        struct Offer {
            /// The ed25519 key of the node that computes; zero if nothing is offered.
            bytes32 node;
            /// SHA-256 of the list of the files that it computes on: names and BLAKE3 hashes.
            bytes32 data;
            /// SHA-256 of the rules of what may leave.
            bytes32 rules;
            /// The token that is paid in.
            address token;
            /// Who is paid.
            address payTo;
            /// Paid for each job.
            uint256 base;
            /// Paid for each million steps, begun ones included.
            uint256 price;
            /// Steps of one job at most.
            uint64 fuel;
            /// Seconds within which the receipt comes, or the buyer is paid back.
            uint32 time;
        }

        /// A job.
        struct Job {
            /// Who pays.
            address buyer;
            /// The ed25519 key that its programs and parameters come from.
            bytes32 client;
            /// What it computes on.
            bytes32 asset;
            /// By which leave.
            bytes32 grant;
            /// The use of the grant that it is.
            bytes32 used;
            /// The program: the BLAKE3 hash of its module.
            bytes32 algorithm;
            /// What the owner had offered.
            Offer offer;
            /// Steps at most.
            uint64 fuel;
            /// What is held for it.
            uint256 locked;
            /// The block in which it began.
            uint64 started;
            /// The second since 1970 after which it can be ended without a receipt.
            uint64 until;
            /// 1 running, 2 finished, 3 expired; 0 if there is none.
            uint8 state;
            /// Whether its buyer wants it to end.
            bool stopped;
        }

        /// What a node says of a job that it did.
        struct Receipt {
            /// What it computed on, as the offer said.
            bytes32 data;
            /// SHA-256 chain over the BLAKE3 hashes of the parameters of its rounds.
            bytes32 params;
            /// What ran it: the hash of the runtime's name, version and settings.
            bytes32 runtime;
            /// SHA-256 chain over the hashes of what left in its rounds.
            bytes32 output;
            /// How often the program ran.
            uint32 rounds;
            /// Steps of all rounds.
            uint64 fuel;
            /// How it ended: 0 succeeded, 1 failed, 2 limits, 3 stopped, 4 withheld, 5 the node could not.
            uint8 ended;
        }

        error JobsNotOwner(bytes32 asset, address caller);
        error JobsNotOffered(bytes32 asset);
        error JobsInvalidOffer(string what);
        error JobsTooMuchFuel(uint64 fuel, uint64 most);
        error JobsTooDear(uint256 cost, uint256 most);
        error JobUnknown(bytes32 job);
        error JobIsOver(bytes32 job, uint8 state);
        error JobNotBuyer(bytes32 job, address caller);
        error JobOtherData(bytes32 job, bytes32 data);
        error JobInvalidSignature(bytes32 job, bytes32 node);
        error JobNotOver(bytes32 job, uint64 until);

        event Offered(bytes32 indexed asset, bytes32 indexed node, Offer offer);
        event JobStarted(bytes32 indexed job, bytes32 indexed asset, address indexed buyer, bytes32 grant, bytes32 algorithm, uint64 fuel, uint256 locked);
        event JobStopped(bytes32 indexed job);
        event JobFinished(bytes32 indexed job, bytes32 indexed asset, address indexed buyer, Receipt receipt, uint256 paid, uint256 refunded);
        event JobExpired(bytes32 indexed job, uint256 refunded);

        /// Offers computing on an asset of the caller's, or something else than before, or with `node` zero nothing any more.
        /// Jobs that have begun go on as they began.
        function offer(bytes32 asset, Offer offer) external;
        /// What is offered of an asset.
        function offerOf(bytes32 asset) external view returns (Offer memory);
        /// What so many steps cost at most, under an offer.
        function cost(bytes32 asset, uint64 fuel) external view returns (uint256);
        /// Begins a job under a grant that stands for the caller, of `fuel` steps at most, which may cost `most`. The cost is taken
        /// from the caller, who has allowed it to this contract, and held. `client` is the ed25519 key that the node hears.
        function start(bytes32 grant, bytes32 algorithm, bytes32 client, uint64 fuel, uint256 most) external returns (bytes32 job);
        /// Tells the node to end a job; the caller pays what it has used.
        function stop(bytes32 job) external;
        /// Ends a job with a receipt that its node has signed (ed25519, over `receiptDigest`); anybody may bring it. Pays for what was
        /// used, and gives the rest back.
        function finish(bytes32 job, Receipt receipt, bytes signature) external;
        /// Ends a job whose receipt did not come in time. The buyer gets everything back; anybody may ask for it.
        function expire(bytes32 job) external;
        /// A job.
        function jobOf(bytes32 job) external view returns (Job memory);
        /// The receipt of a finished job, and the block in which it came.
        function receiptOf(bytes32 job) external view returns (Receipt memory receipt, uint64 number);
        /// What a node signs.
        function receiptDigest(bytes32 job, Receipt receipt) external view returns (bytes32);
        /// At most `most` jobs on an asset from number `from` on, in the order in which they began.
        function jobsOf(bytes32 asset, uint256 from, uint256 most) external view returns (bytes32[] memory);
    }
}
