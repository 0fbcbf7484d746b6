// Compiles the Solidity of this folder with the npm `solc`, imports from node_modules included, and writes one JSON file
// for each contract: { contractName, sourceName, abi, bytecode, deployedBytecode, storageLayout }.
//
// Checks as well that the runtime code in crates/base/contracts is that of the Solidity beside it.
//
// node compile.js OUT_FOLDER

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const [folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node compile.js OUT_FOLDER");
  process.exit(2);
}

const tests = path.join(__dirname, "..");
const modules = path.join(tests, "node_modules");
const own = fs.readdirSync(__dirname).filter((name) => name.endsWith(".sol"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(own.map((name) => [name, { content: fs.readFileSync(path.join(__dirname, name), "utf8") }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "osaka",
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] } },
  },
};

function readImport(name) {
  // "../hardhat/contracts" is "hardhat/contracts" by now.
  const files = [modules, tests].map((folder) => path.resolve(folder, name));
  const file = files.find((file) => file.startsWith(tests + path.sep) && fs.existsSync(file));
  if (!file) return { error: `${name} is neither in node_modules nor in tests` };
  return { contents: fs.readFileSync(file, "utf8") };
}

const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
const problems = (output.errors ?? []).filter(
  ({ severity, sourceLocation }) => severity === "error" || own.includes(sourceLocation?.file),
);
for (const problem of problems) console.error(problem.formattedMessage);
if (problems.length > 0) process.exit(1);

// A contract of ours wins over an imported one of the same name; two of ours may not share a name.
const contracts = new Map();
const sources = Object.entries(output.contracts).sort(([a], [b]) => own.includes(b) - own.includes(a));
for (const [sourceName, defined] of sources) {
  for (const [contractName, { abi, evm, storageLayout }] of Object.entries(defined)) {
    if (contracts.has(contractName)) {
      if (!own.includes(sourceName)) continue;
      console.error(`${contractName} is defined in ${contracts.get(contractName).sourceName} and in ${sourceName}`);
      process.exit(1);
    }
    contracts.set(contractName, {
      contractName,
      sourceName,
      abi,
      bytecode: `0x${evm.bytecode.object}`,
      deployedBytecode: `0x${evm.deployedBytecode.object}`,
      storageLayout,
    });
  }
}

fs.rmSync(folder, { recursive: true, force: true });
fs.mkdirSync(folder, { recursive: true });
for (const [name, contract] of contracts) {
  fs.writeFileSync(path.join(folder, `${name}.json`), JSON.stringify(contract));
}
console.log(`   ${contracts.size} contracts in ${folder}`);

const base = path.join(tests, "..", "crates", "base", "contracts");
for (const file of fs.readdirSync(base).filter((file) => file.endsWith(".sol"))) {
  const name = path.basename(file, ".sol");
  const compiled = JSON.parse(
    solc.compile(
      JSON.stringify({
        language: "Solidity",
        sources: { [file]: { content: fs.readFileSync(path.join(base, file), "utf8") } },
        settings: {
          optimizer: { enabled: true, runs: 200 },
          metadata: { bytecodeHash: "none", appendCBOR: false },
          outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
        },
      }),
    ),
  );
  const code = compiled.contracts?.[file]?.[name]?.evm.deployedBytecode.object;
  if (!code || code !== fs.readFileSync(path.join(base, `${name}.hex`), "utf8").trim()) {
    console.error(`${name}.hex is not the code of ${file}: compile it as the README beside it says`);
    process.exit(1);
  }
}
