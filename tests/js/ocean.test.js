// Ocean Protocol's own contracts, from its npm package, and ocean.js, both unmodified: publish, buy, order, escrow.

"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { ethers } = require("ethers");
const lib = require("@oceanprotocol/lib");
const { url, chainId } = require("./support");
const { mined } = require("./market");
const { artifact, deploy } = require("./ocean");

const { parseEther, parseUnits } = ethers;
const { getEventFromTx, ZERO_ADDRESS } = lib;
const ONE = parseEther("1");

let provider, addresses, config;
/** The factories' owner, a data NFT's publisher and its next owner, a buyer, a market, an Ocean node. */
let owner, publisher, heir, buyer, market, node;
let ocean, dai, usdc;
/** What is published once and used by all: the data NFT, its datatoken, and the exchange that sells that. */
let nft, datatoken, exchangeId;

/** ocean.js's classes as an account's. */
const factory = (as) => new lib.NftFactory(addresses.ERC721Factory, as, chainId, config);
const nfts = (as) => new lib.Nft(as, chainId, config);
const datatokens = (as) => new lib.Datatoken(as, chainId, config);
const exchange = (as) => new lib.FixedRateExchange(addresses.FixedPrice, as, chainId, config);
const dispenser = (as) => new lib.Dispenser(addresses.Dispenser, as, chainId, config);
const escrow = (as) => new lib.EscrowContract(addresses.Escrow, as, chainId, config);
/** The same without ocean.js. */
const plain = (name, address, as) => new ethers.Contract(address, artifact(name).abi, as);

/** An event of a receipt, as ocean.js finds it, or from another contract's interface. */
function event(receipt, name, contract) {
  if (!contract) return getEventFromTx(receipt, name);
  const { abi } = artifact(contract);
  const logs = receipt.logs.map((log) => new ethers.Interface(abi).parseLog(log));
  return logs.find((log) => log?.name === name);
}

/** The call fails with this reason. */
const fails = (call, reason) => assert.rejects(call, (error) => {
  assert.equal(error.code, "CALL_EXCEPTION", `${error}`);
  assert.equal(error.reason, reason);
  return true;
});

/** By how much balances change meanwhile: a list of tokens' changes for a list of [token, account]. */
async function changes(pairs, action) {
  const balances = () => Promise.all(pairs.map(([token, account]) => token.balanceOf(account)));
  const before = await balances();
  const result = await action();
  const then = await balances();
  return { result, changed: then.map((balance, index) => balance - before[index]) };
}

/** What an Ocean node asks for a service, signed with `eth_sign` as ocean.js has it signed. */
async function providerFee({ token = dai.target, amount = 0n, data = "{}", validUntil = 0n, signer = node } = {}) {
  const providerData = ethers.hexlify(ethers.toUtf8Bytes(data));
  const hash = ethers.solidityPackedKeccak256(
    ["bytes", "address", "address", "uint256", "uint256"],
    [providerData, node.address, token, amount, validUntil]);
  const fee = {
    providerFeeAddress: node.address,
    providerFeeToken: token,
    providerFeeAmount: amount.toString(),
    validUntil: validUntil.toString(),
    providerData,
  };
  return { ...fee, ...(await lib.signHash(signer, hash)) };
}

const nftData = (name) =>
  ({ name, symbol: "DATA", templateIndex: 1, tokenURI: "data:,", transferable: true, owner: publisher.address });

const datatokenData = (feeToken = ZERO_ADDRESS, feeAmount = "0") => ({
  templateIndex: 1,
  cap: "1000",
  feeAmount,
  paymentCollector: ZERO_ADDRESS,
  feeToken,
  minter: publisher.address,
  mpFeeAddress: market.address,
  name: "Access",
  symbol: "ACC",
});

before(async () => {
  lib.LoggerInstance.setLevel(lib.LogLevel.None);
  const options = { polling: true, pollingInterval: 20, cacheTimeout: -1 };
  provider = new ethers.JsonRpcProvider(url, chainId, options);
  [owner, publisher, heir, buyer, market, node] = await Promise.all([0, 1, 2, 3, 4, 5].map((index) => provider.getSigner(index)));
  addresses = await deploy(owner, [publisher, heir, buyer, market, node]);
  // What its ConfigHelper makes of an address file, for the chains that it knows.
  config = {
    ...lib.configHelperNetworks[0],
    chainId,
    network: "development",
    sdk: "evm",
    nodeUri: url,
    ...new lib.ConfigHelper().getAddressesFromEnv("development", { development: addresses }),
  };
  [ocean, dai, usdc] = ["Ocean", "MockDAI", "MockUSDC"].map((name) => plain("templates/ERC20Template", addresses[name], buyer));
});

after(() => provider.destroy());

test("the contracts stand, the largest within a few bytes of the limit on code, and ocean.js finds them", async () => {
  const largest = await provider.getCode(addresses.ERC20Template[4]);
  assert.equal(ethers.dataLength(largest), ethers.dataLength(artifact("templates/ERC20Template4").deployedBytecode));
  assert.ok(ethers.dataLength(largest) > 24_500 && ethers.dataLength(largest) <= 24_576);
  assert.deepEqual(
    [config.nftFactoryAddress, config.fixedRateExchangeAddress, config.dispenserAddress, config.escrow, config.chainId],
    [addresses.ERC721Factory, addresses.FixedPrice, addresses.Dispenser, addresses.Escrow, chainId]);
  assert.equal(Number(await factory(owner).getCurrentTokenTemplateCount()), 4);
  for (const id of [1, 2, 3, 4]) {
    assert.equal(await lib.calculateActiveTemplateIndex(owner, addresses.ERC721Factory, id, chainId), id);
    assert.equal((await factory(owner).getTokenTemplate(id)).templateAddress, addresses.ERC20Template[id]);
  }
  const router = new lib.Router(addresses.Router, owner, chainId, config);
  assert.equal(await router.isFixedPrice(addresses.FixedPrice), true);
  assert.equal(await router.getNFTFactory(), addresses.ERC721Factory);
  assert.deepEqual([await router.isApprovedToken(addresses.Ocean), await router.isApprovedToken(addresses.MockDAI)], [true, false]);
});

test("a data NFT, its datatoken and an exchange for that are published in one transaction", async () => {
  const fixed = {
    fixedRateAddress: addresses.FixedPrice,
    baseTokenAddress: addresses.Ocean,
    owner: publisher.address,
    marketFeeCollector: market.address,
    baseTokenDecimals: 18,
    datatokenDecimals: 18,
    fixedRate: "2",
    marketFee: "0.001",
    allowedConsumer: ZERO_ADDRESS,
    withMint: true,
  };
  const data = [nftData("Weather"), datatokenData(addresses.MockDAI, "0.5"), fixed];
  const estimate = await factory(publisher).createNftWithDatatokenWithFixedRate(...data, true);
  const receipt = await mined(factory(publisher).createNftWithDatatokenWithFixedRate(...data));
  assert.ok(receipt.gasUsed <= estimate + 20_000n, `${receipt.gasUsed} of ${estimate}`);

  const created = event(receipt, "NFTCreated").args;
  nft = created.newTokenAddress;
  assert.deepEqual(
    [created.templateAddress, created.tokenName, created.admin, created.symbol, created.transferable, created.creator],
    [addresses.ERC721Template[1], "Weather", publisher.address, "DATA", true, publisher.address]);
  const token = event(receipt, "TokenCreated").args;
  datatoken = token.newTokenAddress;
  assert.deepEqual([token.templateAddress, token.name, token.symbol], [addresses.ERC20Template[1], "Access", "ACC"]);
  exchangeId = event(receipt, "NewFixedRate").args.exchangeId;
  assert.equal(exchangeId, await exchange(buyer).generateExchangeId(addresses.Ocean, datatoken));

  assert.equal(await nfts(buyer).getNftOwner(nft), publisher.address);
  assert.equal(await factory(buyer).checkNFT(nft), nft);
  assert.equal(await factory(buyer).checkDatatoken(datatoken), true);
  assert.equal(await datatokens(buyer).getNFTAddress(datatoken), nft);
  const { active, exchangeOwner, fixedRate, withMint, dtSupply } = await exchange(buyer).getExchange(exchangeId);
  assert.deepEqual([active, exchangeOwner, fixedRate, withMint], [true, publisher.address, "2.0", true]);
  assert.equal(Number(dtSupply), Number(ethers.formatEther(ethers.MaxUint256)));
});

test("metadata is set with a validator's proof, updated, and kept from others", async () => {
  const document = ethers.toUtf8Bytes(JSON.stringify({ id: lib.generateDid(nft, chainId), nftAddress: nft, chainId }));
  const [data, hash] = [ethers.hexlify(document), ethers.sha256(document)];
  const proof = { validatorAddress: node.address, ...(await lib.signHash(node, hash)) };
  const set = (as, ...proofs) =>
    nfts(as).setMetadata(nft, as.address, 0, "http://127.0.0.1:8001", node.address, "0x00", data, hash, proofs);

  const receipt = await mined(set(publisher, proof));
  const { timestamp } = await provider.getBlock(receipt.blockNumber);
  const moment = [BigInt(timestamp), BigInt(receipt.blockNumber)];
  const said = [0n, "http://127.0.0.1:8001", "0x00", data, hash];
  assert.deepEqual([...event(receipt, "MetadataCreated").args], [publisher.address, ...said, ...moment]);
  const { validator, metaDataHash } = event(receipt, "MetadataValidated").args;
  assert.deepEqual([validator, metaDataHash], [node.address, hash]);
  assert.deepEqual([...(await nfts(buyer).getMetadata(nft))], ["http://127.0.0.1:8001", node.address, 0n, true]);

  assert.equal(event(await mined(set(publisher)), "MetadataUpdated").args.metaDataHash, hash);
  await fails(set(publisher, { ...proof, validatorAddress: buyer.address }), "Invalid proof signer");
  await assert.rejects(set(buyer), { message: "Caller is not Metadata updater" });
  await fails(plain("templates/ERC721Template", nft, buyer).setMetaDataState(3), "ERC721Template: NOT METADATA_ROLE");
  await mined(nfts(publisher).setMetadataState(nft, publisher.address, 5));
  assert.equal((await nfts(buyer).getMetadata(nft))[2], 5n);
  await mined(nfts(publisher).setMetadataState(nft, publisher.address, 0));
});

test("a datatoken of rate 2 costs 2.004: 0.1 % are the market's and 0.1 % the community's", async () => {
  const { baseTokenAmount, marketFeeAmount, oceanFeeAmount } = await exchange(buyer).calcBaseInGivenDatatokensOut(exchangeId, "1");
  assert.deepEqual([baseTokenAmount, marketFeeAmount, oceanFeeAmount], ["2.004", "0.002", "0.002"]);
  await mined(datatokens(buyer).approve(addresses.Ocean, addresses.FixedPrice, "100"));
  await fails(exchange(buyer).buyDatatokens(exchangeId, "1", "2.003999999999999999"), "FixedRateExchange: Too many base tokens");

  const access = plain("templates/ERC20Template", datatoken, buyer);
  const watched = [[ocean, buyer], [ocean, addresses.FixedPrice], [ocean, market], [access, buyer]];
  const { result, changed } = await changes(watched, () => mined(exchange(buyer).buyDatatokens(exchangeId, "1", "2.004")));
  assert.deepEqual(changed, [parseEther("-2.004"), parseEther("2.004"), 0n, ONE]);
  const swapped = event(result, "Swapped").args;
  assert.deepEqual(
    [swapped.exchangeId, swapped.by, swapped.baseTokenSwappedAmount, swapped.datatokenSwappedAmount, swapped.tokenOutAddress],
    [exchangeId, buyer.address, parseEther("2.004"), ONE, datatoken]);
  assert.deepEqual([swapped.marketFeeAmount, swapped.oceanFeeAmount, swapped.consumeMarketFeeAmount],
    [parseEther("0.002"), parseEther("0.002"), 0n]);

  // Where it was bought gets its share at once; 1 % of 6, on the 6.012 of before.
  const more = await changes(watched, () => mined(
    exchange(buyer).buyDatatokens(exchangeId, "3", "6.072", market.address, "0.01")));
  assert.deepEqual(more.changed, [parseEther("-6.072"), parseEther("6.012"), parseEther("0.06"), 3n * ONE]);

  const { marketFeeAvailable, oceanFeeAvailable } = await exchange(buyer).getFeesInfo(exchangeId);
  assert.deepEqual([marketFeeAvailable, oceanFeeAvailable], ["0.008", "0.008"]);
  const collected = await changes(
    [[ocean, publisher], [ocean, market], [ocean, addresses.OPFCommunityFeeCollector], [ocean, addresses.FixedPrice]],
    async () => {
      await mined(exchange(publisher).collectBasetokens(exchangeId, "5"));
      await mined(exchange(market).collectMarketFee(exchangeId));
      await mined(exchange(owner).collectOceanFee(exchangeId));
    });
  assert.deepEqual(collected.changed, ["5", "0.008", "0.008", "-5.016"].map(parseEther));
  assert.equal((await exchange(buyer).getExchange(exchangeId)).btBalance, "3.0");
});

test("an order pays the publisher, the community, both markets and the node that signed its fee", async () => {
  const access = plain("templates/ERC20Template", datatoken, buyer);
  const fee = await providerFee({ amount: parseEther("0.25"), data: '{"environment":"one"}', validUntil: 4102444800n });
  const consumed = {
    consumeMarketFeeAddress: heir.address,
    consumeMarketFeeToken: addresses.MockUSDC,
    consumeMarketFeeAmount: parseUnits("0.1", 6).toString(),
  };
  const order = (fee) => datatokens(buyer).startOrder(datatoken, heir.address, 1, fee, consumed);
  await mined(datatokens(buyer).approve(addresses.MockDAI, datatoken, "0.75"));
  await fails(order(fee), "ERC20: transfer amount exceeds allowance");
  await mined(datatokens(buyer).approve(addresses.MockUSDC, datatoken, "0.1"));
  await fails(order(await providerFee({ amount: 1n, signer: market })), "Invalid provider fee");
  await fails(order({ ...fee, providerFeeAmount: parseEther("0.2").toString() }), "Invalid provider fee");

  const watched = [
    [access, buyer], [access, publisher], [access, addresses.OPFCommunityFeeCollector],
    [dai, buyer], [dai, market], [dai, node],
    [usdc, buyer], [usdc, heir],
  ];
  const { result: receipt, changed } = await changes(watched, () => mined(order(fee)));
  assert.deepEqual(changed, [
    -ONE, parseEther("0.97"), parseEther("0.03"),
    parseEther("-0.75"), parseEther("0.5"), parseEther("0.25"),
    -100_000n, 100_000n,
  ]);

  const { timestamp } = await provider.getBlock(receipt.blockNumber);
  const moment = [BigInt(timestamp), BigInt(receipt.blockNumber)];
  const started = event(receipt, "OrderStarted");
  assert.equal(started.address, datatoken);
  const { consumer, payer, amount, serviceIndex, publishMarketAddress } = started.args;
  assert.deepEqual([consumer, payer, amount, serviceIndex, publishMarketAddress],
    [heir.address, buyer.address, ONE, 1n, market.address]);
  assert.deepEqual([started.args.timestamp, started.args.blockNumber], moment);
  assert.deepEqual([...event(receipt, "PublishMarketFee").args], [market.address, addresses.MockDAI, parseEther("0.5")]);
  assert.deepEqual([...event(receipt, "ConsumeMarketFee").args], [heir.address, addresses.MockUSDC, 100_000n]);
  assert.deepEqual([...event(receipt, "ProviderFee").args], [
    node.address, addresses.MockDAI, parseEther("0.25"), fee.providerData, BigInt(fee.v), fee.r, fee.s, 4102444800n,
  ]);

  // To use it again costs the node's fee only.
  const again = await providerFee({ amount: parseEther("0.05") });
  await mined(datatokens(buyer).approve(addresses.MockDAI, datatoken, "0.05"));
  const reuse = await changes(watched, () => mined(datatokens(buyer).reuseOrder(datatoken, receipt.hash, again)));
  assert.deepEqual(reuse.changed, [0n, 0n, 0n, parseEther("-0.05"), 0n, parseEther("0.05"), 0n, 0n]);
  const block = await provider.getBlock(reuse.result.blockNumber);
  assert.deepEqual([...event(reuse.result, "OrderReused").args],
    [receipt.hash, buyer.address, BigInt(block.timestamp), BigInt(block.number)]);

  // The node and the consumer sign that it was served.
  const [served, got] = [ethers.toUtf8Bytes("served"), ethers.toUtf8Bytes("got it")];
  const byNode = await node.signMessage(ethers.getBytes(ethers.solidityPackedKeccak256(["bytes32", "bytes"], [receipt.hash, served])));
  const byConsumer = await heir.signMessage(ethers.getBytes(ethers.keccak256(got)));
  const executed = (signature) =>
    access.connect(node).orderExecuted(receipt.hash, served, byNode, got, signature, heir.address);
  await fails(executed(byNode), "Consumer signature check failed");
  const { providerAddress, consumerAddress, orderTxId } = event(await mined(executed(byConsumer)), "OrderExecuted").args;
  assert.deepEqual([providerAddress, consumerAddress, orderTxId], [node.address, heir.address, receipt.hash]);

  // As an indexer finds them: any of several events, of any contract.
  const names = ["MetadataCreated", "MetadataUpdated", "OrderStarted", "OrderReused"];
  const interfaces = ["721", "20"].map((kind) => new ethers.Interface(artifact(`templates/ERC${kind}Template`).abi));
  const topicOf = (name) => interfaces.map((one) => one.getEvent(name)).find(Boolean).topicHash;
  const logs = await provider.getLogs({ fromBlock: addresses.startBlock, topics: [names.map(topicOf)] });
  assert.deepEqual(logs.map(({ topics }) => names.find((name) => topicOf(name) === topics[0])), names);
  assert.deepEqual(logs.map(({ address }) => address), [nft, nft, datatoken, datatoken]);
});

test("what reverts is null from ocean.js when it was sent, and has its reason before and without ocean.js", async () => {
  const fee = await providerFee();
  const reason = "Not enough datatokens to start Order";
  await fails(datatokens(heir).startOrder(datatoken, heir.address, 0, fee), reason);
  await mined(datatokens(buyer).transfer(datatoken, heir.address, "1"));
  await mined(datatokens(heir).approve(addresses.MockDAI, datatoken, "10"));
  // Prepared while it would pass, sent when it does not.
  const transaction = await datatokens(heir).startOrderTx(datatoken, heir.address, 0, fee);
  await mined(datatokens(heir).transfer(datatoken, buyer.address, "1"));
  assert.equal(await lib.sendPreparedTransaction(heir, transaction), null);
  const consumed = [ZERO_ADDRESS, ZERO_ADDRESS, 0];
  const access = plain("templates/ERC20Template", datatoken, heir);
  const order = [heir.address, 0, fee, consumed];
  await fails(access.startOrder(...order), reason);
  await fails(access.startOrder.staticCall(...order), reason);
  await fails(access.startOrder.estimateGas(...order), reason);
  const failed = (await provider.getBlock("latest", true)).prefetchedTransactions.at(-1);
  assert.deepEqual([failed.from, failed.to], [heir.address, datatoken]);
  const receipt = await provider.getTransactionReceipt(failed.hash);
  assert.deepEqual([receipt.status, receipt.logs.length], [0, 0]);
});

test("a dispenser gives within its limits, and what it gave is ordered for nothing", async () => {
  const free = {
    dispenserAddress: addresses.Dispenser,
    maxTokens: "1",
    maxBalance: "1",
    withMint: true,
    allowedSwapper: ZERO_ADDRESS,
  };
  const receipt = await mined(
    factory(publisher).createNftWithDatatokenWithDispenser(nftData("Open weather"), datatokenData(), free));
  const gift = event(receipt, "TokenCreated").args.newTokenAddress;
  assert.deepEqual([...(await datatokens(buyer).getDispensers(gift))], [addresses.Dispenser]);
  // It is the factory's that made it; whose the data NFT is may change it all the same.
  assert.deepEqual(await dispenser(buyer).status(gift), {
    active: true, owner: addresses.ERC721Factory, isMinter: true, maxTokens: "1.0", maxBalance: "1.0", balance: "0.0",
    allowedSwapper: ZERO_ADDRESS,
  });
  await fails(dispenser(buyer).dispense(gift, "1.5", buyer.address), "Amount too high");
  const dispensed = event(await mined(dispenser(buyer).dispense(gift, "1", buyer.address)), "TokensDispensed", "pools/dispenser/Dispenser");
  assert.deepEqual([...dispensed.args], [gift, buyer.address, ONE]);
  assert.equal(await datatokens(buyer).balance(gift, buyer.address), "1.0");
  await fails(dispenser(buyer).dispense(gift, "1", buyer.address), "Caller balance too high");
  assert.equal(await dispenser(buyer).isDispensable(gift, datatokens(buyer), buyer.address, "1"), false);

  const order = await mined(datatokens(buyer).startOrder(gift, buyer.address, 0, await providerFee()));
  assert.equal(event(order, "OrderStarted").args.payer, buyer.address);
  assert.equal(event(order, "PublishMarketFee"), undefined);
  assert.deepEqual([await datatokens(buyer).balance(gift, buyer.address), await datatokens(buyer).balance(gift, publisher.address)],
    ["0.0", "0.97"]);
  await mined(dispenser(publisher).deactivate(gift));
  await fails(dispenser(buyer).dispense(gift, "1", buyer.address), "Dispenser not active");
});

test("an escrow locks what a payer allows, pays what was used, and gives the rest back", async () => {
  const held = plain("escrow/Escrow", addresses.Escrow, node);
  const lock = (job, amount, expiry = 3600n) => held.createLock(job, addresses.Ocean, buyer.address, amount, expiry);
  const claim = (job, amount) => held.claimLock(job, addresses.Ocean, buyer.address, amount, ethers.toUtf8Bytes("proof"));
  const funds = async (as) => {
    const { available, locked } = await escrow(as).getUserFunds(as.address, addresses.Ocean);
    return [available, locked];
  };

  await fails(lock(1n, ONE), "Payer does not have enough funds");
  await mined(datatokens(buyer).approve(addresses.Ocean, addresses.Escrow, "100"));
  const deposited = await changes([[ocean, buyer], [ocean, addresses.Escrow]], () => mined(escrow(buyer).deposit(addresses.Ocean, "100")));
  assert.deepEqual(deposited.changed, [parseEther("-100"), parseEther("100")]);
  await fails(lock(1n, ONE), "No auth found");
  await mined(held.connect(buyer).authorize(addresses.Ocean, node.address, parseEther("30"), 3600n, 2n));
  const [allowed] = await escrow(buyer).getAuthorizations(addresses.Ocean, buyer.address, node.address);
  assert.deepEqual([...allowed], [node.address, parseEther("30"), 0n, 3600n, 2n, 0n]);
  await fails(lock(1n, ONE, 3601n), "Expiry too high");
  await fails(lock(1n, parseEther("30") + 1n), "Exceeds maxLockedAmount");

  const receipt = await mined(lock(1n, parseEther("20")));
  const { timestamp } = await provider.getBlock(receipt.blockNumber);
  assert.deepEqual(await funds(buyer), [parseEther("80"), parseEther("20")]);
  assert.deepEqual((await escrow(buyer).getLocks(addresses.Ocean, buyer.address, node.address)).map((one) => [...one]),
    [[1n, buyer.address, parseEther("20"), BigInt(timestamp) + 3600n, addresses.Ocean]]);
  await fails(lock(1n, ONE), "JobId already exists");
  await mined(lock(2n, ONE));
  await fails(lock(3n, ONE), "Exceeds maxLockCounts");
  await fails(claim(4n, ONE), "Lock not found");
  await fails(claim(1n, parseEther("20") + 1n), "Amount too high");

  // 12.345… of 20 were used; the community has its thousandth, rounded down.
  const used = 12_345_678_901_234_567_899n;
  const community = used / 1000n;
  const watched = [[ocean, addresses.Escrow], [ocean, addresses.OPFCommunityFeeCollector]];
  const claimed = await changes(watched, () => mined(claim(1n, used)));
  assert.deepEqual(claimed.changed, [-community, community]);
  assert.deepEqual([...event(claimed.result, "Claimed", "escrow/Escrow").args],
    [node.address, 1n, addresses.Ocean, buyer.address, used, ethers.hexlify(ethers.toUtf8Bytes("proof"))]);
  assert.deepEqual(await funds(buyer), [parseEther("99") - used, ONE]);
  assert.deepEqual(await funds(node), [used - community, 0n]);

  // The chain's clock passes the other lock's end: a claim is too late then, and frees it.
  await provider.send("evm_increaseTime", [3601]);
  await provider.send("evm_mine", []);
  const late = await mined(claim(2n, ONE));
  assert.equal(event(late, "Claimed", "escrow/Escrow"), undefined);
  assert.ok(event(late, "Canceled", "escrow/Escrow"));
  assert.deepEqual(await funds(buyer), [parseEther("100") - used, 0n]);

  const rest = ethers.formatEther(parseEther("100") - used);
  const earned = ethers.formatEther(used - community);
  const paid = await changes([[ocean, buyer], [ocean, node], [ocean, addresses.Escrow]], async () => {
    await mined(escrow(node).withdraw([addresses.Ocean], [earned]));
    await mined(escrow(buyer).withdraw([addresses.Ocean], [rest]));
  });
  assert.deepEqual(paid.changed, [parseEther(rest), parseEther(earned), -parseEther("100") + community]);
  assert.equal(await ocean.balanceOf(addresses.Escrow), 0n);
});

test("who gets a data NFT gets it without the roles that the last owner gave", async () => {
  const everything = { manager: true, deployERC20: true, updateMetadata: true, store: true };
  const nothing = { manager: false, deployERC20: false, updateMetadata: false, store: false };
  const roles = async (account) => {
    const { manager, deployERC20, updateMetadata, store } = await nfts(buyer).getNftPermissions(nft, account.address);
    return { manager, deployERC20, updateMetadata, store };
  };
  const minter = async (account) => (await datatokens(buyer).getPermissions(datatoken, account)).minter;
  await mined(nfts(publisher).addManager(nft, publisher.address, market.address));
  await mined(nfts(publisher).addMetadataUpdater(nft, publisher.address, market.address));
  await mined(datatokens(publisher).addMinter(datatoken, publisher.address, market.address));
  await mined(datatokens(publisher).setPaymentCollector(datatoken, publisher.address, market.address));
  assert.deepEqual([await roles(publisher), await roles(market), await roles(heir)],
    [everything, { ...nothing, manager: true, updateMetadata: true }, nothing]);
  assert.deepEqual([await minter(publisher.address), await minter(market.address)], [true, true]);

  // What the exchange still holds goes to whom it was to go.
  const { changed } = await changes([[ocean, market], [ocean, addresses.FixedPrice]], () => mined(
    nfts(publisher).transferNft(nft, publisher.address, heir.address, 1)));
  assert.deepEqual(changed, [parseEther("3"), parseEther("-3")]);
  assert.equal(await nfts(buyer).getNftOwner(nft), heir.address);
  assert.deepEqual([await roles(publisher), await roles(market), await roles(heir)], [nothing, nothing, everything]);
  assert.deepEqual([await minter(publisher.address), await minter(market.address)], [false, false]);
  assert.equal(await datatokens(buyer).getPaymentCollector(datatoken), heir.address);
  const token = plain("templates/ERC20Template", datatoken, publisher);
  await fails(token.mint(publisher.address, ONE), "ERC20Template: NOT MINTER");
  await fails(plain("templates/ERC721Template", nft, publisher).addManager(publisher.address), "ERC721Template: not NFTOwner");

  // It is sold as before, for the new owner.
  await mined(exchange(buyer).buyDatatokens(exchangeId, "1", "2.004"));
  const sold = await changes([[ocean, heir]], () => mined(exchange(heir).collectBasetokens(exchangeId, "2")));
  assert.deepEqual(sold.changed, [parseEther("2")]);
});
