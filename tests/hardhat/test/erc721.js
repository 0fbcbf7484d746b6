"use strict";

const { ethers } = require("hardhat");
const { expect } = require("chai");
const { deploy, fixture } = require("./support");

async function things() {
  const [owner, alice, bob] = await ethers.getSigners();
  const things = await deploy("Things", owner);
  for (const id of [1n, 2n, 3n]) await things.mint(alice, id, `thing/${id}`);
  return { owner, alice, bob, things, hers: things.connect(alice) };
}

describe("ERC721", () => {
  fixture(things);

  for (const [name, id, supported] of [
    ["ERC165", "0x01ffc9a7", true], ["ERC721", "0x80ac58cd", true], ["metadata", "0x5b5e139f", true],
    ["enumerable", "0x780e9d63", true], ["access control", "0x7965db0b", true], ["nothing", "0xffffffff", false],
    ["ERC1155", "0xd9b67a26", false],
  ]) {
    it(`says that it ${supported ? "supports" : "does not support"} ${name}`, async function () {
      expect(await this.things.supportsInterface(id)).to.equal(supported);
    });
  }

  it("is counted and listed", async function () {
    expect(await this.things.totalSupply()).to.equal(3n);
    expect(await this.things.balanceOf(this.alice)).to.equal(3n);
    for (const index of [0n, 1n, 2n]) {
      expect(await this.things.tokenByIndex(index)).to.equal(index + 1n);
      expect(await this.things.tokenOfOwnerByIndex(this.alice, index)).to.equal(index + 1n);
      expect(await this.things.tokenURI(index + 1n)).to.equal(`thing/${index + 1n}`);
    }
    await expect(this.things.tokenByIndex(3n)).to.be.revertedWithCustomError(this.things, "ERC721OutOfBoundsIndex");
  });

  it("is minted by minters alone, and once", async function () {
    const role = await this.things.MINTER_ROLE();
    await expect(this.hers.mint(this.alice, 9n, ""))
      .to.be.revertedWithCustomError(this.things, "AccessControlUnauthorizedAccount")
      .withArgs(this.alice, role);
    await expect(this.things.mint(this.alice, 1n, "")).to.be.revertedWithCustomError(this.things, "ERC721InvalidSender");
    await expect(this.things.mint(ethers.ZeroAddress, 9n, "")).to.be.revertedWithCustomError(this.things, "ERC721InvalidReceiver");
  });

  for (const id of [1n, 2n, 3n]) {
    it(`moves number ${id}, and the lists follow`, async function () {
      await expect(this.hers.transferFrom(this.alice, this.bob, id))
        .to.emit(this.things, "Transfer")
        .withArgs(this.alice, this.bob, id);
      expect(await this.things.ownerOf(id)).to.equal(this.bob);
      expect(await this.things.tokenOfOwnerByIndex(this.bob, 0n)).to.equal(id);
      expect(await this.things.balanceOf(this.alice)).to.equal(2n);
    });
    it(`burns number ${id}`, async function () {
      await this.hers.burn(id);
      await expect(this.things.ownerOf(id)).to.be.revertedWithCustomError(this.things, "ERC721NonexistentToken").withArgs(id);
      expect(await this.things.totalSupply()).to.equal(2n);
    });
  }

  const movers = {
    "somebody approved for it": (test) => test.hers.approve(test.bob, 1n),
    "an operator for all": (test) => test.hers.setApprovalForAll(test.bob, true),
  };
  for (const [who, approve] of Object.entries(movers)) {
    it(`is moved by ${who}`, async function () {
      const his = this.things.connect(this.bob);
      await expect(his.transferFrom(this.alice, this.bob, 1n))
        .to.be.revertedWithCustomError(this.things, "ERC721InsufficientApproval")
        .withArgs(this.bob, 1n);
      await approve(this);
      await his.transferFrom(this.alice, this.owner, 1n);
      expect(await this.things.ownerOf(1n)).to.equal(this.owner);
      expect(await this.things.getApproved(1n)).to.equal(ethers.ZeroAddress);
    });
  }

  it("is not moved from who does not own it", async function () {
    await expect(this.hers.transferFrom(this.bob, this.owner, 1n))
      .to.be.revertedWithCustomError(this.things, "ERC721IncorrectOwner")
      .withArgs(this.bob, 1n, this.alice);
  });

  describe("given to a contract", () => {
    const give = (test, to) => test.hers["safeTransferFrom(address,address,uint256,bytes)"](test.alice, to, 1n, "0xabcd");
    it("that accepts it", async function () {
      const to = await deploy("Receiver", 0);
      await expect(give(this, to)).to.emit(to, "Received").withArgs(this.alice, this.alice, 1n, "0xabcd");
    });
    it("that answers something else", async function () {
      const to = await deploy("Receiver", 1);
      await expect(give(this, to)).to.be.revertedWithCustomError(this.things, "ERC721InvalidReceiver").withArgs(to);
    });
    it("that refuses in words", async function () {
      await expect(give(this, await deploy("Receiver", 2))).to.be.revertedWith("no, thank you");
    });
    it("that refuses without a word", async function () {
      const to = await deploy("Receiver", 3);
      await expect(give(this, to)).to.be.revertedWithCustomError(this.things, "ERC721InvalidReceiver").withArgs(to);
    });
    it("that panics", async function () {
      await expect(give(this, await deploy("Receiver", 4))).to.be.revertedWithPanic(1);
    });
    it("that knows nothing of things", async function () {
      await expect(give(this, this.things)).to.be.revertedWithCustomError(this.things, "ERC721InvalidReceiver");
    });
  });
});

describe("ERC1155", () => {
  async function goods() {
    const [owner, alice, bob] = await ethers.getSigners();
    const goods = await deploy("Goods", owner);
    await goods.mint(alice, [1n, 2n, 3n], [10n, 20n, 30n]);
    return { owner, alice, bob, goods, hers: goods.connect(alice) };
  }
  fixture(goods);

  for (const [id, amount] of [[1n, 10n], [2n, 5n], [3n, 0n]]) {
    it(`moves ${amount} of good ${id}`, async function () {
      await expect(this.hers.safeTransferFrom(this.alice, this.bob, id, amount, "0x"))
        .to.emit(this.goods, "TransferSingle")
        .withArgs(this.alice, this.alice, this.bob, id, amount);
      expect(await this.goods.balanceOf(this.bob, id)).to.equal(amount);
    });
    it(`refuses to move too much of good ${id}`, async function () {
      await expect(this.hers.safeTransferFrom(this.alice, this.bob, id, 10n * id + 1n, "0x"))
        .to.be.revertedWithCustomError(this.goods, "ERC1155InsufficientBalance")
        .withArgs(this.alice, 10n * id, 10n * id + 1n, id);
    });
  }
  it("moves many at once", async function () {
    await this.hers.safeBatchTransferFrom(this.alice, this.bob, [1n, 2n, 3n], [1n, 2n, 3n], "0x");
    const accounts = [this.bob, this.bob, this.alice];
    expect(await this.goods.balanceOfBatch(accounts, [1n, 2n, 3n])).to.deep.equal([1n, 2n, 27n]);
    expect(await this.goods["totalSupply(uint256)"](1n)).to.equal(10n);
  });
  it("refuses lists of different lengths", async function () {
    await expect(this.hers.safeBatchTransferFrom(this.alice, this.bob, [1n, 2n], [1n], "0x"))
      .to.be.revertedWithCustomError(this.goods, "ERC1155InvalidArrayLength")
      .withArgs(2n, 1n);
  });
  it("is moved by operators alone", async function () {
    const move = () => this.goods.connect(this.bob).safeTransferFrom(this.alice, this.bob, 1n, 1n, "0x");
    await expect(move()).to.be.revertedWithCustomError(this.goods, "ERC1155MissingApprovalForAll").withArgs(this.bob, this.alice);
    await this.hers.setApprovalForAll(this.bob, true);
    await expect(move()).not.to.be.reverted;
  });
});

describe("ERC4626", () => {
  async function vault() {
    const [owner, alice] = await ethers.getSigners();
    const token = await deploy("Token", owner, 1_000_000n, 2_000_000n);
    const vault = await deploy("Vault", token);
    await token.approve(vault, ethers.MaxUint256);
    return { owner, alice, token, vault };
  }
  fixture(vault);

  for (const amount of [1n, 1000n, 1_000_000n]) {
    it(`takes ${amount} and gives it back`, async function () {
      await expect(this.vault.deposit(amount, this.alice))
        .to.emit(this.vault, "Deposit")
        .withArgs(this.owner, this.alice, amount, amount);
      const hers = this.vault.connect(this.alice);
      await expect(hers.redeem(amount, this.owner, this.alice)).to.changeTokenBalances(
        this.token, [this.vault, this.owner], [-amount, amount],
      );
    });
  }
  for (const [deposit, gain] of [[100n, 50n], [1000n, 1n], [7n, 700n]]) {
    it(`shares a gain of ${gain} on ${deposit}`, async function () {
      await this.vault.deposit(deposit, this.alice);
      await this.token.transfer(this.vault, gain);
      expect(await this.vault.totalAssets()).to.equal(deposit + gain);
      const worth = (deposit * (deposit + gain + 1n)) / (deposit + 1n);
      expect(await this.vault.previewRedeem(deposit)).to.equal(worth);
      await expect(this.vault.connect(this.alice).withdraw(worth + 1n, this.alice, this.alice))
        .to.be.revertedWithCustomError(this.vault, "ERC4626ExceededMaxWithdraw")
        .withArgs(this.alice, worth + 1n, worth);
    });
  }
});
