// ocean.js's ProviderInstance, unmodified, against a node that runs programs on files which it does not give away: from two orders to
// what a program leaves, and all that runs nothing.

"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const lib = require("@oceanprotocol/lib");
const { url, chainId, mnemonic, until, variable } = require("./support");
const { COIN, mined } = require("./market");
const { datatokens, nfts, publish, refused, say } = require("./provider");

const { ProviderInstance } = lib;
const folder = variable("STOA_FILES");

/** A program that says how many rows there are and what they come to, and where it found things. */
const MEAN = `
import json, os
dids = json.loads(os.environ["DIDS"])
path = "/data/inputs/" + dids[0] + "/0"
rows = open(path).read().splitlines()[1:]
told = json.load(open("/data/inputs/algoCustomData.json"))
values = [float(row.split(",")[told.get("column", 1)]) for row in rows]
same = open("/data/hearts.csv").read() == open(path).read()
documents = [json.load(open("/data/ddos/" + did))["id"] for did in [dids[0], os.environ["TRANSFORMATION_DID"]]]
json.dump({"rows": len(values), "values": [sum(values) / len(values)]}, open("/data/outputs/result.json", "w"))
json.dump({"same": same, "documents": documents}, open("/data/outputs/found.json", "w"))
print("read", len(rows), "rows")
`;

let provider, publisher, buyer, stranger, environment;
/** What the file of the data holds, and the mean of its second column. */
let content, mean;
/** Data on which the program may run, and the program. */
let hearts, program;
/** What the buyer has ordered of both. */
const orders = {};

const container = (entrypoint) => ({ entrypoint, image: "python", tag: "3", checksum: "sha256:2d7ecc9c5e08953d586a6e50c29b9147" });
const sha256 = (bytes) => ethers.sha256(bytes).slice(2);

/** Publishes a program: this file, run so. */
const publishProgram = (file, entrypoint = "python $ALGO", change = () => {}) =>
  publish(publisher, [buyer, stranger], { type: "local", file }, (document) => {
    document.metadata.type = "algorithm";
    document.metadata.algorithm = { language: "py", version: "1", container: container(entrypoint) };
    document.services = document.services.filter((service) => service.type === "access");
    change(document);
  });

/** How a document trusts a program, in this file, run so. */
const trusting = (asset, file, entrypoint = "python $ALGO") => ({
  did: asset.did, serviceId: "access", filesChecksum: sha256(fs.readFileSync(path.join(folder, file))),
  containerSectionChecksum: sha256(ethers.toUtf8Bytes(container(entrypoint).entrypoint + container(entrypoint).checksum)),
});

/** Publishes data on which these programs may run. */
const publishData = (algorithms, compute = {}, more = {}, change = () => {}) =>
  publish(publisher, [buyer, stranger], { type: "local", file: "hearts.csv" }, (document) => {
    document.services[0].compute = {
      allowRawAlgorithm: false, allowNetworkAccess: true, publisherTrustedAlgorithmPublishers: [],
      publisherTrustedAlgorithms: algorithms, ...compute,
    };
    change(document);
  }, more);

/** What lets any program run, and what may leave then: a count, and what was printed. */
const ANY = { publisherTrustedAlgorithmPublishers: ["*"], allowRawAlgorithm: true };
const RULES = { rules: { files: { count: { kind: "anything", most: 1000 } }, log: true, rounds: 1, budget: 1_000_000 } };
const publishOpen = () => publishData([], ANY, RULES);

const on = (asset, transferTxId, serviceId = "compute") => [{ documentId: asset.did, serviceId, transferTxId }];
const by = (asset, transferTxId, more = {}) => ({ documentId: asset.did, serviceId: "access", transferTxId, ...more });
const raw = (rawcode, entrypoint = "python $ALGO") =>
  ({ meta: { language: "py", version: "1", rawcode, container: container(entrypoint) } });

const initialized = (datasets, algorithm, as = buyer, resources = []) =>
  ProviderInstance.initializeCompute(datasets, algorithm, environment.id, COIN, 600, url, as.address, resources, chainId);
const started = (datasets, algorithm, as = buyer, ...more) =>
  ProviderInstance.computeStart(url, as, environment.id, datasets, algorithm, 600, COIN, [], chainId, ...more);

/** Orders what has no order, as Ocean's clients do: for the environment. */
async function ordered(terms, as, consumer = environment.consumerAddress, service = 0) {
  if (terms.validOrder && !terms.providerFee) return terms.validOrder;
  return (await mined(datatokens(as).startOrder(terms.datatoken, consumer, service, terms.providerFee))).hash;
}

/** Orders data and a program; what is shown for it. */
async function both(data, algorithm, as = buyer, consumer = environment.consumerAddress) {
  const terms = await initialized(on(data), by(algorithm), as);
  return { data: await ordered(terms.datasets[0], as, consumer), program: await ordered(terms.algorithm, as, consumer) };
}

/** A job when it is over. */
const ended = ([{ jobId }], as = buyer) => until("the end of a job", async () => {
  const [job] = await ProviderInstance.computeStatus(url, as, jobId);
  return job.dateFinished && job;
}, 60_000);

async function bytes(job, index, as = buyer) {
  const parts = [];
  for await (const part of await ProviderInstance.getComputeResult(url, as, job.jobId, index)) parts.push(part);
  return Buffer.concat(parts);
}

/** What a job has left under a name, if it has. */
async function left(job, filename, as = buyer) {
  const result = job.results.find((result) => result.filename === filename);
  return result && bytes(job, result.index, as);
}

/** The files of a tar archive. */
function unpacked(archive) {
  const files = {};
  for (let at = 0; archive[at];) {
    const text = (from, to) => archive.toString("latin1", at + from, at + to).replace(/\0.*$/s, "");
    const size = parseInt(text(124, 136), 8);
    files[text(0, 100)] = archive.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

before(async () => {
  lib.LoggerInstance.setLevel(lib.LogLevel.None);
  content = fs.readFileSync(path.join(folder, "hearts.csv"));
  const values = content.toString().trim().split("\n").slice(1).map((row) => Number(row.split(",")[1]));
  mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  provider = new ethers.JsonRpcProvider(url, chainId, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  [publisher, buyer, stranger] = [1, 2, 3].map((index) =>
    ethers.HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`).connect(provider));
  fs.writeFileSync(path.join(folder, "mean.py"), MEAN);
  program = await publishProgram("mean.py");
  hearts = await publishData([trusting(program, "mean.py")]);
});

after(() => provider.destroy());

test("a client finds one environment, what it has, and that it costs nothing", async () => {
  const all = await ProviderInstance.getComputeEnvironments(url);
  assert.equal(all.length, 1);
  [environment] = all;
  assert.deepEqual(environment.resources.map(({ id }) => id), ["cpu", "ram", "disk"]);
  for (const { min, max, total } of environment.resources) assert.ok(min <= max && max <= total);
  assert.ok(environment.maxJobDuration >= 60 && environment.free && ethers.isAddress(environment.consumerAddress));
  assert.ok(environment.fees[chainId][0].prices.every(({ price }) => price === 0));
  const { serviceEndpoints, providerAddress } = await (await fetch(url)).json();
  assert.equal(providerAddress, environment.consumerAddress);
  for (const [name, route] of [["initializeCompute", "initializeCompute"], ["computeStart", "compute"], ["computeStatus", "compute"],
    ["computeStop", "compute"], ["freeCompute", "freeCompute"], ["computeResult", "computeResult"]]) {
    assert.equal(serviceEndpoints[name][1], `/api/services/${route}`);
  }
});

test("data and a program are ordered, the program runs, and what it leaves comes back", async () => {
  const terms = await initialized(on(hearts), by(program));
  for (const [asset, of] of [[hearts, terms.datasets[0]], [program, terms.algorithm]]) {
    assert.equal(of.did, asset.did);
    assert.equal(of.datatoken.toLowerCase(), asset.datatoken.toLowerCase());
    assert.equal(of.validOrder, false);
    assert.equal(of.providerFee.providerFeeAmount, "0");
  }
  assert.deepEqual([terms.payment.amount, terms.payment.payee], ["0", environment.consumerAddress]);
  orders.data = await ordered(terms.datasets[0], buyer);
  orders.program = await ordered(terms.algorithm, buyer);
  const { algorithm, datasets } = await initialized(on(hearts, orders.data), by(program, orders.program));
  assert.deepEqual([algorithm.validOrder, algorithm.providerFee], [orders.program, undefined]);
  assert.deepEqual([datasets[0].validOrder, datasets[0].providerFee], [orders.data, undefined]);

  // Clients send what the document says of the program as well.
  const meta = { language: "py", version: "1", container: container("python $ALGO") };
  const said = await ProviderInstance.computeStart(
    url, buyer, environment.id, on(hearts, orders.data), by(program, orders.program, { meta }), 600, COIN, environment.resources,
    chainId, { mine: "yes" });
  assert.equal(said.length, 1);
  assert.ok(!said[0].dateFinished && [0, 1, 30, 40].includes(said[0].status));
  const job = await ended(said);
  assert.deepEqual([job.status, job.statusText], [70, "Job finished"], JSON.stringify(job));
  assert.deepEqual([job.owner, job.algoDID, job.inputDID, job.metadata], [buyer.address, program.did, [hearts.did], { mine: "yes" }]);
  assert.deepEqual(job.terminationDetails, { exitCode: 0, OOMKilled: false });
  assert.deepEqual(job.results.map(({ filename, type, index }) => [filename, type, index]),
    [["algorithm.log", "algorithmLog", 0], ["outputs.tar", "output", 1]]);
  assert.equal(`${await bytes(job, 0)}`, `read ${content.toString().trim().split("\n").length - 1} rows\n`);
  const files = unpacked(await bytes(job, 1));
  assert.deepEqual(Object.keys(files), ["outputs/found.json", "outputs/result.json"]);
  const { rows, values } = JSON.parse(files["outputs/result.json"]);
  assert.ok(rows > 1000 && Math.abs(values[0] - mean) < 1e-9);
  assert.deepEqual(JSON.parse(files["outputs/found.json"]), { same: true, documents: [hearts.did, program.did] });
  // By its address, from a later byte on, and once for each signature.
  const whole = await bytes(job, 1);
  const address = await ProviderInstance.getComputeResultUrl(url, buyer, job.jobId, 1);
  assert.equal(whole.length, job.results[1].filesize);
  const rest = await fetch(address, { headers: { range: "bytes=512-" } });
  assert.deepEqual([rest.status, Buffer.from(await rest.arrayBuffer())], [206, whole.subarray(512)]);
  await refused(fetch(address), 401, /used up/);
});

test("an order is good for more than one job, also one that is for oneself, and what the program is told gets there", async () => {
  const again = await ended(await started(on(hearts, orders.data), by(program, orders.program, { algocustomdata: { column: 2 } })));
  const { values } = JSON.parse(unpacked(await left(again, "outputs.tar"))["outputs/result.json"]);
  assert.ok(values[0] >= 0 && values[0] <= 1);
  const own = await both(hearts, program, stranger, stranger.address);
  const job = await ended(await started(on(hearts, own.data), by(program, own.program), stranger), stranger);
  assert.equal(job.status, 70);
});

test("whoever did not start a job is not told of it, does not stop it, and gets nothing that it has left", async () => {
  const said = await started(on(hearts, orders.data), by(program, orders.program));
  const job = await ended(said);
  assert.deepEqual(await ProviderInstance.computeStatus(url, stranger, job.jobId), []);
  await assert.rejects(ProviderInstance.computeStop(job.jobId, url, stranger), /no such job/);
  await refused(fetch(await ProviderInstance.getComputeResultUrl(url, stranger, job.jobId, 1)), 404, /no such job/);
  const theirs = new URL(await ProviderInstance.getComputeResultUrl(url, stranger, job.jobId, 1));
  theirs.searchParams.set("consumerAddress", buyer.address);
  await refused(fetch(theirs), 401, /has not signed/);
  await refused(fetch(await ProviderInstance.getComputeResultUrl(url, buyer, job.jobId, 9)), 404, /index/);
  await refused(fetch(await ProviderInstance.getComputeResultUrl(url, buyer, "../../job", 0)), 404, /no such job/);
  // Which jobs somebody has is told to whoever shows a token of his.
  await refused(fetch(`${url}/api/services/compute?consumerAddress=${buyer.address}`), 401, /not signed/);
  const token = await ProviderInstance.generateAuthToken(buyer, url);
  const jobs = await ProviderInstance.computeStatus(url, token);
  assert.ok(jobs.length >= 3 && jobs.every(({ owner }) => owner === buyer.address));
  assert.equal(jobs[0].jobId, job.jobId);
  const stolen = await fetch(`${url}/api/services/compute?consumerAddress=${stranger.address}`, { headers: { authorization: token } });
  await refused(stolen, 401, /consumerAddress/);
});

test("without orders that are one's own and stand nothing runs, also what is asked for as free", async () => {
  const nobody = ethers.hexlify(ethers.randomBytes(32));
  await assert.rejects(started(on(hearts, nobody), by(program, nobody)), /placed no order/);
  const fresh = await publishData([trusting(program, "mean.py")]);
  await assert.rejects(started(on(fresh), by(program, orders.program)), /has no order/);
  await assert.rejects(ProviderInstance.freeComputeStart(url, buyer, environment.id, on(fresh), by(program)), /has no order/);
  // What others have paid for, for the same environment, is theirs.
  await assert.rejects(started(on(hearts, orders.data), by(program, orders.program), publisher), /placed no order/);
  // An order of another asset, and of another service.
  await assert.rejects(started(on(fresh, orders.data), by(program, orders.program)), /placed no order/);
  const { providerFee } = (await initialized(on(fresh), by(program))).datasets[0];
  const second = await mined(datatokens(buyer).startOrder(fresh.datatoken, environment.consumerAddress, 1, providerFee));
  await assert.rejects(started(on(fresh, second.hash), by(program, orders.program)), /placed no order of service 0/);
  // Once there are orders, the ledger knows them, and one that is asked for as free needs to show none.
  await both(fresh, program);
  const job = await ended(await ProviderInstance.freeComputeStart(url, buyer, environment.id, on(fresh), by(program)));
  assert.deepEqual([job.status, job.isFree], [70, true]);
});

test("an order ends, and is too little for another job then", async () => {
  const short = await publishData([trusting(program, "mean.py")], {}, {}, (document) => { document.services[0].timeout = 5; });
  const shown = await both(short, program);
  assert.equal((await ended(await started(on(short, shown.data), by(program, shown.program)))).status, 70);
  const { blockNumber } = await provider.getTransactionReceipt(shown.data);
  const ends = (await provider.getBlock(blockNumber)).timestamp + 5;
  await until("the order's end", async () => (await provider.getBlock("latest")).timestamp >= ends);
  await assert.rejects(started(on(short, shown.data), by(program, shown.program)), /order again/);
  const { datasets } = await initialized(on(short, shown.data), by(program, shown.program));
  assert.equal(datasets[0].validOrder, false);
  const next = await ordered(datasets[0], buyer);
  assert.equal((await ended(await started(on(short, next), by(program, shown.program)))).status, 70);
});

test("what is not in the list of trust does not run, nor anything under the name of what is", async () => {
  fs.writeFileSync(path.join(folder, "leak.py"), "import shutil; shutil.copy('/data/hearts.csv', '/out/all.csv')");
  const leak = await publishProgram("leak.py");
  const open = await publishOpen();
  const terms = await initialized(on(open), by(leak));
  const shown = { data: orders.data, program: await ordered(terms.algorithm, buyer) };
  const not = new RegExp(`Algorithm ${leak.did} not allowed to run on the dataset: ${hearts.did}`);
  await assert.rejects(initialized(on(hearts), by(leak)), not);
  await assert.rejects(started(on(hearts, shown.data), by(leak, shown.program)), not);
  await assert.rejects(
    ProviderInstance.freeComputeStart(url, buyer, environment.id, on(hearts, shown.data), by(leak, shown.program)), not);
  // Under the trusted one's DID: with code, a container or variables of the caller's.
  const mine = (more) => started(on(hearts, orders.data), by(program, orders.program, more));
  await assert.rejects(mine(raw("print(1)")), /not both/);
  await assert.rejects(mine({ meta: { container: container("python $ALGO --all") } }), /meta.container/);
  await assert.rejects(mine({ envs: { PYTHONPATH: "/data" } }), /envs/);
  await assert.rejects(started(on(hearts, orders.data), raw("print(1)")), /not allowed/);
  // Lists that are empty, or not there, let nothing run; nor raw code alone.
  const missing = { publisherTrustedAlgorithms: undefined, publisherTrustedAlgorithmPublishers: undefined };
  for (const compute of [{}, missing, { allowRawAlgorithm: true }]) {
    const closed = await publishData([], compute);
    await assert.rejects(initialized(on(closed), by(program)), /not allowed/);
    await assert.rejects(initialized(on(closed), raw("print(1)")), /not allowed/);
  }
  // A file that is another one now, whatever its asset says.
  fs.writeFileSync(path.join(folder, "changes.py"), "print('as it was')");
  const changes = await publishProgram("changes.py");
  const data = await publishData([trusting(changes, "changes.py")]);
  const has = await both(data, changes);
  assert.equal((await ended(await started(on(data, has.data), by(changes, has.program)))).status, 70);
  fs.writeFileSync(path.join(folder, "changes.py"), "print('otherwise')");
  await assert.rejects(started(on(data, has.data), by(changes, has.program)), /not allowed/);
});

test("publishers are trusted by the program's NFT or the account that published it, and raw code where it may run", async () => {
  for (const publishers of [[program.nft], [publisher.address]]) {
    await initialized(on(await publishData([], { publisherTrustedAlgorithmPublishers: publishers })), by(program));
  }
  const closed = await publishData([], { publisherTrustedAlgorithmPublishers: [stranger.address] });
  await assert.rejects(initialized(on(closed), by(program)), /not allowed/);
  const open = await publishOpen();
  const code = "open('/out/count', 'w').write(str(len(open('/data/hearts.csv').readlines())))";
  const { datasets, algorithm } = await initialized(on(open), raw(code));
  assert.deepEqual(algorithm, { validOrder: false });
  const job = await ended(await started(on(open, await ordered(datasets[0], buyer)), raw(code)));
  assert.deepEqual([job.status, job.algoDID], [70, null]);
  const files = unpacked(await left(job, "outputs.tar"));
  assert.equal(`${files["outputs/count"]}`, `${content.toString().trim().split("\n").length}`);
  await assert.rejects(initialized(on(open), raw("x".repeat((256 << 10) + 1))), /bytes at most/);
  // No program reaches a network, whatever the document says, nor anything of the machine.
  const tries = `
import socket, os
open("/out/count", "w").write("0")
try: socket.create_connection(("127.0.0.1", 80), 1); print("a network")
except OSError: print("none")
print(sorted(os.listdir("/data")), os.path.exists("/root/.ssh"))
`;
  const alone = await ended(await started(on(open, (await initialized(on(open), raw(code))).datasets[0].validOrder), raw(tries)));
  assert.match(`${await left(alone, "algorithm.log")}`, /^none\n\['ddos', 'hearts\.csv', 'inputs', 'outputs', 'transformations'\] False/);
});

test("where any program may run nothing leaves but what the publisher has said, and no rules are no leave", async () => {
  const leak = await publishProgram("leak.py");
  const any = { ...trusting({ did: "*" }, "leak.py"), filesChecksum: "*" };
  for (const compute of [ANY, { publisherTrustedAlgorithms: [any] }]) {
    const loose = await publishData([], compute);
    await assert.rejects(initialized(on(loose), by(leak)), /has not said what may leave/);
    await assert.rejects(started(on(loose), by(leak)), /has not said what may leave/);
  }
  await assert.rejects(initialized(on(await publishData([], ANY)), raw("print(1)")), /has not said what may leave/);
  const open = await publishOpen();
  const shown = await both(open, leak);
  const job = await ended(await started(on(open, shown.data), by(leak, shown.program)));
  assert.deepEqual([job.status, job.results.map(({ filename }) => filename)], [61, ["publish.log"]]);
  // Nor are the files given away under another service: they are sealed with rules.
  const receipt = await mined(datatokens(buyer).startOrder(open.datatoken, buyer.address, 1,
    (await ProviderInstance.initialize(hearts.did, "access", 0, buyer.address, url)).providerFee));
  const download = await ProviderInstance.getDownloadUrl(open.did, "access", 0, receipt.hash, url, buyer);
  await refused(fetch(download), 403, /sealed with rules/);
  await assert.rejects(ProviderInstance.initialize(open.did, "access", 0, buyer.address, url), /sealed with rules/);
  await assert.rejects(ProviderInstance.checkDidFiles(open.did, "access", url), /sealed with rules/);
});

test("modules of WebAssembly run as well, and other entrypoints are refused with what there is", async () => {
  const module = await publishProgram("copies.wasm", "wasmtime $ALGO");
  const data = await publishData([trusting(module, "copies.wasm", "wasmtime $ALGO")]);
  const shown = await both(data, module);
  const job = await ended(await started(on(data, shown.data), by(module, shown.program)));
  assert.equal(job.status, 70, `${await left(job, "publish.log")}`);
  const copied = unpacked(await left(job, "outputs.tar"))["outputs/result.json"];
  assert.ok(copied.length > 1000 && content.subarray(0, copied.length).equals(copied));
  const open = await publishOpen();
  for (const entrypoint of ["node $ALGO", "sh -c $ALGO", "Rscript $ALGO", "python"]) {
    await assert.rejects(initialized(on(open), raw("1", entrypoint)), /python \$ALGO.*\$ALGO.*WebAssembly.*no images/);
  }
  await assert.rejects(initialized(on(open), raw("print(1)", "$ALGO")), /no WebAssembly module/);
});

test("where the publisher has sealed rules with his files, they say what leaves", async () => {
  const shape = { kind: "numbers", most: 10, keys: ["rows", "values"] };
  const rules = { files: { "result.json": shape }, rounds: 1, budget: 8 };
  const strict = await publishData([trusting(program, "mean.py")], {}, { rules });
  const shown = await both(strict, program);
  const run = async () => ended(await started(on(strict, shown.data), by(program, shown.program)));
  const job = await run();
  assert.deepEqual([job.status, job.results.map(({ filename }) => filename)], [70, ["outputs.tar"]]);
  assert.deepEqual(job.terminationDetails, { exitCode: null, OOMKilled: null });
  assert.deepEqual(Object.keys(unpacked(await left(job, "outputs.tar"))), ["outputs/result.json"]);
  // Two numbers, the list that one of them is in, and a round: eight are soon used up.
  assert.equal((await run()).status, 70);
  const last = await run();
  assert.deepEqual([last.status, last.results.map(({ type }) => type)], [61, ["publishLog"]]);
  assert.match(`${await left(last, "publish.log")}`, /may leave to this buyer/);
  const wrong = await ProviderInstance.encrypt({ nftAddress: strict.nft, datatokenAddress: strict.datatoken,
    files: [{ type: "local", file: "hearts.csv" }], rules: { ...rules, budget: 0 } }, chainId, url, publisher);
  assert.match(JSON.parse(wrong).error, /rules/);
});

test("a job is stopped by whoever started it, one that fails says so, and bounds hold", async () => {
  const open = await publishOpen();
  const shown = await ordered((await initialized(on(open), raw("1"))).datasets[0], buyer);
  const run = (code, ...more) => started(on(open, shown), raw(code), buyer, ...more);
  const endless = await run("while True: pass");
  await until("that it runs", async () => (await ProviderInstance.computeStatus(url, buyer, endless[0].jobId))[0].status === 40, 30_000);
  assert.equal(await ProviderInstance.computeStreamableLogs(url, buyer, endless[0].jobId), null);
  const [stopping] = await ProviderInstance.computeStop(endless[0].jobId, url, buyer);
  assert.equal(stopping.stopRequested, true);
  const stopped = await ended(endless);
  assert.deepEqual([stopped.status, `${await left(stopped, "publish.log")}`], [70, "it was stopped"]);
  assert.equal(await left(stopped, "outputs.tar"), undefined);
  const failed = await ended(await run("print('so far'); raise SystemExit(3)"));
  assert.deepEqual([failed.status, failed.statusText, failed.terminationDetails.exitCode], [41, "Failed to run algorithm", 3]);
  assert.match(`${await left(failed, "publish.log")}`, /with code 3[^]*so far/);

  const many = [];
  await assert.rejects(async () => { for (;;) many.push(await run("while True: pass")); }, /too many jobs/);
  assert.equal(many.length, 3);
  for (const job of many) await ProviderInstance.computeStop(job[0].jobId, url, buyer);
  for (const job of many) await ended(job);
  const most = environment.resources.map(({ id, max }) => ({ id, amount: max + 1 }));
  await assert.rejects(initialized(on(open), raw("1"), buyer, most), /Not enough cpu resources/);
  await assert.rejects(run("1", undefined, ["0x01"]), /additionalViewers/);
  await assert.rejects(initialized([...on(open), ...on(open)], raw("1")), /once/);
  const elsewhere = ProviderInstance.computeStart(url, buyer, "ocean-compute", on(open, shown), raw("1"), 60, COIN, [], chainId);
  await assert.rejects(elsewhere, /Invalid C2D Environment/);
});

test("what programs run on is not given away, nor run on once it is taken back", async () => {
  const download = await ProviderInstance.getDownloadUrl(hearts.did, "compute", 0, orders.data, url, buyer);
  await refused(fetch(download), 403, /gives nothing away/);
  await assert.rejects(ProviderInstance.checkDidFiles(hearts.did, "compute", url), /gives nothing away/);
  const asset = await publishData([trusting(program, "mean.py")]);
  const shown = await both(asset, program);
  const trusts = (document) => {
    document.services[0].compute = {
      publisherTrustedAlgorithmPublishers: [publisher.address], publisherTrustedAlgorithms: [],
    };
  };
  await say(publisher, asset, (document) => {
    trusts(document);
    document.credentials.deny = [{ type: "address", values: [buyer.address.toLowerCase()] }];
  });
  await assert.rejects(started(on(asset, shown.data), by(program, shown.program)), /credentials/);
  await say(publisher, asset, trusts);
  assert.equal((await ended(await started(on(asset, shown.data), by(program, shown.program)))).status, 70);
  await mined(nfts(publisher).setMetadataState(asset.nft, publisher.address, 3));
  await assert.rejects(started(on(asset, shown.data), by(program, shown.program)), /revoked/);
});

test("bad questions get errors, and the node goes on", async () => {
  const ask = (route, body, method = "POST") => fetch(`${url}/api/services/${route}`, { method, body });
  for (const route of ["compute", "freeCompute", "initializeCompute"]) {
    for (const body of ["", "{", "[]", "null", "{}", "[".repeat(100_000), `{"datasets":[${"{},".repeat(20_000)}{}]}`]) {
      await refused(ask(route, body), 400, /./);
    }
    await refused(ask(route, " ".repeat(4 << 20)), 413, /at most/);
  }
  await refused(ask("compute", JSON.stringify({ datasets: on(hearts), algorithm: by(program) })), 401, /not signed/);
  await refused(ask("compute?jobId=1", undefined, "PUT"), 401, /not signed/);
  await refused(ask("compute?jobId=1", undefined, "GET"), 400, /consumerAddress/);
  await refused(ask("computeResult?jobId=1&index=0", undefined, "GET"), 401, /not signed/);
  await refused(ask("auth/token", "{}"), 400, /address/);
  assert.equal((await ask("compute?jobId=1", undefined, "DELETE")).status, 405);
  const [same] = await ProviderInstance.getComputeEnvironments(url);
  assert.deepEqual([same.id, same.runningJobs], [environment.id, 0]);
});
