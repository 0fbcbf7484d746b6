// Ocean Protocol's contracts, as its npm package has them compiled, deployed as its own development chains have them.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { ethers } = require("ethers");

const ARTIFACTS = path.join(path.dirname(require.resolve("@oceanprotocol/contracts/package.json")), "artifacts/contracts");
// Where balancer pools are to be cloned from: nowhere, for they are retired.
const NO_POOLS = "0x000000000000000000000000000000000000dEaD";

/** A compiled contract: the path of its source without the ending, which names the contract too. */
function artifact(name, ending = "sol") {
  return JSON.parse(fs.readFileSync(path.join(ARTIFACTS, `${name}.${ending}`, `${path.basename(name)}.json`), "utf8"));
}

/**
 * Deploys all that ocean.js knows, the signer's, and gives each of these accounts some of every token.
 *
 * Returns one network's entry of Ocean's address file.
 */
async function deploy(signer, accounts) {
  const deployer = await signer.getAddress();
  const startBlock = await signer.provider.getBlockNumber();
  const make = async ({ abi, bytecode }, ...args) =>
    (await new ethers.ContractFactory(abi, bytecode, signer).deploy(...args)).waitForDeployment();
  const at = async (name, ...args) => make(artifact(name), ...args);
  const mined = async (sent) => (await sent).wait();

  const ocean = await at("utils/OceanToken", deployer);
  const dai = await at("utils/mock/MockERC20Decimals", "DAI", "DAI", 18);
  const usdc = await at("utils/mock/MockERC20Decimals", "USDC", "USDC", 6);
  await mined(ocean.mint(deployer, ethers.parseEther("10000000")));

  const fees = await at("communityFee/OPFCommunityFeeCollector", deployer, deployer);
  const enterpriseFees = await at("communityFee/EnterpriseFeeCollector", deployer, deployer);
  const router = await at("pools/FactoryRouter", deployer, ocean, NO_POOLS, fees, []);
  const fixedRate = await at("pools/fixedRate/FixedRateExchange", router);
  const fixedRateEnterprise = await at("pools/fixedRate/FixedRateExchangeEnterprise", router, enterpriseFees);
  const dispenser = await at("pools/dispenser/Dispenser", router);
  const nft = await at("templates/ERC721Template");
  const datatokens = [];
  for (const name of ["", "Enterprise", "3", "4"]) datatokens.push(await at(`templates/ERC20Template${name}`));
  const factory = await at("ERC721Factory", nft, datatokens[0], router);
  for (const template of datatokens.slice(1)) await mined(factory.addTokenTemplate(template));
  await mined(router.addFactory(factory));
  await mined(router.addFixedRateContract(fixedRate));
  await mined(router.addFixedRateContract(fixedRateEnterprise));
  await mined(router.addDispenserContract(dispenser));

  const escrow = await at("escrow/Escrow", router, ethers.ZeroAddress);
  const enterpriseEscrow = await at("escrow/EnterpriseEscrow", enterpriseFees);
  const accessLists = await at("accesslists/AccessListFactory", await at("accesslists/AccessList"));
  const batchPayments = await at("rewards/BatchPayments");
  const predictoorHelper = await at("utils/PredictoorHelper");
  const veOcean = await make(artifact("ve/veOCEAN", "vy"), ocean, "veOCEAN", "veOCEAN", "0.1.0");
  const veAllocate = await at("ve/veAllocate");

  for (const account of accounts) {
    await mined(ocean.transfer(account, ethers.parseEther("100000")));
    await mined(dai.transfer(account, ethers.parseEther("1000")));
    await mined(usdc.transfer(account, 1000_000_000n));
  }
  const named = (templates) => Object.fromEntries(templates.map(({ target }, index) => [index + 1, target]));
  return {
    chainId: Number((await signer.provider.getNetwork()).chainId),
    startBlock,
    Ocean: ocean.target,
    MockDAI: dai.target,
    MockUSDC: usdc.target,
    OPFCommunityFeeCollector: fees.target,
    EnterpriseFeeCollector: enterpriseFees.target,
    Router: router.target,
    FixedPrice: fixedRate.target,
    FixedPriceEnterprise: fixedRateEnterprise.target,
    ERC20Template: named(datatokens),
    ERC721Template: named([nft]),
    ERC721Factory: factory.target,
    Dispenser: dispenser.target,
    Escrow: escrow.target,
    EnterpriseEscrow: enterpriseEscrow.target,
    AccessListFactory: accessLists.target,
    BatchPayments: batchPayments.target,
    PredictoorHelper: predictoorHelper.target,
    veOCEAN: veOcean.target,
    veAllocate: veAllocate.target,
  };
}

module.exports = { artifact, deploy };
