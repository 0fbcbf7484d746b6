//! The Solidity interfaces of this area.

use alloy_primitives::Address;
use alloy_sol_types::sol;
use stoa_contract::natives;

/// Where the consent contract lives.
pub const CONSENT: Address = natives::address(4);

/// A grant is for one address.
pub const ADDRESS: u8 = 0;
/// A grant is for whoever holds a token.
pub const TOKEN: u8 = 1;
/// A grant is for whoever holds a credential.
pub const CREDENTIAL: u8 = 2;

/// Whether a grant that ends then, or never by itself (0), has not ended at this second since 1970.
pub(crate) const fn within(until: u64, now: u64) -> bool {
    until == 0 || now < until
}

/// Somebody reads the data.
pub const READ: u8 = 1;
/// An algorithm computes on the data, where they are.
pub const COMPUTE: u8 = 2;

sol! {
    /// What a contract that knows credentials is asked.
    interface ICredentials {
        /// Whether this account holds this credential.
        function hasCredential(address holder, bytes32 credential) external view returns (bool);
    }

    /// Who may use an asset, for what, until when and how often. What happens here is the record of consent.
    #[derive(Debug, PartialEq, Eq)]
    interface IConsent {
        /// Sealed data and who has a part in their key.
        struct Asset {
            /// Who grants and revokes.
            address owner;
            /// The sealed data in the store: the BLAKE3 hash of their manifest.
            bytes32 object;
            /// Digest of the sharing of the key among keepers (SHA-256); zero if there are none.
            bytes32 sharing;
            /// How many keepers release the key.
            uint8 needed;
            /// How many keepers there are.
            uint8 keepers;
            /// Whether the owner's half of the key is needed as well. If not, `needed` keepers who act together can open the
            /// data without anybody's leave.
            bool ownerHalf;
            /// How often the keepers have changed.
            uint32 generation;
            /// The block in which it was registered.
            uint64 registered;
            /// The block in which it was erased; 0 if it was not.
            uint64 erased;
        }

        /// What an owner allows.
        struct Terms {
            /// To whom: 0 the address `who`; 1 whoever holds a token of the contract `who`; 2 whoever holds `credential`
            /// according to the contract `who`.
            uint8 kind;
            address who;
            bytes32 credential;
            /// For what: an IRI of the W3C Data Privacy Vocabulary (`https://w3id.org/dpv#…`).
            string purpose;
            /// How: bit 0 read, bit 1 compute.
            uint8 uses;
            /// Hash of the one algorithm that may compute; zero for any.
            bytes32 algorithm;
            /// The first second since 1970 at which it no longer stands; 0 for no end.
            uint64 until;
            /// How often in all; 0 for any number of times.
            uint32 limit;
            /// SHA-256 of the owner's half of the key, sealed to the reader; zero if there is none.
            bytes32 half;
        }

        /// A grant as it is now.
        struct Grant {
            bytes32 asset;
            Terms terms;
            /// The block in which it was made.
            uint64 granted;
            /// The block from which on it does not stand any more; 0 while it does.
            uint64 revoked;
            /// How often it was used.
            uint32 used;
        }

        /// One use of a grant.
        struct Use {
            bytes32 grant;
            address user;
            /// 1 read, 2 compute.
            uint8 kind;
            bytes32 algorithm;
            /// The block in which it was.
            uint64 number;
        }

        /// A keeper agrees that a key moves.
        struct Vote {
            /// Its ed25519 key.
            bytes32 keeper;
            /// Over `moveDigest`, or `until (8) | signature` over that and until when the vote is good, in seconds since 1970.
            bytes signature;
        }

        error ConsentAssetExists(bytes32 asset);
        error ConsentAssetUnknown(bytes32 asset);
        error ConsentErased(bytes32 asset, uint64 number);
        error ConsentNotOwner(bytes32 asset, address caller);
        error ConsentInvalidKeepers(string what);
        error ConsentNotKeeper(bytes32 asset, bytes32 keeper);
        error ConsentInvalidVote(bytes32 asset, bytes32 keeper);
        error ConsentTooFewVotes(bytes32 asset, uint8 needed, uint256 votes);
        error ConsentOtherSharing(bytes32 asset, bytes32 sharing);
        error ConsentMoveEnded(bytes32 asset, uint64 until);
        error ConsentInvalidTerms(string what);
        error ConsentGrantUnknown(bytes32 grant);
        error ConsentRevoked(bytes32 grant, uint64 number);
        error ConsentEnded(bytes32 grant, uint64 until);
        error ConsentNotGranted(bytes32 grant, address user);
        error ConsentUseNotGranted(bytes32 grant, uint8 kind);
        error ConsentOtherAlgorithm(bytes32 grant, bytes32 algorithm);
        error ConsentUsedUp(bytes32 grant, uint32 limit);
        error ConsentNotJobs(address caller);
        error ConsentUseUnknown(bytes32 id);
        error ConsentInvalidAnnouncement();

        event AssetRegistered(bytes32 indexed asset, address indexed owner, bytes32 object, bytes32 sharing, uint8 needed, bytes32[] keepers, bool ownerHalf);
        event ObjectSet(bytes32 indexed asset, bytes32 object);
        event KeepersMoved(bytes32 indexed asset, uint32 generation, bytes32 sharing, uint8 needed, bytes32[] keepers);
        event Granted(bytes32 indexed asset, bytes32 indexed grant, address indexed who, Terms terms);
        event Revoked(bytes32 indexed asset, bytes32 indexed grant, address indexed by);
        event AllRevoked(bytes32 indexed asset, address indexed by);
        event Erased(bytes32 indexed asset, address indexed by);
        event Used(bytes32 indexed asset, bytes32 indexed grant, address indexed user, bytes32 use, uint8 kind, bytes32 algorithm);
        event Announced(address indexed wallet);

        /// The id of the asset that this owner registers with this salt.
        function assetId(address owner, bytes32 salt) external view returns (bytes32);
        /// Registers an asset; the caller owns it. `keepers` are the ed25519 keys of nodes, at most 64.
        function register(bytes32 salt, bytes32 object, bytes32 sharing, uint8 needed, bytes32[] keepers, bool ownerHalf) external returns (bytes32 asset);
        /// An asset.
        function assetOf(bytes32 asset) external view returns (Asset memory);
        /// Who keeps shares of its key.
        function keepersOf(bytes32 asset) external view returns (bytes32[] memory);
        /// Names other sealed data, under the same key.
        function setObject(bytes32 asset, bytes32 object) external;
        /// Names other keepers, to whom the key was moved. Without votes the owner says so; else anybody brings the votes of as
        /// many keepers as release the key. `from` is the sharing that it was moved from: reverts if that is not the present one any
        /// more, or from `until` on (seconds since 1970; 0 for never). The next keepers keep what they took for a day only.
        function moveKeepers(bytes32 asset, bytes32 from, bytes32 sharing, uint8 needed, bytes32[] keepers, uint64 until, Vote[] votes) external;
        /// What a keeper signs, by ed25519, who agrees to a move. It changes with each move.
        function moveDigest(bytes32 asset, bytes32 sharing, uint8 needed, bytes32[] keepers) external view returns (bytes32);

        /// The id that the next grant of an asset will have.
        function nextGrant(bytes32 asset) external view returns (bytes32);
        /// Allows somebody to use an asset.
        function grant(bytes32 asset, Terms terms) external returns (bytes32 id);
        /// Ends a grant: its owner may, and whom it is for.
        function revoke(bytes32 grant) external;
        /// Ends all grants of an asset.
        function revokeAll(bytes32 asset) external;
        /// Ends an asset, and all its grants, for ever.
        function erase(bytes32 asset) external;
        /// A grant.
        function grantOf(bytes32 grant) external view returns (Grant memory);
        /// At most `most` grants of an asset from number `from` on, in the order in which they were made.
        function grantsOf(bytes32 asset, uint256 from, uint256 most) external view returns (bytes32[] memory);

        /// Uses a grant, if its terms allow it to the caller, and records that. `kind` is 1 or 2.
        function useGrant(bytes32 grant, uint8 kind, bytes32 algorithm) external returns (bytes32 id);
        /// Uses a grant for computing in the name of `user`; the contract of jobs alone may, when `user` begins a job.
        function useGrantFor(address user, bytes32 grant, bytes32 algorithm) external returns (bytes32 id);
        /// Reverts with the reason if a use would be refused.
        function check(bytes32 grant, address user, uint8 kind, bytes32 algorithm) external view;
        /// A use.
        function useOf(bytes32 id) external view returns (Use memory);
        /// What a use is of, if its grant stands now; reverts with the reason if it does not. How often does not count again.
        function checkUse(bytes32 id) external view returns (bytes32 asset, bytes32 grant, address user, uint8 kind, bytes32 algorithm);

        /// Announces the key to which others seal what they share with the caller.
        function announce(bytes announcement) external;
        /// What an account has announced; empty if nothing.
        function announcementOf(address wallet) external view returns (bytes memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_ends_at_its_end_and_never_by_itself_if_it_has_none() {
        assert!(within(0, u64::MAX) && within(8, 7) && !within(8, 8) && !within(8, 9));
    }
}
