// The development methods under both of their names, as viem's test client calls them.

"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const zlib = require("node:zlib");
const viem = require("viem");
const { hardhat } = require("viem/chains");
const { mnemonicToAccount, privateKeyToAccount, generatePrivateKey } = require("viem/accounts");
const { url, mnemonic, contract, post, rpc, rpcError } = require("./support");

const Probe = contract("Probe");
const fresh = () => privateKeyToAccount(generatePrivateKey()).address;
const [alice, bob] = [0, 1].map((addressIndex) => mnemonicToAccount(mnemonic, { addressIndex }));

for (const mode of ["hardhat", "anvil"]) {
  const client = viem.createTestClient({ mode, chain: hardhat, transport: viem.http(url), cacheTime: 0, pollingInterval: 20 })
    .extend(viem.publicActions)
    .extend(viem.walletActions);
  const latest = () => client.getBlock({ blockTag: "latest" });
  const send = async (transaction) => client.waitForTransactionReceipt({ hash: await client.sendTransaction(transaction) });

  test(`${mode}: each transaction makes a block before it is answered`, async () => {
    const { number } = await latest();
    const hash = await client.sendTransaction({ account: alice.address, to: bob.address, value: 1n });
    const receipt = await client.getTransactionReceipt({ hash });
    assert.equal(receipt.blockNumber, number + 1n);
    const raw = await alice.signTransaction(await client.prepareTransactionRequest({ account: alice, to: bob.address }));
    const { blockNumber } = await client.getTransactionReceipt({ hash: await client.sendRawTransaction({ serializedTransaction: raw }) });
    assert.equal(blockNumber, number + 2n);
  });

  test(`${mode}: blocks are made on demand, at the times asked for`, async () => {
    const before = await latest();
    await client.mine({ blocks: 5, interval: 10 });
    const after = await latest();
    assert.equal(after.number, before.number + 5n);
    assert.ok(after.timestamp >= before.timestamp + 40n);
    await client.setNextBlockTimestamp({ timestamp: after.timestamp + 1234n });
    await client.mine({ blocks: 1 });
    assert.equal((await latest()).timestamp, after.timestamp + 1234n);
    await client.increaseTime({ seconds: 1_000_000 });
    await client.mine({ blocks: 1 });
    assert.ok((await latest()).timestamp >= after.timestamp + 1_000_000n);
  });

  test(`${mode}: balances, nonces, code and storage are set`, async () => {
    const address = fresh();
    await client.setBalance({ address, value: 77n });
    await client.setNonce({ address, nonce: 9 });
    await client.setCode({ address, bytecode: Probe.deployedBytecode });
    await client.setStorageAt({ address, index: 0, value: viem.toHex(42, { size: 32 }) });
    assert.equal(await client.getBalance({ address }), 77n);
    assert.equal(await client.getTransactionCount({ address }), 9);
    assert.equal(await client.getCode({ address }), Probe.deployedBytecode);
    assert.equal(await client.readContract({ address, abi: Probe.abi, functionName: "value" }), 42n);
  });

  test(`${mode}: an account is impersonated until told to stop`, async () => {
    const address = fresh();
    await client.setBalance({ address, value: viem.parseEther("1") });
    await assert.rejects(client.sendTransaction({ account: address, to: bob.address, value: 1n }));
    await client.impersonateAccount({ address });
    const receipt = await send({ account: address, to: bob.address, value: 1n });
    assert.equal(viem.getAddress(receipt.from), address);
    await client.stopImpersonatingAccount({ address });
    await assert.rejects(client.sendTransaction({ account: address, to: bob.address, value: 1n }));
  });

  test(`${mode}: a snapshot brings everything back`, async () => {
    const before = await latest();
    const balance = await client.getBalance({ address: bob.address });
    const id = await client.snapshot();
    const { transactionHash } = await send({ account: alice.address, to: bob.address, value: 5n });
    await client.mine({ blocks: 3 });
    await client.revert({ id });
    const after = await latest();
    assert.equal(after.hash, before.hash);
    assert.equal(await client.getBalance({ address: bob.address }), balance);
    await assert.rejects(client.getTransactionReceipt({ hash: transactionHash }), viem.TransactionReceiptNotFoundError);
    // A block in place of the one that was taken back.
    await client.mine({ blocks: 1 });
    assert.equal((await latest()).parentHash, before.hash);
  });

  test(`${mode}: the state is dumped as Anvil dumps it, and loaded`, async () => {
    const address = fresh();
    await client.setBalance({ address, value: 77n });
    await client.setCode({ address, bytecode: Probe.deployedBytecode });
    await client.setStorageAt({ address, index: 0, value: viem.toHex(42, { size: 32 }) });
    const state = await client.dumpState();
    const { accounts, best_block_number } = JSON.parse(zlib.gunzipSync(viem.hexToBytes(state)));
    assert.deepEqual(accounts[address.toLowerCase()], {
      nonce: 0,
      balance: "0x4d",
      code: Probe.deployedBytecode,
      storage: { [viem.toHex(0, { size: 32 })]: viem.toHex(42, { size: 32 }) },
    });
    assert.equal(BigInt(best_block_number), (await latest()).number);
    await client.setBalance({ address, value: 1n });
    await client.setStorageAt({ address, index: 0, value: viem.toHex(1, { size: 32 }) });
    await client.loadState({ state });
    assert.equal(await client.getBalance({ address }), 77n);
    assert.equal(await client.readContract({ address, abi: Probe.abi, functionName: "value" }), 42n);
  });

  test(`${mode}: transactions wait while mining is not automatic`, async () => {
    await client.setAutomine(false);
    try {
      const hashes = [];
      for (const account of [alice.address, bob.address]) {
        hashes.push(await client.sendTransaction({ account, to: fresh(), value: 1n, gas: 21_000n }));
      }
      await assert.rejects(client.getTransactionReceipt({ hash: hashes[0] }), viem.TransactionReceiptNotFoundError);
      const pending = await client.getBlock({ blockTag: "pending" });
      assert.deepEqual([pending.transactions.length, pending.gasUsed], [2, 42_000n]);
      const { to } = await client.getTransaction({ hash: hashes[0] });
      assert.equal(await client.getBalance({ address: to }), 0n);
      assert.equal(await client.getBalance({ address: to, blockTag: "pending" }), 1n);
      await client.mine({ blocks: 1 });
      const receipts = await Promise.all(hashes.map((hash) => client.getTransactionReceipt({ hash })));
      assert.equal(receipts[0].blockNumber, receipts[1].blockNumber);
    } finally {
      await client.setAutomine(true);
    }
  });
}

test("there are as many accounts as on Hardhat's network, with as much money", async () => {
  const expected = Array.from({ length: 20 }, (_, addressIndex) => mnemonicToAccount(mnemonic, { addressIndex }).address);
  assert.deepEqual((await rpc("eth_accounts")).map((address) => viem.getAddress(address)), expected);
  assert.equal(BigInt(await rpc("eth_getBalance", expected[19], "earliest")), viem.parseEther("10000"));
});

test("the client version is one that Hardhat's helpers accept", async () => {
  assert.match((await rpc("web3_clientVersion")).toLowerCase(), /hardhatnetwork|anvil/);
});

test("a transaction that reverts makes a block: its error says why to Hardhat, its receipt that it failed to others", async () => {
  const { abi, bytecode } = Probe;
  const client = viem.createWalletClient({ chain: hardhat, account: alice.address, transport: viem.http(url) }).extend(viem.publicActions);
  const receipt = await client.waitForTransactionReceipt({ hash: await client.deployContract({ abi, bytecode, args: [1n, ""] }) });
  const data = viem.encodeFunctionData({ abi, functionName: "failIfStored", args: [13n] });
  const request = { from: alice.address, to: receipt.contractAddress, data };
  const decoded = (data) => viem.decodeErrorResult({ abi, data }).errorName;
  const before = await client.getBlockNumber({ cacheTime: 0 });
  for (const method of ["eth_call", "eth_estimateGas", "eth_sendTransaction"]) {
    const error = await rpcError(method, request);
    assert.deepEqual([error.code, decoded(error.data)], [3, "Refused"]);
  }
  assert.equal(await client.getBlockNumber({ cacheTime: 0 }), before);
  const hash = await rpc("eth_sendTransaction", { ...request, gas: "0x186a0" });
  const { status, blockNumber } = await client.getTransactionReceipt({ hash });
  assert.deepEqual([status, blockNumber], ["reverted", before + 1n]);
  const body = { jsonrpc: "2.0", id: 1, method: "eth_sendTransaction", params: [request] };
  const { json } = await post(body, { "user-agent": "hardhat 2.26.3" });
  assert.deepEqual([json.error.code, decoded(json.error.data.data)], [-32603, "Refused"]);
  assert.equal(await client.getBlockNumber({ cacheTime: 0 }), before + 2n);
});

test("a base fee of nothing stays nothing, and nothing need be paid", async () => {
  const id = await rpc("evm_snapshot");
  try {
    await rpc("hardhat_setNextBlockBaseFeePerGas", "0x0");
    await rpc("hardhat_mine", "0x3");
    assert.equal((await rpc("eth_getBlockByNumber", "latest", false)).baseFeePerGas, "0x0");
    const fees = { maxFeePerGas: "0x0", maxPriorityFeePerGas: "0x0" };
    const hash = await rpc("eth_sendTransaction", { from: alice.address, to: bob.address, ...fees });
    assert.equal((await rpc("eth_getTransactionReceipt", hash)).effectiveGasPrice, "0x0");
  } finally {
    await rpc("evm_revert", id);
  }
});

test("the rules of the chain are told as EIP-7910 has it", async () => {
  const { current, next, last } = await rpc("eth_config");
  assert.deepEqual([next, last], [null, null]);
  assert.deepEqual(current.systemContracts, { HISTORY_STORAGE_ADDRESS: "0x0000f90827f1c53a10cb7a02335b175320002935" });
  assert.equal(current.precompiles.P256VERIFY, "0x0000000000000000000000000000000000000100");
});

test("calls are told in the form that explorers read", async () => {
  const client = viem.createWalletClient({ chain: hardhat, account: alice.address, transport: viem.http(url) }).extend(viem.publicActions);
  const hash = await client.deployContract({ abi: Probe.abi, bytecode: Probe.bytecode, args: [1n, ""] });
  const { blockNumber, contractAddress } = await client.waitForTransactionReceipt({ hash });
  const calls = await rpc("trace_transaction", hash);
  assert.deepEqual([calls[0].type, calls[0].traceAddress, calls[0].result.address], ["create", [], contractAddress.toLowerCase()]);
  assert.deepEqual(await rpc("trace_block", viem.toHex(blockNumber)), calls);
  const replayed = await rpc("trace_replayTransaction", hash, ["trace", "stateDiff"]);
  assert.deepEqual(replayed.trace[0].action, calls[0].action);
  assert.equal(replayed.stateDiff[contractAddress.toLowerCase()].nonce["+"], "0x1");
});
