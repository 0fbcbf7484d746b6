// ocean.js's Aquarius class, unmodified, against a node that keeps an index: documents, waiting for them, searches.

"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const lib = require("@oceanprotocol/lib");
const { url, chainId } = require("./support");
const { COIN, config, mined } = require("./market");

const { ZERO_ADDRESS } = lib;
const aquarius = new lib.Aquarius(url);

let provider, publisher, buyer;
/** What is published once, and used by all: a data NFT, its datatoken, and the DID. */
let nft, datatoken, did;

function document(name, services = []) {
  return {
    "@context": ["https://w3id.org/did/v1"],
    id: lib.generateDid(nft, chainId),
    version: "4.7.0",
    chainId,
    nftAddress: nft,
    metadata: {
      created: "2026-01-01T00:00:00Z", updated: "2026-01-01T00:00:00Z", type: "dataset", name,
      description: "Fourteen measurements of patients", author: "UCI", license: "CC-BY-4.0", tags: ["public health"],
    },
    services,
    credentials: { allow: [], deny: [] },
  };
}

/** Sets metadata as a document in the clear. The transaction's hash. */
async function publish(ddo) {
  const text = ethers.toUtf8Bytes(JSON.stringify(ddo));
  const nfts = new lib.Nft(publisher, chainId, config);
  const receipt = await mined(nfts.setMetadata(
    nft, publisher.address, 0, "http://127.0.0.1:8001", publisher.address, "0x00", ethers.hexlify(text), ethers.sha256(text), []));
  return receipt.hash;
}

/** A question as Ocean's market asks it, and the DIDs of the answer. */
async function search(filter, more = {}) {
  const base = [{ terms: { chainId: [chainId] } }, { term: { _index: "aquarius" } }, { term: { "purgatory.state": false } },
    { bool: { must_not: [{ term: { "nft.state": 5 } }] } }];
  const { must = [], ...rest } = more;
  const answer = await aquarius.querySearch({ from: 0, size: 21, query: { bool: { must, filter: [...filter, ...base] } }, ...rest });
  assert.equal(answer.hits.total.value, answer.hits.hits.length);
  return answer.hits.hits.map(({ _id, _source }) => {
    assert.equal(_id, _source.id);
    return _id;
  });
}

before(async () => {
  lib.LoggerInstance.setLevel(lib.LogLevel.None);
  provider = new ethers.JsonRpcProvider(url, chainId, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  [publisher, buyer] = await Promise.all([1, 2].map((index) => provider.getSigner(index)));
  const factory = new lib.NftFactory(config.nftFactoryAddress, publisher, chainId, config);
  const receipt = await mined(factory.createNftWithDatatokenWithFixedRate(
    { name: "Hearts", symbol: "DATA", templateIndex: 1, tokenURI: "data:,", transferable: true, owner: publisher.address },
    {
      templateIndex: 1, cap: "1000", feeAmount: "0", paymentCollector: ZERO_ADDRESS, feeToken: ZERO_ADDRESS,
      minter: publisher.address, mpFeeAddress: ZERO_ADDRESS, name: "Access", symbol: "ACC",
    },
    {
      fixedRateAddress: config.fixedRateExchangeAddress, baseTokenAddress: COIN, owner: publisher.address,
      marketFeeCollector: ZERO_ADDRESS, baseTokenDecimals: 18, datatokenDecimals: 18, fixedRate: "2.5", marketFee: "0",
      allowedConsumer: ZERO_ADDRESS, withMint: true,
    }));
  nft = lib.getEventFromTx(receipt, "NFTCreated").args.newTokenAddress;
  datatoken = lib.getEventFromTx(receipt, "TokenCreated").args.newTokenAddress;
  did = lib.generateDid(nft, chainId);
});

after(() => provider.destroy());

test("a document is there when its transaction is, with what the ledger knows of the asset", async () => {
  const service = { id: "1", type: "access", files: "0x", datatokenAddress: datatoken, serviceEndpoint: url, timeout: 0 };
  const transaction = await publish(document("Heart disease", [service]));
  const ddo = await aquarius.waitForIndexer(did, transaction, undefined, 20, 500);
  assert.equal(ddo.metadata.name, "Heart disease");
  const { nft: token, event, purgatory, stats } = ddo.indexedMetadata;
  assert.deepEqual([token.address, token.owner, token.name, token.state].map((value) => `${value}`.toLowerCase()),
    [nft, publisher.address, "Hearts", "0"].map((value) => value.toLowerCase()));
  assert.equal(event.txid, transaction);
  assert.equal(purgatory.state, false);
  assert.deepEqual([stats[0].orders, stats[0].serviceId, stats[0].prices[0].type, stats[0].prices[0].price],
    [0, "1", "fixedrate", "2.5"]);
  assert.deepEqual(ddo.datatokens.map(({ address, symbol }) => [address.toLowerCase(), symbol]), [[datatoken.toLowerCase(), "ACC"]]);
  assert.deepEqual(await aquarius.resolve(did), ddo);
  assert.deepEqual(await aquarius.getAssetMetadata(did), ddo);
});

test("orders and changes are seen as they come", async () => {
  await mined(new lib.Datatoken(publisher, chainId, config).mint(datatoken, publisher.address, "1", publisher.address));
  const nothing = {
    providerFeeAddress: ZERO_ADDRESS, providerFeeToken: ZERO_ADDRESS, providerFeeAmount: "0", v: 0,
    r: ethers.ZeroHash, s: ethers.ZeroHash, validUntil: "0", providerData: "0x",
  };
  await mined(new lib.Datatoken(publisher, chainId, config).startOrder(datatoken, publisher.address, 0, nothing));
  const transaction = await publish(document("Heart disease of Cleveland"));
  const ddo = await aquarius.waitForIndexer(did, transaction, undefined, 20, 500);
  assert.equal(ddo.metadata.name, "Heart disease of Cleveland");
  assert.equal(ddo.indexedMetadata.stats[0].orders, 1);
});

test("searches as Ocean's market asks them find it", async () => {
  const words = (text) => ({ must: [{ bool: { should: [
    { query_string: { query: text.split(" ").join(" OR "), fields: ["metadata.name^10"], minimum_should_match: "2<75%" } },
    { query_string: { query: `${text.replaceAll(" ", "")}*`, fields: ["metadata.name^10"], lenient: true } },
    { match_phrase: { content: { query: text, boost: 10 } } },
    { query_string: { query: `*${text}*`, fields: ["metadata.name^10"], default_operator: "AND" } },
  ] } }] });
  assert.deepEqual(await search([], words("heart measurements")), [did]);
  assert.deepEqual(await search([], words("wine")), []);
  assert.deepEqual(await search([{ term: { "metadata.type": "dataset" } }], { sort: { "indexedMetadata.stats.orders": "desc" } }), [did]);
  assert.deepEqual(await search([{ terms: { _id: [did, "did:op:0"] } }]), [did]);
  assert.deepEqual(await search([{ term: { "nft.owner": publisher.address.toLowerCase() } }]), [did]);
  assert.deepEqual(await search([{ term: { "nft.owner": buyer.address } }]), []);
  const tags = { query_string: { query: '(metadata.tags:"public health")', fields: ["metadata.tags"] } };
  assert.deepEqual(await search([], { must: [tags] }), [did]);
});

test("a document that is as it should be is signed by the node, and published with that proof", async () => {
  const ddo = document("Heart disease, validated", [{
    id: "1", type: "access", files: "0x00", datatokenAddress: datatoken, serviceEndpoint: url, timeout: 0,
  }]);
  const { valid, hash, proof } = await aquarius.validate(ddo, publisher, url);
  const text = ethers.toUtf8Bytes(JSON.stringify(ddo));
  assert.deepEqual([valid, hash], [true, ethers.sha256(text)]);
  const receipt = await mined(new lib.Nft(publisher, chainId, config).setMetadata(
    nft, publisher.address, 0, "", publisher.address, "0x00", ethers.hexlify(text), hash, [proof]));
  assert.equal(lib.getEventFromTx(receipt, "MetadataValidated").args.validator.toLowerCase(), proof.validatorAddress.toLowerCase());
  const refused = await fetch(`${url}/api/aquarius/assets/ddo/validate`, {
    method: "POST", body: JSON.stringify({ ddo: { ...ddo, metadata: { ...ddo.metadata, name: "x" } } }),
  });
  assert.equal(refused.status, 400);
  assert.match(JSON.stringify((await refused.json()).error), /metadata.name/);
  assert.equal(await aquarius.validate({ ...ddo, chainId: 1 }, publisher, url), undefined);
});

test("what there is not, and what cannot be asked, is said", async () => {
  assert.equal((await fetch(`${url}/api/aquarius/assets/ddo/did:op:${"0".repeat(64)}`)).status, 404);
  assert.equal((await fetch(`${url}/api/aquarius/assets/ddo/else`)).status, 400);
  const ask = (body) => fetch(`${url}/api/aquarius/assets/metadata/query`, {
    method: "POST", headers: { "content-type": "application/json" }, body,
  });
  const lists = await (await ask(JSON.stringify({ query: { term: { "metadata.type": "dataset" } } }))).json();
  assert.deepEqual(lists.map((list) => list.map(({ id }) => id)), [[did]]);
  for (const [body, want] of [['{"query":{"fuzzy":{}}}', /fuzzy/], ["{", /not JSON/], ['{"aggs":{}}', /aggs/]]) {
    const refused = await ask(body);
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), want);
  }
  assert.equal((await ask(" ".repeat(100_000))).status, 413);
  await assert.rejects(aquarius.querySearch({ query: { fuzzy: {} } }));
});

test("a document that cannot be read is told with the reason, and one that is revoked is gone", async () => {
  const nfts = new lib.Nft(publisher, chainId, config);
  const told = async (why) => {
    for (let left = 200; left > 0; left -= 1) {
      const state = await (await fetch(`${url}/api/aquarius/state/ddo?nft=${nft}`)).json();
      if (state.error.includes(why)) return state;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`it is not said: ${why}`);
  };
  await mined(nfts.setMetadata(nft, publisher.address, 0, "", publisher.address, "0x00", "0x7b7d", ethers.ZeroHash, []));
  assert.equal((await told("hash is")).valid, false);
  assert.equal((await fetch(`${url}/api/aquarius/assets/ddo/${did}`)).status, 404);
  const transaction = await publish(document("Again"));
  await aquarius.waitForIndexer(did, transaction, undefined, 20, 500);
  await mined(nfts.setMetadataState(nft, publisher.address, 3));
  for (let left = 200; (await search([])).length > 0; left -= 1) {
    assert.ok(left > 0, "it is still found");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal((await aquarius.resolve(did)).version, "deprecated");
});
