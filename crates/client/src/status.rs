use crate::{
    clock::{self, ClocksApart},
    when,
    words::words,
};
use alloy_primitives::{B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::fmt;
use stoa_base::now;

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
    /// The newest block that others were seen to have, if this node has to catch up with it.
    #[serde(default)]
    pub catching_up_to: Option<U256>,
    /// Its time, in seconds since 1970.
    pub timestamp: U256,
    /// The node's own clock when it answers, in seconds since 1970.
    #[serde(default)]
    pub clock: Option<U256>,
    /// Seconds after which a block should have come, however seldom they come here.
    #[serde(default = "patience")]
    pub patience: U256,
    /// Which epoch the block belongs to; the validators share the network key anew in each.
    pub epoch: U256,
    /// Hash of block 0.
    pub genesis_hash: B256,
    /// The key that verifies the certificate of any block.
    pub network_key: Bytes,
    /// Where others can follow this node, if they can: `KEY@HOST:PORT`.
    pub follow_at: Option<String>,
    /// Whether it votes in its epoch; nothing of a node that is no validator.
    #[serde(default)]
    pub votes: Option<bool>,
    /// Whether its validator's key is in use elsewhere as well.
    #[serde(default)]
    pub key_elsewhere: bool,
    /// Who agrees on blocks.
    pub validators: Vec<ValidatorStatus>,
    /// Nodes that this one follows; of a validator, the others.
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
    /// Its last vote that was heard, if any.
    pub last_vote: Option<Vote>,
    /// Whether it is the one that answers.
    pub me: bool,
    /// In how many views it has contradicted itself, as far as the node that answers has noticed since it started.
    #[serde(default)]
    pub equivocations: U256,
}

/// When a validator voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vote {
    /// The epoch.
    pub epoch: U256,
    /// The view; they begin anew in every epoch.
    pub view: U256,
}

/// How it stands with a node that this one follows, or with another validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// `KEY@HOST:PORT`.
    pub address: String,
    /// Whether it is asked at present: not if it does not answer, or has lied. Another validator: whether it is connected.
    pub used: bool,
    /// What it has said that the validators have not signed.
    pub left_for: Option<String>,
}

/// A validator that is this many views behind counts as silent.
const SILENT: u64 = 20;

/// Of a node that says nothing of its patience: a network makes a block each second.
fn patience() -> U256 {
    U256::from(30)
}

impl Status {
    /// Seconds since the newest block, at a time in seconds since 1970.
    pub fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.timestamp.saturating_to())
    }

    /// Whether no block has come for long: the network does not go on, or the node does not hear of it.
    pub fn is_stalled(&self, now: u64) -> bool {
        U256::from(self.age(now)) >= self.patience
    }

    /// How this machine's clock differs from the network's, if by too much to tell how old a block is.
    pub fn clocks(&self, now: u64) -> Option<ClocksApart> {
        clock::apart(now, self.timestamp, self.clock)
    }

    /// How it stands with the node, in words: `ok` if nothing is wrong.
    pub fn health(&self, now: u64) -> &'static str {
        match (self.key_elsewhere, self.clocks(now), self.is_stalled(now)) {
            (true, ..) => "its key is in use elsewhere",
            (_, Some(_), _) => "the clocks differ",
            (.., true) if self.catching_up_to.is_some() => "catching up",
            (.., true) => "stalled",
            _ => "ok",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain_id, block_number, block_hash, timestamp, network_key, pending, queued, version, .. } = self;
        let now = now();
        writeln!(f, "chain        {chain_id} (stoa {})", words(version))?;
        writeln!(f, "role         {}", words(&self.roles.join(", ")))?;
        writeln!(f, "health       {}", self.health(now))?;
        writeln!(f, "block        {block_number}  {block_hash}")?;
        if let Some(newest) = self.catching_up_to {
            writeln!(f, "others are at {newest}")?;
        }
        writeln!(f, "its time     {}", when(timestamp.saturating_to(), now))?;
        let voting = if self.votes == Some(false) { ", in which it does not vote" } else { "" };
        writeln!(f, "epoch        {}{voting}", self.epoch)?;
        writeln!(f, "waiting      {pending} pending, {queued} queued")?;
        writeln!(f, "network key  {network_key}")?;
        if let Some(follow_at) = &self.follow_at {
            writeln!(f, "follow it at {}", words(follow_at))?;
        }
        for peer in &self.peers {
            let health = match (peer.used, &peer.left_for) {
                (true, _) => "used".to_owned(),
                (false, Some(lie)) => format!("left: {}", words(lie)),
                (false, None) => "does not answer".to_owned(),
            };
            writeln!(f, "peer         {}  {health}", words(&peer.address))?;
        }
        write!(f, "validators   {}", self.validators.len())?;
        if self.validators.iter().all(|validator| validator.last_vote.is_none()) {
            return self.validators.iter().try_for_each(|validator| write!(f, "\n  {}", validator.key));
        }
        let newest = self.validators.iter().filter_map(|validator| validator.last_vote).max();
        for validator in &self.validators {
            let health = match validator.last_vote {
                None => "never heard".to_owned(),
                Some(vote) => {
                    let before = |newest: Vote| {
                        let view = if vote.epoch < newest.epoch { U256::ZERO } else { vote.view };
                        view + U256::from(SILENT) < newest.view
                    };
                    let silent = newest.is_some_and(before);
                    let said = if silent { "silent since" } else { "voted in" };
                    format!("{said} epoch {}, view {}", vote.epoch, vote.view)
                }
            };
            let me = if validator.me { "  (this node)" } else { "" };
            write!(f, "\n  {}  {health}{me}", validator.key)?;
            if !validator.equivocations.is_zero() {
                write!(f, "  contradicted itself in so many views: {}", validator.equivocations)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_old_its_block_is_and_steers_no_terminal() {
        let status = Status {
            version: "1\u{1b}[2J".into(),
            roles: vec!["validator".into()],
            chain_id: U256::from(7),
            block_number: U256::from(9),
            block_hash: B256::ZERO,
            catching_up_to: None,
            timestamp: U256::from(1000),
            clock: None,
            patience: patience(),
            epoch: U256::ZERO,
            genesis_hash: B256::ZERO,
            network_key: Bytes::new(),
            follow_at: None,
            votes: None,
            key_elsewhere: false,
            validators: Vec::new(),
            peers: Vec::new(),
            pending: U256::ZERO,
            queued: U256::ZERO,
        };
        assert_eq!((status.age(1029), status.is_stalled(1029)), (29, false));
        assert!(status.is_stalled(1030));
        // A clock that is behind says nothing of how old a block is.
        assert!(!status.is_stalled(900));
        // Nor does one that is not the node's.
        let told = Status { clock: Some(U256::from(1001)), ..status.clone() };
        assert_eq!([1002, 1030, 9999].map(|now| told.health(now)), ["ok", "stalled", "the clocks differ"]);
        assert_eq!(told.clocks(9999), Some(ClocksApart { here: 9999, there: 1001 }));
        assert_eq!(status.health(9999), "stalled");
        let behind = Status { catching_up_to: Some(U256::from(12)), ..status.clone() };
        assert_eq!([1029, 9999].map(|now| behind.health(now)), ["ok", "catching up"]);
        assert!(behind.to_string().contains("catching up") && behind.to_string().contains("others are at 12"));
        // Where blocks come seldom it takes longer.
        assert!(!Status { patience: U256::from(60), ..status.clone() }.is_stalled(1059));
        let text = status.to_string();
        assert!(!text.contains('\u{1b}') && text.contains("health       stalled"), "{text}");
        assert!(text.contains("1970-01-01 00:16:40 UTC"), "{text}");
    }

    #[test]
    fn a_key_that_is_in_use_elsewhere_comes_before_all_else() {
        // As nodes said it that knew nothing of this.
        let said = serde_json::json!({
            "version": "1", "roles": ["validator"], "chainId": "0x7", "blockNumber": "0x9", "blockHash": B256::ZERO,
            "timestamp": "0x3e8", "epoch": "0x2", "genesisHash": B256::ZERO, "networkKey": "0x", "followAt": null,
            "validators": [{ "key": B256::ZERO, "lastVote": { "epoch": "0x2", "view": "0x5" }, "me": true }],
            "peers": [], "pending": "0x0", "queued": "0x0",
        });
        let mut status = serde_json::from_value::<Status>(said).unwrap();
        assert_eq!((status.health(1001), status.health(1030)), ("ok", "stalled"));
        let text = status.to_string();
        assert!(!text.contains("does not vote") && !text.contains("contradicted"), "{text}");
        (status.votes, status.key_elsewhere) = (Some(false), true);
        status.validators[0].equivocations = U256::from(3);
        assert_eq!([1001, 1030].map(|now| status.health(now)), ["its key is in use elsewhere"; 2]);
        let text = status.to_string();
        assert!(text.contains("2, in which it does not vote") && text.contains("in so many views: 3"), "{text}");
    }
}
