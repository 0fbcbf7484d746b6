// ocean.js's ProviderInstance, unmodified, against a node that gives files to those who have ordered them: from sealing where a file is
// to its bytes, and all that gets nothing.

"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const lib = require("@oceanprotocol/lib");
const { url, chainId, mnemonic, until, variable } = require("./support");
const { config, mined } = require("./market");
const shared = require("./provider");

const { ProviderInstance, ZERO_ADDRESS } = lib;
const { datatokens, nfts, refused } = shared;
const local = { type: "local", file: "hearts.csv" };
/** The interface of what the market has beyond Ocean's. */
const own = new ethers.Interface([
  "function setAccess(address[] allow, address[] deny)",
  "event OrderRecorded(bytes32 indexed order, address indexed consumer, address indexed payer, uint256 serviceIndex, uint256 until)",
]);

let provider, publisher, buyer, stranger;
/** What the file holds. */
let content;
/** An asset that is published once and used by most. */
let hearts;
/** The buyer's order of it: the receipt. */
let order;

const say = (asset, change) => shared.say(publisher, asset, change);
const publish = (change) => shared.publish(publisher, [buyer, stranger], local, change);

/** Orders the service that gives files away, with the node's quote. */
async function placed(asset, as, service = 1, consumer = as) {
  const { providerFee } = await ProviderInstance.initialize(asset.did, "access", 0, consumer.address, url);
  return mined(datatokens(as).startOrder(asset.datatoken, consumer.address, service, providerFee));
}

/** The signed address of a file. */
const link = (asset, shown, as, service = "access", index = 0) =>
  ProviderInstance.getDownloadUrl(asset.did, service, index, shown, url, as);

const gets = async (address) => Buffer.from((await lib.downloadFile(address)).data);

before(async () => {
  lib.LoggerInstance.setLevel(lib.LogLevel.None);
  content = fs.readFileSync(path.join(variable("STOA_FILES"), local.file));
  provider = new ethers.JsonRpcProvider(url, chainId, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  [publisher, buyer, stranger] = [1, 2, 3].map((index) =>
    ethers.HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`).connect(provider));
  hearts = await publish();
});

after(() => provider.destroy());

test("a client finds that this is a provider, and its routes", async () => {
  assert.equal(await ProviderInstance.isValidProvider(url), true);
  const { chainIds, serviceEndpoints } = await (await fetch(url)).json();
  assert.deepEqual(chainIds, [`${chainId}`]);
  for (const name of ["nonce", "encrypt", "fileInfo", "initialize", "download", "computeEnvironments"]) {
    assert.equal(serviceEndpoints[name][1], `/api/services/${name}`);
  }
  // JSON-RPC is where it was.
  assert.equal(await provider.send("eth_chainId", []), ethers.toQuantity(chainId));
  const first = await ProviderInstance.getNonce(url, buyer.address);
  assert.ok(Number.isSafeInteger(first + 1));
  assert.ok(await ProviderInstance.getNonce(url, buyer.address) >= first);
});

test("where files are is sealed for the publisher alone, and only what is there", async () => {
  const seal = async (files, as = publisher, more = {}) => ProviderInstance.encrypt(
    { nftAddress: hearts.nft, datatokenAddress: hearts.datatoken, files, ...more }, chainId, url, as);
  const why = async (...what) => JSON.parse(await seal(...what)).error;
  assert.notEqual(await seal([local]), await seal([local]), "each seal is another");
  assert.match(await why([local], stranger), new RegExp(publisher.address));
  assert.match(await why([{ type: "local", file: "none.csv" }]), /no file "none.csv"/);
  for (const file of ["../passphrase", "/etc/passwd", "..", ""]) assert.match(await why([{ type: "local", file }]), /want/);
  assert.match(await why([{ type: "url", url: "http://169.254.169.254/latest", method: "GET" }]), /169\.254\.169\.254.*--provide-from/);
  assert.match(await why([{ type: "url", url, method: "GET", headers: { authorization: "secret" } }]), /headers/);
  assert.match(await why([{ type: "ipfs", hash: "Qm" }]), /local/);
  assert.match(await why([]), /files/);
  const document = await ProviderInstance.encrypt({ id: hearts.did, services: [] }, chainId, url, publisher);
  assert.match(JSON.parse(document).error, /in the clear/);
  const elsewhere = await ProviderInstance.encrypt({ files: [local] }, 1, url, publisher);
  assert.match(JSON.parse(elsewhere).error, /chain/);
});

test("what a file is can be asked, described or of a service that is published", async () => {
  const [described] = await ProviderInstance.getFileInfo(local, url, true);
  assert.deepEqual([described.valid, described.contentLength, described.contentType, described.checksum],
    [true, `${content.length}`, "text/csv", undefined]);
  const [published] = await ProviderInstance.checkDidFiles(hearts.did, "access", url, true);
  assert.deepEqual([published.valid, published.index, published.type, published.name, `0x${published.checksum}`],
    [true, 0, "local", "hearts.csv", ethers.sha256(content)]);
  await assert.rejects(ProviderInstance.getFileInfo({ type: "local", file: "none" }, url), /no file/);
  await assert.rejects(ProviderInstance.getFileInfo({ type: "url", url: "http://127.0.0.1:1/", method: "GET" }, url), /--provide-from/);
  await assert.rejects(ProviderInstance.checkDidFiles(hearts.did, "none", url), /no such service/);
  await assert.rejects(ProviderInstance.checkDidFiles(`did:op:${"0".repeat(64)}`, "access", url), /no such asset/);
});

test("whoever orders with the node's quote gets the file, byte for byte, once for each signature", async () => {
  const first = await ProviderInstance.initialize(hearts.did, "access", 0, buyer.address, url);
  assert.equal(first.datatoken.toLowerCase(), hearts.datatoken.toLowerCase());
  const { providerFee } = first;
  assert.equal(providerFee.providerFeeAmount, "0");
  const about = JSON.parse(ethers.toUtf8String(providerFee.providerData));
  assert.deepEqual([about.consumer.toLowerCase(), about.did, about.service], [buyer.address.toLowerCase(), hearts.did, 1]);
  assert.ok(Number(providerFee.validUntil) > Date.now() / 1000);
  const other = await ProviderInstance.initialize(hearts.did, "access", 0, buyer.address, url);
  assert.notEqual(other.providerFee.providerData, providerFee.providerData);

  order = await mined(datatokens(buyer).startOrder(hearts.datatoken, buyer.address, 1, providerFee));
  assert.equal(lib.getEventFromTx(order, "ProviderFee").args.providerFeeAddress, providerFee.providerFeeAddress);
  const address = await link(hearts, order.hash, buyer);
  const file = await lib.downloadFile(address);
  assert.equal(file.filename, "hearts.csv");
  assert.deepEqual(Buffer.from(file.data), content);
  await refused(fetch(address), 401, /used up.*ask for the last one/);
  // Again, with a new signature; by the order's own id; from a later byte on.
  assert.deepEqual(await gets(await link(hearts, order.hash, buyer)), content);
  const id = order.logs.map((log) => own.parseLog(log)).find((log) => log?.name === "OrderRecorded").args.order;
  assert.deepEqual(await gets(await link(hearts, id, buyer)), content);
  const rest = await fetch(await link(hearts, order.hash, buyer), { headers: { range: "bytes=10-" } });
  assert.equal(rest.status, 206);
  assert.equal(rest.headers.get("content-range"), `bytes 10-${content.length - 1}/${content.length}`);
  assert.deepEqual(Buffer.from(await rest.arrayBuffer()), content.subarray(10));
});

test("an order that is used again counts, with another quote", async () => {
  const id = order.logs.map((log) => own.parseLog(log)).find((log) => log?.name === "OrderRecorded").args.order;
  const { providerFee } = await ProviderInstance.initialize(hearts.did, "access", 0, buyer.address, url);
  const reused = await mined(datatokens(buyer).reuseOrder(hearts.datatoken, id, providerFee));
  assert.deepEqual(await gets(await link(hearts, reused.hash, buyer)), content);
  await refused(fetch(await link(hearts, reused.hash, stranger)), 403, /is not for/);
});

test("without an order of one's own, of this service and this asset, there is nothing", async () => {
  await refused(fetch(await link(hearts, order.hash, stranger)), 403, /placed no order/);
  await refused(fetch(await link(hearts, ethers.hexlify(ethers.randomBytes(32)), buyer)), 403, /placed no order/);
  await refused(fetch(await link(hearts, "order", buyer)), 400, /transferTxId/);
  await refused(fetch(await link(hearts, order.hash, buyer, "access", 1)), 404, /fileIndex 1/);
  await refused(fetch(await link(hearts, order.hash, buyer, "none")), 404, /no such service/);
  // What one has paid for somebody else is his.
  const gift = await placed(hearts, stranger, 1, buyer);
  await refused(fetch(await link(hearts, gift.hash, stranger)), 403, /placed no order/);
  // Of another service of the same datatoken.
  const second = await placed(hearts, stranger, 0);
  await refused(fetch(await link(hearts, second.hash, stranger)), 403, /placed no order of service 1/);
  // Of another asset.
  const free = await publish();
  const elsewhere = await placed(free, stranger);
  assert.deepEqual(await gets(await link(free, elsewhere.hash, stranger)), content);
  await refused(fetch(await link(hearts, elsewhere.hash, stranger)), 403, /placed no order/);
  const id = elsewhere.logs.map((log) => own.parseLog(log)).find((log) => log?.name === "OrderRecorded").args.order;
  await refused(fetch(await link(hearts, id, stranger)), 403, /placed no order/);
});

test("what was not signed so, by him, is nobody's", async () => {
  const parts = async (change) => {
    const address = new URL(await link(hearts, order.hash, buyer));
    change(address.searchParams);
    return fetch(address);
  };
  const signature = "signature";
  await refused(parts((said) => said.delete(signature)), 401, /not signed/);
  await refused(parts((said) => said.set(signature, `0x${"11".repeat(65)}`)), 401, /signature/);
  await refused(parts((said) => said.set(signature, "0x11")), 400, /65 bytes/);
  await refused(parts((said) => said.set("consumerAddress", stranger.address)), 401, /has not signed/);
  await refused(parts((said) => said.set("nonce", `${Number(said.get("nonce")) + 1}`)), 401, /has not signed/);
  await refused(parts((said) => said.set("consumerAddress", "me")), 400, /address/);
  // Numbers that one chooses oneself: of long ago, and of times to come.
  const sign = async (nonce, command = "download") => ({
    consumerAddress: buyer.address, nonce,
    signature: await lib.signRequest(buyer, `${buyer.address}${nonce}${command}`),
  });
  for (const nonce of ["1", `${Number.MAX_SAFE_INTEGER}`]) {
    await refused(fetch(await link(hearts, order.hash, await sign(nonce))), 401, /nonce/);
  }
  const fresh = `${await ProviderInstance.getNonce(url, buyer.address) + 1}`;
  await refused(fetch(await link(hearts, order.hash, await sign(fresh, "encrypt"))), 401, /has not signed/);
  assert.deepEqual(await gets(await link(hearts, order.hash, await sign(fresh))), content);
});

test("a token stands for its account's signatures until it is ended", async () => {
  const token = await ProviderInstance.generateAuthToken(buyer, url);
  const address = await link(hearts, order.hash, token);
  const shows = (at, authorization) => fetch(at, { headers: { authorization } });
  for (let time = 0; time < 2; time++) {
    assert.deepEqual(Buffer.from(await (await shows(address, token)).arrayBuffer()), content);
  }
  await refused(fetch(address), 401, /not signed/);
  // It is its account's alone, and nobody makes one himself.
  const theirs = new URL(address);
  theirs.searchParams.set("consumerAddress", stranger.address);
  await refused(shows(theirs, token), 401, /consumerAddress/);
  const [head, , seal] = token.split(".");
  const claims = Buffer.from(JSON.stringify({ address: stranger.address, nonce: "1", createdAt: 0, exp: 1e12 }));
  await refused(shows(theirs, `${head}.${claims.toString("base64url")}.${seal}`), 401, /token/);
  const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  await refused(shows(theirs, `${none}.${claims.toString("base64url")}.`), 401, /token/);
  await assert.rejects(ProviderInstance.invalidateAuthToken(stranger, token, url));
  assert.deepEqual(Buffer.from(await (await shows(address, token)).arrayBuffer()), content);
  assert.deepEqual(await ProviderInstance.invalidateAuthToken(buyer, token, url), { success: true });
  await refused(shows(address, token), 401, /token/);
});

test("an order ends when the document says so", async () => {
  const short = await publish((document) => { document.services[1].timeout = 3; });
  const receipt = await placed(short, buyer);
  const ends = (await provider.getBlock(receipt.blockNumber)).timestamp + 3;
  await until("the order's end", async () => (await provider.getBlock("latest")).timestamp >= ends);
  await refused(fetch(await link(short, receipt.hash, buyer)), 403, /order again/);
});

test("who is denied, on the ledger or in the document, gets nothing and is quoted nothing", async () => {
  const asset = await publish();
  const receipt = await placed(asset, buyer);
  const set = async (allow, deny) => {
    const data = own.encodeFunctionData("setAccess", [allow, deny]);
    await (await publisher.sendTransaction({ to: asset.nft, data })).wait();
  };
  const quoted = (as) => ProviderInstance.initialize(asset.did, "access", 0, as.address, url);
  await set([], [buyer.address]);
  await refused(fetch(await link(asset, receipt.hash, buyer)), 403, /who is denied/);
  await assert.rejects(quoted(buyer), /who is denied/);
  await quoted(stranger);
  await set([], []);
  assert.deepEqual(await gets(await link(asset, receipt.hash, buyer)), content);
  await say(asset, (document) => { document.credentials.deny = [{ type: "address", values: [buyer.address.toLowerCase()] }]; });
  await refused(fetch(await link(asset, receipt.hash, buyer)), 403, /credentials/);
  await assert.rejects(quoted(buyer), /credentials/);
  await say(asset, (document) => {
    document.services[1].credentials = { allow: [{ type: "verifiableCredential", values: [] }], deny: [] };
  });
  await refused(fetch(await link(asset, receipt.hash, buyer)), 403, /credentials/);
});

test("an asset that is revoked, or changes hands, gives nothing away any more", async () => {
  const asset = await publish();
  const receipt = await placed(asset, buyer);
  await mined(nfts(publisher).setMetadataState(asset.nft, publisher.address, 3));
  await refused(fetch(await link(asset, receipt.hash, buyer)), 403, /revoked/);
  await assert.rejects(ProviderInstance.initialize(asset.did, "access", 0, buyer.address, url), /state 3/);
  await mined(nfts(publisher).setMetadataState(asset.nft, publisher.address, 0));
  assert.deepEqual(await gets(await link(asset, receipt.hash, buyer)), content);
  await mined(nfts(publisher).transferNft(asset.nft, publisher.address, stranger.address, 1));
  await refused(fetch(await link(asset, receipt.hash, buyer)), 403, new RegExp(stranger.address));
});

test("sealed files are of no use in the document of another asset", async () => {
  const thief = await publish();
  await say(thief, (document) => { document.services[1].files = hearts.files; });
  await assert.rejects(ProviderInstance.initialize(thief.did, "access", 0, buyer.address, url), /sealed for another asset/);
  await say(thief, (document) => { document.services[1].files = `0x04${"00".repeat(200)}`; });
  await assert.rejects(ProviderInstance.checkDidFiles(thief.did, "access", url), /another node/);
});

test("what programs may run on is not given away, and computing is asked for elsewhere", async () => {
  const receipt = await placed(hearts, stranger, 0);
  await refused(fetch(await link(hearts, receipt.hash, stranger, "compute")), 403, /stoa job run/);
  await assert.rejects(ProviderInstance.initialize(hearts.did, "compute", 0, buyer.address, url), /stoa job run/);
  await assert.rejects(ProviderInstance.checkDidFiles(hearts.did, "compute", url), /stoa job run/);
  assert.deepEqual(await ProviderInstance.getComputeEnvironments(url), []);
  const wanted = [{ documentId: hearts.did, serviceId: "compute" }];
  await assert.rejects(
    ProviderInstance.initializeCompute(wanted, { meta: {} }, "none", config.oceanTokenAddress, 60, url, buyer.address, [], chainId),
    /stoa job run/);
  await assert.rejects(
    ProviderInstance.computeStart(url, buyer, "none", wanted, { meta: {} }, 60, config.oceanTokenAddress, [], chainId), /stoa job run/);
  await assert.rejects(ProviderInstance.freeComputeStart(url, buyer, "none", wanted, { meta: {} }), /stoa job run/);
  await assert.rejects(ProviderInstance.computeStatus(url, buyer, "job"), /stoa job run/);
  await assert.rejects(ProviderInstance.computeStop("job", url, buyer), /stoa job run/);
});

test("bad questions get errors, and the node goes on", async () => {
  const ask = (route, options) => fetch(`${url}/api/services/${route}`, options);
  await refused(ask("nonce"), 400, /userAddress/);
  await refused(ask("nonce?userAddress=0x"), 400, /userAddress/);
  await refused(ask("download"), 401, /not signed/);
  await refused(ask("initialize?documentId=x&serviceId=x&fileIndex=0&consumerAddress=x"), 400, /consumerAddress/);
  await refused(ask("initialize?documentId=x&serviceId=x&fileIndex=0&consumerAddress=" + ZERO_ADDRESS), 404, /no such asset/);
  await refused(ask("fileInfo", { method: "POST", body: "{" }), 400, /JSON/);
  await refused(ask("fileInfo", { method: "POST", body: "[]" }), 400, /local/);
  await refused(ask("fileInfo", { method: "POST", body: "[".repeat(10_000) }), 400, /JSON/);
  for (const route of ["fileInfo", "encrypt", "auth/token"]) {
    await refused(ask(route, { method: "POST", body: " ".repeat(4 << 20) }), 413, /at most/);
  }
  const late = `${hearts.did}&serviceId=access&fileIndex=0&consumerAddress=${buyer.address}&validUntil=`;
  await refused(ask(`initialize?documentId=${late}1`), 400, /validUntil/);
  await refused(ask(`initialize?documentId=${late}soon`), 400, /validUntil/);
  assert.deepEqual(await gets(await link(hearts, order.hash, buyer)), content);
});
