//! What a node does for those that follow it.

use super::*;
use std::pin::pin;

#[test]
fn whoever_asks_and_goes_has_had_his_turn_when_what_he_asked_for_is_read() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(1).await;
        let server = Server::new(runtime.child("server"), chain.ledger().clone(), List::default());
        let (request, turns) = (Request::Tip.encode(), server.free());
        {
            let mut answer = pin!(server.answer(&request, true));
            assert!(futures::poll!(&mut answer).is_pending());
        }
        assert_eq!(server.free(), turns - 1);
        runtime.sleep(Duration::from_millis(1)).await;
        assert_eq!(server.free(), turns);
    });
}

#[test]
fn who_catches_up_keeps_certificates_enough_to_prove_each_block() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        for number in 1..=1100 {
            chain.grow(Address::ZERO, number == 1100).await;
        }
        let genesis = chain.ledger().genesis().clone();
        // What proves block 1 where there is one certificate, far off, and where there is another before it.
        for (name, proof) in [("first", 1100), ("second", 1000)] {
            let hash = chain.ledger().block(proof).unwrap().unwrap().block.hash();
            chain.ledger().certify(proof, &chain.certificate(hash, proof).encode()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let peers = vec![honest(&runtime, chain.ledger(), List::default())];
            let mut following = follow(&runtime, name, genesis.clone(), &folder, peers, Start::Blocks).await.unwrap();
            following.follower.catch_up(1100, LONG).await.unwrap();
            let ledger = following.follower.ledger();
            assert_eq!(ledger.head().hash(), chain.ledger().head().hash());
            let proven_by = |number| ledger.certificate_from(number).unwrap().map(|(number, _)| number);
            assert_eq!([1, proof, 1100].map(proven_by), [proof, proof, 1100].map(Some));
            assert_eq!(lies(&following.peers, &runtime), [None]);
        }
    });
}
