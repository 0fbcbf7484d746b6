// What `stoa data publish` puts on the ledger is what Ocean's own programs take: its document by @oceanprotocol/ddo-js, its NFT,
// datatoken and dispenser by ocean.js, all unmodified.

"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const { url, chainId } = require("./support");
const { artifact } = require("./ocean");

const at = (end) => ethers.getAddress(`0x${"0".repeat(36)}${end}`);
const FOLDER = fs.mkdtempSync(path.join(os.tmpdir(), "stoa-ddo-"));
const SELLER = 3;
const EVENTS = new ethers.Interface(artifact("templates/ERC721Template").abi);

let provider, ddoJs;

/** What a command of the program prints. */
const stoa = (...words) => JSON.parse(execFileSync(process.env.STOA_BIN,
  ["--json", ...words, "--http", url, "--account", String(SELLER)], { cwd: FOLDER, encoding: "utf8", stdio: "pipe" }));

/** Puts a table on the market, for computing where it is. */
function publish(name, ...more) {
  fs.writeFileSync(path.join(FOLDER, `${name}.csv`), "age,chol,born\n63,233.5,1950-01-02\n41,204,1981-03-04\n");
  return stoa("data", "--dir", "seller", "publish", `${name}.csv`, "--compute", "--data", path.join(FOLDER, "data"),
    "--node", `0x${"11".repeat(32)}`, "--algorithm", `0x${"22".repeat(32)}`, "--name", "Hearts", "--description", "Rows of people\nand their hearts.",
    "--license", "CC-BY-4.0", "--tag", "heart", "--tag", "rows", "--link", "https://example.org/hearts", "--yes", ...more);
}

/** The last document of an NFT, and the hash that was published with it. */
async function documentOf(nft) {
  const logs = await provider.getLogs({ address: nft, fromBlock: 0, toBlock: "latest" });
  const events = logs.map((log) => EVENTS.parseLog(log)).filter((event) => /^Metadata(Created|Updated)$/.test(event?.name));
  const { flags, data, metaDataHash } = events.at(-1).args;
  assert.equal(flags, "0x00");
  return { bytes: ethers.getBytes(data), hash: metaDataHash };
}

before(async () => {
  provider = new ethers.JsonRpcProvider(url, chainId, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  ddoJs = await import("@oceanprotocol/ddo-js");
  fs.mkdirSync(path.join(FOLDER, "data"));
});

after(() => {
  provider.destroy();
  fs.rmSync(FOLDER, { recursive: true });
});

for (const price of [["--free"], ["--price", "2.5"]]) {
  test(`a document that is published with ${price[0]} is valid, and so is one that was changed`, async () => {
    const listing = publish(price[0].slice(2), ...price);
    for (const change of [undefined, ["--name", "Hearts of 1988", "--tag", "old"]]) {
      if (change) stoa("data", "--dir", "seller", "edit", listing.did, ...change);
      const { bytes, hash } = await documentOf(listing.nft);
      assert.equal(hash, `0x${createHash("sha256").update(bytes).digest("hex")}`);
      const ddo = JSON.parse(Buffer.from(bytes).toString("utf8"));
      const [valid, errors] = await ddoJs.validateDDO(ddo);
      assert.deepEqual([valid, errors], [true, {}]);
      const is = ddoJs.DDOManager.getDDOClass(ddo);
      assert.equal(is.makeDid(listing.nft, String(chainId)), listing.did);
      assert.deepEqual([is.getDDOFields().version, is.getDid()], ["4.7.0", listing.did]);
      assert.deepEqual(ddo.metadata.tags, change ? ["old"] : ["heart", "rows"]);
      const { stoa: about } = ddo.metadata.additionalInformation;
      assert.deepEqual(about.columns.map(({ name, type }) => [name, type]), [["age", "integer"], ["chol", "number"], ["born", "date"]]);
      assert.deepEqual([about.format, about.rows, about.files, about.asset], ["csv", 2, 1, listing.asset]);
      // No value of the table is public. (A year alone could stand in any hash.)
      for (const value of ["233.5", "1950-01-02", "1981-03-04"]) assert.ok(!Buffer.from(bytes).includes(value), value);
    }
    // What Ocean's schema refuses is refused before it is sent.
    assert.throws(() => stoa("data", "--dir", "seller", "edit", listing.did, "--description", "short"), (error) => {
      assert.match(error.stderr + error.stdout, /metadata\.description/);
      return true;
    });
  });
}

test("a document that says who may order, and shows sample rows, is valid", async () => {
  const signer = await provider.getSigner(4);
  const factory = new ethers.Contract(at("0c0d"), artifact("accesslists/AccessListFactory").abi, signer);
  const made = await (await factory.deployAccessListContract("Doctors", "DOC", false, signer.address, [], [])).wait();
  const list = made.logs.map((log) => factory.interface.parseLog(log)).find((event) => event?.name === "NewAccessList").args[0];
  const rows = "age,chol,born\n50,200,2000-01-01\n";
  fs.writeFileSync(path.join(FOLDER, "sample.csv"), rows);
  const denied = at("beef");
  const listing = publish("lists", "--free", "--allow", list, "--allow", signer.address, "--deny", denied, "--sample", "sample.csv");
  const { bytes } = await documentOf(listing.nft);
  const ddo = JSON.parse(Buffer.from(bytes).toString("utf8"));
  assert.deepEqual(await ddoJs.validateDDO(ddo), [true, {}]);
  assert.deepEqual(ddo.credentials, {
    allow: [
      { type: "address", values: [signer.address] },
      { type: "accessList", chainId: Number(chainId), accessList: list, values: [list] },
    ],
    deny: [{ type: "address", values: [denied] }], match_allow: "any", match_deny: "any",
  });
  assert.equal(ddo.metadata.additionalInformation.stoa.sample.text, rows);
});

test("ocean.js finds what was published, and takes a datatoken of it from the dispenser", async () => {
  const lib = require("@oceanprotocol/lib");
  lib.LoggerInstance.setLevel(lib.LogLevel.None);
  const listing = publish("again", "--free");
  assert.equal(lib.generateDid ? lib.generateDid(listing.nft, chainId) : listing.did, listing.did);
  const buyer = await provider.getSigner(4);
  const config = {
    chainId, nftFactoryAddress: at("0c05"), routerFactoryAddress: at("0c08"), fixedRateExchangeAddress: at("0c09"),
    dispenserAddress: at("0c0a"), oceanTokenAddress: at("0c01"), transactionBlockTimeout: 50,
    transactionConfirmationBlocks: 1, transactionPollingTimeout: 750, gasFeeMultiplier: 1,
  };
  const dispenser = new lib.Dispenser(at("0c0a"), buyer, chainId, config);
  const status = await dispenser.status(listing.datatoken);
  assert.deepEqual([status.active, status.isMinter, status.maxTokens], [true, true, "1.0"]);
  await (await dispenser.dispense(listing.datatoken, "1", buyer.address)).wait();
  const datatoken = new lib.Datatoken(buyer, chainId, config);
  assert.equal(await datatoken.balance(listing.datatoken, buyer.address), "1.0");
  // What its store says under this key are 32 bytes, which ocean.js's own `getData` would read as text.
  const nft = new lib.Nft(buyer, chainId, config).getContract(listing.nft);
  assert.equal(await nft.getData(ethers.id("stoa.asset")), listing.asset);
});
