//! Finding assets: an index of the market that everybody makes for himself, from the ledger alone.
//!
//! ```text
//!  ledger ── events of the market ──▶ Index (SQLite) ◀── Query: words and filters
//!            follow: pages of logs       │
//!                                        └──▶ Found: the page asked for, how many there are; Asset: all that is known of one
//! ```
//!
//! [`Index::apply`] takes in the events of some blocks together with the number and hash of the last, in one transaction. What
//! it then holds follows from the chain up to that block and from nothing else: not from how many blocks came at a time, nor from
//! whether they came twice. A file that is damaged, of another chain, or of an older form is made anew.
//!
//! **What gets in.** Assets and datatokens that the factory made, by its event; what the exchange and the dispenser say; of all
//! other events those that an asset or a datatoken of the factory's emitted. Anybody may deploy a contract that emits the same
//! events: nothing in the index comes from it.
//!
//! **Documents** (DDOs) are their publishers' word. They are bounded, their hash and id are checked, and what is wrong with one is
//! kept instead of it. They are kept as they came, packed or not, for their publishers have paid for so many bytes and no more; of
//! those that come together the last of each asset is read, and what only the ledger says changes without it. An encrypted one
//! leaves its asset with its token's name and nothing else to find it by.
//!
//! **Words** are in a full-text index (FTS5), along with marks of what an asset can be filtered by (see `words`). It has no
//! positions: it says which assets contain all words, newest first. Those whose name has all words and the newest of the others
//! are then ranked with BM25F over name, tags, columns and description (`rank`). SQLite's own `bm25()` looks at every asset
//! that has a word, which takes a second for one that a third of a million assets have.

mod apply;
mod asset;
mod document;
mod event;
pub mod follow;
mod index;
pub mod ocean;
mod query;
mod rank;
#[cfg(test)]
mod tests;
mod words;

pub use asset::{Asset, Datatoken, Document, Metadata, Place, Price, Publication};
pub use document::{Column, Summary};
pub use event::{CONTRACT_TOPICS, CONTRACTS, INSTANCE_TOPICS, Logged, TRANSFER};
pub use index::{ChainId, Cursor, Index, SearchError};
pub use query::{Found, LARGEST_PAGE, PAGE, Query, Sort, State, Total};
/// The chain's coin, in which most prices are.
pub use stoa_contract::coin::ADDRESS as COIN;
