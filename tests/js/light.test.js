// The light client's WebAssembly module, in Node: what a node says is proven by the network key, and nothing else is believed.

"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { before, test } = require("node:test");
const { ethers } = require("ethers");
const { url, mnemonic, chainId, contract, until, rpc, variable } = require("./support");

const folder = variable("STOA_LIGHT");
const networkKey = variable("STOA_NETWORK_KEY");
const wasm = fs.readFileSync(path.join(folder, "light.wasm"));
const Probe = contract("Probe");
const nobody = "0x00000000000000000000000000000000000000dd";
/** Slot of `value`, the contract's first variable. */
const slot = 0n;

let Light, LightClient, light, client, alice, probe, hash;
/** What the node answers about the contract, about nobody and about a transaction, to be tampered with. */
let replies;

before(async () => {
  ({ Light, LightClient } = await import(pathToFileURL(path.join(folder, "light.js"))));
  light = await Light.load(wasm, networkKey);
  client = new LightClient(light, url);
  const options = { polling: true, pollingInterval: 20, cacheTimeout: -1, staticNetwork: ethers.Network.from(chainId) };
  const provider = new ethers.JsonRpcProvider(url, chainId, options);
  alice = ethers.HDNodeWallet.fromPhrase(mnemonic, "", "m/44'/60'/0'/0/0").connect(provider);
  const factory = new ethers.ContractFactory(Probe.abi, Probe.bytecode, alice);
  probe = await (await factory.deploy(7n, "first", { value: 5n })).waitForDeployment();
  const sent = await probe.storeMany(100n, 3n);
  const receipt = await sent.wait();
  hash = receipt.hash;
  provider.destroy();

  const block = ethers.toQuantity(receipt.blockNumber);
  const certificate = await until("a certificate", () => rpc("stoa_getCertificate", block).catch(() => undefined));
  const prove = (address, ...slots) => rpc("stoa_getProof", address, slots, block);
  replies = {
    networkKey,
    certificate,
    contract: { address: probe.target, slots: ["0x0", "0x63"], reply: await prove(probe.target, "0x0", "0x63") },
    nobody: { address: nobody, slots: [], reply: await prove(nobody) },
    receipt: { transaction: hash, reply: await rpc("stoa_getReceiptProof", hash) },
  };
  // What crates/light/src/recorded.json was made with.
  if (process.env.STOA_RECORD) fs.writeFileSync(process.env.STOA_RECORD, `${JSON.stringify(replies, null, 1)}\n`);
});

/** The account as the light client proves it from replies that may have been tampered with. */
const account = ({ certificate, contract }, by = light, asked = {}) =>
  by.account(certificate, contract.reply, { address: contract.address, slots: contract.slots, ...asked });
const receipt = ({ certificate, receipt }, by = light) => by.receipt(certificate, receipt.reply, receipt.transaction);

/** A copy of the replies, changed. */
function tampered(change) {
  const copy = structuredClone(replies);
  change(copy);
  return copy;
}

/** Hexadecimal with one bit turned, `at` bytes from its start, or from its end if negative. */
function turned(hex, at) {
  const bytes = ethers.getBytes(hex);
  bytes[at < 0 ? bytes.length + at : at] ^= 1;
  return ethers.hexlify(bytes);
}

const refuses = (promise, why) => assert.rejects(promise, (error) => why.test(error.message) || assert.fail(error));

test("a balance, a nonce and storage are proven", async () => {
  const proven = await client.account(alice.address);
  assert.equal(proven.balance, BigInt(await rpc("eth_getBalance", alice.address, ethers.toQuantity(proven.block))));
  assert.equal(proven.nonce, BigInt(await rpc("eth_getTransactionCount", alice.address, ethers.toQuantity(proven.block))));
  assert.ok(Math.abs(Date.now() / 1000 - Number(proven.timestamp)) < 60);
  assert.equal(await client.balance(probe.target), 5n);
  assert.equal(await client.storage(probe.target, slot), 103n);
  const { storage, codeHash } = await client.account(probe.target, [99n, slot]);
  assert.deepEqual(storage, [{ slot: 99n, value: 0n }, { slot, value: 103n }]);
  assert.equal(codeHash, ethers.keccak256(Probe.deployedBytecode));
});

test("an account that there is not is proven to hold nothing", async () => {
  const { balance, nonce, codeHash, storage } = await client.account(nobody, [0]);
  assert.deepEqual({ balance, nonce, storage }, { balance: 0n, nonce: 0n, storage: [{ slot: 0n, value: 0n }] });
  assert.equal(codeHash, ethers.keccak256("0x"));
});

test("the past is proven at the block asked for", async () => {
  const { block } = await client.receipt(hash);
  assert.equal(await client.storage(probe.target, slot, block), 103n);
  assert.equal(await client.storage(probe.target, slot, block - 1n), 7n);
  const { blockNumber } = await rpc("eth_getTransactionReceipt", probe.deploymentTransaction().hash);
  assert.equal(await client.balance(probe.target, blockNumber), 5n);
  assert.equal(await client.balance(probe.target, BigInt(blockNumber) - 1n), 0n);
});

test("a receipt and its events are proven", async () => {
  const proven = await client.receipt(hash);
  const told = await rpc("eth_getTransactionReceipt", hash);
  assert.equal(proven.success, true);
  assert.equal(proven.gasUsed, BigInt(told.gasUsed));
  assert.equal(proven.blockHash, told.blockHash);
  assert.deepEqual(proven.logs, told.logs.map(({ address, topics, data }) => ({ address, topics, data })));
  const events = await client.events(hash, probe.target);
  assert.deepEqual(events.map((event) => probe.interface.parseLog(event).args.value), [100n, 101n, 102n]);
  assert.deepEqual(await client.events(hash, nobody), []);
  await refuses(client.receipt(ethers.ZeroHash), /the node knows no block with transaction 0x0+$/);
});

test("the replies that are tampered with below hold as they came", async () => {
  const header = await light.certificate(replies.certificate, replies.contract.reply.blockNumber);
  assert.equal(header.blockHash, ethers.keccak256(replies.certificate.headers[0]));
  assert.equal((await account(replies)).blockHash, header.blockHash);
  assert.equal((await receipt(replies)).blockHash, header.blockHash);
});

test("a certificate is of the block that was asked for", async () => {
  const wrong = BigInt(replies.contract.reply.blockNumber) - 1n;
  await refuses(light.certificate(replies.certificate, wrong), /^the node's certificate is of block \d+, asked for was \d+$/);
  await refuses(account(replies, light, { block: wrong }), /asked for was/);
  // Another block's, genuine as it is, does not make this proof hold.
  const other = await rpc("stoa_getCertificate", "0x1");
  assert.equal((await light.certificate(other, 1)).block, 1n);
  await refuses(account({ ...replies, certificate: other }), /the header hashes to 0x\w+, the trusted block is 0x/);
  await refuses(receipt({ ...replies, certificate: other }), /the header hashes to 0x\w+, the trusted block is 0x/);
});

test("a tampered certificate is refused", async () => {
  for (const [change, why] of [
    [(c) => (c.certificate = turned(c.certificate, -1)), /cannot be read|has not signed/],
    [(c) => (c.certificate = turned(c.certificate, 10)), /cannot be read|has not signed/],
    [(c) => (c.certificate = "0x"), /the certificate cannot be read/],
    [(c) => (c.genesisHash = turned(c.genesisHash, 0)), /the network key has not signed/],
    [(c) => (c.headers[0] = turned(c.headers[0], 40)), /the certificate is of block|cannot be read|does not name/],
    [(c) => (c.headers = []), /the list of headers cannot be read/],
    [(c) => (c.headers = Array(100).fill(c.headers[0])), /does not name the one before it/],
    [(c) => delete c.certificate, /^the node's answer to stoa_getCertificate cannot be read: /],
    [(c) => (c.headers = [["0x"]]), /^the node's answer to stoa_getCertificate cannot be read: /],
  ]) {
    const copy = tampered(({ certificate }) => change(certificate));
    await refuses(light.certificate(copy.certificate), why);
    await refuses(account(copy), why);
    await refuses(receipt(copy), why);
  }
});

test("another network's key proves nothing", async () => {
  // A point of the same group, which the certificate is not by: the key's own, with the other sign.
  const bytes = ethers.getBytes(networkKey);
  bytes[0] ^= 0x20;
  for (const [key, why] of [
    [ethers.hexlify(bytes), /^the node's certificate does not hold: the network key has not signed this certificate$/],
    [turned(networkKey, -1), /the network key cannot be read|has not signed/],
    ["0x", /the network key cannot be read/],
    [undefined, /the request cannot be read/],
    ["key", /the request cannot be read/],
  ]) {
    const other = await Light.load(wasm, key);
    await refuses(other.certificate(replies.certificate), why);
    await refuses(account(replies, other), why);
    await refuses(receipt(replies, other), why);
  }
});

test("a tampered proof of an account is refused", async () => {
  const { reply } = replies.contract;
  for (const [change, why] of [
    [(c) => (c.header = turned(c.header, 40)), /the header/],
    [(c) => (c.header = "0x"), /the header cannot be read/],
    [(c) => (c.accountProof = replies.nobody.reply.accountProof), /does not lead from this key to the state root/],
    [(c) => (c.accountProof = c.storageProof[0].proof), /does not lead from this key to the state root/],
    [(c) => (c.storageProof[0].proof = c.accountProof), /does not lead from this key to the state root/],
    [(c) => c.storageProof.reverse(), /about other slots than were asked/],
    [(c) => c.storageProof.pop(), /about other slots than were asked/],
    [(c) => (c.storageProof[0].key = "0x1"), /about other slots than were asked/],
  ]) {
    await refuses(account(tampered(({ contract }) => change(contract.reply))), why);
  }
  // No byte of a proof can be another: the values are among them.
  const total = ethers.dataLength(reply.accountProof) + ethers.dataLength(reply.storageProof[0].proof);
  for (let at = 0; at < total; at += 7) {
    const copy = tampered(({ contract: { reply } }) => {
      const length = ethers.dataLength(reply.accountProof);
      if (at < length) reply.accountProof = turned(reply.accountProof, at);
      else reply.storageProof[0].proof = turned(reply.storageProof[0].proof, at - length);
    });
    await refuses(account(copy), /the node's proof does not hold/);
  }
  const absent = (proof) => light.account(replies.certificate, { ...replies.nobody.reply, accountProof: proof }, { address: nobody });
  assert.equal((await absent(replies.nobody.reply.accountProof)).balance, 0n);
  await refuses(absent(reply.accountProof), /does not lead from this key/);
  await refuses(account(replies, light, { address: nobody }), /does not lead from this key/);
});

test("a tampered proof of a receipt is refused", async () => {
  const { reply } = replies.receipt;
  for (let at = 0; at < ethers.dataLength(reply.receipt); at += 11) {
    const copy = tampered(({ receipt }) => (receipt.reply.receipt = turned(reply.receipt, at)));
    await refuses(receipt(copy), /does not commit to the receipt|the receipt cannot be read/);
  }
  for (const [change, why] of [
    [(c) => (c.reply.index = "0x1"), /does not commit to the transaction at this position|a proof cannot be read/],
    [(c) => (c.reply.index = `0x1${"0".repeat(9)}`), /the position cannot be read/],
    [(c) => (c.transaction = turned(c.transaction, 0)), /does not commit to the transaction at this position/],
    [(c) => (c.reply.receiptProof = turned(c.reply.receiptProof, 0)), /does not commit|cannot be read/],
    [(c) => (c.reply.transactionProof = "0x"), /a proof cannot be read/],
    [(c) => (c.reply.header = turned(c.reply.header, 40)), /the header/],
  ]) {
    await refuses(receipt(tampered(({ receipt }) => change(receipt))), why);
  }
});

test("what a page asks wrongly is told from what a node says", async () => {
  const { certificate, contract } = replies;
  const ask = (address, slots) => light.account(certificate, contract.reply, { address, slots });
  const [lower, upper] = [contract.address.toLowerCase(), `0x${contract.address.slice(2).toUpperCase()}`];
  for (const address of [contract.address, lower, upper]) assert.equal((await ask(address, contract.slots)).balance, 5n);
  // Its first letter is of the other case.
  const wrong = "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
  await refuses(ask(wrong, contract.slots), /^the request cannot be read: .* its checksum does not fit/);
  await refuses(client.balance(wrong), /^the request cannot be read: .* its checksum does not fit/);
  await refuses(ask("0x12", contract.slots), /^the request cannot be read: 0x12 is no address: want 0x and 40 hex digits/);
  await refuses(ask(7n, contract.slots), /^the request cannot be written: /);
  await refuses(ask(contract.address, ["x"]), /^x is no quantity: want /);
  await refuses(light.certificate(null), /^the node's answer to stoa_getCertificate cannot be read: /);
  const deep = JSON.parse("[".repeat(100_000) + "]".repeat(100_000));
  await refuses(light.certificate(deep), /^the node's answer cannot be checked: it is nested too deeply/);
});

test("whatever comes instead of a reply is an error, and the next check works", async () => {
  const deep = JSON.parse("[".repeat(5000) + "]".repeat(5000));
  for (const junk of [null, undefined, 7, "0x", [], {}, deep, { header: "0x".padEnd(100_000, "f") }, { __proto__: null }]) {
    await refuses(light.certificate(junk), /./);
    await refuses(light.account(replies.certificate, junk, { address: nobody }), /./);
    await refuses(light.receipt(junk, junk, hash), /./);
  }
  const long = tampered(({ certificate }) => (certificate.headers = ["0x".padEnd(33 << 20, "0")]));
  await refuses(account(long), /an answer of \d+ bytes is too long/);
  assert.equal((await account(replies)).balance, 5n);
});

test("a module that stops halfway proves nothing", async () => {
  // Its memory, and `request`, `verify` and `answer`: the second is the instruction `unreachable`.
  const module = Buffer.from(
    "0061736d01000000" + // type: () -> i32, i32 -> i32; functions; memory
      "010a026000017f60017f017f" + "030403010000" + "0503010001" +
      "0726040772657175657374000006766572696679000106616e737765720002066d656d6f72790200" +
      "0a0f03040041080b" + "0300000b" + "040041080b",
    "hex",
  );
  const broken = await Light.load(module, networkKey);
  await refuses(account(replies, broken), /^the answer cannot be checked: unreachable$/);
});

test("a node that lies, or makes no sense, is not believed", async () => {
  let answer, status, location;
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", async () => {
      const { method, params } = JSON.parse(body);
      const said = await answer(method, params);
      if (said === undefined) return request.socket.destroy();
      response.writeHead(status ?? 200, location && { location });
      response.end(said);
    });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const liar = new LightClient(light, `http://127.0.0.1:${server.address().port}`);
  const forward = async (method, params) => JSON.stringify({ result: await rpc(method, ...params) });
  try {
    answer = forward;
    assert.equal(await liar.balance(probe.target, replies.contract.reply.blockNumber), 5n);
    // The answer is of the block before the one that was asked for.
    const before = ethers.toQuantity(BigInt(replies.contract.reply.blockNumber) - 1n);
    answer = (method, params) => forward(method, method === "stoa_getProof" ? [params[0], params[1], before] : params);
    await refuses(liar.balance(probe.target, replies.contract.reply.blockNumber), /the trusted block is/);
    answer = (method, params) => forward(method, method === "stoa_getProof" ? [params[0], params[1], before] : [before]);
    await refuses(liar.balance(probe.target, replies.contract.reply.blockNumber), /asked for was/);
    // It is of another account.
    answer = (method, params) => forward(method, method === "stoa_getProof" ? [nobody, ...params.slice(1)] : params);
    await refuses(liar.balance(probe.target), /does not lead from this key/);
    for (const [said, why] of [
      ["forbidden", /^the node at http:\S+ answered stoa_getProof with neither a result nor an error/],
      ["null", /neither a result nor an error/],
      ["{}", /neither a result nor an error/],
      ['{"error":"no"}', /neither a result nor an error/],
      ['{"result":{},"error":"no"}', /neither a result nor an error/],
      ['{"result":null}', /^the node's answer to stoa_getProof cannot be read: it names no block$/],
      ['{"result":7}', /it names no block$/],
      ['{"result":{"blockNumber":"no"}}', /it names no block$/],
      [`{"result":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, /it names no block$/],
      ['{"error":{"code":-32000,"message":"bu\\u001b[2Jsy"}}', /^the node at http:\S+ answered: bu \[2Jsy \(code -32000\)$/],
      [undefined, /^the node at http:\S+ cannot be reached: ./],
    ]) {
      answer = () => said;
      await refuses(liar.balance(nobody), why);
    }
    answer = () => " ".repeat(33 << 20);
    await refuses(liar.balance(nobody), /longer than 33554432 bytes/);
    // The certificate is none, though the proof is one.
    answer = (method, params) => (method === "stoa_getProof" ? forward(method, params) : '{"result":null}');
    await refuses(liar.balance(nobody), /^the node's answer to stoa_getCertificate cannot be read: invalid type: null/);
    answer = () => "";
    status = 204;
    await refuses(liar.balance(nobody), /neither a result nor an error/);
    for (status of [401, 502]) await refuses(liar.balance(nobody), new RegExp(`the HTTP status ${status}$`));
    answer = () => '{"error":{"code":-32000,"message":"busy"}}';
    await refuses(liar.balance(nobody), /answered: busy \(code -32000\)$/);
    [status, location] = [302, url];
    answer = () => "";
    await refuses(liar.balance(nobody), new RegExp(`the HTTP status 302, and points to ${url}$`));
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
