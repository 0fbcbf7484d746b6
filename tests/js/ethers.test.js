// ethers 6 against a node.

"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const { url, ws, mnemonic, chainId, canonical, contract, until, post, rpc, rpcError, multicall3, mail } = require("./support");

const Probe = contract("Probe");
const Batcher = contract("Batcher");
const Mailbox = contract("Mailbox");
const coin = ethers.parseEther;

let provider, socket, wallets, alice, bob, probe;

const isError = (code) => (error) => ethers.isError(error, code) || assert.fail(`not ${code}: ${error}`);
const fresh = () => ethers.Wallet.createRandom().address;
const mined = async (sent) => (await (await sent).wait());

async function deploy({ abi, bytecode }, signer, ...args) {
  return (await new ethers.ContractFactory(abi, bytecode, signer).deploy(...args)).waitForDeployment();
}

before(async () => {
  const options = { polling: true, pollingInterval: 20, cacheTimeout: -1, staticNetwork: ethers.Network.from(chainId) };
  provider = new ethers.JsonRpcProvider(url, chainId, options);
  socket = new ethers.WebSocketProvider(ws, chainId);
  await socket._waitUntilReady?.();
  const derive = (index) => ethers.HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`).connect(provider);
  wallets = Array.from({ length: 10 }, (_, index) => derive(index));
  [alice, bob] = wallets;
  probe = await deploy(Probe, alice, 7n, "first");
});

after(async () => {
  provider.destroy();
  await socket.destroy();
});

test("network, accounts, balances", async () => {
  assert.equal((await new ethers.JsonRpcProvider(url).getNetwork()).chainId, BigInt(chainId));
  const accounts = (await provider.listAccounts()).map(({ address }) => address);
  assert.deepEqual(accounts, wallets.map(({ address }) => address));
  assert.equal(await provider.getBalance(wallets[9]), coin("10000"));
  assert.equal(await provider.getBalance(fresh()), 0n);
  assert.equal(await provider.getTransactionCount(fresh()), 0);
  assert.equal(await provider.getCode(fresh()), "0x");
});

test("transfers of types 0, 1 and 2 arrive and cost what the receipt says", async () => {
  for (const type of [0, 1, 2]) {
    const to = fresh();
    const before = await provider.getBalance(bob);
    const accessList = type === 1 ? [{ address: to, storageKeys: [ethers.ZeroHash] }] : undefined;
    const sent = await bob.sendTransaction({ to, value: 12345n, type, accessList });
    const receipt = await sent.wait();
    assert.equal(receipt.status, 1);
    assert.equal(receipt.type, type);
    assert.equal(receipt.gasUsed, type === 1 ? 21000n + 2400n + 1900n : 21000n);
    assert.equal(await provider.getBalance(to), 12345n);
    assert.equal(await provider.getBalance(bob), before - 12345n - receipt.fee);
    const found = await provider.getTransaction(sent.hash);
    assert.equal(found.from, bob.address);
    assert.equal(found.blockNumber, receipt.blockNumber);
    assert.equal(found.chainId, BigInt(chainId));
    assert.equal(ethers.Transaction.from(found).hash, sent.hash);
  }
});

test("an account delegates to code with type 4 and batches its calls", async () => {
  const code = await deploy(Batcher, alice);
  const signer = ethers.Wallet.createRandom().connect(provider);
  await mined(bob.sendTransaction({ to: signer.address, value: coin("1") }));
  // The sender's own nonce is counted before the authorization is looked at.
  const authorization = await signer.authorize({ address: await code.getAddress(), nonce: 1, chainId });
  const calls = [fresh(), fresh()].map((to, index) => ({ to, value: BigInt(index + 1), data: "0x" }));
  const data = code.interface.encodeFunctionData("run", [calls]);
  const sent = await signer.sendTransaction({
    type: 4, to: signer.address, data, authorizationList: [authorization], gasLimit: 300_000n,
  });
  const receipt = await sent.wait();
  assert.equal(receipt.type, 4);
  assert.equal(receipt.status, 1);
  for (const { to, value } of calls) assert.equal(await provider.getBalance(to), value);
  const delegated = ethers.concat(["0xef0100", await code.getAddress()]);
  assert.equal(await provider.getCode(signer.address), delegated);
  assert.equal((await provider.getTransaction(sent.hash)).authorizationList.length, 1);
});

test("a contract is deployed, read and written", async () => {
  const receipt = await probe.deploymentTransaction().wait();
  assert.equal(receipt.contractAddress, await probe.getAddress());
  assert.equal(await provider.getCode(probe), Probe.deployedBytecode);
  assert.equal(await probe.value(), 7n);
  assert.equal(await probe.note(), "first");
  assert.equal(await probe.store.staticCall(8n, "second"), 7n);
  await mined(probe.store(8n, "second"));
  assert.equal(await probe.value(), 8n);
  await mined(probe.setPoint({ x: 1n, y: 2n }));
  assert.deepEqual([...(await probe.point())], [1n, 2n]);
  assert.equal(await provider.getStorage(probe, 3), ethers.toBeHex((2n << 128n) | 1n, 32));
  const echoed = await probe.echo("0x0102", { x: 3n, y: 4n }, ["a", "", "ü".repeat(100)]);
  assert.deepEqual(echoed.toArray(true), ["0x0102", [3n, 4n], ["a", "", "ü".repeat(100)]]);
  const [sender, chain, number, time] = await probe.connect(bob).sender();
  assert.deepEqual([sender, chain], [bob.address, BigInt(chainId)]);
  assert.ok(number > 0n && time > 1_600_000_000n);
});

test("a payable fallback takes coin and logs it", async () => {
  const receipt = await mined(bob.sendTransaction({ to: probe, value: 5n }));
  const paid = probe.interface.parseLog(receipt.logs[0]);
  assert.equal(paid.name, "Paid");
  assert.deepEqual([...paid.args], [bob.address, 5n]);
  assert.equal(await probe.paid(bob), 5n);
});

test("events are found by topic, value and range", async () => {
  const first = await mined(probe.store(100n, "x"));
  const second = await mined(probe.connect(bob).store(101n, "y"));
  await mined(probe.storeMany(200n, 5n));
  const from = first.blockNumber;
  const found = async (filter, to = "latest") => (await probe.queryFilter(filter, from, to)).map(({ args }) => args.value);
  assert.deepEqual(await found(probe.filters.Stored()), [100n, 101n, 200n, 201n, 202n, 203n, 204n]);
  assert.deepEqual(await found(probe.filters.Stored(bob)), [101n]);
  assert.deepEqual(await found(probe.filters.Stored(null, [100n, 203n])), [100n, 203n]);
  assert.deepEqual(await found(probe.filters.Stored(alice, null, ethers.id("x"))), [100n]);
  assert.deepEqual(await found(probe.filters.Stored(), from), [100n]);
  const logs = await provider.getLogs({ blockHash: second.blockHash, address: probe });
  assert.equal(logs.length, 1);
  assert.equal(logs[0].transactionHash, second.hash);
  assert.equal(logs[0].index, second.logs[0].index);
  assert.deepEqual(await provider.getLogs({ address: fresh(), fromBlock: 0 }), []);
  assert.match((await rpcError("eth_getLogs", { fromBlock: "0x5", toBlock: "0x2" })).message, /block range/);
});

test("filters on the node give changes once", async () => {
  const address = await probe.getAddress();
  const fromBlock = ethers.toQuantity(await provider.getBlockNumber());
  const filter = await provider.send("eth_newFilter", [{ address, fromBlock }]);
  const blocks = await provider.send("eth_newBlockFilter", []);
  const pending = await provider.send("eth_newPendingTransactionFilter", []);
  const receipt = await mined(probe.store(300n, "filtered"));
  const changes = await provider.send("eth_getFilterChanges", [filter]);
  assert.deepEqual(changes.map(({ transactionHash }) => transactionHash), [receipt.hash]);
  assert.deepEqual(await provider.send("eth_getFilterChanges", [filter]), []);
  assert.ok((await provider.send("eth_getFilterChanges", [blocks])).includes(receipt.blockHash));
  assert.ok((await provider.send("eth_getFilterChanges", [pending])).includes(receipt.hash));
  assert.equal((await provider.send("eth_getFilterLogs", [filter])).at(-1).transactionHash, receipt.hash);
  assert.equal(await provider.send("eth_uninstallFilter", [filter]), true);
  assert.equal(await provider.send("eth_uninstallFilter", [filter]), false);
  assert.match((await rpcError("eth_getFilterChanges", filter)).message, /filter not found/);
});

test("reverts are decoded in calls and estimates", async () => {
  await assert.rejects(probe.failWithReason(), (error) => error.reason === "a reason in words" && isError("CALL_EXCEPTION")(error));
  await assert.rejects(probe.failWithError(9n), ({ revert }) => {
    assert.equal(revert.name, "Refused");
    assert.deepEqual([...revert.args], [alice.address, 9n, "too much"]);
    return true;
  });
  await assert.rejects(probe.failWithPanic(0n), ({ revert }) => revert.name === "Panic" && Number(revert.args[0]) === 0x12);
  await assert.rejects(probe.failByAssert(), ({ revert }) => revert.name === "Panic" && Number(revert.args[0]) === 1);
  await assert.rejects(probe.failWithNothing(), ({ data }) => data === "0x");
  const unlucky = ({ data }) => probe.interface.parseError(data).args[2] === "unlucky";
  await assert.rejects(probe.failIfStored.estimateGas(13n), unlucky);
  await assert.rejects(probe.failIfStored(13n), unlucky);
  const error = await rpcError("eth_call", { to: await probe.getAddress(), data: probe.interface.encodeFunctionData("failWithReason") });
  assert.equal(error.code, 3);
  assert.equal(error.message, "execution reverted: a reason in words");
  assert.ok(error.data.startsWith("0x08c379a0"));
});

test("a transaction that reverts is in a block with status 0 and changes nothing", async () => {
  const value = await probe.value();
  const sent = await probe.failIfStored(13n, { gasLimit: 100_000n });
  await assert.rejects(sent.wait(), isError("CALL_EXCEPTION"));
  const receipt = await provider.getTransactionReceipt(sent.hash);
  assert.equal(receipt.status, 0);
  assert.ok(receipt.gasUsed < 100_000n);
  assert.equal(await probe.value(), value);
});

test("multicall reads many values at one block", async () => {
  const multicall = new ethers.Contract(canonical.multicall3, multicall3, provider);
  const call = (target, data, allowFailure = false) => ({ target, allowFailure, callData: data });
  const address = await probe.getAddress();
  const [value, failed, balance, chain] = await multicall.aggregate3.staticCall([
    call(address, probe.interface.encodeFunctionData("value")),
    call(address, probe.interface.encodeFunctionData("failWithNothing"), true),
    call(canonical.multicall3, multicall.interface.encodeFunctionData("getEthBalance", [wallets[9].address])),
    call(canonical.multicall3, multicall.interface.encodeFunctionData("getChainId")),
  ]);
  assert.equal(BigInt(value.returnData), await probe.value());
  assert.equal(failed.success, false);
  assert.equal(BigInt(balance.returnData), coin("10000"));
  assert.equal(BigInt(chain.returnData), BigInt(chainId));
});

test("the CREATE2 deployer puts a contract where it was computed to be", async () => {
  const salt = ethers.hexlify(ethers.randomBytes(32));
  const address = ethers.getCreate2Address(canonical.create2, salt, ethers.keccak256(Batcher.bytecode));
  await mined(alice.sendTransaction({ to: canonical.create2, data: ethers.concat([salt, Batcher.bytecode]) }));
  assert.equal(await provider.getCode(address), Batcher.deployedBytecode);
});

test("typed data: signed here and by the node, accepted by a contract", async () => {
  const mailbox = await deploy(Mailbox, alice);
  const domain = mail.domain(await mailbox.getAddress());
  const message = mail.message(alice.address, bob.address);
  const local = await bob.signTypedData(domain, mail.types, message);
  const remote = await (await provider.getSigner(bob.address)).signTypedData(domain, mail.types, message);
  assert.equal(remote, local);
  const { v, r, s } = ethers.Signature.from(remote);
  assert.equal(await mailbox.signer(message.from, message.to, message.contents, v, r, s), bob.address);
  const signer = await provider.getSigner(alice.address);
  assert.equal(ethers.verifyMessage("hello", await signer.signMessage("hello")), alice.address);
});

test("the node's own accounts send transactions", async () => {
  const signer = await provider.getSigner(wallets[8].address);
  const to = fresh();
  const receipt = await mined(signer.sendTransaction({ to, value: 77n }));
  assert.equal(receipt.from, wallets[8].address);
  assert.equal(await provider.getBalance(to), 77n);
});

test("fees: suggested, charged, kept in history", async () => {
  const { gasPrice, maxFeePerGas, maxPriorityFeePerGas } = await provider.getFeeData();
  assert.ok(gasPrice > 0n && maxFeePerGas >= maxPriorityFeePerGas);
  const receipt = await mined(alice.sendTransaction({ to: fresh(), maxFeePerGas, maxPriorityFeePerGas }));
  const block = await provider.getBlock(receipt.blockNumber);
  const tip = maxFeePerGas - block.baseFeePerGas < maxPriorityFeePerGas ? maxFeePerGas - block.baseFeePerGas : maxPriorityFeePerGas;
  assert.equal(receipt.gasPrice, block.baseFeePerGas + tip);
  const history = await provider.send("eth_feeHistory", ["0x3", "latest", [25, 75]]);
  assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  assert.ok(history.reward.every(({ length }) => length === 2));
});

test("gas estimates suffice and are close", async () => {
  assert.equal(await provider.estimateGas({ from: alice.address, to: fresh(), value: 1n }), 21000n);
  for (const rounds of [1n, 1000n]) {
    const gasLimit = await probe.burnGas.estimateGas(rounds);
    const receipt = await mined(probe.burnGas(rounds, { gasLimit }));
    assert.equal(receipt.status, 1);
    assert.ok(gasLimit <= (receipt.gasUsed * 115n) / 100n, `${gasLimit} for ${receipt.gasUsed}`);
  }
  await assert.rejects(provider.estimateGas({ from: fresh(), to: bob.address, value: 1n }), isError("INSUFFICIENT_FUNDS"));
});

test("access lists name what a call touches", async () => {
  const data = probe.interface.encodeFunctionData("setPoint", [{ x: 5n, y: 6n }]);
  const to = (await probe.getAddress()).toLowerCase();
  const { accessList, gasUsed } = await provider.send("eth_createAccessList", [{ from: alice.address, to, data }]);
  const entry = accessList.find(({ address }) => address.toLowerCase() === to);
  assert.deepEqual(entry.storageKeys, [ethers.toBeHex(3, 32)]);
  assert.ok(BigInt(gasUsed) > 21000n);
  const receipt = await mined(alice.sendTransaction({ to, data, type: 1, accessList }));
  assert.equal(receipt.status, 1);
});

test("a transaction is traced with the call and the struct tracer", async () => {
  const inner = probe.interface.encodeFunctionData("store", [1n, "traced"]);
  const { hash } = await mined(probe.forward(probe, inner));
  const call = await provider.send("debug_traceTransaction", [hash, { tracer: "callTracer" }]);
  assert.equal(call.type, "CALL");
  assert.equal(call.calls.length, 1);
  assert.equal(call.calls[0].input, inner);
  const struct = await provider.send("debug_traceTransaction", [hash, {}]);
  assert.equal(struct.failed, false);
  assert.ok(struct.structLogs.some(({ op }) => op === "SSTORE"));
  const failing = { to: await probe.getAddress(), data: probe.interface.encodeFunctionData("failWithReason") };
  const failed = await provider.send("debug_traceCall", [failing, "latest", { tracer: "callTracer" }]);
  assert.equal(failed.error, "execution reverted");
  assert.equal(failed.revertReason, "a reason in words");
});

test("blocks are linked, with their transactions and receipts", async () => {
  const receipt = await mined(alice.sendTransaction({ to: bob.address, value: 1n }));
  const block = await provider.getBlock(receipt.blockNumber, true);
  assert.equal(block.hash, receipt.blockHash);
  assert.ok(block.prefetchedTransactions.some(({ hash }) => hash === receipt.hash));
  const parent = await provider.getBlock(block.parentHash);
  assert.equal(parent.number, block.number - 1);
  assert.ok(parent.timestamp <= block.timestamp);
  const receipts = await provider.send("eth_getBlockReceipts", [ethers.toQuantity(block.number)]);
  assert.equal(receipts.length, block.length);
  for (const tag of ["latest", "safe", "finalized"]) assert.ok((await provider.getBlock(tag)).number >= block.number);
  assert.equal((await provider.getBlock("earliest")).number, 0);
  assert.ok((await provider.getBlock("pending")).number > block.number);
  assert.equal(await provider.getBlock(1_000_000_000), null);
  assert.equal(await provider.getTransactionReceipt(ethers.id("none")), null);
});

test("calls see the past, and what they are told to see", async () => {
  const receipt = await mined(probe.store(1000n, "then"));
  await mined(probe.store(2000n, "now"));
  assert.equal(await probe.value({ blockTag: receipt.blockNumber }), 1000n);
  assert.equal(await probe.value({ blockTag: "latest" }), 2000n);
  const to = await probe.getAddress();
  const data = probe.interface.encodeFunctionData("value");
  const overridden = { [to]: { stateDiff: { [ethers.toBeHex(0, 32)]: ethers.toBeHex(55, 32) } } };
  assert.equal(BigInt(await provider.send("eth_call", [{ to, data }, "latest", overridden])), 55n);
  const poor = { from: fresh(), to: fresh(), value: ethers.toQuantity(5) };
  assert.match((await rpcError("eth_call", poor, "latest")).message, /insufficient funds/);
  assert.equal(await provider.send("eth_call", [poor, "latest", { [poor.from]: { balance: "0x10" } }]), "0x");
});

test("refusals come as the errors that ethers knows", async () => {
  const nonce = await alice.getNonce();
  await assert.rejects(alice.sendTransaction({ to: bob.address, nonce: nonce - 1 }), isError("NONCE_EXPIRED"));
  const poor = ethers.Wallet.createRandom().connect(provider);
  await assert.rejects(poor.sendTransaction({ to: bob.address, value: 1n, gasLimit: 21000n }), isError("INSUFFICIENT_FUNDS"));
  assert.equal((await rpcError("eth_noSuchMethod")).code, -32601);
  assert.equal((await rpcError("eth_getBalance", "0x12")).code, -32602);
  assert.equal((await rpcError("eth_getBalance")).code, -32602);
});

test("a transaction with a gap waits for the one before it, and is replaced by one that pays more", async () => {
  const sender = wallets[7];
  const nonce = await sender.getNonce();
  const fees = { maxFeePerGas: 100_000_000_000n, maxPriorityFeePerGas: 2_000_000_000n, gasLimit: 21000n };
  const [lost, wins] = [fresh(), fresh()];
  const later = await sender.sendTransaction({ to: lost, value: 1n, nonce: nonce + 1, ...fees });
  const cheap = { to: lost, value: 2n, nonce: nonce + 1, ...fees, maxPriorityFeePerGas: 2_000_000_001n };
  await assert.rejects(sender.sendTransaction(cheap), isError("REPLACEMENT_UNDERPRICED"));
  const dear = { maxFeePerGas: 200_000_000_000n, maxPriorityFeePerGas: 4_000_000_000n };
  const replaced = await sender.sendTransaction({ to: wins, value: 3n, nonce: nonce + 1, ...fees, ...dear });
  assert.equal(await provider.getTransactionReceipt(replaced.hash), null);
  const queued = (await provider.send("txpool_content", [])).queued;
  const mine = Object.entries(queued).find(([address]) => address.toLowerCase() === sender.address.toLowerCase());
  assert.equal(mine[1][String(nonce + 1)].hash, replaced.hash);
  await mined(sender.sendTransaction({ to: wins, value: 4n, nonce, ...fees }));
  await replaced.wait();
  assert.equal(await provider.getBalance(wins), 7n);
  assert.equal(await provider.getBalance(lost), 0n);
  assert.equal(await provider.getTransactionReceipt(later.hash), null);
});

test("what waits is told of all that a block did to its sender's account, whoever sent the transaction", async () => {
  const functions = ["transfer(address, uint256)", "approve(address, uint256)", "transferFrom(address, address, uint256)"];
  const token = new ethers.Contract(
    "0x0000000000000000000000000000000000000C01", functions.map((name) => `function ${name} returns (bool)`), bob,
  );
  const owner = ethers.Wallet.createRandom().connect(provider);
  await mined(token.transfer(owner.address, coin("1")));
  await mined(token.connect(owner).approve(bob.address, coin("1")));
  const nonce = await owner.getNonce();
  const send = (after, value) => owner.sendTransaction({ to: fresh(), value, nonce: nonce + after, gasLimit: 21000n });
  const waits = async (after) => Object.keys((await rpc("txpool_contentFrom", owner.address)).queued).includes(`${nonce + after}`);

  // What pays for it is taken by a contract.
  await send(1, coin("0.5"));
  assert.ok(await waits(1));
  await mined(token.transferFrom(owner.address, bob.address, coin("0.9")));
  await until("what cannot be paid for is dropped", async () => !(await waits(1)));

  // What pays for it comes from a contract.
  const first = await send(1, 1n);
  await mined(token.transfer(owner.address, coin("1")));
  const second = await until("what can be paid for is taken", () => send(2, coin("0.5")).catch(() => null));

  // An authorization that somebody else sends uses up the nonce before it (EIP-7702).
  const address = await (await deploy(Batcher, alice)).getAddress();
  const authorizationList = [await owner.authorize({ address, nonce, chainId })];
  await mined(alice.sendTransaction({ type: 4, to: fresh(), authorizationList, gasLimit: 100_000n }));
  for (const sent of [first, second]) assert.equal((await sent.wait(1, 10_000)).status, 1);
});

test("a hundred transactions sent at once are all included", async () => {
  const manager = new ethers.NonceManager(wallets[6]);
  const to = fresh();
  const sent = await Promise.all(Array.from({ length: 100 }, () => manager.sendTransaction({ to, value: 1n, gasLimit: 21000n })));
  const receipts = await Promise.all(sent.map((transaction) => transaction.wait()));
  assert.ok(receipts.every(({ status }) => status === 1));
  assert.equal(await provider.getBalance(to), 100n);
});

test("batches answer each request in place", async () => {
  const numbers = await Promise.all(Array.from({ length: 150 }, () => provider.getBalance(wallets[9])));
  assert.ok(numbers.every((balance) => balance === coin("10000")));
  const { json } = await post([
    { jsonrpc: "2.0", id: "a", method: "eth_chainId", params: [] },
    { jsonrpc: "2.0", id: 2, method: "eth_nothing", params: [] },
    7,
    { jsonrpc: "2.0", method: "eth_blockNumber", params: [] },
  ]);
  const byId = (id) => json.find((answer) => answer.id === id);
  assert.equal(BigInt(byId("a").result), BigInt(chainId));
  assert.equal(byId(2).error.code, -32601);
  assert.equal(byId(null).error.code, -32600);
});

test("subscriptions over WebSocket: blocks, logs, pending transactions", async () => {
  const blocks = [], logs = [], pending = [];
  const live = probe.connect(socket);
  await socket.on("block", (number) => blocks.push(number));
  await socket.on("pending", (hash) => pending.push(hash));
  await live.on("Stored", (by, value) => logs.push(value));
  await socket.send("eth_chainId", []);
  const receipt = await mined(probe.store(4242n, "live"));
  await until("a block", () => blocks.includes(receipt.blockNumber));
  await until("a log", () => logs.includes(4242n));
  await until("a pending transaction", () => pending.includes(receipt.hash));
  await live.removeAllListeners();
  await socket.removeAllListeners();
  // Answered after the unsubscriptions before it.
  await socket.send("eth_chainId", []);
});

test("client, network and syncing", async () => {
  assert.match(await rpc("web3_clientVersion"), /^[\w-]+\/v\d/);
  assert.equal(await rpc("net_version"), String(chainId));
  assert.equal(await rpc("eth_syncing"), false);
  assert.equal(await rpc("web3_sha3", "0x68656c6c6f"), ethers.id("hello"));
});

test("the network says which it is to tools that look for Hardhat's", async () => {
  const [{ instanceId, ...metadata }, genesis] = await Promise.all([rpc("hardhat_metadata"), provider.getBlock(0)]);
  assert.equal(metadata.chainId, chainId);
  assert.equal(instanceId, genesis.hash);
  assert.equal(metadata.forkedNetwork, undefined);
  assert.deepEqual(await rpc("eth_requestAccounts"), await rpc("eth_accounts"));
});
