// ocean.js's ProviderInstance, unmodified, against a node that charges for files and for computing: what it asks, that it is paid with
// orders, for how long, and that whoever has not paid gets nothing.

"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const lib = require("@oceanprotocol/lib");
const { url, chainId, mnemonic, until, variable } = require("./support");
const { COIN, config, mined } = require("./market");
const { datatokens, publish, refused } = require("./provider");

const { ProviderInstance, ZERO_ADDRESS } = lib;
const folder = variable("STOA_FILES");
/** What the node charges: `--provide-fee` and `--provide-fee-minute`. */
const FILES = ethers.parseEther("0.5");
const MINUTE = ethers.parseEther("0.01");
/** A WebAssembly module that never ends. */
const LOOPS = "0061736d01000000010401600000030201000503010001" +
  "071302066d656d6f72790200065f73746172740000" + "0a0901070003400c000b0b";
const records = new ethers.Interface([
  "event OrderRecorded(bytes32 indexed order, address indexed consumer, address indexed payer, uint256 serviceIndex, uint256 until)",
]);
/** A provider's quote that is none. */
const unpaid = {
  providerFeeAddress: ZERO_ADDRESS, providerFeeToken: ZERO_ADDRESS, providerFeeAmount: "0", v: 0, r: ethers.ZeroHash,
  s: ethers.ZeroHash, validUntil: 0, providerData: "0x",
};

let provider, publisher, buyer, stranger, environment, content;
/** Data that are given away or have programs of their publisher run on them, and two programs. */
let hearts, copies, loops;

const program = (file) => publish(publisher, [buyer], { type: "local", file }, (document) => {
  document.metadata.type = "algorithm";
  const container = { entrypoint: "$ALGO", image: "wasm", tag: "1", checksum: `sha256:${"0".repeat(64)}` };
  document.metadata.algorithm = { language: "wasm", version: "1", container };
  document.services = document.services.filter((service) => service.type === "access");
});

const by = (asset, transferTxId) => ({ documentId: asset.did, serviceId: "access", transferTxId });
const on = (transferTxId, serviceId = "compute") => [{ documentId: hearts.did, serviceId, transferTxId }];
const asked = (as = buyer, ...more) => ProviderInstance.initialize(hearts.did, "access", 0, as.address, url, ...more);
const link = (shown, as = buyer) => ProviderInstance.getDownloadUrl(hearts.did, "access", 0, shown, url, as);
const gets = async (address) => Buffer.from((await lib.downloadFile(address)).data);
const idOf = (receipt) =>
  receipt.logs.map((log) => records.parseLog(log)).find((log) => log?.name === "OrderRecorded").args.order;

const initialized = (datasets, algorithm, seconds, token = COIN) => ProviderInstance.initializeCompute(
  datasets, algorithm, environment.id, token, seconds, url, buyer.address, [], chainId);
const started = (datasets, algorithm, seconds) => ProviderInstance.computeStart(
  url, buyer, environment.id, datasets, algorithm, seconds, COIN, [], chainId);

/** A job when it is over. */
const ended = ([{ jobId }]) => until("the end of a job", async () => {
  const [job] = await ProviderInstance.computeStatus(url, buyer, jobId);
  return job.dateFinished && job;
}, 60_000);

/** Does with what a node answers what Ocean's clients do: pays the fee with an order, or with one that stands, which is used again. */
async function ordered({ datatoken, validOrder, providerFee }, as = buyer, consumer = environment.consumerAddress, service = 0) {
  if (validOrder && !providerFee) return validOrder;
  const { providerFeeToken, providerFeeAmount } = providerFee;
  if (BigInt(providerFeeAmount) > 0n) {
    await mined(lib.approveWei(as, config, as.address, providerFeeToken, datatoken, providerFeeAmount, true));
  }
  const tokens = datatokens(as);
  const sent = validOrder
    ? tokens.reuseOrder(datatoken, validOrder, providerFee)
    : tokens.startOrder(datatoken, consumer, service, providerFee);
  return (await mined(sent)).hash;
}

/** Orders of data and a program, with what running it for so long costs. */
async function both(algorithm, seconds) {
  const terms = await initialized(on(), by(algorithm), seconds);
  return { data: await ordered(terms.datasets[0]), program: await ordered(terms.algorithm) };
}

const coins = () => provider.getBalance(environment.consumerAddress);

before(async () => {
  lib.LoggerInstance.setLevel(lib.LogLevel.None);
  content = fs.readFileSync(path.join(folder, "hearts.csv"));
  fs.writeFileSync(path.join(folder, "loops.wasm"), Buffer.from(LOOPS, "hex"));
  provider = new ethers.JsonRpcProvider(url, chainId, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  [publisher, buyer, stranger] = [1, 2, 3].map((index) =>
    ethers.HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`).connect(provider));
  hearts = await publish(publisher, [buyer, stranger], { type: "local", file: "hearts.csv" }, (document) => {
    document.services[0].compute = {
      allowRawAlgorithm: false, allowNetworkAccess: false, publisherTrustedAlgorithmPublishers: [publisher.address],
      publisherTrustedAlgorithms: [],
    };
  });
  copies = await program("copies.wasm");
  loops = await program("loops.wasm");
  [environment] = await ProviderInstance.getComputeEnvironments(url);
});

after(() => provider.destroy());

test("an environment says what a minute of a processor costs, and that nothing is free", async () => {
  const [{ feeToken, prices }] = environment.fees[chainId];
  assert.equal(feeToken.toLowerCase(), COIN);
  assert.deepEqual(prices, [{ id: "cpu", price: 0.01 }, { id: "ram", price: 0 }, { id: "disk", price: 0 }]);
  assert.deepEqual([environment.free, environment.maxJobDuration], [undefined, 3600]);
  await assert.rejects(
    ProviderInstance.freeComputeStart(url, buyer, environment.id, on(), by(copies)), /no computing is free here/);
});

test("whoever orders files pays the fee, to the node, once, and whoever has not gets nothing", async () => {
  const bare = await mined(datatokens(buyer).startOrder(hearts.datatoken, buyer.address, 1, unpaid));
  for (const shown of [bare.hash, idOf(bare)]) await refused(fetch(await link(shown)), 403, /has not paid this node's fee/);
  const { providerFee, datatoken } = await asked();
  assert.deepEqual([providerFee.providerFeeToken.toLowerCase(), providerFee.providerFeeAmount], [COIN, `${FILES}`]);
  // Nobody is taken the fee from who has not allowed it.
  await assert.rejects(datatokens(buyer).startOrder(hearts.datatoken, buyer.address, 1, providerFee));
  const before = await coins();
  const paid = await ordered({ datatoken, validOrder: idOf(bare), providerFee });
  assert.equal(await coins() - before, FILES);
  for (let time = 0; time < 2; time++) assert.deepEqual(await gets(await link(paid)), content);
  // The order by itself shows no fee, and the quote is used up.
  await refused(fetch(await link(idOf(bare))), 403, /has not paid/);
  await assert.rejects(ordered({ datatoken, validOrder: idOf(bare), providerFee }));
  // With an order it is paid at once.
  const next = await ordered(await asked(), buyer, buyer.address, 1);
  assert.deepEqual(await gets(await link(next)), content);
  assert.equal(await coins() - before, 2n * FILES);
});

test("a fee is its consumer's, and of what it was quoted for", async () => {
  const theirs = await ordered(await asked(buyer), stranger, stranger.address, 1);
  await refused(fetch(await link(theirs, stranger)), 403, /has not paid/);
  await refused(fetch(await link(theirs, buyer)), 403, /placed no order/);
  // One for computing gives no files away.
  const [{ datatoken, providerFee }] = (await initialized(on(), by(copies), 60)).datasets;
  const computing = await ordered({ datatoken, providerFee }, buyer, buyer.address, 1);
  await refused(fetch(await link(computing)), 403, /has not paid/);
});

test("a fee ends with its quote, and the order stands: it is used again with another", async () => {
  const ends = Math.floor(Date.now() / 1000) + 15;
  const quote = await asked(buyer, undefined, undefined, undefined, ends);
  assert.equal(quote.providerFee.validUntil, `${ends}`);
  const shown = await ordered(quote, buyer, buyer.address, 1);
  assert.deepEqual(await gets(await link(shown)), content);
  await until("the quote's end", () => Date.now() / 1000 > ends + 1, 30_000);
  await refused(fetch(await link(shown)), 403, /good no longer.*reuseOrder/);
  const order = idOf(await provider.getTransactionReceipt(shown));
  const { datatoken, providerFee } = await asked();
  assert.deepEqual(await gets(await link(await ordered({ datatoken, validOrder: order, providerFee }))), content);
});

test("computing is paid for by the minute with the order of the first data set, and once while the quote is good", async () => {
  const before = await coins();
  const terms = await initialized(on(), by(copies), 90);
  const { providerFee } = terms.datasets[0];
  assert.deepEqual([providerFee.providerFeeToken.toLowerCase(), providerFee.providerFeeAmount], [COIN, `${2n * MINUTE}`]);
  assert.deepEqual([terms.algorithm.providerFee.providerFeeAmount, terms.payment.amount], ["0", "0"]);
  const shown = { data: await ordered(terms.datasets[0]), program: await ordered(terms.algorithm) };
  assert.equal(await coins() - before, 2n * MINUTE);
  assert.equal((await ended(await started(on(shown.data), by(copies, shown.program), 90))).status, 70);
  // Both minutes were paid for, for any number of jobs.
  const again = await initialized(on(shown.data), by(copies, shown.program), 120);
  assert.deepEqual([again.datasets[0].validOrder, again.datasets[0].providerFee], [shown.data, undefined]);
  assert.equal((await ended(await started(on(shown.data), by(copies, shown.program), 120))).status, 70);
  assert.equal(await coins() - before, 2n * MINUTE);
  // Not for longer ones: the order stands, by its id, and the fee is another.
  await assert.rejects(started(on(shown.data), by(copies, shown.program), 121), /has not paid/);
  const longer = (await initialized(on(shown.data), by(copies, shown.program), 121)).datasets[0];
  const order = idOf(await provider.getTransactionReceipt(shown.data));
  assert.deepEqual([longer.validOrder, longer.providerFee.providerFeeAmount], [order, `${3n * MINUTE}`]);
  const more = await ordered(longer);
  assert.equal((await ended(await started(on(more), by(copies, shown.program), 180))).status, 70);
});

test("one fee pays for one job at a time", async () => {
  const shown = await both(loops, 60);
  const start = () => started(on(shown.data), by(loops, shown.program), 60);
  const first = await start();
  await assert.rejects(start(), /one job at a time/);
  await ProviderInstance.computeStop(first[0].jobId, url, buyer);
  assert.equal((await ended(first)).status, 70);
  const second = await start();
  await ProviderInstance.computeStop(second[0].jobId, url, buyer);
  await ended(second);
});

test("without a fee nothing is computed, and files that could be given away cost what they cost elsewhere", async () => {
  const shown = await both(copies, 60);
  const bare = await mined(datatokens(buyer).startOrder(hearts.datatoken, environment.consumerAddress, 0, unpaid));
  await assert.rejects(started(on(bare.hash), by(copies, shown.program), 60), /has not paid/);
  const { datasets } = await initialized(on(bare.hash), by(copies, shown.program), 60);
  assert.deepEqual([datasets[0].validOrder, datasets[0].providerFee.providerFeeAmount], [idOf(bare), `${MINUTE}`]);
  // A program could leave them as they are.
  const given = await initialized(on(undefined, "access"), by(copies), 60);
  assert.equal(given.datasets[0].providerFee.providerFeeAmount, `${FILES + MINUTE}`);
  await assert.rejects(initialized(on(), by(copies), 60, hearts.datatoken), /payment\.token/);
});
