//! The kit for native contracts, and the virtual machine that runs them beside Solidity.
