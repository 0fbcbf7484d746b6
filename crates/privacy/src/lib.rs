//! Sealing objects, and sharing their keys in a way that can be ended. No network, no ledger, no clock.
//!
//! ```text
//!                      owner's machine                    m keepers                        reader
//!
//!  object ──▶ sealed chunks ◀── data key = HKDF(owner's half, keepers' half)
//!                                          │              │
//!  at each grant:   GrantedHalf ◀──────────┘              │ Sharing: f(1) … f(m), t of them give it back
//!                       │                                 ▼
//!                       │                     share ──the grant stands?──▶ Release, signed
//!                       ▼                                                     │ t of m
//!                  owner's half ─────────────────▶ data key ◀─────────────────┘
//! ```
//!
//! 1. **Seal.** The owner draws the keepers' half and shares it ([`deal`]), draws its own half, and seals the object under
//!    the key that follows from both ([`DataKey::from_halves`], [`object`]). Only sealed chunks leave its machine.
//! 2. **Grant.** For each reader the owner seals its half to the reader's key ([`GrantedHalf`]), which is a node's own or one
//!    that a wallet derived from a signature and announced ([`ReadingKey`], [`Announcement`]).
//! 3. **Release.** A reader asks keepers. Each looks at its own copy of the ledger and, while the grant stands, seals its
//!    share to the reader and signs that it did ([`Release`]). `t` true shares give the half ([`Sharing::combine`]).
//! 4. **End.** The ledger revokes the grant, and keepers release nothing more. One that does signs evidence against itself
//!    ([`Evidence::breach`]). Shares are refreshed, or move to other keepers, without the owner ([`Handover`]), which
//!    makes old shares worthless, and stolen node keys not; what is kept no longer is deleted, and that is signed as well
//!    ([`DeletionReceipt`]).
//!
//! Where the owner is away and readers are unknown (a sale), there is no owner's half ([`DataKey::from_keepers_only`]). Who shows
//! such an asset has to say so, with `t` of `m` ([`Threshold`]).
//!
//! # Who learns what
//!
//! | who | what |
//! |---|---|
//! | keepers, all of them together | the keepers' half; of the object nothing (two halves), everything (keepers only) |
//! | fewer than `t` keepers, or than `t` of each generation | nothing |
//! | whoever kept what was dealt in a move, and has the node keys of `t` of its new keepers, then or later | the keepers' half, also after further moves: parts are sealed to node keys, which stay the same |
//! | a reader whose grant is revoked before it asked | the owner's half; of the object nothing |
//! | that reader together with `t` keepers | the object: what `t` is to be chosen for |
//! | a reader who has opened the object | the object, for ever: what was read cannot be taken back |
//! | whoever records everything and has a quantum computer | the object: X25519 and ristretto255 do not withstand it |
//!
//! # Attackers
//!
//! Everything that comes from outside has one encoding, of bounded length. What is sealed opens for one purpose, object,
//! grant and block; what is signed says the same. A keeper that gives a false share, or deals a false part, is named.
//! Secrets are erased when they are dropped, appear in no error and no `Debug`, and have no encoding besides the one that
//! their keeper stores.

mod deletion;
mod grant;
mod id;
mod key;
pub mod object;
mod reader;
mod release;
mod sealed;
mod sealed_key;
mod sharing;
mod statement;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod threshold;
mod wallet;

pub use deletion::{Deleted, DeletionReceipt};
pub use grant::{Grant, GrantedHalf};
pub use id::{AssetId, GrantId};
pub use key::{DataKey, KEY_LEN, KeeperHalf, OwnerHalf};
pub use reader::{NoReaderKey, Reader, ReaderKey, ReadingSecret};
pub use release::{Breach, Claim, Evidence, NoEvidence, Release, ReleaseError, Wanted};
pub use sealed::{CannotSeal, Refused, SealedSecret};
pub use sealed_key::SealedKey;
pub use sharing::{Dealing, Dealt, Handover, HandoverError, Share, Sharing, SharingError, deal, deal_again};
pub use statement::Seen;
pub use stoa_base::NodeId;
pub use threshold::Threshold;
pub use wallet::{Announcement, ReadingKey, SecretSignature, WalletError, signing_domain};
