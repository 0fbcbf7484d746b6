"use strict";

const { ethers, network } = require("hardhat");
const { expect } = require("chai");
const helpers = require("@nomicfoundation/hardhat-network-helpers");
const { DAY, coin, deploy, fixture } = require("./support");

const { time } = helpers;
const random = () => ethers.Wallet.createRandom().address;

describe("network helpers", () => {
  fixture(async function surroundings() {
    const [owner, alice] = await ethers.getSigners();
    return { owner, alice, contract: await deploy("Surroundings") };
  });

  for (const blocks of [1, 2, 100, 1000]) {
    it(`mine ${blocks} blocks`, async function () {
      const before = await ethers.provider.getBlockNumber();
      await helpers.mine(blocks);
      expect(await ethers.provider.getBlockNumber()).to.equal(before + blocks);
    });
  }
  for (const interval of [1, 60, DAY]) {
    it(`mine 10 blocks ${interval} seconds apart`, async function () {
      await helpers.mine(1);
      const before = await time.latest();
      await helpers.mine(10, { interval });
      expect((await time.latest()) - before).to.be.within(9 * interval + 1, 10 * interval + 2);
    });
  }
  it("mine up to a block", async function () {
    const to = (await time.latestBlock()) + 17;
    await helpers.mineUpTo(to);
    expect(await time.latestBlock()).to.equal(to);
  });

  for (const seconds of [1, 3600, 10 * 365 * DAY]) {
    it(`go ${seconds} seconds on`, async function () {
      const before = await time.latest();
      await time.increase(seconds);
      expect(await time.latest()).to.equal(before + seconds);
      expect((await this.contract.block_())[1]).to.be.at.least(BigInt(before + seconds));
    });
  }
  it("set the time of the next block exactly", async function () {
    const to = (await time.latest()) + 12345;
    await time.setNextBlockTimestamp(to);
    const { blockNumber } = await (await this.contract.store(1n)).wait();
    expect((await ethers.provider.getBlock(blockNumber)).timestamp).to.equal(to);
  });
  it("refuse to go back in time", async function () {
    const before = await time.latest();
    await expect(time.increaseTo(before - 1)).to.be.rejected;
    await expect(network.provider.send("evm_setNextBlockTimestamp", [before - 1])).to.be.rejected;
  });

  for (const balance of [0n, 1n, coin("1"), coin("123456789")]) {
    it(`set a balance of ${balance}`, async function () {
      const to = random();
      await helpers.setBalance(to, balance);
      expect(await ethers.provider.getBalance(to)).to.equal(balance);
      expect(await this.contract.balance(to)).to.equal(balance);
    });
  }
  for (const value of [0n, 1n, ethers.MaxUint256]) {
    it(`set a storage slot to ${value}`, async function () {
      await helpers.setStorageAt(this.contract.target, 0, value);
      expect(await this.contract.stored()).to.equal(value);
      const slot = ethers.solidityPackedKeccak256(["uint256", "uint256"], [BigInt(this.alice.address), 1n]);
      await helpers.setStorageAt(this.contract.target, slot, value);
      expect(await this.contract.mapped(this.alice)).to.equal(value);
      expect(BigInt(await helpers.getStorageAt(this.contract.target, slot))).to.equal(value);
    });
  }
  it("set code", async function () {
    const at = random();
    const code = await ethers.provider.getCode(this.contract);
    await helpers.setCode(at, code);
    expect(await ethers.provider.getCode(at)).to.equal(code);
    const copy = this.contract.attach(at);
    await copy.store(5n);
    expect(await copy.stored()).to.equal(5n);
    expect(await this.contract.codeHash(at)).to.equal(ethers.keccak256(code));
  });
  for (const nonce of [1, 100, 2 ** 40]) {
    it(`set a nonce of ${nonce}`, async function () {
      const account = random();
      await helpers.setNonce(account, nonce);
      expect(await ethers.provider.getTransactionCount(account)).to.equal(nonce);
    });
  }
  it("refuse to lower a nonce", async function () {
    const account = random();
    await helpers.setNonce(account, 5);
    await expect(helpers.setNonce(account, 4)).to.be.rejected;
  });

  it("impersonate an account without a key, until told to stop", async function () {
    const somebody = random();
    await expect(this.contract.connect(await ethers.getSigner(somebody)).store(3n)).to.be.rejected;
    const signer = await ethers.getImpersonatedSigner(somebody);
    await helpers.setBalance(somebody, coin("1"));
    await this.contract.connect(signer).store(3n);
    expect(await this.contract.mapped(somebody)).to.equal(3n);
    await helpers.stopImpersonatingAccount(somebody);
    await expect(this.contract.connect(signer).store(4n)).to.be.rejected;
  });
  it("impersonate a contract", async function () {
    const target = this.contract.target;
    await helpers.impersonateAccount(target);
    await helpers.setBalance(target, coin("1"));
    const signer = await ethers.getSigner(target);
    await this.contract.connect(signer).store(9n);
    expect(await this.contract.mapped(target)).to.equal(9n);
    await helpers.stopImpersonatingAccount(target);
  });

  for (const depth of [1, 2, 5]) {
    it(`go back through ${depth} snapshots`, async function () {
      const snapshots = [];
      for (let level = 0; level < depth; level++) {
        snapshots.push([await helpers.takeSnapshot(), await this.contract.stored(), await time.latestBlock(), await time.latest()]);
        await this.contract.store(BigInt(100 + level));
        await time.increase(1000);
      }
      for (const [snapshot, stored, block, timestamp] of snapshots.reverse()) {
        await snapshot.restore();
        expect(await this.contract.stored()).to.equal(stored);
        expect(await time.latestBlock()).to.equal(block);
        expect(await time.latest()).to.equal(timestamp);
      }
    });
  }
  it("forget the snapshots after the one gone back to", async function () {
    const first = await network.provider.send("evm_snapshot");
    const second = await network.provider.send("evm_snapshot");
    expect(await network.provider.send("evm_revert", [first])).to.equal(true);
    expect(await network.provider.send("evm_revert", [second])).to.equal(false);
  });
  it("undo balances, nonces, code and logs with a snapshot", async function () {
    const snapshot = await helpers.takeSnapshot();
    const to = random();
    const before = [await ethers.provider.getBalance(this.owner), await this.owner.getNonce()];
    const { hash } = await this.owner.sendTransaction({ to, value: 1n });
    const made = await deploy("Surroundings");
    await snapshot.restore();
    expect([await ethers.provider.getBalance(this.owner), await this.owner.getNonce()]).to.deep.equal(before);
    expect(await ethers.provider.getBalance(to)).to.equal(0n);
    expect(await ethers.provider.getCode(made)).to.equal("0x");
    expect(await ethers.provider.getTransactionReceipt(hash)).to.equal(null);
  });

  it("set the coinbase, the base fee and the randomness of the next block", async function () {
    const coinbase = random();
    await helpers.setCoinbase(coinbase);
    await helpers.setNextBlockBaseFeePerGas(12_345_678_901n);
    await helpers.setPrevRandao(777n);
    const { blockNumber } = await (await this.contract.store(1n)).wait();
    const block = await network.provider.send("eth_getBlockByNumber", [ethers.toQuantity(blockNumber), false]);
    expect(ethers.getAddress(block.miner)).to.equal(coinbase);
    expect(BigInt(block.baseFeePerGas)).to.equal(12_345_678_901n);
    expect(BigInt(block.mixHash)).to.equal(777n);
  });

  it("make a block of several transactions when mining is not automatic", async function () {
    await network.provider.send("evm_setAutomine", [false]);
    try {
      const sent = [];
      for (let index = 0; index < 5; index++) {
        sent.push(await this.owner.sendTransaction({ to: this.alice, value: 1n, gasLimit: 21_000n }));
      }
      expect(await ethers.provider.getTransactionReceipt(sent[0].hash)).to.equal(null);
      await helpers.mine();
      const receipts = await Promise.all(sent.map(({ hash }) => ethers.provider.getTransactionReceipt(hash)));
      expect(new Set(receipts.map(({ blockNumber }) => blockNumber)).size).to.equal(1);
      expect(receipts.map(({ index }) => index)).to.deep.equal([0, 1, 2, 3, 4]);
    } finally {
      await network.provider.send("evm_setAutomine", [true]);
    }
  });
});

describe("transactions", () => {
  fixture(async function accounts() {
    const signers = await ethers.getSigners();
    return { signers, owner: signers[0], contract: await deploy("Surroundings") };
  });

  for (const [type, form] of [{ gasPrice: 10n ** 11n }, { gasPrice: 10n ** 11n, accessList: [] }, {}].entries()) {
    it(`of type ${type} make a block each`, async function () {
      const before = await time.latestBlock();
      for (const signer of this.signers.slice(0, 5)) {
        const receipt = await (await signer.sendTransaction({ to: random(), value: 1n, ...form })).wait();
        expect(receipt.status).to.equal(1);
        expect(receipt.type).to.equal(type);
      }
      expect(await time.latestBlock()).to.equal(before + 5);
    });
  }
  it("are refused when they cannot be paid for", async function () {
    const value = (await ethers.provider.getBalance(this.owner)) + 1n;
    await expect(this.owner.sendTransaction({ to: random(), value })).to.be.rejected;
  });
  it("sent with a key in the program work as well", async function () {
    const wallet = ethers.Wallet.createRandom(ethers.provider);
    await helpers.setBalance(wallet.address, coin("1"));
    await (await this.contract.connect(wallet).store(8n)).wait();
    expect(await this.contract.mapped(wallet)).to.equal(8n);
  });
  it("see who sent them", async function () {
    for (const signer of this.signers.slice(0, 5)) {
      const [sender, origin] = await this.contract.connect(signer).sender();
      expect([sender, origin]).to.deep.equal([signer.address, signer.address]);
    }
  });
  it("messages are signed by the node", async function () {
    const signature = await this.owner.signMessage("hello");
    expect(ethers.verifyMessage("hello", signature)).to.equal(this.owner.address);
  });
});
