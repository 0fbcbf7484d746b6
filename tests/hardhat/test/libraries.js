"use strict";

const { ethers } = require("hardhat");
const { expect } = require("chai");
const { deploy, fixture } = require("./support");

const MAX = ethers.MaxUint256;

describe("functions", () => {
  fixture(async function functions() {
    return { functions: await deploy("Functions"), signer: (await ethers.getSigners())[3] };
  });

  const table = {
    mulDiv: [
      [[6n, 7n, 3n, 0], 14n], [[7n, 7n, 3n, 0], 16n], [[7n, 7n, 3n, 1], 17n], [[MAX, MAX, MAX, 0], MAX], [[MAX, 2n, 4n, 0], MAX / 2n],
      [[MAX, 2n, 4n, 1], MAX / 2n + 1n], [[1n, 1n, MAX, 0], 0n], [[1n, 1n, MAX, 1], 1n],
    ],
    sqrt: [[[0n], 0n], [[1n], 1n], [[15n], 3n], [[16n], 4n], [[10n ** 36n], 10n ** 18n], [[MAX], 2n ** 128n - 1n]],
    log2: [[[0n], 0n], [[1n], 0n], [[255n], 7n], [[256n], 8n], [[MAX], 255n]],
    log10: [[[0n], 0n], [[9n], 0n], [[10n], 1n], [[MAX], 77n]],
    average: [[[1n, 4n], 2n], [[MAX, MAX], MAX], [[0n, MAX], MAX / 2n]],
    modExp: [[[2n, 10n, 1000n], 24n], [[3n, MAX, 7n], 6n], [[0n, 0n, 1n], 0n], [[5n, 0n, 13n], 1n]],
    invMod: [[[3n, 7n], 5n], [[2n, 4n], 0n], [[10n, 17n], 12n]],
    abs: [[[0n], 0n], [[-5n], 5n], [[-(2n ** 255n)], 2n ** 255n]],
    toUint8: [[[0n], 0n], [[255n], 255n]],
    toInt256: [[[2n ** 255n - 1n], 2n ** 255n - 1n]],
    decimal: [[[0n], "0"], [[1234567890n], "1234567890"], [[MAX], MAX.toString()]],
    hexadecimal: [[[0n, 1n], "0x00"], [[0xabcn, 2n], "0x0abc"], [[MAX, 32n], `0x${"f".repeat(64)}`]],
    parse: [[["0"], 0n], [["00042"], 42n], [[MAX.toString()], MAX]],
    base64: [[["0x"], ""], [["0x00"], "AA=="], [["0x0001"], "AAE="], [["0x000102"], "AAEC"], [[ethers.toUtf8Bytes("a stoa")], "YSBzdG9h"]],
    divide: [[[7n, 2n], 3n]],
    subtract: [[[7n, 7n], 0n]],
    pick: [[[[5n, 6n], 1n], 6n]],
  };
  for (const [name, rows] of Object.entries(table)) {
    for (const [index, [args, expected]] of rows.entries()) {
      it(`${name}, case ${index + 1}`, async function () {
        expect(await this.functions[name](...args)).to.equal(expected);
      });
    }
  }

  const panics = [
    ["divide", [1n, 0n], 0x12], ["subtract", [1n, 2n], 0x11], ["pick", [[], 0n], 0x32], ["pick", [[1n], MAX], 0x32],
    ["mulDiv", [1n, 1n, 0n, 0], 0x12], ["mulDiv", [MAX, 2n, 1n, 0], 0x11], ["modExp", [1n, 1n, 0n], 0x12], ["mulDiv", [1n, 1n, 0n, 1], 0x12],
  ];
  for (const [name, args, code] of panics) {
    it(`${name}(${args}) panics with 0x${code.toString(16)}`, async function () {
      await expect(this.functions[name](...args)).to.be.revertedWithPanic(code);
    });
  }

  const errors = [
    ["toUint8", [256n], "SafeCastOverflowedUintDowncast", [8, 256n]], ["toUint8", [MAX], "SafeCastOverflowedUintDowncast", [8, MAX]],
    ["toUint128", [2n ** 128n], "SafeCastOverflowedUintDowncast", [128, 2n ** 128n]],
    ["toInt256", [2n ** 255n], "SafeCastOverflowedUintToInt", [2n ** 255n]], ["hexadecimal", [256n, 1n], "StringsInsufficientHexLength", [256n, 1n]],
    ["parse", ["12x"], "StringsInvalidChar", []], ["parse", ["-1"], "StringsInvalidChar", []],
    ["recover", [ethers.ZeroHash, "0x00"], "ECDSAInvalidSignatureLength", [1n]],
    ["recover", [ethers.ZeroHash, `0x${"00".repeat(65)}`], "ECDSAInvalidSignature", []],
  ];
  for (const [name, args, error, values] of errors) {
    it(`${name} refuses ${args.map((arg) => String(arg).slice(0, 12))} with ${error}`, async function () {
      const failed = expect(this.functions[name](...args)).to.be.revertedWithCustomError(this.functions, error);
      await (values.length > 0 ? failed.withArgs(...values) : failed);
    });
  }

  for (const text of ["", "a", "x".repeat(32), "ü".repeat(200)]) {
    it(`recovers who signed ${text.length} letters`, async function () {
      const signature = await this.signer.signMessage(text);
      expect(await this.functions.recover(ethers.hashMessage(text), signature)).to.equal(this.signer.address);
      const { r, s, v } = ethers.Signature.from(signature);
      const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
      const high = ethers.concat([r, ethers.toBeHex(order - BigInt(s), 32), v === 27 ? "0x1c" : "0x1b"]);
      await expect(this.functions.recover(ethers.hashMessage(text), high)).to.be.revertedWithCustomError(this.functions, "ECDSAInvalidSignatureS");
    });
  }

  for (const address of [ethers.ZeroAddress, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0xcA11bde05977b3631167028862bE2a173976CA11"]) {
    it(`writes ${address} with its checksum`, async function () {
      expect(await this.functions.checksummed(address)).to.equal(address);
    });
  }

  describe("Merkle proofs", () => {
    const pair = (a, b) => ethers.keccak256(ethers.concat(BigInt(a) < BigInt(b) ? [a, b] : [b, a]));
    const leaves = Array.from({ length: 8 }, (_, index) => ethers.id(`leaf ${index}`));
    const levels = [leaves];
    while (levels.at(-1).length > 1) {
      const below = levels.at(-1);
      levels.push(below.filter((_, index) => index % 2 === 0).map((leaf, index) => pair(leaf, below[2 * index + 1])));
    }
    const [root] = levels.at(-1);
    const proof = (index) => levels.slice(0, -1).map((level, depth) => level[(index >> depth) ^ 1]);
    for (const index of leaves.keys()) {
      it(`proves leaf ${index}`, async function () {
        expect(await this.functions.verify(proof(index), root, leaves[index])).to.equal(true);
        expect(await this.functions.verify(proof(index), root, leaves[index ^ 1])).to.equal(false);
      });
    }
  });

  const precompiles = [
    ["SHA-256", 2, "0x", ethers.sha256("0x")], ["SHA-256", 2, "0x616263", ethers.sha256("0x616263")],
    ["RIPEMD-160", 3, "0x", ethers.zeroPadValue(ethers.ripemd160("0x"), 32)], ["identity", 4, "0x010203", "0x010203"],
    ["bn254 addition", 6, `0x${"00".repeat(128)}`, `0x${"00".repeat(64)}`],
    ["bn254 pairing", 8, "0x", ethers.toBeHex(1, 32)],
  ];
  for (const [index, [name, number, input, expected]] of precompiles.entries()) {
    it(`the precompile for ${name} answers (${index})`, async function () {
      const [success, result] = await this.functions.precompile(ethers.toBeHex(number, 20), input);
      expect(success).to.equal(true);
      expect(result).to.equal(expected);
    });
  }
});

describe("structures", () => {
  fixture(async function structures() {
    return { structures: await deploy("Structures") };
  });

  // The same steps on a model in JavaScript; pseudo-random, and the same each time.
  function* random(seed) {
    for (let state = seed; ; ) {
      state = (state * 1103515245 + 12345) % 2147483648;
      yield Math.floor(state / 65536);
    }
  }

  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`a set is one (${seed})`, async function () {
      const numbers = random(seed);
      const model = [];
      for (let step = 0; step < 80; step++) {
        const value = BigInt(numbers.next().value % 8);
        const index = model.indexOf(value);
        if (numbers.next().value % 2) {
          await expect(this.structures.add(value)).to.emit(this.structures, "Changed").withArgs(index < 0);
          if (index < 0) model.push(value);
        } else {
          await expect(this.structures.remove(value)).to.emit(this.structures, "Changed").withArgs(index >= 0);
          const last = model.at(-1);
          if (index >= 0) model.pop();
          if (index >= 0 && index < model.length) model[index] = last;
        }
      }
      expect(await this.structures.values()).to.deep.equal(model);
    });
    it(`a queue is one (${seed})`, async function () {
      const numbers = random(100 + seed);
      const model = [];
      for (let step = 0; step < 80; step++) {
        const value = ethers.toBeHex(numbers.next().value, 32);
        const action = numbers.next().value % 4;
        if (action < 2) {
          await this.structures[["pushBack", "pushFront"][action]](value);
          model[["push", "unshift"][action]](value);
        } else {
          const name = ["popBack", "popFront"][action - 2];
          if (model.length === 0) await expect(this.structures[name]()).to.be.revertedWithPanic(0x31);
          else await this.structures[name]();
          model[["pop", "shift"][action - 2]]();
        }
      }
      expect(await this.structures.queued()).to.deep.equal(model);
    });
    it(`checkpoints are found (${seed})`, async function () {
      const numbers = random(200 + seed);
      const model = [];
      let key = 0;
      for (let step = 0; step < 40; step++) {
        key += numbers.next().value % 5;
        const value = BigInt(numbers.next().value);
        await this.structures.push(key, value);
        model.push([key, value]);
      }
      for (const at of [0, 1, key >> 1, key - 1, key, key + 1]) {
        const before = model.filter(([key]) => key <= at);
        expect(await this.structures.lookup(Math.max(at, 0))).to.equal(before.at(-1)?.[1] ?? 0n);
      }
      await expect(this.structures.push(key - 1, 0n)).to.be.revertedWithCustomError(this.structures, "CheckpointUnorderedInsertion");
    });
  }
  for (const index of [0n, 1n, 255n, 256n, 2n ** 200n]) {
    it(`bit ${index} is set and cleared alone`, async function () {
      await this.structures.setBit(index, true);
      expect(await this.structures.bit(index)).to.equal(true);
      expect(await this.structures.bit(index + 1n)).to.equal(false);
      await this.structures.setBit(index, false);
      expect(await this.structures.bit(index)).to.equal(false);
    });
  }
});
