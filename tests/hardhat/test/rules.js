"use strict";

const { ethers } = require("hardhat");
const { expect } = require("chai");
const { impersonateAccount, mine, setBalance, stopImpersonatingAccount, time } = require("@nomicfoundation/hardhat-network-helpers");
const { DAY, coin, deploy, fixture } = require("./support");

describe("AccessControl", () => {
  async function roles() {
    const [admin, alice, bob, carol] = await ethers.getSigners();
    const roles = await deploy("Roles", admin);
    return { admin, alice, bob, carol, roles, writer: await roles.WRITER_ROLE() };
  }
  fixture(roles);

  for (const count of [1, 3, 8]) {
    it(`lists ${count} members`, async function () {
      const members = (await ethers.getSigners()).slice(1, 1 + count);
      for (const member of members) {
        await expect(this.roles.grantRole(this.writer, member))
          .to.emit(this.roles, "RoleGranted")
          .withArgs(this.writer, member, this.admin);
      }
      expect(await this.roles.getRoleMemberCount(this.writer)).to.equal(BigInt(count));
      expect(await this.roles.getRoleMembers(this.writer)).to.deep.equal(members.map(({ address }) => address));
    });
  }
  for (const value of [0n, 1n, ethers.MaxUint256]) {
    it(`lets members write ${value}, and no others`, async function () {
      const hers = this.roles.connect(this.alice);
      await expect(hers.write(value))
        .to.be.revertedWithCustomError(this.roles, "AccessControlUnauthorizedAccount")
        .withArgs(this.alice, this.writer);
      await this.roles.grantRole(this.writer, this.alice);
      await hers.write(value);
      expect(await this.roles.value()).to.equal(value);
      await this.roles.revokeRole(this.writer, this.alice);
      await expect(hers.write(value)).to.be.reverted;
    });
  }
  it("lets members leave, themselves alone", async function () {
    await this.roles.grantRole(this.writer, this.alice);
    await expect(this.roles.renounceRole(this.writer, this.alice)).to.be.revertedWithCustomError(this.roles, "AccessControlBadConfirmation");
    await this.roles.connect(this.alice).renounceRole(this.writer, this.alice);
    expect(await this.roles.hasRole(this.writer, this.alice)).to.equal(false);
  });

  for (const delay of [0, DAY, 30 * DAY]) {
    it(`changes a slow administrator after ${delay} seconds`, async function () {
      const slow = await deploy("SlowAdmin", delay, this.admin);
      await slow.beginDefaultAdminTransfer(this.alice);
      const accept = () => slow.connect(this.alice).acceptDefaultAdminTransfer();
      const { schedule } = await slow.pendingDefaultAdmin();
      if (delay > 0) {
        await time.setNextBlockTimestamp(schedule);
        await expect(accept()).to.be.revertedWithCustomError(slow, "AccessControlEnforcedDefaultAdminDelay").withArgs(schedule);
      }
      await time.increaseTo(schedule + 1n > BigInt(await time.latest()) ? schedule + 1n : (await time.latest()) + 1);
      await accept();
      expect(await slow.defaultAdmin()).to.equal(this.alice);
    });
  }
});

describe("Governor", () => {
  const [AGAINST, FOR, ABSTAIN] = [0, 1, 2];
  const STATES = ["Pending", "Active", "Canceled", "Defeated", "Succeeded", "Queued", "Expired", "Executed"];

  async function governance() {
    const signers = await ethers.getSigners();
    const [owner, alice, bob, carol, dave] = signers;
    const token = await deploy("Token", owner, 1000n, 10_000n);
    const timelock = await deploy("TimelockController", DAY, [], [ethers.ZeroAddress], owner);
    const governor = await deploy("BlockGovernor", token, timelock);
    const target = await deploy("Target");
    await timelock.grantRole(await timelock.PROPOSER_ROLE(), governor);
    await timelock.grantRole(await timelock.CANCELLER_ROLE(), governor);
    const shares = [[alice, 400n], [bob, 300n], [carol, 50n]];
    for (const [voter, share] of shares) {
      await token.transfer(voter, share);
      await token.connect(voter).delegate(voter);
    }
    await mine();
    const call = [[target.target], [0n], [target.interface.encodeFunctionData("set", [42n])]];
    const hash = ethers.id("set it");
    const id = await governor["getProposalId(address[],uint256[],bytes[],bytes32)"](...call, hash);
    return { owner, alice, bob, carol, dave, token, timelock, governor, target, call, hash, id };
  }
  fixture(governance);

  beforeEach(function () {
    this.propose = (who = this.alice) => this.governor.connect(who).propose(...this.call, "set it");
    this.vote = (who, support) => this.governor.connect(who).castVote(this.id, support);
    this.state = async () => STATES[await this.governor.state(this.id)];
    this.begin = async () => {
      await this.propose();
      await mine(3);
    };
    this.end = () => mine(20);
  });

  it("announces a proposal", async function () {
    await expect(this.propose()).to.emit(this.governor, "ProposalCreated");
    expect(await this.state()).to.equal("Pending");
    expect(await this.governor.proposalProposer(this.id)).to.equal(this.alice);
    expect((await this.governor.proposalDeadline(this.id)) - (await this.governor.proposalSnapshot(this.id))).to.equal(20n);
  });
  it("refuses proposals of who has too few votes", async function () {
    await expect(this.propose(this.dave))
      .to.be.revertedWithCustomError(this.governor, "GovernorInsufficientProposerVotes")
      .withArgs(this.dave, 0n, 10n);
  });
  it("refuses the same proposal twice", async function () {
    await this.propose();
    await expect(this.propose()).to.be.revertedWithCustomError(this.governor, "GovernorUnexpectedProposalState");
  });

  const outcomes = [
    [[FOR, FOR, FOR], "Succeeded"], [[FOR, AGAINST, AGAINST], "Succeeded"], [[AGAINST, FOR, FOR], "Defeated"],
    [[FOR, undefined, undefined], "Succeeded"], [[undefined, undefined, FOR], "Defeated"], [[undefined, undefined, undefined], "Defeated"],
    [[ABSTAIN, undefined, FOR], "Succeeded"], [[ABSTAIN, ABSTAIN, ABSTAIN], "Defeated"], [[undefined, AGAINST, FOR], "Defeated"],
    [[FOR, AGAINST, ABSTAIN], "Succeeded"], [[ABSTAIN, FOR, AGAINST], "Succeeded"], [[undefined, FOR, AGAINST], "Succeeded"],
  ];
  for (const [ballots, outcome] of outcomes) {
    it(`${outcome} with the votes ${ballots.map((vote) => ["against", "for", "abstain"][vote] ?? "-").join(", ")}`, async function () {
      await this.begin();
      expect(await this.state()).to.equal("Active");
      const counts = [0n, 0n, 0n];
      for (const [index, ballot] of ballots.entries()) {
        if (ballot === undefined) continue;
        const [voter, weight] = [[this.alice, 400n], [this.bob, 300n], [this.carol, 50n]][index];
        await expect(this.vote(voter, ballot)).to.emit(this.governor, "VoteCast").withArgs(voter, this.id, ballot, weight, "");
        counts[ballot] += weight;
      }
      expect(await this.governor.proposalVotes(this.id)).to.deep.equal(counts);
      await this.end();
      expect(await this.state()).to.equal(outcome);
    });
  }

  it("refuses votes before, after, twice, and of unknown kinds", async function () {
    await this.propose();
    await expect(this.vote(this.alice, FOR)).to.be.revertedWithCustomError(this.governor, "GovernorUnexpectedProposalState");
    await mine(3);
    await expect(this.vote(this.alice, 7)).to.be.revertedWithCustomError(this.governor, "GovernorInvalidVoteType");
    await this.vote(this.alice, FOR);
    await expect(this.vote(this.alice, FOR)).to.be.revertedWithCustomError(this.governor, "GovernorAlreadyCastVote").withArgs(this.alice);
    await this.end();
    await expect(this.vote(this.bob, FOR)).to.be.revertedWithCustomError(this.governor, "GovernorUnexpectedProposalState");
  });
  it("counts the votes that somebody had when voting began", async function () {
    await this.begin();
    await this.token.connect(this.alice).transfer(this.dave, 400n);
    await this.vote(this.alice, FOR);
    expect((await this.governor.proposalVotes(this.id)).forVotes).to.equal(400n);
  });
  for (const ballot of [AGAINST, FOR, ABSTAIN]) {
    it(`takes a vote (${ballot}) by signature`, async function () {
      await this.begin();
      const { chainId } = await ethers.provider.getNetwork();
      const domain = { name: "BlockGovernor", version: "1", chainId, verifyingContract: this.governor.target };
      const types = {
        Ballot: [
          { name: "proposalId", type: "uint256" }, { name: "support", type: "uint8" },
          { name: "voter", type: "address" }, { name: "nonce", type: "uint256" },
        ],
      };
      const message = { proposalId: this.id, support: ballot, voter: this.bob.address, nonce: 0n };
      const signature = await this.bob.signTypedData(domain, types, message);
      await this.governor.connect(this.dave).castVoteBySig(this.id, ballot, this.bob, signature);
      expect((await this.governor.proposalVotes(this.id))[ballot]).to.equal(300n);
      await expect(this.governor.castVoteBySig(this.id, ballot, this.carol, signature))
        .to.be.revertedWithCustomError(this.governor, "GovernorInvalidSignature");
    });
  }

  describe("with a timelock", () => {
    beforeEach(async function () {
      await this.begin();
      await this.vote(this.alice, FOR);
      await this.end();
      this.queue = () => this.governor.queue(...this.call, this.hash);
      this.execute = () => this.governor.execute(...this.call, this.hash);
    });
    it("executes after the delay, and once", async function () {
      await expect(this.queue()).to.emit(this.governor, "ProposalQueued");
      expect(await this.state()).to.equal("Queued");
      await expect(this.execute()).to.be.revertedWithCustomError(this.timelock, "TimelockUnexpectedOperationState");
      await time.increase(DAY);
      await expect(this.execute()).to.emit(this.target, "Called").withArgs(this.timelock, 42n, 0n);
      expect(await this.state()).to.equal("Executed");
      await expect(this.execute()).to.be.revertedWithCustomError(this.governor, "GovernorUnexpectedProposalState");
    });
    it("does not execute what was not queued", async function () {
      await expect(this.execute()).to.be.revertedWithCustomError(this.governor, "GovernorUnexpectedProposalState");
    });
    it("cancels with its timelock", async function () {
      await this.queue();
      const salt = ethers.toBeHex(BigInt(this.hash) ^ (BigInt(this.governor.target) << 96n), 32);
      const id = await this.timelock.hashOperationBatch(...this.call, ethers.ZeroHash, salt);
      await impersonateAccount(this.governor.target);
      await setBalance(this.governor.target, coin("1"));
      await this.timelock.connect(await ethers.getSigner(this.governor.target)).cancel(id);
      await stopImpersonatingAccount(this.governor.target);
      expect(await this.state()).to.equal("Canceled");
    });
    it("lets the timelock alone change its settings", async function () {
      await expect(this.governor.setVotingDelay(1)).to.be.revertedWithCustomError(this.governor, "GovernorOnlyExecutor");
    });
  });
});

describe("TimelockController", () => {
  async function timelock() {
    const [owner, alice] = await ethers.getSigners();
    const timelock = await deploy("TimelockController", 0, [owner], [owner], owner);
    const target = await deploy("Target");
    const operation = (value, paid = 0n) =>
      [target.target, paid, target.interface.encodeFunctionData("set", [value]), ethers.ZeroHash, ethers.id("salt")];
    return { owner, alice, timelock, target, operation };
  }
  fixture(timelock);

  for (const delay of [0, 1, 60, DAY, 365 * DAY]) {
    it(`executes after ${delay} seconds, not before`, async function () {
      const operation = this.operation(1n);
      const id = await this.timelock.hashOperation(...operation);
      await this.timelock.schedule(...operation, delay);
      const ready = await this.timelock.getTimestamp(id);
      if (delay > 2) {
        await time.setNextBlockTimestamp(ready - 1n);
        await expect(this.timelock.execute(...operation)).to.be.revertedWithCustomError(this.timelock, "TimelockUnexpectedOperationState");
      }
      if (BigInt(await time.latest()) < ready) await time.setNextBlockTimestamp(ready);
      await expect(this.timelock.execute(...operation)).to.emit(this.timelock, "CallExecuted");
      expect(await this.timelock.isOperationDone(id)).to.equal(true);
    });
  }
  for (const paid of [0n, 1n, coin("5")]) {
    it(`pays ${paid} to what it calls`, async function () {
      await this.owner.sendTransaction({ to: this.timelock, value: paid });
      const operation = this.operation(2n, paid);
      await this.timelock.schedule(...operation, 0);
      await expect(this.timelock.execute(...operation)).to.changeEtherBalances([this.timelock, this.target], [-paid, paid]);
    });
  }
  it("hands on why a call failed", async function () {
    const operation = this.operation(13n);
    await this.timelock.schedule(...operation, 0);
    await expect(this.timelock.execute(...operation)).to.be.revertedWithCustomError(this.target, "Refused").withArgs(13n);
  });
  it("is used by who may alone", async function () {
    const hers = this.timelock.connect(this.alice);
    for (const call of [() => hers.schedule(...this.operation(1n), 0), () => hers.execute(...this.operation(1n))]) {
      await expect(call()).to.be.revertedWithCustomError(this.timelock, "AccessControlUnauthorizedAccount");
    }
  });
});

describe("VestingWallet", () => {
  const TOTAL = coin("100");
  async function vesting() {
    const [owner, alice] = await ethers.getSigners();
    const start = (await time.latest()) + DAY;
    const wallet = await deploy("Vesting", alice, start, 100 * DAY);
    await owner.sendTransaction({ to: wallet, value: TOTAL });
    return { owner, alice, start, wallet };
  }
  fixture(vesting);

  for (const percent of [0n, 1n, 25n, 50n, 99n, 100n]) {
    it(`has freed ${percent} % after as many days`, async function () {
      await time.increaseTo(BigInt(this.start) + percent * BigInt(DAY) - 1n);
      await time.setNextBlockTimestamp(BigInt(this.start) + percent * BigInt(DAY));
      const freed = (TOTAL * percent) / 100n;
      await expect(this.wallet["release()"]()).to.changeEtherBalances([this.wallet, this.alice], [-freed, freed]);
      expect(await this.wallet["released()"]()).to.equal(freed);
    });
  }
  it("frees nothing before and all after", async function () {
    expect(await this.wallet["releasable()"]()).to.equal(0n);
    await time.increaseTo(this.start + 1000 * DAY);
    expect(await this.wallet["releasable()"]()).to.equal(TOTAL);
  });
});

describe("ReentrancyGuard", () => {
  async function bank() {
    const [owner, alice] = await ethers.getSigners();
    const bank = await deploy("Bank");
    await bank.deposit({ value: coin("10") });
    return { owner, alice, bank, thief: await deploy("Thief", bank) };
  }
  fixture(bank);

  for (const times of [1n, 2n, 5n]) {
    it(`stops entering ${times} times again`, async function () {
      const { selector } = this.bank.interface.getFunction("withdrawGuarded");
      await expect(this.thief.rob(selector, times, { value: coin("1") }))
        .to.be.revertedWithCustomError(this.bank, "ReentrancyGuardReentrantCall");
      expect(await ethers.provider.getBalance(this.bank)).to.equal(coin("10"));
    });
    it(`is needed: without it ${times} times as much is stolen`, async function () {
      const { selector } = this.bank.interface.getFunction("withdrawOpen");
      await expect(this.thief.rob(selector, times, { value: coin("1") }))
        .to.changeEtherBalances([this.owner, this.bank, this.thief], [-coin("1"), -coin(`${times}`), coin(`${times + 1n}`)]);
    });
  }
  it("lets honest people withdraw", async function () {
    await expect(this.bank.withdrawGuarded(coin("3"))).to.changeEtherBalances([this.bank, this.owner], [-coin("3"), coin("3")]);
    await expect(this.bank.withdrawGuarded(coin("8"))).to.be.revertedWithCustomError(this.bank, "NotEnough").withArgs(coin("7"), coin("8"));
  });
});

describe("Clones", () => {
  async function factory() {
    const [owner, alice] = await ethers.getSigners();
    return { owner, alice, factory: await deploy("Factory") };
  }
  fixture(factory);

  for (const salt of ["", "a", "something longer"]) {
    it(`makes one where the salt "${salt}" says, once`, async function () {
      const address = await this.factory.predict(ethers.id(salt));
      await expect(this.factory.connect(this.alice).make(ethers.id(salt))).to.emit(this.factory, "Made").withArgs(address);
      const clone = await ethers.getContractAt("Account", address);
      expect(await clone.owner()).to.equal(this.alice);
      await clone.increment();
      expect(await clone.count()).to.equal(1n);
      await expect(clone.initialize(this.owner)).to.be.revertedWithCustomError(clone, "InvalidInitialization");
      await expect(this.factory.make(ethers.id(salt))).to.be.revertedWithCustomError(this.factory, "FailedDeployment");
    });
  }
});
