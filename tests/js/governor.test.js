// OpenZeppelin's Governor with TimelockController and ERC20Votes, from Solidity, through a whole proposal in real time.

"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const { url, mnemonic, chainId, contract, sleep, until } = require("./support");

const [DELAY, PERIOD, TIMELOCK] = [3, 3, 1]; // seconds
const State = { Pending: 0n, Active: 1n, Canceled: 2n, Defeated: 3n, Succeeded: 4n, Queued: 5n, Executed: 7n };

let provider, alice, bob, carol, token, timelock, governor, box;

const mined = async (sent) => (await sent).wait();

async function deploy(name, ...args) {
  const { abi, bytecode } = contract(name);
  return (await new ethers.ContractFactory(abi, bytecode, alice).deploy(...args)).waitForDeployment();
}

/** Waits for a block after a moment of the chain's clock, so that transactions may be sent. */
async function past(time) {
  const now = async () => BigInt((await provider.getBlock("latest")).timestamp);
  await until(`the chain's clock to pass ${time}`, async () => {
    if ((await now()) > time) return true;
    // Chains that make a block only when there is something to put in it need something.
    await sleep(200);
    await mined(carol.sendTransaction({ to: carol.address }));
    return false;
  });
}

before(async () => {
  const options = { polling: true, pollingInterval: 20, cacheTimeout: -1 };
  provider = new ethers.JsonRpcProvider(url, chainId, options);
  const derive = (index) => ethers.HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`).connect(provider);
  [alice, bob, carol] = [0, 1, 2].map(derive);
  token = await deploy("VoteToken", 1000n);
  timelock = await deploy("TimelockController", TIMELOCK, [], [ethers.ZeroAddress], alice.address);
  governor = await deploy("VoteGovernor", token, timelock, DELAY, PERIOD);
  box = await deploy("Box", timelock);
  await mined(timelock.grantRole(await timelock.PROPOSER_ROLE(), governor));
  await mined(timelock.grantRole(await timelock.CANCELLER_ROLE(), governor));
  await mined(timelock.renounceRole(await timelock.DEFAULT_ADMIN_ROLE(), alice));
  await mined(token.transfer(bob, 300n));
  await mined(alice.sendTransaction({ to: timelock, value: 50n }));
  await mined(token.delegate(alice));
  const { blockNumber } = await mined(token.connect(bob).delegate(bob));
  // Who proposes must have had the votes a second before.
  await past(BigInt((await provider.getBlock(blockNumber)).timestamp));
});

after(() => provider.destroy());

async function propose(description, value, at = governor) {
  const call = [[await box.getAddress()], [5n], [box.interface.encodeFunctionData("change", [value])]];
  const receipt = await mined(at.propose(...call, description));
  const created = receipt.logs.map((log) => at.interface.parseLog(log)).find((log) => log?.name === "ProposalCreated");
  return { id: created.args.proposalId, call: [...call, ethers.id(description)] };
}

test("a proposal is voted for, queued, executed, and its effect seen", async () => {
  assert.equal(await governor.CLOCK_MODE(), "mode=timestamp");
  const { id, call } = await propose("Change the box", 42n);
  assert.equal(await governor.state(id), State.Pending);
  assert.equal(await governor.proposalDeadline(id), (await governor.proposalSnapshot(id)) + BigInt(PERIOD));
  await assert.rejects(governor.castVote.staticCall(id, 1), ({ revert }) => revert.name === "GovernorUnexpectedProposalState");

  await past(await governor.proposalSnapshot(id));
  assert.equal(await governor.state(id), State.Active);
  await mined(governor.castVote(id, 1));
  // By signature, the ballot sent by somebody else.
  const types = {
    Ballot: [
      { name: "proposalId", type: "uint256" },
      { name: "support", type: "uint8" },
      { name: "voter", type: "address" },
      { name: "nonce", type: "uint256" },
    ],
  };
  const domain = { name: "VoteGovernor", version: "1", chainId, verifyingContract: await governor.getAddress() };
  const ballot = await bob.signTypedData(domain, types, { proposalId: id, support: 0, voter: bob.address, nonce: 0n });
  await mined(governor.connect(carol).castVoteBySig(id, 0, bob, ballot));
  assert.deepEqual([...(await governor.proposalVotes(id))], [300n, 700n, 0n]);
  await assert.rejects(governor.castVote.staticCall(id, 1), ({ revert }) => revert.name === "GovernorAlreadyCastVote");

  await past(await governor.proposalDeadline(id));
  assert.equal(await governor.state(id), State.Succeeded);
  await mined(governor.queue(...call));
  assert.equal(await governor.state(id), State.Queued);
  await past(await governor.proposalEta(id));
  const receipt = await mined(governor.connect(carol).execute(...call));
  assert.equal(await governor.state(id), State.Executed);
  assert.equal(await box.value(), 42n);
  assert.equal(await provider.getBalance(box), 5n);
  assert.equal(await provider.getBalance(timelock), 45n);
  const changed = receipt.logs.find(({ address }) => address === box.target);
  assert.deepEqual([...box.interface.parseLog(changed).args], [42n]);
  assert.equal((await governor.queryFilter(governor.filters.ProposalExecuted())).length, 1);
});

test("a proposal without a majority is defeated and cannot be queued", async () => {
  const { id, call } = await propose("Change it against the will of most", 13n);
  await past(await governor.proposalSnapshot(id));
  await mined(governor.connect(bob).castVoteWithReason(id, 1, "I would like it"));
  await mined(governor.castVote(id, 0));
  await past(await governor.proposalDeadline(id));
  assert.equal(await governor.state(id), State.Defeated);
  await assert.rejects(governor.queue.staticCall(...call), ({ revert }) => revert.name === "GovernorUnexpectedProposalState");
});

test("only the timelock changes the box, and its proposer may cancel while a proposal is pending", async () => {
  await assert.rejects(box.change.staticCall(1n), ({ revert }) => revert.name === "NotOwner" && revert.args[0] === alice.address);
  // One that leaves time, however slow the machine is.
  const patient = await deploy("VoteGovernor", token, timelock, 600, PERIOD);
  const { id, call } = await propose("Never mind", 7n, patient);
  await mined(patient.cancel(...call));
  assert.equal(await patient.state(id), State.Canceled);
});
