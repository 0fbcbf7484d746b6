//! The registry of nodes: where each can be found, and what it does for others.
//!
//! A node's operator registers it with an account that pays for it. The node agrees by a signature of its own key over
//! that account, so that nobody registers, moves or removes another's node. It is good once: who operated a node before cannot
//! take it back with what it signed for him then. What stands here is what the operator says: that the node answers is seen by
//! asking it.

use self::INodes::{
    INodesCalls, Node, NodeInvalidDomain, NodeInvalidHost, NodeInvalidRoles, NodeInvalidSignature, NodeNotOperator,
    NodeRemoved, NodeSet, NodeUnknown,
};
use crate::{
    Context, Error, NativeContract, Result, abi, natives,
    storage::{EnumerableSet, Mapping, Text, Value},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolValue as _, sol};

/// Where the contract lives.
pub const ADDRESS: Address = natives::address(3);

/// The node keeps pieces of objects for others.
pub const STORE: u8 = 1;

/// The node keeps shares of keys.
pub const KEEPER: u8 = 2;

/// Gas for checking the signature of a node: what a recovery of secp256k1 costs.
pub const SIGNATURE_GAS: u64 = 3000;

/// Longest host with its port, and longest failure domain, in bytes.
const MOST_HOST: usize = 255;
const MOST_DOMAIN: usize = 64;

sol! {
    /// The registry of nodes.
    #[derive(Debug, PartialEq, Eq)]
    interface INodes {
        /// A node.
        struct Node {
            /// Its ed25519 key.
            bytes32 key;
            /// Who registered it and may change what stands here.
            address operator;
            /// Host and UDP port where it answers, as `host:port`.
            string host;
            /// What it fails together with: an operator, a region, a rack.
            string domain;
            /// Bytes that it offers to keep.
            uint64 capacity;
            /// What it does for others: bit 0 keeps objects, bit 1 keeps shares of keys.
            uint8 roles;
        }

        /// No such node is registered.
        error NodeUnknown(bytes32 key);
        /// The caller did not register the node.
        error NodeNotOperator(bytes32 key, address caller);
        /// The node did not sign that this account operates it, or not for this time.
        error NodeInvalidSignature(bytes32 key, address operator);
        /// A host is `host:port`, at most 255 printable ASCII characters.
        error NodeInvalidHost();
        /// A domain has at most 64 bytes.
        error NodeInvalidDomain();
        /// There are no such roles.
        error NodeInvalidRoles(uint8 roles);

        /// A node was registered, or says something else of itself.
        event NodeSet(bytes32 indexed key, address indexed operator, string host, string domain, uint64 capacity, uint8 roles);
        /// A node is registered no longer.
        event NodeRemoved(bytes32 indexed key, address indexed operator);

        /// Registers a node, or moves it to the caller. `signature` is the node's, by ed25519, over
        /// `operatorDigest(key, caller)`.
        function join(bytes32 key, bytes signature, string host, string domain, uint64 capacity, uint8 roles) external;
        /// Changes what a node of the caller's says of itself.
        function set(bytes32 key, string host, string domain, uint64 capacity, uint8 roles) external;
        /// Removes a node of the caller's.
        function leave(bytes32 key) external;
        /// What a node signs so that this account may register it now. It changes with each registration.
        function operatorDigest(bytes32 key, address operator) external view returns (bytes32);
        /// How often a node was registered.
        function nonces(bytes32 key) external view returns (uint256);
        /// A node.
        function nodeOf(bytes32 key) external view returns (Node memory);
        /// How many there are.
        function count() external view returns (uint256);
        /// At most `most` nodes from number `from` on, in the order of the set, which changes when one leaves.
        function list(uint256 from, uint256 most) external view returns (Node[] memory);
    }
}

crate::storage! {
    /// What is kept of a node.
    struct Entry {
        operator: Value<Address>,
        capacity: Value<u64>,
        roles: Value<u8>,
        /// How often it was registered; stays when it leaves.
        nonce: Value<u16>,
        host: Text,
        domain: Text,
    }

    /// The registry.
    struct State {
        keys: EnumerableSet<B256>,
        nodes: Mapping<B256, Entry>,
    }
}

/// What a node that was registered so often before signs so that this account may register it.
pub fn operator_digest(chain_id: u64, key: B256, operator: Address, nonce: U256) -> B256 {
    keccak256(("Stoa node operator", U256::from(chain_id), ADDRESS, key, operator, nonce).abi_encode_params())
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nodes;

impl Nodes {
    fn state(self) -> State {
        State::root()
    }

    fn join(self, cx: &mut Context<'_>, key: B256, signature: &[u8], said: Said<'_>) -> Result<()> {
        let operator = cx.caller();
        said.check()?;
        cx.charge(SIGNATURE_GAS)?;
        let digest = self.digest(cx, key, operator)?;
        if !signed(key, digest, signature) {
            return Err(NodeInvalidSignature { key, operator }.into());
        }
        self.state().keys.add(cx, key)?;
        let entry = self.state().nodes.at(&key);
        let nonce = entry.nonce.read(cx)?.checked_add(1).ok_or_else(Error::overflow)?;
        entry.nonce.write(cx, nonce)?;
        entry.operator.write(cx, operator)?;
        self.write(cx, key, operator, said)
    }

    fn nonce(self, cx: &mut Context<'_>, key: B256) -> Result<U256> {
        self.state().nodes.at(&key).nonce.read(cx).map(U256::from)
    }

    fn digest(self, cx: &mut Context<'_>, key: B256, operator: Address) -> Result<B256> {
        let nonce = self.nonce(cx, key)?;
        Ok(operator_digest(cx.chain_id(), key, operator, nonce))
    }

    fn set(self, cx: &mut Context<'_>, key: B256, said: Said<'_>) -> Result<()> {
        said.check()?;
        let operator = self.only_operator(cx, key)?;
        self.write(cx, key, operator, said)
    }

    fn leave(self, cx: &mut Context<'_>, key: B256) -> Result<()> {
        let operator = self.only_operator(cx, key)?;
        self.state().keys.remove(cx, key)?;
        let entry = self.state().nodes.at(&key);
        entry.operator.write(cx, Address::ZERO)?;
        entry.capacity.write(cx, 0)?;
        entry.roles.write(cx, 0)?;
        entry.host.write(cx, "")?;
        entry.domain.write(cx, "")?;
        cx.emit(&NodeRemoved { key, operator })
    }

    /// Lets only a node's operator pass.
    fn only_operator(self, cx: &mut Context<'_>, key: B256) -> Result<Address> {
        let (operator, caller) = (self.operator_of(cx, key)?, cx.caller());
        if operator == caller { Ok(operator) } else { Err(NodeNotOperator { key, caller }.into()) }
    }

    fn operator_of(self, cx: &mut Context<'_>, key: B256) -> Result<Address> {
        match self.state().nodes.at(&key).operator.read(cx)? {
            Address::ZERO => Err(NodeUnknown { key }.into()),
            operator => Ok(operator),
        }
    }

    fn write(self, cx: &mut Context<'_>, key: B256, operator: Address, said: Said<'_>) -> Result<()> {
        let Said { host, domain, capacity, roles } = said;
        let entry = self.state().nodes.at(&key);
        entry.capacity.write(cx, capacity)?;
        entry.roles.write(cx, roles)?;
        entry.host.write(cx, host)?;
        entry.domain.write(cx, domain)?;
        cx.emit(&NodeSet { key, operator, host: host.into(), domain: domain.into(), capacity, roles })
    }

    fn node_of(self, cx: &mut Context<'_>, key: B256) -> Result<Node> {
        let entry = self.state().nodes.at(&key);
        Ok(Node {
            key,
            operator: self.operator_of(cx, key)?,
            host: entry.host.read(cx)?,
            domain: entry.domain.read(cx)?,
            capacity: entry.capacity.read(cx)?,
            roles: entry.roles.read(cx)?,
        })
    }

    fn list(self, cx: &mut Context<'_>, from: U256, most: U256) -> Result<Vec<Node>> {
        let count = self.state().keys.len(cx)?;
        let from = from.saturating_to::<usize>().min(count);
        let to = from.saturating_add(most.saturating_to()).min(count);
        (from..to).map(|at| self.state().keys.get(cx, at).and_then(|key| self.node_of(cx, key))).collect()
    }
}

/// What an operator says of a node.
#[derive(Clone, Copy)]
struct Said<'a> {
    host: &'a str,
    domain: &'a str,
    capacity: u64,
    roles: u8,
}

impl Said<'_> {
    fn check(self) -> Result<()> {
        let port = self.host.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let port = port.and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port > 0);
        if self.host.len() > MOST_HOST || port.is_none() || !self.host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NodeInvalidHost {}.into());
        }
        if self.domain.len() > MOST_DOMAIN {
            return Err(NodeInvalidDomain {}.into());
        }
        if self.roles & !(STORE | KEEPER) != 0 {
            return Err(NodeInvalidRoles { roles: self.roles }.into());
        }
        Ok(())
    }
}

/// Whether a node signed this, by the strict rules that leave one signature and one key for each.
pub fn signed(key: B256, digest: B256, signature: &[u8]) -> bool {
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0);
    let signature = ed25519_dalek::Signature::from_slice(signature);
    key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify_strict(digest.as_slice(), &signature).is_ok()))
}

impl NativeContract for Nodes {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            INodesCalls::join(call) => {
                let said = Said { host: &call.host, domain: &call.domain, capacity: call.capacity, roles: call.roles };
                abi::done(self.join(cx, call.key, &call.signature, said))
            }
            INodesCalls::set(call) => {
                let said = Said { host: &call.host, domain: &call.domain, capacity: call.capacity, roles: call.roles };
                abi::done(self.set(cx, call.key, said))
            }
            INodesCalls::leave(call) => abi::done(self.leave(cx, call.key)),
            INodesCalls::operatorDigest(call) => abi::reply(&call, self.digest(cx, call.key, call.operator)),
            INodesCalls::nonces(call) => abi::reply(&call, self.nonce(cx, call.key)),
            INodesCalls::nodeOf(call) => abi::reply(&call, self.node_of(cx, call.key)),
            INodesCalls::count(call) => abi::reply(&call, self.state().keys.len(cx).map(U256::from)),
            INodesCalls::list(call) => abi::reply(&call, self.list(cx, call.from, call.most)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<INodesCalls>()]
    }

    /// There is one registry: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Natives,
        bench::{Bench, Failure, assert_handles},
    };
    use ed25519_dalek::{Signer as _, SigningKey};

    const ALICE: Address = Address::repeat_byte(0xa1);
    const BOB: Address = Address::repeat_byte(0xb0);

    fn key(seed: u8) -> (SigningKey, B256) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = key.verifying_key().to_bytes().into();
        (key, public)
    }

    fn join(seed: u8, operator: Address, host: &str) -> INodes::joinCall {
        join_again(0, seed, operator, host)
    }

    /// The same of a node that was registered so often before.
    fn join_again(nonce: u64, seed: u8, operator: Address, host: &str) -> INodes::joinCall {
        let (secret, key) = key(seed);
        let digest = operator_digest(31337, key, operator, U256::from(nonce));
        let signature = secret.sign(digest.as_slice()).to_bytes().into();
        INodes::joinCall { key, signature, host: host.into(), domain: "rack 1".into(), capacity: 9, roles: STORE }
    }

    fn set(seed: u8, host: &str, domain: &str, roles: u8) -> INodes::setCall {
        INodes::setCall { key: key(seed).1, host: host.into(), domain: domain.into(), capacity: 3, roles }
    }

    #[test]
    fn every_function_has_a_handler() {
        assert_handles::<INodesCalls>(Nodes);
    }

    #[test]
    fn a_node_is_registered_by_whom_it_says_and_changed_by_nobody_else() {
        let mut bench = Bench::new(Natives::stoa());
        let (node, public) = (join(1, ALICE, "a.example:9000"), key(1).1);
        let digest = INodes::operatorDigestCall { key: public, operator: ALICE };
        assert_eq!(bench.view(ADDRESS, &digest), Ok(operator_digest(31337, public, ALICE, U256::ZERO)));
        // Bob cannot use what was signed for Alice.
        let refused = Failure::revert(NodeInvalidSignature { key: public, operator: BOB });
        assert_eq!(bench.send(BOB, ADDRESS, &node), Err(refused));
        let sent = bench.send(ALICE, ADDRESS, &node).unwrap();
        assert_eq!(sent.logs.len(), 1);
        let expected = Node {
            key: public,
            operator: ALICE,
            host: "a.example:9000".into(),
            domain: "rack 1".into(),
            capacity: 9,
            roles: STORE,
        };
        assert_eq!(bench.view(ADDRESS, &INodes::nodeOfCall { key: public }), Ok(expected.clone()));

        let other = set(1, "b.example:1", "", STORE | KEEPER);
        let refused = Failure::revert(NodeNotOperator { key: public, caller: BOB });
        assert_eq!(bench.send(BOB, ADDRESS, &other), Err(refused.clone()));
        assert_eq!(bench.send(BOB, ADDRESS, &INodes::leaveCall { key: public }), Err(refused));
        bench.send(ALICE, ADDRESS, &other).unwrap();
        let now = bench.view(ADDRESS, &INodes::nodeOfCall { key: public }).unwrap();
        assert_eq!((&now.host[..], &now.domain[..], now.capacity, now.roles), ("b.example:1", "", 3, 3));
        // The node may choose another operator; the first has no say then.
        bench.send(BOB, ADDRESS, &join_again(1, 1, BOB, "c.example:2")).unwrap();
        assert_eq!(bench.view(ADDRESS, &INodes::countCall {}), Ok(U256::ONE));
        assert!(bench.send(ALICE, ADDRESS, &other).is_err());
        bench.send(BOB, ADDRESS, &INodes::leaveCall { key: public }).unwrap();
        let unknown = Failure::revert(NodeUnknown { key: public });
        assert_eq!(bench.view(ADDRESS, &INodes::nodeOfCall { key: public }), Err(unknown.clone()));
        assert_eq!(bench.send(BOB, ADDRESS, &other), Err(unknown));
    }

    #[test]
    fn what_a_node_signed_for_an_operator_registers_it_once() {
        let mut bench = Bench::new(Natives::stoa());
        let public = key(1).1;
        let (alices, bobs) = (join(1, ALICE, "a.example:1"), join_again(1, 1, BOB, "b.example:1"));
        let refused = |operator: Address| Err(Failure::revert(NodeInvalidSignature { key: public, operator }));
        // For a time that has not come it is no good either.
        assert_eq!(bench.send(BOB, ADDRESS, &bobs), refused(BOB));
        bench.send(ALICE, ADDRESS, &alices).unwrap();
        bench.send(BOB, ADDRESS, &bobs).unwrap();
        // Everybody has seen these signatures on the ledger; those whom they are for are its operators no more.
        assert_eq!(bench.send(ALICE, ADDRESS, &alices), refused(ALICE));
        bench.send(BOB, ADDRESS, &INodes::leaveCall { key: public }).unwrap();
        assert_eq!(bench.send(ALICE, ADDRESS, &alices), refused(ALICE));
        assert_eq!(bench.send(BOB, ADDRESS, &bobs), refused(BOB));
        assert_eq!(bench.view(ADDRESS, &INodes::noncesCall { key: public }), Ok(U256::from(2)));
        let digest = INodes::operatorDigestCall { key: public, operator: ALICE };
        assert_eq!(bench.view(ADDRESS, &digest), Ok(operator_digest(31337, public, ALICE, U256::from(2))));
        bench.send(ALICE, ADDRESS, &join_again(2, 1, ALICE, "a.example:1")).unwrap();
    }

    #[test]
    fn what_no_node_can_say_is_refused() {
        let mut bench = Bench::new(Natives::stoa());
        bench.send(ALICE, ADDRESS, &join(1, ALICE, "[::1]:9000")).unwrap();
        let long = format!("{}:1", "a".repeat(254));
        for host in ["", "a", ":1", "a:", "a:0", "a:65536", "a b:1", "ä:1", &long] {
            let refused = Failure::revert(NodeInvalidHost {});
            assert_eq!(bench.send(ALICE, ADDRESS, &set(1, host, "", 0)), Err(refused), "{host}");
        }
        let refused = Failure::revert(NodeInvalidDomain {});
        assert_eq!(bench.send(ALICE, ADDRESS, &set(1, "a:1", &"d".repeat(65), 0)), Err(refused));
        let refused = Failure::revert(NodeInvalidRoles { roles: 4 });
        assert_eq!(bench.send(ALICE, ADDRESS, &set(1, "a:1", "", 4)), Err(refused));
        // A key of small order has no secret, and signs everything.
        let mut call = join(2, ALICE, "a:1");
        (call.key, call.signature) = (B256::with_last_byte(0), vec![0; 64].into());
        assert!(bench.send(ALICE, ADDRESS, &call).is_err());
        call.signature = vec![0; 63].into();
        assert!(bench.send(ALICE, ADDRESS, &call).is_err());
    }

    #[test]
    fn what_is_kept_lies_as_in_solidity() {
        let mut bench = Bench::new(Natives::stoa());
        bench.send(ALICE, ADDRESS, &join(1, ALICE, "a:1")).unwrap();
        let mut at = |slot: U256| bench.storage(ADDRESS, slot);
        // The set: bytes32[] values; mapping(bytes32 => uint256) positions.
        assert_eq!(at(U256::ZERO), U256::ONE);
        assert_eq!(at(keccak256(B256::ZERO).into()), U256::from_be_bytes(key(1).1.0));
        // mapping(bytes32 => Entry): address operator; uint64 capacity; uint8 roles; uint16 nonce | string host | string domain.
        let base = U256::from_be_bytes(keccak256((key(1).1, U256::from(2)).abi_encode_params()).0);
        let operator = U256::from_be_slice(ALICE.as_slice());
        assert_eq!(at(base), operator | (U256::from(9) << 160) | (U256::from(STORE) << 224) | (U256::ONE << 232));
        assert_eq!(at(base + U256::ONE), (U256::from_be_slice(b"a:1") << 232) | U256::from(6));
        assert_eq!(at(base + U256::from(2)), (U256::from_be_slice(b"rack 1") << 208) | U256::from(12));
    }

    #[test]
    fn all_nodes_are_listed_in_parts() {
        let mut bench = Bench::new(Natives::stoa());
        for seed in 1..=5 {
            bench.send(ALICE, ADDRESS, &join(seed, ALICE, &format!("host:{seed}"))).unwrap();
        }
        let mut list = |from: u64, most: U256| {
            let call = INodes::listCall { from: U256::from(from), most };
            bench.view(ADDRESS, &call).unwrap().into_iter().map(|node| node.host).collect::<Vec<_>>()
        };
        assert_eq!(list(0, U256::from(2)), ["host:1", "host:2"]);
        assert_eq!(list(3, U256::MAX), ["host:4", "host:5"]);
        assert!(list(5, U256::from(1)).is_empty() && list(u64::MAX, U256::MAX).is_empty());
    }
}
