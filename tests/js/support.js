// What the suites share: where the node is, the development accounts, compiled contracts, waiting, raw requests.

"use strict";

const fs = require("node:fs");
const path = require("node:path");

function variable(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this as \`cargo xtask test --only clients\``);
  return value;
}

const url = variable("STOA_URL");
const ws = variable("STOA_WS");
const mnemonic = "test test test test test test test test test test test junk";
const chainId = 31337;

const canonical = {
  multicall3: "0xcA11bde05977b3631167028862bE2a173976CA11",
  create2: "0x4e59b44847b379578588920cA78FbF26c0B4956C",
  permit2: "0x000000000022D473030F116dDEE9F6B43aC78BA3",
};

/** A contract that tests/solidity/compile.js compiled. */
function contract(name) {
  return JSON.parse(fs.readFileSync(path.join(variable("STOA_SOLIDITY"), `${name}.json`), "utf8"));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the function gives something true, and returns that. */
async function until(what, check, ms = 10_000) {
  for (const end = Date.now() + ms; ; await sleep(20)) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
  }
}

/** Sends a body as it is, with these headers beside its type, and returns the answer as it comes. */
async function post(body, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, json: JSON.parse(await response.text()) };
}

/** One JSON-RPC request: its result, or its error thrown with code and data. */
async function rpc(method, ...params) {
  const { json } = await post({ jsonrpc: "2.0", id: 1, method, params });
  if (json.error) throw Object.assign(new Error(json.error.message), json.error);
  return json.result;
}

/** The error of a JSON-RPC request that must fail. */
async function rpcError(method, ...params) {
  const { json } = await post({ jsonrpc: "2.0", id: 1, method, params });
  if (!json.error) throw new Error(`${method} did not fail: ${JSON.stringify(json.result)}`);
  return json.error;
}

const multicall3 = [
  "function aggregate3((address target, bool allowFailure, bytes callData)[] calls) payable returns ((bool success, bytes returnData)[])",
  "function getEthBalance(address) view returns (uint256)",
  "function getBlockNumber() view returns (uint256)",
  "function getChainId() view returns (uint256)",
];

const mail = {
  types: {
    Person: [
      { name: "name", type: "string" },
      { name: "wallet", type: "address" },
    ],
    Mail: [
      { name: "from", type: "Person" },
      { name: "to", type: "Person" },
      { name: "contents", type: "string" },
    ],
  },
  domain: (verifyingContract) => ({ name: "Mailbox", version: "1", chainId, verifyingContract }),
  message: (from, to) => ({
    from: { name: "Zeno", wallet: from },
    to: { name: "Chrysippus", wallet: to },
    contents: "Meet at the stoa",
  }),
};

module.exports = { url, ws, mnemonic, chainId, canonical, contract, sleep, until, post, rpc, rpcError, variable, multicall3, mail };
