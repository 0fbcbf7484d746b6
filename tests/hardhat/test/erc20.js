"use strict";

const { ethers } = require("hardhat");
const { expect } = require("chai");
const { mine, time } = require("@nomicfoundation/hardhat-network-helpers");
const { DAY, deploy, fixture } = require("./support");

const SUPPLY = 1_000_000n, CAP = 2_000_000n;

async function token() {
  const [owner, alice, bob, carol] = await ethers.getSigners();
  return { owner, alice, bob, carol, token: await deploy("Token", owner, SUPPLY, CAP) };
}

describe("ERC20", () => {
  fixture(token);

  it("has a name, a symbol, decimals and a supply", async function () {
    expect(await this.token.name()).to.equal("Token");
    expect(await this.token.symbol()).to.equal("TKN");
    expect(await this.token.decimals()).to.equal(18n);
    expect(await this.token.totalSupply()).to.equal(SUPPLY);
    expect(await this.token.balanceOf(this.owner)).to.equal(SUPPLY);
  });

  describe("transfer", () => {
    for (const amount of [0n, 1n, 999n, SUPPLY / 2n, SUPPLY]) {
      it(`moves ${amount}`, async function () {
        const transfer = this.token.transfer(this.alice, amount);
        await expect(transfer).to.changeTokenBalances(this.token, [this.owner, this.alice], [-amount, amount]);
        await expect(transfer).to.emit(this.token, "Transfer").withArgs(this.owner, this.alice, amount);
        expect(await this.token.totalSupply()).to.equal(SUPPLY);
      });
    }
    for (const [has, wants] of [[0n, 1n], [5n, 6n], [100n, SUPPLY], [1n, ethers.MaxUint256]]) {
      it(`refuses ${wants} of ${has}`, async function () {
        await this.token.transfer(this.alice, has);
        await expect(this.token.connect(this.alice).transfer(this.bob, wants))
          .to.be.revertedWithCustomError(this.token, "ERC20InsufficientBalance")
          .withArgs(this.alice, has, wants);
        expect(await this.token.balanceOf(this.alice)).to.equal(has);
      });
    }
    it("refuses the zero address", async function () {
      await expect(this.token.transfer(ethers.ZeroAddress, 1n))
        .to.be.revertedWithCustomError(this.token, "ERC20InvalidReceiver")
        .withArgs(ethers.ZeroAddress);
    });
    it("to oneself changes nothing", async function () {
      await expect(this.token.transfer(this.owner, 5n)).to.changeTokenBalance(this.token, this.owner, 0n);
    });
  });

  describe("allowance", () => {
    for (const [allowed, moved] of [[10n, 0n], [10n, 1n], [10n, 10n], [SUPPLY, SUPPLY]]) {
      it(`lets ${moved} of ${allowed} be moved`, async function () {
        await expect(this.token.approve(this.alice, allowed))
          .to.emit(this.token, "Approval")
          .withArgs(this.owner, this.alice, allowed);
        await expect(this.token.connect(this.alice).transferFrom(this.owner, this.bob, moved)).to.changeTokenBalances(
          this.token, [this.owner, this.alice, this.bob], [-moved, 0n, moved],
        );
        expect(await this.token.allowance(this.owner, this.alice)).to.equal(allowed - moved);
      });
    }
    for (const [allowed, moved] of [[0n, 1n], [9n, 10n]]) {
      it(`refuses ${moved} of ${allowed}`, async function () {
        await this.token.approve(this.alice, allowed);
        await expect(this.token.connect(this.alice).transferFrom(this.owner, this.bob, moved))
          .to.be.revertedWithCustomError(this.token, "ERC20InsufficientAllowance")
          .withArgs(this.alice, allowed, moved);
      });
    }
    it("without a limit stays so", async function () {
      await this.token.approve(this.alice, ethers.MaxUint256);
      await this.token.connect(this.alice).transferFrom(this.owner, this.bob, 100n);
      expect(await this.token.allowance(this.owner, this.alice)).to.equal(ethers.MaxUint256);
    });
    it("cannot be given to the zero address", async function () {
      await expect(this.token.approve(ethers.ZeroAddress, 1n)).to.be.revertedWithCustomError(this.token, "ERC20InvalidSpender");
    });
  });

  describe("minting and burning", () => {
    for (const amount of [0n, 1n, CAP - SUPPLY]) {
      it(`mints ${amount}`, async function () {
        await expect(this.token.mint(this.alice, amount)).to.changeTokenBalance(this.token, this.alice, amount);
        expect(await this.token.totalSupply()).to.equal(SUPPLY + amount);
      });
    }
    it("refuses more than the cap", async function () {
      await expect(this.token.mint(this.alice, CAP - SUPPLY + 1n))
        .to.be.revertedWithCustomError(this.token, "ERC20ExceededCap")
        .withArgs(CAP + 1n, CAP);
    });
    it("is the owner's alone", async function () {
      await expect(this.token.connect(this.alice).mint(this.alice, 1n))
        .to.be.revertedWithCustomError(this.token, "OwnableUnauthorizedAccount")
        .withArgs(this.alice);
    });
    for (const amount of [0n, 1n, SUPPLY]) {
      it(`burns ${amount}`, async function () {
        await expect(this.token.burn(amount))
          .to.emit(this.token, "Transfer")
          .withArgs(this.owner, ethers.ZeroAddress, amount);
        expect(await this.token.totalSupply()).to.equal(SUPPLY - amount);
      });
    }
    it("burns what somebody allowed", async function () {
      await this.token.approve(this.alice, 5n);
      await this.token.connect(this.alice).burnFrom(this.owner, 5n);
      await expect(this.token.connect(this.alice).burnFrom(this.owner, 1n)).to.be.revertedWithCustomError(
        this.token, "ERC20InsufficientAllowance",
      );
    });
  });

  describe("pausing", () => {
    const forbidden = {
      transfer: (test) => test.token.transfer(test.alice, 1n),
      mint: (test) => test.token.mint(test.alice, 1n),
      burn: (test) => test.token.burn(1n),
      transferFrom: (test) => test.token.connect(test.alice).transferFrom(test.owner, test.bob, 1n),
    };
    for (const [name, call] of Object.entries(forbidden)) {
      it(`stops ${name}, until it ends`, async function () {
        await this.token.approve(this.alice, 1n);
        await expect(this.token.pause()).to.emit(this.token, "Paused").withArgs(this.owner);
        await expect(call(this)).to.be.revertedWithCustomError(this.token, "EnforcedPause");
        await expect(this.token.unpause()).to.emit(this.token, "Unpaused").withArgs(this.owner);
        await expect(call(this)).not.to.be.reverted;
      });
    }
    it("cannot be done twice", async function () {
      await expect(this.token.unpause()).to.be.revertedWithCustomError(this.token, "ExpectedPause");
      await this.token.pause();
      await expect(this.token.pause()).to.be.revertedWithCustomError(this.token, "EnforcedPause");
    });
  });

  describe("owner", () => {
    it("changes in two steps", async function () {
      await expect(this.token.transferOwnership(this.alice))
        .to.emit(this.token, "OwnershipTransferStarted")
        .withArgs(this.owner, this.alice);
      expect(await this.token.owner()).to.equal(this.owner);
      await expect(this.token.connect(this.bob).acceptOwnership())
        .to.be.revertedWithCustomError(this.token, "OwnableUnauthorizedAccount")
        .withArgs(this.bob);
      await this.token.connect(this.alice).acceptOwnership();
      expect(await this.token.owner()).to.equal(this.alice);
      expect(await this.token.pendingOwner()).to.equal(ethers.ZeroAddress);
    });
    it("may give up", async function () {
      await this.token.renounceOwnership();
      await expect(this.token.mint(this.owner, 1n)).to.be.revertedWithCustomError(this.token, "OwnableUnauthorizedAccount");
    });
  });

  describe("permit", () => {
    const types = {
      Permit: [
        { name: "owner", type: "address" }, { name: "spender", type: "address" }, { name: "value", type: "uint256" },
        { name: "nonce", type: "uint256" }, { name: "deadline", type: "uint256" },
      ],
    };
    beforeEach(async function () {
      const { chainId } = await ethers.provider.getNetwork();
      this.domain = { name: "Token", version: "1", chainId, verifyingContract: this.token.target };
      this.deadline = (await time.latest()) + DAY;
      this.sign = async (signer, value, nonce = 0n, deadline = this.deadline) => {
        const message = { owner: this.owner.address, spender: this.alice.address, value, nonce, deadline };
        return ethers.Signature.from(await signer.signTypedData(this.domain, types, message));
      };
      this.permit = ({ v, r, s }, value, deadline = this.deadline) =>
        this.token.connect(this.bob).permit(this.owner, this.alice, value, deadline, v, r, s);
    });

    it("has the domain that signers compute", async function () {
      expect(await this.token.DOMAIN_SEPARATOR()).to.equal(ethers.TypedDataEncoder.hashDomain(this.domain));
      const { name, version, verifyingContract } = await this.token.eip712Domain();
      expect([name, version, verifyingContract]).to.deep.equal(["Token", "1", this.token.target]);
    });
    for (const value of [0n, 1n, SUPPLY, ethers.MaxUint256]) {
      it(`allows ${value} by signature, once`, async function () {
        const signature = await this.sign(this.owner, value);
        await expect(this.permit(signature, value)).to.emit(this.token, "Approval").withArgs(this.owner, this.alice, value);
        expect(await this.token.nonces(this.owner)).to.equal(1n);
        await expect(this.permit(signature, value)).to.be.revertedWithCustomError(this.token, "ERC2612InvalidSigner");
      });
    }
    it("refuses another's signature", async function () {
      await expect(this.permit(await this.sign(this.carol, 1n), 1n))
        .to.be.revertedWithCustomError(this.token, "ERC2612InvalidSigner")
        .withArgs(this.carol, this.owner);
    });
    it("refuses after its time", async function () {
      const signature = await this.sign(this.owner, 1n);
      await time.increaseTo(this.deadline + 1);
      await expect(this.permit(signature, 1n))
        .to.be.revertedWithCustomError(this.token, "ERC2612ExpiredSignature")
        .withArgs(this.deadline);
    });
  });

  describe("votes", () => {
    it("are counted when delegated", async function () {
      expect(await this.token.getVotes(this.owner)).to.equal(0n);
      const delegation = await this.token.delegate(this.owner);
      await expect(delegation).to.emit(this.token, "DelegateChanged").withArgs(this.owner, ethers.ZeroAddress, this.owner);
      await expect(delegation).to.emit(this.token, "DelegateVotesChanged").withArgs(this.owner, 0n, SUPPLY);
      expect(await this.token.getVotes(this.owner)).to.equal(SUPPLY);
    });
    for (const share of [1n, 10n, 100n]) {
      it(`move with a transfer of 1/${share}`, async function () {
        const moved = SUPPLY / share;
        await this.token.delegate(this.owner);
        await this.token.connect(this.alice).delegate(this.bob);
        await this.token.transfer(this.alice, moved);
        expect(await this.token.getVotes(this.owner)).to.equal(SUPPLY - moved);
        expect(await this.token.getVotes(this.bob)).to.equal(moved);
      });
    }
    it("of the past are kept", async function () {
      await this.token.delegate(this.owner);
      const history = [];
      for (const amount of [100n, 200n, 300n]) {
        const { blockNumber } = await (await this.token.transfer(this.alice, amount)).wait();
        history.push([blockNumber, await this.token.getVotes(this.owner)]);
        await mine(3);
      }
      await mine();
      for (const [block, votes] of history) expect(await this.token.getPastVotes(this.owner, block)).to.equal(votes);
      expect(await this.token.numCheckpoints(this.owner)).to.equal(4n);
      expect(await this.token.getPastTotalSupply(history[0][0])).to.equal(SUPPLY);
    });
    it("of the future are not known", async function () {
      const now = await ethers.provider.getBlockNumber();
      await expect(this.token.getPastVotes(this.owner, now + 5)).to.be.revertedWithCustomError(this.token, "ERC5805FutureLookup");
    });
  });
});
