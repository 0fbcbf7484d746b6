// The light client in a page that Chromium shows: it asks a node of another origin, and believes what is proven.

"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { chromium } = require("playwright-core");
const { url, rpc, variable } = require("./support");

const folder = variable("STOA_LIGHT");
const networkKey = variable("STOA_NETWORK_KEY");
const account = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720";
const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

/** Chromium asks for nothing by itself, and as root it cannot put its pages into a sandbox. */
const options = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let profile, browser, server, liar;

function listen(handle) {
  const started = http.createServer(handle);
  return new Promise((listening) => started.listen(0, "127.0.0.1", () => listening(started)));
}

const at = (started) => `http://127.0.0.1:${started.address().port}`;

before(async () => {
  server = await listen((request, response) => {
    const { pathname } = new URL(request.url, "http://page");
    const file = path.join(folder, path.basename(pathname));
    if (!fs.existsSync(file) || !types[path.extname(file)]) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[path.extname(file)] }).end(fs.readFileSync(file));
  });
  // Gives the node's answers on, but for one digit of the account's proof.
  liar = await listen((request, response) => {
    const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "*" };
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", async () => {
      if (request.method !== "POST") return response.writeHead(204, headers).end();
      const { method, params } = JSON.parse(body);
      const result = await rpc(method, ...params).catch(() => null);
      if (result?.accountProof) result.accountProof = result.accountProof.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
      response.writeHead(200, headers).end(JSON.stringify({ result }));
    });
  });
  profile = fs.mkdtempSync(path.join(os.tmpdir(), "stoa-page-"));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.STOA_BROWSER ?? "/usr/bin/chromium",
    args: options,
    timeout: 60_000,
  });
});

after(async () => {
  await browser?.close();
  server.close();
  liar.close();
  fs.rmSync(profile, { recursive: true, force: true });
});

/** What the page says in the end. */
async function said(node, key) {
  const page = await browser.newPage();
  const query = new URLSearchParams({ node, key, address: account });
  await page.goto(`${at(server)}/example.html?${query}`);
  const text = page.locator("#said", { hasText: /proven/ });
  await text.waitFor({ timeout: 30_000 });
  const found = await text.textContent();
  await page.close();
  return found;
}

test("a page shows a proven balance that a node of another origin tells", async () => {
  const [, balance, block] = (await said(url, networkKey)).match(/^proven: (\d+) wei at block (\d+)$/);
  assert.equal(BigInt(balance), BigInt(await rpc("eth_getBalance", account, `0x${BigInt(block).toString(16)}`)));
});

test("a page does not show what another network's key has not signed", async () => {
  const other = networkKey.replace(/^0x./, (digits) => `0x${(parseInt(digits[2], 16) ^ 2).toString(16)}`);
  assert.match(await said(url, other), /^not proven: the node's certificate does not hold: the network key has not signed/);
});

test("a page does not show what a node makes up", async () => {
  assert.match(await said(at(liar), networkKey), /^not proven: the node's proof does not hold: /);
});
