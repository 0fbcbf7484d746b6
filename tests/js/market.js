// The market's own contracts as ocean.js is told of them, and what its calls have sent.

"use strict";

const assert = require("node:assert/strict");
const lib = require("@oceanprotocol/lib");
const { chainId } = require("./support");

const at = (end) => `0x${"0".repeat(36)}${end}`;
const COIN = at("0c01");
const config = {
  ...lib.configHelperNetworks[0],
  chainId,
  nftFactoryAddress: at("0c05"),
  routerFactoryAddress: at("0c08"),
  fixedRateExchangeAddress: at("0c09"),
  dispenserAddress: at("0c0a"),
  oceanTokenAddress: COIN,
};

/** The receipt of what an ocean.js call has sent. */
async function mined(sent) {
  const response = await sent;
  assert.ok(response, "ocean.js gives null for what failed");
  const receipt = await response.wait();
  assert.equal(receipt.status, 1);
  return receipt;
}

module.exports = { COIN, config, mined };
