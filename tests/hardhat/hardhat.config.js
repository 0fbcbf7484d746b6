// A contract project as many are: OpenZeppelin's contracts, ethers, chai matchers, network helpers. Its suite runs on
// Hardhat's own network (`--network hardhat`) and on a node (`--network stoa`, at STOA_URL).

const path = require("node:path");
require("@nomicfoundation/hardhat-ethers");
require("@nomicfoundation/hardhat-chai-matchers");
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");

const build = process.env.STOA_HARDHAT ?? path.join(__dirname, "..", "..", "target", "hardhat");

// The compiler is npm's, not one that Hardhat downloads.
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => {
  const longVersion = require("solc").version().replace(".Emscripten.clang", "");
  return { compilerPath: require.resolve("solc/soljson.js"), isSolcJs: true, version: solcVersion, longVersion };
});

module.exports = {
  solidity: {
    version: "0.8.37",
    settings: { optimizer: { enabled: true, runs: 200 }, evmVersion: "osaka" },
  },
  paths: { artifacts: path.join(build, "artifacts"), cache: path.join(build, "cache") },
  networks: {
    hardhat: { hardfork: "osaka" },
    stoa: { url: process.env.STOA_URL ?? "http://127.0.0.1:8545", timeout: 60_000 },
  },
  mocha: { timeout: 60_000 },
};
