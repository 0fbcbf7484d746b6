//! The Solidity interface of jobs.

#![allow(clippy::too_many_arguments, reason = "functions that `sol!` writes for events with many arguments")]

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

/// Its receipt was found false, and its buyer was paid back.
pub const REFUTED: u8 = 4;

/// WebAssembly: the same bytes come out wherever it runs.
pub const WASM: u8 = 1;
/// A process in a sandbox: any program, whose output need not be the same twice.
pub const PROCESS: u8 = 2;
/// Processes come so close to the same, as the rules say, that their receipts are checked as well.
pub const REPEATABLE: u8 = 4;

/// Its receipt will be checked, or not: the draw is still to come.
pub const WAITING: u8 = 1;
/// Nodes were drawn, and run it again.
pub const DRAWN: u8 = 2;
/// Most of those who were drawn came to the same.
pub const CONFIRMED: u8 = 3;
/// Most of those who were drawn came to something else.
pub const FALSE: u8 = 4;
/// Too few of those who were drawn said anything, or they disagree.
pub const UNDECIDED: u8 = 5;
/// It was not drawn.
pub const SPARED: u8 = 6;

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
    #[derive(Debug, Default, PartialEq, Eq)]
    interface IJobs {
        /// Who runs jobs again, and what is at stake.
        struct Checks {
            /// The ed25519 keys of nodes that may see the data and run jobs again: the owner's others, or auditors he trusts; 16 at
            /// most.
            bytes32[] auditors;
            /// How many of them are drawn for a job that is checked; 0 if none ever is.
            uint8 drawn;
            /// How many jobs of ten thousand are checked.
            uint16 chance;
            /// What each gets, from the bond, who was drawn and says what most say.
            uint256 fee;
            /// What a false receipt costs, from the bond, besides what was paid: the buyer gets both.
            uint256 stake;
        }

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
            /// Paid for each million steps, begun ones included. A step of a process is a nanosecond of a processor.
            uint256 price;
            /// Steps of one job at most.
            uint64 fuel;
            /// Seconds within which the receipt comes, or the buyer is paid back; and those who are drawn say what they came to.
            uint32 time;
            /// What may run there: bit 0 WebAssembly, bit 1 processes; bit 2 if another run of a process comes close to the same, as the
            /// rules say.
            uint8 runtimes;
            /// How receipts are checked: those of WebAssembly, and with bit 2 those of processes.
            Checks checks;
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
            /// What runs it: 1 WebAssembly, 2 a process.
            uint8 runtime;
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
            /// 1 running, 2 finished, 3 expired, 4 refuted; 0 if there is none.
            uint8 state;
            /// Whether its buyer wants it to end.
            bool stopped;
            /// The order of a datatoken of the market's by which its buyer has the grant; zero if it is not for those who order.
            bytes32 order;
        }

        /// Somebody has put his name to a program.
        struct Publication {
            /// Who.
            address publisher;
            /// The block in which he said so: what he said is in its event.
            uint64 number;
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

        /// How a job is checked.
        struct Check {
            /// 0 not at all, 1 waits for the draw, 2 drawn, 3 confirmed, 4 false, 5 undecided, 6 spared.
            uint8 state;
            /// Who was drawn.
            bytes32[] auditors;
            /// The seconds since 1970 until which they commit themselves, and until which they say what they came to.
            uint64 committing;
            uint64 revealing;
            /// How many of them have done so.
            uint8 committed;
            uint8 revealed;
            /// What is reserved of the bond for it.
            uint256 reserved;
        }

        error JobsNotOwner(bytes32 asset, address caller);
        error JobsNotOffered(bytes32 asset);
        error JobsInvalidOffer(string what);
        error JobsOtherOffer(bytes32 asset, uint32 offer, uint32 present);
        error JobsTooMuchFuel(uint64 fuel, uint64 most);
        error JobsTooDear(uint256 cost, uint256 most);
        error JobUnknown(bytes32 job);
        error JobIsOver(bytes32 job, uint8 state);
        error JobNotBuyer(bytes32 job, address caller);
        error JobOtherData(bytes32 job, bytes32 data);
        error JobInvalidSignature(bytes32 job, bytes32 node);
        error JobNotOver(bytes32 job, uint64 until);
        error JobNoSuchEnd(uint8 ended);
        error JobsOtherRuntime(bytes32 asset, uint8 runtime);
        error JobsBondTooLow(bytes32 asset, uint256 free, uint256 needed);
        error JobCheckNotNow(bytes32 job, uint8 state);
        error JobNotDrawnYet(bytes32 job, uint64 number);
        error JobNotAuditor(bytes32 job, bytes32 auditor);
        error JobCheckOver(bytes32 job, uint64 until);
        error JobCheckNotOver(bytes32 job, uint64 until);
        error JobCommitted(bytes32 job, bytes32 auditor);
        error JobOtherVerdict(bytes32 job, bytes32 auditor);
        error JobsNoCredit(address account, address token);

        event Offered(bytes32 indexed asset, bytes32 indexed node, uint32 number, Offer offer);
        event JobStarted(bytes32 indexed job, bytes32 indexed asset, address indexed buyer, bytes32 grant, bytes32 algorithm, uint32 offer, uint8 runtime, uint64 fuel, uint256 locked, bytes32 order);
        event JobStopped(bytes32 indexed job);
        event JobFinished(bytes32 indexed job, bytes32 indexed asset, address indexed buyer, Receipt receipt, uint256 paid, uint256 refunded);
        event JobExpired(bytes32 indexed job, uint256 refunded);
        event Bonded(bytes32 indexed asset, address indexed token, uint256 bond);
        event JobDrawn(bytes32 indexed job, bytes32[] auditors, uint64 committing, uint64 revealing);
        event JobSpared(bytes32 indexed job);
        event CheckCommitted(bytes32 indexed job, bytes32 indexed auditor, bytes32 commitment);
        event CheckRevealed(bytes32 indexed job, bytes32 indexed auditor, bytes32 verdict);
        event JobChecked(bytes32 indexed job, uint8 state, bytes32 verdict, uint256 slashed);
        event Credited(address indexed account, address indexed token, uint256 amount);
        event Withdrawn(address indexed account, address indexed token, address to, uint256 amount);
        event ProgramPublished(bytes32 indexed algorithm, bytes32 indexed asset, address indexed publisher, bytes32 source, string url);

        /// Offers computing on an asset of the caller's, or something else than before, or with `node` zero nothing any more.
        /// Jobs that have begun go on as they began.
        function offer(bytes32 asset, Offer offer) external;
        /// What is offered of an asset.
        function offerOf(bytes32 asset) external view returns (Offer memory);
        /// What is offered of an asset, and which of its offers that is, from 1: what `start` names. 0 if nothing ever was.
        function presentOfferOf(bytes32 asset) external view returns (Offer memory offer, uint32 number);
        /// What so many steps cost at most, under an offer.
        function cost(bytes32 asset, uint64 fuel) external view returns (uint256);
        /// Begins a job under a grant that stands for the caller, of `fuel` steps at most, which may cost `most`, if the owner offers
        /// what the caller has looked at: the asset's offer of this number (`presentOfferOf`). The job's id is the hash
        /// of the use of the grant that it is, its asset, its program, and its order if there is one, so that the receipt, which its
        /// node signs over the id, is about all of them. The cost is taken
        /// from the caller, who has allowed it to this contract, and held. `client` is the ed25519 key that the node hears;
        /// `runtime` is 1 for WebAssembly, 2 for a process. Where receipts are checked, what a false one would cost is reserved of the
        /// bond.
        function start(bytes32 grant, bytes32 algorithm, bytes32 client, uint8 runtime, uint64 fuel, uint256 most, uint32 offer) external returns (bytes32 job);
        /// Tells the node to end a job; the caller pays what it has used.
        function stop(bytes32 job) external;
        /// Ends a job with a receipt that its node has signed (ed25519, over `receiptDigest`); anybody may bring it. Pays for what was
        /// used, and gives the rest back. Where receipts are checked, one that no other run can come to, for the job was stopped, its
        /// result withheld, or a process used up what it may, pays the base and no steps.
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

        /// Says of a program that the caller has registered as an asset of his, whose salt and object are the program's hash, that he
        /// published it: from which source it is built (SHA-256 of the list of its files; zero if he does not say), and where that is.
        /// Who says so again says something else from then on.
        function publishProgram(bytes32 algorithm, bytes32 source, string url) external;
        /// At most `most` publications of a program from number `from` on, in the order in which they were.
        function publicationsOf(bytes32 algorithm, uint256 from, uint256 most) external view returns (Publication[] memory);

        /// Adds to the bond of an asset, which pays for checks and for false receipts; taken from the caller.
        function bond(bytes32 asset, address token, uint256 amount) external;
        /// Gives an owner back what is not reserved.
        function unbond(bytes32 asset, address token, uint256 amount) external;
        /// The bond of an asset, and what of it is reserved for jobs that are not settled.
        function bondOf(bytes32 asset, address token) external view returns (uint256 bond, uint256 reserved);
        /// What this contract could not pay out to an account, because the token refused, and keeps for it. Whatever it pays, by `finish`,
        /// `expire`, `settle` and `unbond`, is tried once, and credited if that fails: their events say what was due either way.
        function creditOf(address account, address token) external view returns (uint256);
        /// Pays the caller's credit out, all of it, to an account that the caller names.
        function withdraw(address token, address to) external returns (uint256 amount);
        /// Pays an account's credit out, all of it, to that account; anybody may ask for it.
        function withdrawFor(address token, address account) external returns (uint256 amount);
        /// Draws who checks a finished job, by the randomness of the third block after its receipt's; anybody may ask for it, while that is
        /// kept (8,192 blocks). Later, the job is spared: it is for its buyer to see that somebody asks.
        function draw(bytes32 job) external;
        /// Whom `draw` would draw; nobody if the job is spared.
        function drawOf(bytes32 job) external view returns (bytes32[] memory auditors);
        /// Commits somebody who was drawn to a verdict that nobody sees yet: `commitmentOf`, signed with ed25519 over
        /// `commitmentDigest`. Anybody may bring it.
        function commit(bytes32 job, bytes32 auditor, bytes32 commitment, bytes signature) external;
        /// Says the verdict, once all have committed themselves or the time for it is over: `receiptDigest` of the receipt that the
        /// auditor came to, or zero if the node did not give what the job was run with, or a process came to something else.
        function reveal(bytes32 job, bytes32 auditor, bytes32 verdict, bytes32 salt) external;
        /// Settles a check, once all have revealed or the time is over. More than half of those drawn decide: if they agree with the
        /// receipt it is confirmed; if they agree on something else it is false, and its buyer gets back what was paid, and the stake.
        function settle(bytes32 job) external;
        /// How a job is checked.
        function checkOf(bytes32 job) external view returns (Check memory);
        /// What an auditor has committed itself to and revealed; zeros if nothing.
        function verdictOf(bytes32 job, bytes32 auditor) external view returns (bytes32 commitment, bytes32 verdict, bool revealed);
        /// What hides a verdict until it is revealed.
        function commitmentOf(bytes32 job, bytes32 auditor, bytes32 verdict, bytes32 salt) external pure returns (bytes32);
        /// What an auditor signs.
        function commitmentDigest(bytes32 job, bytes32 commitment) external view returns (bytes32);
    }
}
