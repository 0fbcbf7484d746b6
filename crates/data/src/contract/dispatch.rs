//! From call data to the functions of consent.

use super::Consent;
use crate::abi::IConsent::{self, IConsentCalls as Calls};
use alloy_primitives::Bytes;
use stoa_contract::{Context, Error, NativeContract, Result, abi};

impl NativeContract for Consent {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::assetId(call) => abi::reply(&call, Ok(self.asset_id(cx, call.owner, call.salt))),
            Calls::register(call) => abi::reply(&call, self.register(cx, &call)),
            Calls::assetOf(call) => abi::reply(&call, self.asset_of(cx, call.asset)),
            Calls::keepersOf(call) => abi::reply(&call, self.keepers_of(cx, call.asset)),
            Calls::setObject(call) => abi::done(self.set_object(cx, call.asset, call.object)),
            Calls::moveKeepers(call) => abi::done(self.move_keepers(cx, &call)),
            Calls::moveDigest(call) => {
                let digest = self.move_digest(cx, call.asset, call.sharing, call.needed, &call.keepers);
                abi::reply(&call, digest)
            }
            Calls::nextGrant(call) => abi::reply(&call, self.next_grant(cx, call.asset)),
            Calls::grant(call) => abi::reply(&call, self.grant(cx, call.asset, &call.terms)),
            Calls::revoke(call) => abi::done(self.revoke(cx, call.grant)),
            Calls::revokeAll(call) => abi::done(self.revoke_all(cx, call.asset)),
            Calls::erase(call) => abi::done(self.erase(cx, call.asset)),
            Calls::grantOf(call) => abi::reply(&call, self.grant_of(cx, call.grant)),
            Calls::grantsOf(call) => abi::reply(&call, self.grants_of(cx, call.asset, call.from, call.most)),
            Calls::useGrant(call) => {
                let user = cx.caller();
                abi::reply(&call, self.use_grant(cx, user, call.grant, call.kind, call.algorithm))
            }
            Calls::useGrantFor(call) => {
                abi::reply(&call, self.use_grant_for(cx, call.user, call.grant, call.algorithm))
            }
            Calls::check(call) => abi::done(self.check(cx, call.grant, call.user, call.kind, call.algorithm)),
            Calls::useOf(call) => abi::reply(&call, self.use_of(cx, call.id)),
            Calls::checkUse(call) => {
                let IConsent::Use { grant, user, kind, algorithm, .. } = self.use_of(cx, call.id)?;
                let asset = self.check_use(cx, grant, user)?;
                abi::reply(&call, Ok(IConsent::checkUseReturn { asset, grant, user, kind, algorithm }))
            }
            Calls::announce(call) => abi::done(self.announce(cx, &call.announcement)),
            Calls::announcementOf(call) => abi::reply(&call, self.announcement_of(cx, call.wallet)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one record of consent: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}
