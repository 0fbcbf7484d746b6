use alloy_primitives::{B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The answer to `stoa_status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// What it does: `validator` or `follower`.
    pub roles: Vec<String>,
    /// EIP-155.
    pub chain_id: U256,
    /// Height of the newest final block.
    pub block_number: U256,
    /// Its hash.
    pub block_hash: B256,
    /// Its time, in seconds since 1970.
    pub timestamp: U256,
    /// Hash of block 0.
    pub genesis_hash: B256,
    /// The key that verifies the certificate of any block.
    pub network_key: Bytes,
    /// Where others can follow this node, if they can: `KEY@HOST:PORT`.
    pub follow_at: Option<String>,
    /// Who agrees on blocks.
    pub validators: Vec<ValidatorStatus>,
    /// Nodes that this one follows.
    pub peers: Vec<PeerStatus>,
    /// Waiting transactions that can run now.
    pub pending: U256,
    /// Those behind a gap, or beyond what the balance pays for.
    pub queued: U256,
}

/// What a validator knows of another, or of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidatorStatus {
    /// ed25519 public key.
    pub key: B256,
    /// The view of its last vote that was heard, if any.
    pub last_vote: Option<U256>,
    /// Whether it is the one that answers.
    pub me: bool,
}

/// How it stands with a node that this one follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// `KEY@HOST:PORT`.
    pub address: String,
    /// Whether it is asked at present: not if it does not answer, or has lied.
    pub used: bool,
    /// What it has said that the validators have not signed.
    pub left_for: Option<String>,
}

/// A validator that is this many views behind counts as silent.
const SILENT: u64 = 20;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain_id, block_number, block_hash, timestamp, network_key, pending, queued, version, .. } = self;
        writeln!(f, "chain        {chain_id} (stoa {version})")?;
        writeln!(f, "role         {}", self.roles.join(", "))?;
        writeln!(f, "block        {block_number}  {block_hash}  at {timestamp}")?;
        writeln!(f, "waiting      {pending} pending, {queued} queued")?;
        writeln!(f, "network key  {network_key}")?;
        if let Some(follow_at) = &self.follow_at {
            writeln!(f, "follow it at {follow_at}")?;
        }
        for peer in &self.peers {
            let health = match (peer.used, &peer.left_for) {
                (true, _) => "used".to_owned(),
                (false, Some(lie)) => format!("left: {lie}"),
                (false, None) => "does not answer".to_owned(),
            };
            writeln!(f, "peer         {}  {health}", peer.address)?;
        }
        write!(f, "validators   {}", self.validators.len())?;
        if self.validators.iter().all(|validator| validator.last_vote.is_none()) {
            return self.validators.iter().try_for_each(|validator| write!(f, "\n  {}", validator.key));
        }
        let newest = self.validators.iter().filter_map(|validator| validator.last_vote).max().unwrap_or_default();
        for validator in &self.validators {
            let health = match validator.last_vote {
                None => "never heard".to_owned(),
                Some(view) if view + U256::from(SILENT) < newest => format!("silent since view {view}"),
                Some(view) => format!("voted in view {view}"),
            };
            write!(f, "\n  {}  {health}{}", validator.key, if validator.me { "  (this node)" } else { "" })?;
        }
        Ok(())
    }
}
