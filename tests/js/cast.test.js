// cast against a node.

"use strict";

const assert = require("node:assert/strict");
const { execFile, spawn } = require("node:child_process");
const { before, test } = require("node:test");
const path = require("node:path");
const { promisify } = require("node:util");
const { ethers } = require("ethers");
const { url, ws, mnemonic, chainId, canonical, contract, until, mail } = require("./support");

const modules = path.join(__dirname, "..", "node_modules");
const program = path.join(modules, "@foundry-rs", `cast-linux-${process.arch === "x64" ? "amd64" : process.arch}`, "bin", "cast");
const run = promisify(execFile);
const environment = { ...process.env, ETH_RPC_URL: url, NO_COLOR: "1", FOUNDRY_DISABLE_NIGHTLY_WARNING: "1", RUST_LOG: "" };

const key = (index) => ethers.HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`);
const [alice, bob] = [key(0), key(1)];
const Probe = contract("Probe");
const fresh = () => ethers.Wallet.createRandom().address;
let probe;

/** What cast prints. */
async function cast(...words) {
  return (await run(program, words.map(String), { env: environment })).stdout.trim();
}

/** What cast prints on standard error when it fails. */
async function fails(...words) {
  const { code, stderr } = await run(program, words.map(String), { env: environment }).then(
    () => assert.fail(`cast ${words.join(" ")} did not fail`),
    (error) => error,
  );
  assert.notEqual(code, 0);
  return stderr;
}

const send = async (...words) => JSON.parse(await cast("send", "--json", "--private-key", alice.privateKey, ...words));

before(async () => {
  const code = ethers.concat([Probe.bytecode, new ethers.Interface(Probe.abi).encodeDeploy([7n, "first"])]);
  const receipt = await send("--create", code);
  assert.equal(receipt.status, "0x1");
  probe = receipt.contractAddress;
});

test("chain, client, block, balances", async () => {
  assert.equal(await cast("chain-id"), String(chainId));
  assert.match(await cast("client"), /\/v\d/);
  assert.ok(Number(await cast("block-number")) > 0);
  assert.equal(await cast("balance", key(9).address), ethers.parseEther("10000").toString());
  assert.equal(await cast("balance", "--ether", key(9).address), "10000.000000000000000000");
  assert.equal(await cast("nonce", fresh()), "0");
  assert.ok(BigInt(await cast("gas-price")) > 0n);
  assert.ok(BigInt(await cast("base-fee")) > 0n);
  const block = JSON.parse(await cast("block", "latest", "--json"));
  assert.equal(await cast("age", block.number), await cast("age", block.hash));
  assert.equal(JSON.parse(await cast("rpc", "eth_accounts")).length, 10);
});

test("transfers: legacy, with an access list, with fees", async () => {
  const forms = [["--legacy"], ["--access-list"], ["--gas-price", "10gwei", "--priority-gas-price", "1gwei"]];
  for (const [type, form] of forms.entries()) {
    const to = fresh();
    const receipt = await send(to, "--value", "1gwei", ...form);
    assert.equal(receipt.status, "0x1");
    if (form[0] !== "--access-list") assert.equal(Number(receipt.type), type);
    assert.equal(await cast("balance", to), "1000000000");
    const transaction = JSON.parse(await cast("tx", receipt.transactionHash, "--json"));
    assert.equal(transaction.hash, receipt.transactionHash);
    assert.equal(transaction.from.toLowerCase(), alice.address.toLowerCase());
    const raw = await cast("tx", receipt.transactionHash, "--raw");
    assert.equal(ethers.keccak256(raw), receipt.transactionHash);
  }
});

test("an account delegates to code with an authorization", async () => {
  const batcher = (await send("--create", contract("Batcher").bytecode)).contractAddress;
  const receipt = await send(key(5).address, "--auth", await cast("wallet", "sign-auth", batcher, "--private-key", key(5).privateKey));
  assert.equal(Number(receipt.type), 4);
  assert.equal(await cast("code", key(5).address), `0xef0100${batcher.slice(2).toLowerCase()}`);
});

test("a contract is called and written, and its storage read", async () => {
  assert.equal(await cast("call", probe, "value()(uint256)"), "7");
  assert.equal(await cast("call", probe, "note()(string)"), '"first"');
  await send(probe, "store(uint256,string)", 11, "second");
  assert.equal(await cast("call", probe, "value()(uint256)"), "11");
  assert.equal(BigInt(await cast("storage", probe, 0)), 11n);
  await send(probe, "setPoint((uint128,uint128))", "(1,2)");
  assert.equal(await cast("call", probe, "point()(uint128,uint128)"), "1\n2");
  await send(probe, "--value", 9);
  const slot = await cast("index", "address", alice.address, 2);
  assert.equal(BigInt(await cast("storage", probe, slot)), 9n);
  assert.equal(await cast("code", probe), Probe.deployedBytecode);
  assert.equal(Number(await cast("codesize", probe)), ethers.dataLength(Probe.deployedBytecode));
});

test("logs by signature and topic", async () => {
  const receipt = await send(probe, "storeMany(uint256,uint256)", 100, 3);
  assert.equal(receipt.logs.length, 3);
  const from = Number(receipt.blockNumber);
  const logs = async (...words) => JSON.parse(await cast("logs", "--json", "--from-block", from, "--address", probe, ...words));
  const event = "Stored(address indexed,uint256 indexed,bytes32 indexed,string)";
  assert.equal((await logs(event)).length, 3);
  assert.equal((await logs(event, alice.address, 101)).length, 1);
  assert.equal((await logs(event, bob.address)).length, 0);
});

test("reverts come with their reason and data", async () => {
  const abi = new ethers.Interface(Probe.abi);
  assert.match(await fails("call", probe, "failWithReason()"), /a reason in words/);
  const refused = abi.encodeErrorResult("Refused", [alice.address, 5n, "too much"]);
  const said = await fails("call", probe, "failWithError(uint256)", 5, "--from", alice.address);
  assert.ok(said.includes(refused.slice(2)) || said.includes(refused.slice(0, 10)), said);
  assert.match(await fails("call", probe, "failWithPanic(uint256)(uint256)", 0), /panic|0x4e487b71/i);
  assert.match(await fails("estimate", probe, "failWithReason()"), /a reason in words/);
  assert.match(await fails("send", "--private-key", alice.privateKey, probe, "failWithReason()"), /a reason in words/);
  const receipt = await send(probe, "failIfStored(uint256)", 13, "--gas-limit", 100000).catch(({ stdout }) => JSON.parse(stdout));
  assert.equal(receipt.status, "0x0");
});

test("estimates and access lists", async () => {
  assert.equal(await cast("estimate", fresh(), "--value", 1, "--from", alice.address), "21000");
  const list = await cast("access-list", probe, "setPoint((uint128,uint128))", "(5,6)", "--from", alice.address, "--json");
  assert.ok(list.toLowerCase().includes(probe.toLowerCase()), list);
});

test("a transaction is run again with its calls shown", async () => {
  const inner = await cast("calldata", "store(uint256,string)", 3, "inner");
  const receipt = await send(probe, "forward(address,bytes)", probe, inner);
  const shown = await cast("run", "--quick", receipt.transactionHash);
  assert.match(shown, /6fadcf72|forward/);
  assert.match(shown, /e1ff178a|store/);
  assert.match(shown, /Transaction successfully executed/);
  const trace = JSON.parse(await cast("rpc", "debug_traceTransaction", receipt.transactionHash, '{"tracer":"callTracer"}'));
  assert.equal(trace.calls[0].input, inner);
  assert.match(await cast("call", "--trace", probe, "value()(uint256)"), /3fa4f245|value/);
});

test("multicall and CREATE2", async () => {
  const call = "aggregate3((address,bool,bytes)[])((bool,bytes)[])";
  const data = await cast("calldata", "value()");
  const shown = await cast("call", canonical.multicall3, call, `[(${probe},false,${data}),(${probe},true,0xdeadbeef)]`);
  assert.match(shown, /^\[\(true, 0x0+3\), \(false, 0x\)\]$/);
  const init = contract("Batcher").bytecode;
  const salt = ethers.hexlify(ethers.randomBytes(32));
  const address = await cast("create2", "--salt", salt, "--init-code", init).then((text) => text.match(/0x[0-9a-fA-F]{40}/)[0]);
  await send(canonical.create2, ethers.concat([salt, init]));
  assert.equal(await cast("code", address), contract("Batcher").deployedBytecode);
});

test("typed data and messages are signed", async () => {
  const { types, domain, message } = mail;
  const data = {
    types: { EIP712Domain: ethers.TypedDataEncoder.getPayload(domain(probe), types, message(alice.address, bob.address)).types.EIP712Domain, ...types },
    primaryType: "Mail", domain: domain(probe), message: message(alice.address, bob.address),
  };
  const local = await cast("wallet", "sign", "--private-key", alice.privateKey, "--data", JSON.stringify(data));
  const remote = JSON.parse(await cast("rpc", "eth_signTypedData_v4", alice.address, JSON.stringify(data)));
  assert.equal(remote, local);
  assert.match(await cast("wallet", "verify", "--address", alice.address, "hello", await cast("wallet", "sign", "--private-key", alice.privateKey, "hello")), /succeeded/);
});

test("the node signs for its own accounts, and takes raw transactions", async () => {
  const to = fresh();
  const receipt = JSON.parse(await cast("send", "--json", "--unlocked", "--from", key(4).address, to, "--value", 3));
  assert.equal(receipt.status, "0x1");
  const raw = await cast("mktx", "--private-key", bob.privateKey, to, "--value", 4);
  const published = JSON.parse(await cast("publish", "--json", raw));
  assert.equal(published.transactionHash, ethers.keccak256(raw));
  assert.equal(await cast("balance", to), "7");
});

test("what the pool refuses is said in words", async () => {
  const nonce = Number(await cast("nonce", alice.address));
  assert.match(await fails("send", "--private-key", alice.privateKey, bob.address, "--nonce", nonce - 1), /nonce too low/);
  assert.match(await fails("send", "--private-key", ethers.id("poor"), bob.address, "--value", 1, "--gas-limit", 21000), /insufficient funds/i);
});

test("the node answers over WebSocket, and streams logs to subscribers", async () => {
  assert.equal(await cast("chain-id", "--rpc-url", ws), String(chainId));
  const words = ["logs", "--subscribe", "--json", "--address", probe, "--rpc-url", ws];
  const listener = spawn(program, words, { env: environment, stdio: ["ignore", "pipe", "inherit"] });
  let heard = "";
  listener.stdout.on("data", (chunk) => (heard += chunk));
  try {
    const topic = ethers.id("heard");
    await until("a log over WebSocket", async () => {
      await send(probe, "store(uint256,string)", 1, "heard");
      return heard.includes(topic);
    });
  } finally {
    listener.kill();
  }
});
