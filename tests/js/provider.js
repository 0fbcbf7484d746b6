// What the suites of a node that serves ocean.js's ProviderInstance share: publishing, and what a refusal is.

"use strict";

const assert = require("node:assert/strict");
const { ethers } = require("ethers");
const lib = require("@oceanprotocol/lib");
const { url, chainId } = require("./support");
const { config, mined } = require("./market");

const { ProviderInstance, ZERO_ADDRESS } = lib;
const aquarius = new lib.Aquarius(url);

const datatokens = (as) => new lib.Datatoken(as, chainId, config);
const nfts = (as) => new lib.Nft(as, chainId, config);

/** Publishes a document, and waits until the node knows it. */
async function say(publisher, asset, change = () => {}) {
  const document = {
    "@context": ["https://w3id.org/did/v1"], id: asset.did, version: "4.7.0", chainId, nftAddress: asset.nft,
    metadata: {
      created: "2026-01-01T00:00:00Z", updated: "2026-01-01T00:00:00Z", type: "dataset", name: "Hearts",
      description: "Rows of people and their hearts", author: "UCI", license: "CC-BY-4.0",
    },
    services: ["compute", "access"].map((type) => ({
      id: type, type, files: asset.files, datatokenAddress: asset.datatoken, serviceEndpoint: url, timeout: 0,
    })),
    credentials: { allow: [], deny: [] },
  };
  change(document);
  const text = ethers.toUtf8Bytes(JSON.stringify(document));
  const receipt = await mined(nfts(publisher).setMetadata(
    asset.nft, publisher.address, 0, url, publisher.address, "0x00", ethers.hexlify(text), ethers.sha256(text), []));
  await aquarius.waitForIndexer(asset.did, receipt.hash, undefined, 20, 500);
}

/** Publishes an asset with a file, which costs a datatoken that these accounts are given. `more` is sealed with the file. */
async function publish(publisher, accounts, file, change, more = {}) {
  const factory = new lib.NftFactory(config.nftFactoryAddress, publisher, chainId, config);
  const receipt = await mined(factory.createNftWithDatatoken(
    { name: "Hearts", symbol: "DATA", templateIndex: 1, tokenURI: "data:,", transferable: true, owner: publisher.address },
    {
      templateIndex: 1, cap: "1000", feeAmount: "0", paymentCollector: ZERO_ADDRESS, feeToken: ZERO_ADDRESS,
      minter: publisher.address, mpFeeAddress: ZERO_ADDRESS, name: "Access", symbol: "ACC",
    }));
  const nft = lib.getEventFromTx(receipt, "NFTCreated").args.newTokenAddress;
  const datatoken = lib.getEventFromTx(receipt, "TokenCreated").args.newTokenAddress;
  const files = await ProviderInstance.encrypt(
    { nftAddress: nft, datatokenAddress: datatoken, files: [file], ...more }, chainId, url, publisher);
  assert.match(files, /^0x[0-9a-f]+$/);
  const asset = { nft, datatoken, files, did: lib.generateDid(nft, chainId) };
  for (const account of accounts) {
    await mined(datatokens(publisher).mint(datatoken, publisher.address, "10", account.address));
  }
  await say(publisher, asset, change);
  return asset;
}

/** What is answered is a refusal with this status, in JSON that says why. */
async function refused(answer, status, why) {
  const response = await answer;
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(JSON.parse(text).error, why);
}

module.exports = { datatokens, nfts, publish, refused, say };
