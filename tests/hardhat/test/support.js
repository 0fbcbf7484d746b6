"use strict";

const { ethers } = require("hardhat");
const { loadFixture } = require("@nomicfoundation/hardhat-network-helpers");

const DAY = 24 * 60 * 60;
const coin = ethers.parseEther;

const deploy = async (name, ...args) => (await ethers.deployContract(name, args)).waitForDeployment();

/** Sets `this.x` for what a fixture gives, before each test, from a snapshot. */
function fixture(make) {
  beforeEach(async function () {
    Object.assign(this, await loadFixture(make));
  });
}

module.exports = { DAY, coin, deploy, fixture };
