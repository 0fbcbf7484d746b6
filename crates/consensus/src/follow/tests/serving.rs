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
