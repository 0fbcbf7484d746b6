//! Simulations, as tests ask for them.

use super::{
    checks::{NothingLost, Progress},
    network::{State, Validators, good},
    with_stack,
};
use crate::application::Malice;
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::{
    action::Crash,
    plan::{PlanBuilder, PlanResult},
    property::Property,
};
use commonware_p2p::simulated::Link;
use std::{num::NonZeroU32, time::Duration};

/// What a test adds to a simulation.
pub(super) struct Plan {
    builder: PlanBuilder<Validators>,
    /// When the last scheduled fault is over.
    over: Duration,
}

impl Plan {
    /// Links between any two validators.
    pub(super) fn link(self, link: Link) -> Self {
        Self { builder: self.builder.link(link), ..self }
    }

    /// Crashes, cuts and what else happens.
    pub(super) fn crash(self, crash: Crash<PublicKey>) -> Self {
        let last = match &crash {
            Crash::Schedule(schedule) => schedule.events.last().map_or(Duration::ZERO, |(at, _)| *at),
            _ => Duration::ZERO,
        };
        Self { builder: self.builder.crash(crash), over: self.over.max(last) }
    }

    /// What must be true in the end besides what always must.
    pub(super) fn property(self, property: impl Property<PublicKey, State> + Clone + 'static) -> Self {
        Self { builder: self.builder.property(property), ..self }
    }
}

/// Simulates so many validators with a seed until every one of them is at block `height` and the faults that `plan` adds are
/// over, and checks what must be true then.
pub(super) fn simulate(
    count: NonZeroU32,
    seed: u64,
    height: u64,
    malicious: impl IntoIterator<Item = (usize, Malice)>,
    plan: impl FnOnce(Plan, &[PublicKey]) -> Plan + Send,
) -> PlanResult<Validators> {
    simulate_these(Validators::new(count, malicious.into_iter().collect()), seed, height, plan)
}

/// The same of validators that are there.
pub(super) fn simulate_these(
    validators: Validators,
    seed: u64,
    height: u64,
    plan: impl FnOnce(Plan, &[PublicKey]) -> Plan + Send,
) -> PlanResult<Validators> {
    with_stack(|| {
        let keys = validators.keys();
        let builder = PlanBuilder::new(validators).seed(seed).link(good()).timeout(Duration::from_secs(600));
        let Plan { builder, over } = plan(Plan { builder, over: Duration::ZERO }, &keys);
        let builder = builder.exit_condition(Progress::until(height, over)).property(NothingLost);
        builder.build().run().unwrap_or_else(|why| panic!("seed {seed}: {why}"))
    })
}
