// viem against a node.

"use strict";

const assert = require("node:assert/strict");
const { before, after, test } = require("node:test");
const viem = require("viem");
const { anvil } = require("viem/chains");
const { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } = require("viem/accounts");
const { url, ws, mnemonic, canonical, contract, until, rpc, mail } = require("./support");

const Probe = contract("Probe");
const Batcher = contract("Batcher");
const Mailbox = contract("Mailbox");

const chain = { ...anvil, contracts: { multicall3: { address: canonical.multicall3 } } };
const accounts = Array.from({ length: 10 }, (_, addressIndex) => mnemonicToAccount(mnemonic, { addressIndex }));
const [alice, bob] = accounts;
const options = { chain, pollingInterval: 20, cacheTime: 0 };
const client = viem.createPublicClient({ ...options, transport: viem.http(url) });
const batching = viem.createPublicClient({ ...options, batch: { multicall: true }, transport: viem.http(url, { batch: true }) });
const wallet = (account) => viem.createWalletClient({ ...options, account, transport: viem.http(url) });
const own = wallet(alice);
const fresh = () => privateKeyToAccount(generatePrivateKey()).address;
const zero = viem.toHex(0, { size: 32 });
let live, probe;

const mined = async (hash) => client.waitForTransactionReceipt({ hash: await hash });

async function deploy({ abi, bytecode }, args = []) {
  const receipt = await mined(own.deployContract({ abi, bytecode, args }));
  return viem.getAddress(receipt.contractAddress);
}

const read = (functionName, args = [], rest = {}) => client.readContract({ address: probe, abi: Probe.abi, functionName, args, ...rest });
const write = (functionName, args = [], rest = {}) =>
  mined(own.writeContract({ address: probe, abi: Probe.abi, functionName, args, ...rest }));

/** The decoded revert of a call that must fail. */
async function reverted(promise) {
  const error = await promise.then(() => assert.fail("did not revert"), (error) => error);
  const found = error.walk?.((inner) => inner instanceof viem.ContractFunctionRevertedError);
  if (!found) throw error;
  return found;
}

before(async () => {
  live = viem.createPublicClient({ ...options, transport: viem.webSocket(ws) });
  probe = await deploy(Probe, [7n, "first"]);
});

after(async () => (await live.transport.getRpcClient()).close());

test("chain, accounts, balances", async () => {
  assert.equal(await client.getChainId(), chain.id);
  assert.deepEqual(await own.getAddresses(), [alice.address]);
  const unlocked = await viem.createWalletClient({ ...options, transport: viem.http(url) }).getAddresses();
  assert.deepEqual(unlocked, accounts.map(({ address }) => address));
  assert.equal(await client.getBalance({ address: accounts[9].address }), viem.parseEther("10000"));
  assert.equal(await client.getBalance({ address: fresh() }), 0n);
  assert.equal(await client.getTransactionCount({ address: fresh() }), 0);
  assert.equal(await client.getCode({ address: fresh() }), undefined);
});

test("transfers of every type arrive", async () => {
  for (const type of ["legacy", "eip2930", "eip1559"]) {
    const to = fresh();
    const accessList = type === "eip2930" ? [{ address: to, storageKeys: [zero] }] : undefined;
    const receipt = await mined(own.sendTransaction({ to, value: 99n, type, accessList }));
    assert.equal(receipt.status, "success");
    assert.equal(receipt.type, type);
    assert.equal(await client.getBalance({ address: to }), 99n);
    const found = await client.getTransaction({ hash: receipt.transactionHash });
    assert.equal(found.type, type);
    assert.equal(viem.getAddress(found.from), alice.address);
    assert.equal(await client.getTransactionConfirmations({ transactionReceipt: receipt }) >= 1n, true);
  }
});

test("an account delegates to code, by itself and for somebody else who pays", async () => {
  const code = await deploy(Batcher);
  const account = privateKeyToAccount(generatePrivateKey());
  const signer = wallet(account);
  await mined(own.sendTransaction({ to: account.address, value: viem.parseEther("1") }));
  const calls = [fresh(), fresh()].map((to) => ({ to, value: 3n, data: "0x" }));
  const authorization = await signer.signAuthorization({ contractAddress: code, executor: "self" });
  const data = viem.encodeFunctionData({ abi: Batcher.abi, functionName: "run", args: [calls] });
  const receipt = await mined(signer.sendTransaction({ to: account.address, data, authorizationList: [authorization] }));
  assert.equal(receipt.type, "eip7702");
  for (const { to } of calls) assert.equal(await client.getBalance({ address: to }), 3n);
  assert.equal(await client.getCode({ address: account.address }), viem.concat(["0xef0100", code]).toLowerCase());
  assert.equal(await client.getDelegation({ address: account.address }), code);

  // Taking it back, sent and paid by another.
  const back = await signer.signAuthorization({ contractAddress: viem.zeroAddress });
  await mined(own.sendTransaction({ to: account.address, authorizationList: [back] }));
  assert.equal(await client.getCode({ address: account.address }), undefined);
});

test("a contract is deployed, read, written, simulated", async () => {
  assert.equal(await client.getCode({ address: probe }), Probe.deployedBytecode);
  assert.equal(await read("value"), 7n);
  const { result, request } = await client.simulateContract({
    address: probe, abi: Probe.abi, functionName: "store", args: [8n, "second"], account: alice,
  });
  assert.equal(result, 7n);
  await mined(own.writeContract(request));
  assert.equal(await read("note"), "second");
  assert.deepEqual(await read("echo", ["0x01", { x: 1n, y: 2n }, ["a"]]), ["0x01", { x: 1n, y: 2n }, ["a"]]);
  assert.equal(await client.getStorageAt({ address: probe, slot: "0x0" }), viem.toHex(8n, { size: 32 }));
});

test("events: logs by arguments, filters, decoding", async () => {
  const filter = await client.createContractEventFilter({ address: probe, abi: Probe.abi, eventName: "Stored" });
  const { blockNumber: fromBlock, logs } = await write("store", [100n, "x"]);
  const [event] = viem.parseEventLogs({ abi: Probe.abi, logs });
  assert.equal(event.eventName, "Stored");
  assert.equal(event.args.note, "x");
  await write("storeMany", [200n, 3n]);
  const get = async (args, rest = {}) =>
    (await client.getContractEvents({ address: probe, abi: Probe.abi, eventName: "Stored", args, fromBlock, ...rest }))
      .map(({ args }) => args.value);
  assert.deepEqual(await get(), [100n, 200n, 201n, 202n]);
  assert.deepEqual(await get({ value: [201n, 100n] }), [100n, 201n]);
  assert.deepEqual(await get({ by: bob.address }), []);
  assert.deepEqual(await get({}, { toBlock: fromBlock }), [100n]);
  assert.deepEqual((await client.getFilterChanges({ filter })).map(({ args }) => args.value), [100n, 200n, 201n, 202n]);
  assert.equal(await client.uninstallFilter({ filter }), true);
});

test("reverts are decoded to reason, custom error and panic", async () => {
  const simulate = (functionName, args = []) =>
    client.simulateContract({ address: probe, abi: Probe.abi, functionName, args, account: alice });
  assert.equal((await reverted(simulate("failWithReason"))).reason, "a reason in words");
  const refused = (await reverted(simulate("failWithError", [5n]))).data;
  assert.equal(refused.errorName, "Refused");
  assert.deepEqual(refused.args, [alice.address, 5n, "too much"]);
  const panic = (await reverted(simulate("failWithPanic", [0n]))).data;
  assert.equal(panic.errorName, "Panic");
  assert.equal(panic.args[0], 0x12n);
  await reverted(client.estimateContractGas({ address: probe, abi: Probe.abi, functionName: "failIfStored", args: [13n], account: alice }));
  const receipt = await write("failIfStored", [13n], { gas: 100_000n });
  assert.equal(receipt.status, "reverted");
});

test("multicall, by hand and by batching reads", async () => {
  const call = (functionName) => ({ address: probe, abi: Probe.abi, functionName });
  const answers = await client.multicall({ contracts: [call("value"), call("failWithReason"), call("point")] });
  assert.deepEqual(answers.map(({ status }) => status), ["success", "failure", "success"]);
  const all = await Promise.all([
    ...Array.from({ length: 50 }, () => batching.readContract(call("value"))),
    batching.getBlockNumber({ cacheTime: 0 }), batching.getChainId(), batching.getBalance({ address: accounts[9].address }),
  ]);
  assert.equal(new Set(all.slice(0, 50)).size, 1);
  assert.equal(all.at(-1), viem.parseEther("10000"));
});

test("typed data and messages: signed here, by the node, and verified", async () => {
  const mailbox = await deploy(Mailbox);
  const message = mail.message(alice.address, bob.address);
  const data = { domain: mail.domain(mailbox), types: mail.types, primaryType: "Mail", message };
  const local = await bob.signTypedData(data);
  const node = viem.createWalletClient({ ...options, account: bob.address, transport: viem.http(url) });
  assert.equal(await node.signTypedData(data), local);
  const { v, r, s } = viem.parseSignature(local);
  const args = [message.from, message.to, message.contents, Number(v), r, s];
  assert.equal(await client.readContract({ address: mailbox, abi: Mailbox.abi, functionName: "signer", args }), bob.address);
  assert.equal(await client.verifyTypedData({ address: bob.address, signature: local, ...data }), true);
  const signature = await node.signMessage({ message: "hello" });
  assert.equal(await client.verifyMessage({ address: bob.address, message: "hello", signature }), true);
  assert.equal(await client.verifyMessage({ address: alice.address, message: "hello", signature }), false);
});

test("fees are estimated and kept in history", async () => {
  const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas();
  assert.ok(maxFeePerGas >= maxPriorityFeePerGas && maxFeePerGas > 0n);
  assert.ok((await client.getGasPrice()) > 0n);
  const receipt = await mined(own.sendTransaction({ to: fresh(), value: 1n }));
  const block = await client.getBlock({ blockNumber: receipt.blockNumber });
  assert.ok(receipt.effectiveGasPrice >= block.baseFeePerGas);
  const history = await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] });
  assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  assert.equal(history.reward[0].length, 1);
});

test("gas estimates and access lists", async () => {
  assert.equal(await client.estimateGas({ account: alice, to: fresh(), value: 1n }), 21000n);
  const gas = await client.estimateContractGas({ address: probe, abi: Probe.abi, functionName: "burnGas", args: [300n], account: alice });
  assert.equal((await write("burnGas", [300n], { gas })).status, "success");
  const data = viem.encodeFunctionData({ abi: Probe.abi, functionName: "setPoint", args: [{ x: 5n, y: 6n }] });
  const { accessList } = await client.createAccessList({ account: alice, to: probe, data });
  const entry = accessList.find(({ address }) => viem.isAddressEqual(address, probe));
  assert.deepEqual(entry.storageKeys, [viem.toHex(3, { size: 32 })]);
});

test("the past, overridden state, calls without a contract", async () => {
  const { blockNumber } = await write("store", [1000n, "then"]);
  await write("store", [2000n, "now"]);
  assert.equal(await read("value", [], { blockNumber }), 1000n);
  const stateOverride = [{ address: probe, stateDiff: [{ slot: zero, value: viem.toHex(55, { size: 32 }) }] }];
  assert.equal(await read("value", [], { stateOverride }), 55n);
  const code = viem.encodeDeployData({ abi: Probe.abi, bytecode: Probe.bytecode, args: [9n, "nowhere"] });
  assert.equal(await client.readContract({ code, abi: Probe.abi, functionName: "note" }), "nowhere");
});

test("blocks and their transactions", async () => {
  const receipt = await mined(own.sendTransaction({ to: bob.address, value: 1n }));
  const block = await client.getBlock({ blockHash: receipt.blockHash, includeTransactions: true });
  assert.equal(block.number, receipt.blockNumber);
  assert.ok(block.transactions.some(({ hash }) => hash === receipt.transactionHash));
  assert.equal(await client.getBlockTransactionCount({ blockNumber: block.number }), block.transactions.length);
  const byIndex = await client.getTransaction({ blockHash: block.hash, index: receipt.transactionIndex });
  assert.equal(byIndex.hash, receipt.transactionHash);
  assert.equal((await client.getBlock({ blockTag: "earliest" })).number, 0n);
  assert.equal((await client.getBlock({ blockTag: "pending" })).number > block.number, true);
  await assert.rejects(client.getBlock({ blockNumber: 10n ** 9n }), viem.BlockNotFoundError);
  await assert.rejects(client.getTransaction({ hash: zero }), viem.TransactionNotFoundError);
});

test("refusals come as the errors that viem knows", async () => {
  const nonce = await client.getTransactionCount({ address: alice.address });
  const walk = (type) => (error) => Boolean(error.walk((inner) => inner instanceof type)) || assert.fail(String(error));
  await assert.rejects(own.sendTransaction({ to: bob.address, nonce: nonce - 1, gas: 21000n }), walk(viem.NonceTooLowError));
  const poor = wallet(privateKeyToAccount(generatePrivateKey()));
  await assert.rejects(poor.sendTransaction({ to: bob.address, value: 1n, gas: 21000n }), walk(viem.InsufficientFundsError));
  await assert.rejects(own.sendTransaction({ to: bob.address, gas: 20000n }), walk(viem.IntrinsicGasTooLowError));
  await assert.rejects(client.request({ method: "eth_nothing" }), walk(viem.MethodNotFoundRpcError));
  await assert.rejects(client.request({ method: "eth_getBalance", params: [] }), walk(viem.InvalidParamsRpcError));
});

test("a transaction is replaced, and who waits for it is told", async () => {
  const account = accounts[5];
  const signer = wallet(account);
  const nonce = await client.getTransactionCount({ address: account.address });
  const fees = { gas: 21000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 2n * 10n ** 9n };
  const to = fresh();
  // Waits for the nonce before it, so that there is time to replace it.
  const first = await signer.sendTransaction({ to, value: 1n, nonce: nonce + 1, ...fees });
  const dear = { maxFeePerGas: 2n * 10n ** 11n, maxPriorityFeePerGas: 4n * 10n ** 9n };
  const second = await signer.sendTransaction({ to, value: 2n, nonce: nonce + 1, ...fees, ...dear });
  await mined(signer.sendTransaction({ to, value: 4n, nonce, ...fees }));
  await mined(second);
  assert.equal(await client.getBalance({ address: to }), 6n);
  await assert.rejects(client.getTransactionReceipt({ hash: first }), viem.TransactionReceiptNotFoundError);
});

test("the node's own accounts send, and raw transactions are taken", async () => {
  const to = fresh();
  const node = viem.createWalletClient({ ...options, account: accounts[4].address, transport: viem.http(url) });
  assert.equal((await mined(node.sendTransaction({ to, value: 5n }))).status, "success");
  const request = await own.prepareTransactionRequest({ to, value: 6n });
  const serializedTransaction = await own.signTransaction(request);
  const hash = await client.sendRawTransaction({ serializedTransaction });
  assert.equal(hash, viem.keccak256(serializedTransaction));
  await mined(hash);
  assert.equal(await client.getBalance({ address: to }), 11n);
});

test("subscriptions over WebSocket: blocks, events, pending transactions", async () => {
  const blocks = [], events = [], pending = [];
  const stop = [
    live.watchBlocks({ onBlock: ({ hash }) => blocks.push(hash), onError: assert.fail }),
    live.watchContractEvent({ address: probe, abi: Probe.abi, eventName: "Stored", onLogs: (logs) => events.push(...logs), onError: assert.fail }),
    live.watchPendingTransactions({ onTransactions: (hashes) => pending.push(...hashes), onError: assert.fail }),
  ];
  await until("hearing of everything", async () => {
    const receipt = await write("store", [4242n, "live"]);
    return blocks.includes(receipt.blockHash) && pending.includes(receipt.transactionHash)
      && events.some(({ transactionHash, args }) => transactionHash === receipt.transactionHash && args.value === 4242n);
  });
  for (const unwatch of stop) unwatch();
  await live.getChainId();
});

test("watching over HTTP uses filters", async () => {
  const seen = [];
  const unwatch = client.watchContractEvent({
    address: probe, abi: Probe.abi, eventName: "Stored", onLogs: (logs) => seen.push(...logs.map(({ args }) => args.value)),
  });
  await until("an event over HTTP", async () => {
    await write("store", [777n, "polled"]);
    return seen.includes(777n);
  });
  unwatch();
});

test("a transaction is traced", async () => {
  const data = viem.encodeFunctionData({ abi: Probe.abi, functionName: "store", args: [1n, "traced"] });
  const { transactionHash } = await write("forward", [probe, data]);
  const trace = await rpc("debug_traceTransaction", transactionHash, { tracer: "callTracer", tracerConfig: { withLog: true } });
  assert.equal(trace.calls[0].input, data);
  assert.equal(trace.calls[0].logs.length, 1);
});
