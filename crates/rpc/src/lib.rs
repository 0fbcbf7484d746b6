//! Ethereum JSON-RPC over HTTP and WebSocket, on one port.
//!
//! A body comes in and is framed without being turned into a tree (`protocol`); each request names a method of a
//! table ([`Methods`]); methods that touch the disk or run contracts do so on threads that may block, a bounded number
//! at a time ([`Context`]); the answer's text is joined and sent (`http`, `websocket`). Shapes of answers stand in
//! [`view`], forms of parameters in `params`, [`hex`], [`request`] and `logs`, errors in geth's words in
//! [`RpcError`].
//!
//! Everything a client can make large is bounded by [`Config`]: bodies, nesting, batches, answers, connections and how
//! slowly they may move, subscriptions, filters, log ranges, gas of calls, memory of traces. Going over a bound gives an
//! error that names it, and the node goes on. Whoever reaches the port may ask, and clients are not told apart, but for Hardhat
//! on a development node ([`dev`]).
//!
//! Others extend the server: [`Builder::method`] and [`Builder::methods`] add or replace methods, [`Builder::router`]
//! adds routes on the same port, whose bodies [`body`] reads.
//!
//! ```no_run
//! # async fn run(ledger: stoa_ledger::Ledger, pool: stoa_mempool::Pool) -> std::io::Result<()> {
//! let server = stoa_rpc::Server::builder(ledger, pool)
//!     .method("stoa_hello", async |_, _| Ok::<_, stoa_rpc::RpcError>("hello"))
//!     .bind(([127, 0, 0, 1], 8545).into())
//!     .await?;
//! println!("listening on {}", server.local_addr());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod body;
mod budget;
mod config;
mod context;
mod debug;
pub mod dev;
mod error;
pub mod eth;
mod evm;
mod filters;
pub mod fuzzing;
pub mod hex;
mod http;
mod logs;
mod methods;
mod net;
mod params;
mod parity;
mod pending;
mod protocol;
mod recent;
pub mod request;
mod server;
mod stream;
mod subscriptions;
#[cfg(test)]
mod tests;
mod trace;
mod traffic;
mod txpool;
pub mod view;
mod websocket;
mod workers;

pub use config::{Config, Origins};
pub use context::Context;
pub use error::{ErrorStyle, RpcError};
pub use methods::Methods;
pub use params::{BlockId, BlockNumber, Params, Reader};
pub use server::{Builder, Handle, Server};
pub use traffic::Traffic;
