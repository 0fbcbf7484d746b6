// Permit2 at its usual address: what Uniswap's own SDK gives to sign, signed with ethers 6, must move tokens here.

"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const { AllowanceTransfer, SignatureTransfer, PERMIT2_ADDRESS, MaxAllowanceTransferAmount } = require("@uniswap/permit2-sdk");
const { url, mnemonic, chainId, canonical, contract } = require("./support");

const VoteToken = contract("VoteToken");
const single = "((address token, uint160 amount, uint48 expiration, uint48 nonce) details, address spender, uint256 sigDeadline)";
const batch = single.replace(") details", ")[] details");
const once = "((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline)";
const onceEach = once.replace(") permitted", ")[] permitted");
const details = "(address to, uint256 requestedAmount)";
const abi = [
  "function DOMAIN_SEPARATOR() view returns (bytes32)",
  "function allowance(address, address, address) view returns (uint160 amount, uint48 expiration, uint48 nonce)",
  "function nonceBitmap(address, uint256) view returns (uint256)",
  "function approve(address token, address spender, uint160 amount, uint48 expiration)",
  `function permit(address owner, ${single} permitSingle, bytes signature)`,
  `function permit(address owner, ${batch} permitBatch, bytes signature)`,
  "function transferFrom(address from, address to, uint160 amount, address token)",
  "function transferFrom((address from, address to, uint160 amount, address token)[] transferDetails)",
  "function lockdown((address token, address spender)[] approvals)",
  "function invalidateNonces(address token, address spender, uint48 newNonce)",
  "function invalidateUnorderedNonces(uint256 wordPos, uint256 mask)",
  `function permitTransferFrom(${once} permit, ${details} transferDetails, address owner, bytes signature)`,
  `function permitTransferFrom(${onceEach} permit, ${details}[] transferDetails, address owner, bytes signature)`,
  `function permitWitnessTransferFrom(${once} permit, ${details} transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature)`,
  `function permitWitnessTransferFrom(${onceEach} permit, ${details}[] transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature)`,
  "event Permit(address indexed owner, address indexed token, address indexed spender, uint160 amount, uint48 expiration, uint48 nonce)",
  "event Lockdown(address indexed owner, address token, address spender)",
  "error AllowanceExpired(uint256 deadline)",
  "error InsufficientAllowance(uint256 amount)",
  "error ExcessiveInvalidation()",
  "error InvalidNonce()",
  "error SignatureExpired(uint256 signatureDeadline)",
  "error InvalidAmount(uint256 maxAmount)",
  "error LengthMismatch()",
  "error InvalidSignatureLength()",
  "error InvalidSigner()",
];
const PERMIT = "permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)";
const PERMIT_BATCH = "permit(address,((address,uint160,uint48,uint48)[],address,uint256),bytes)";
const MOVE = "transferFrom(address,address,uint160,address)";
const ONCE = "permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)";
const ONCE_EACH = "permitTransferFrom(((address,uint256)[],uint256,uint256),(address,uint256)[],address,bytes)";
const WITNESS =
  "permitWitnessTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes32,string,bytes)";
const WITNESS_EACH = WITNESS.replace("(address,uint256),uint256", "(address,uint256)[],uint256").replace(
  "uint256),(address,uint256)", "uint256),(address,uint256)[]");

let provider, owner, spender, other, token, tokenAddress, permit2, now;

const mined = async (sent) => (await sent).wait();
const later = () => now + 3600;

/** The call fails with this custom error. */
async function fails(call, name, ...args) {
  await assert.rejects(call, (error) => {
    assert.equal(error.revert?.name, name, `${error}`);
    assert.deepEqual([...error.revert.args], args);
    return true;
  });
}

async function signed({ domain, types, values }, by = owner) {
  return by.signTypedData({ ...domain, chainId }, types, values);
}

async function deployToken() {
  const token = await new ethers.ContractFactory(VoteToken.abi, VoteToken.bytecode, owner).deploy(1_000_000n);
  await token.waitForDeployment();
  await mined(token.approve(PERMIT2_ADDRESS, ethers.MaxUint256));
  return token;
}

before(async () => {
  const options = { polling: true, pollingInterval: 20, cacheTimeout: -1, staticNetwork: ethers.Network.from(chainId) };
  provider = new ethers.JsonRpcProvider(url, chainId, options);
  const derive = (index) => ethers.HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`).connect(provider);
  [owner, spender, other] = [5, 6, 7].map(derive);
  token = await deployToken();
  tokenAddress = await token.getAddress();
  permit2 = new ethers.Contract(PERMIT2_ADDRESS, abi, spender);
  now = (await provider.getBlock("latest")).timestamp;
});

after(() => provider.destroy());

test("it stands where the SDK looks for it, with the domain of this chain", async () => {
  assert.equal(PERMIT2_ADDRESS.toLowerCase(), canonical.permit2.toLowerCase());
  const domain = { name: "Permit2", chainId, verifyingContract: PERMIT2_ADDRESS };
  assert.equal(await permit2.DOMAIN_SEPARATOR(), ethers.TypedDataEncoder.hashDomain(domain));
});

test("a signature grants an allowance, once", async () => {
  const permit = {
    details: { token: tokenAddress, amount: 500n, expiration: later(), nonce: 0 },
    spender: spender.address,
    sigDeadline: later(),
  };
  const signature = await signed(AllowanceTransfer.getPermitData(permit, PERMIT2_ADDRESS, chainId));
  await fails(permit2[PERMIT].staticCall(owner.address, permit, await signed(
    AllowanceTransfer.getPermitData(permit, PERMIT2_ADDRESS, chainId), other)), "InvalidSigner");
  await fails(permit2[PERMIT].staticCall(owner.address, permit, "0x1234"), "InvalidSignatureLength");
  await fails(permit2[PERMIT].staticCall(owner.address, { ...permit, sigDeadline: 1 }, signature), "SignatureExpired", 1n);
  const receipt = await mined(permit2[PERMIT](owner.address, permit, signature));
  const event = permit2.interface.parseLog(receipt.logs[0]);
  assert.equal(event.name, "Permit");
  assert.deepEqual([...event.args], [owner.address, tokenAddress, spender.address, 500n, BigInt(later()), 0n]);
  assert.deepEqual([...(await permit2.allowance(owner.address, tokenAddress, spender.address))], [500n, BigInt(later()), 1n]);
  await fails(permit2[PERMIT].staticCall(owner.address, permit, signature), "InvalidNonce");

  await mined(permit2[MOVE](owner.address, other.address, 200n, tokenAddress));
  assert.equal(await token.balanceOf(other.address), 200n);
  await fails(permit2[MOVE].staticCall(owner.address, other.address, 301n, tokenAddress), "InsufficientAllowance", 300n);

  const locked = await mined(permit2.connect(owner).lockdown([{ token: tokenAddress, spender: spender.address }]));
  assert.deepEqual([...permit2.interface.parseLog(locked.logs[0]).args], [owner.address, tokenAddress, spender.address]);
  await fails(permit2[MOVE].staticCall(owner.address, other.address, 1n, tokenAddress), "InsufficientAllowance", 0n);
});

test("allowances end, are unlimited at the maximum, and their nonces can be skipped", async () => {
  const asOwner = permit2.connect(owner);
  await mined(asOwner.approve(tokenAddress, spender.address, 10n, 1));
  await fails(permit2[MOVE].staticCall(owner.address, other.address, 1n, tokenAddress), "AllowanceExpired", 1n);
  await mined(asOwner.approve(tokenAddress, spender.address, MaxAllowanceTransferAmount.toString(), later()));
  await mined(permit2[MOVE](owner.address, other.address, 7n, tokenAddress));
  const { amount, nonce } = await permit2.allowance(owner.address, tokenAddress, spender.address);
  assert.equal(amount, (1n << 160n) - 1n);
  await fails(asOwner.invalidateNonces.staticCall(tokenAddress, spender.address, nonce), "InvalidNonce");
  await fails(asOwner.invalidateNonces.staticCall(tokenAddress, spender.address, nonce + 65_536n), "ExcessiveInvalidation");
  await mined(asOwner.invalidateNonces(tokenAddress, spender.address, nonce + 5n));
  assert.equal((await permit2.allowance(owner.address, tokenAddress, spender.address)).nonce, nonce + 5n);
});

test("one signature grants allowances on several tokens", async () => {
  const second = await (await deployToken()).getAddress();
  const { nonce } = await permit2.allowance(owner.address, tokenAddress, other.address);
  const permit = {
    details: [
      { token: tokenAddress, amount: 11n, expiration: later(), nonce },
      { token: second, amount: 12n, expiration: later(), nonce: 0 },
    ],
    spender: other.address,
    sigDeadline: later(),
  };
  const signature = await signed(AllowanceTransfer.getPermitData(permit, PERMIT2_ADDRESS, chainId));
  await mined(permit2[PERMIT_BATCH](owner.address, permit, signature));
  const before = await token.balanceOf(spender.address);
  await mined(permit2.connect(other)["transferFrom((address,address,uint160,address)[])"]([
    { from: owner.address, to: spender.address, amount: 11n, token: tokenAddress },
    { from: owner.address, to: spender.address, amount: 12n, token: second },
  ]));
  assert.equal(await token.balanceOf(spender.address), before + 11n);
});

test("a signature moves tokens once, in both forms of a signature", async () => {
  const permit = (nonce) => ({
    permitted: { token: tokenAddress, amount: 70n },
    spender: spender.address,
    nonce,
    deadline: later(),
  });
  const to = ethers.Wallet.createRandom().address;
  const moves = { to, requestedAmount: 60n };
  const full = await signed(SignatureTransfer.getPermitData(permit(0), PERMIT2_ADDRESS, chainId));
  await fails(permit2.connect(other)[ONCE].staticCall(permit(0), moves, owner.address, full), "InvalidSigner");
  await fails(permit2[ONCE].staticCall(permit(0), { to, requestedAmount: 71n }, owner.address, full), "InvalidAmount", 70n);
  await mined(permit2[ONCE](permit(0), moves, owner.address, full));
  await fails(permit2[ONCE].staticCall(permit(0), moves, owner.address, full), "InvalidNonce");
  const second = await signed(SignatureTransfer.getPermitData(permit(257), PERMIT2_ADDRESS, chainId));
  await mined(permit2[ONCE](permit(257), moves, owner.address, ethers.Signature.from(second).compactSerialized));
  assert.equal(await token.balanceOf(to), 120n);
  assert.equal(await permit2.nonceBitmap(owner.address, 0), 1n);
  assert.equal(await permit2.nonceBitmap(owner.address, 1), 2n);
  await mined(permit2.connect(owner).invalidateUnorderedNonces(2, 1n << 9n));
  const third = await signed(SignatureTransfer.getPermitData(permit(2 * 256 + 9), PERMIT2_ADDRESS, chainId));
  await fails(permit2[ONCE].staticCall(permit(2 * 256 + 9), moves, owner.address, third), "InvalidNonce");
});

test("a signature covers several transfers, and a witness of its own type", async () => {
  const to = ethers.Wallet.createRandom().address;
  const permit = {
    permitted: [{ token: tokenAddress, amount: 5n }, { token: tokenAddress, amount: 6n }],
    spender: spender.address,
    nonce: 1000,
    deadline: later(),
  };
  const moves = [{ to, requestedAmount: 5n }, { to, requestedAmount: 0n }];
  const each = await signed(SignatureTransfer.getPermitData(permit, PERMIT2_ADDRESS, chainId));
  await fails(permit2[ONCE_EACH].staticCall(permit, moves.slice(1), owner.address, each), "LengthMismatch");
  await mined(permit2[ONCE_EACH](permit, moves, owner.address, each));
  assert.equal(await token.balanceOf(to), 5n);

  const witness = { witnessTypeName: "Order", witnessType: { Order: [{ name: "item", type: "uint256" }] }, witness: { item: 9 } };
  const hash = ethers.TypedDataEncoder.hashStruct("Order", witness.witnessType, witness.witness);
  const type = "Order witness)Order(uint256 item)TokenPermissions(address token,uint256 amount)";
  const one = { ...permit, permitted: permit.permitted[0], nonce: 1001 };
  const forOne = await signed(SignatureTransfer.getPermitData(one, PERMIT2_ADDRESS, chainId, witness));
  await fails(permit2[WITNESS].staticCall(one, moves[0], owner.address, ethers.ZeroHash, type, forOne), "InvalidSigner");
  await mined(permit2[WITNESS](one, moves[0], owner.address, hash, type, forOne));
  const many = { ...permit, nonce: 1002 };
  const forMany = await signed(SignatureTransfer.getPermitData(many, PERMIT2_ADDRESS, chainId, witness));
  await mined(permit2[WITNESS_EACH](many, moves, owner.address, hash, type, forMany));
  assert.equal(await token.balanceOf(to), 15n);
});
