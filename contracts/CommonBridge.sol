// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Takes ether on the L1 for accounts on the built-in rollup. The rollup reads
/// the events and credits each deposit as a withdrawal of the consensus layer
/// is credited, in whole gwei and under the number of the deposit.
contract CommonBridge {
    error NotOwner(address sender);
    error Closed();
    error NoRecipient();
    error NotWholeGwei(uint256 value);
    error OutOfRange(uint256 value);

    /// Deposits have the numbers 1, 2, 3 and so on.
    event Deposit(uint256 indexed id, address indexed to, uint256 value);

    /// May close the bridge and open it again.
    address public owner;
    bool public closed;
    /// The number of deposits, which is the id of the newest.
    uint64 public deposits;

    constructor(address owner_) {
        owner = owner_;
    }

    function setClosed(bool closed_) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        closed = closed_;
    }

    /// Deposits the ether that the call brings for an account on the rollup.
    function deposit(address to) external payable {
        if (closed) revert Closed();
        if (to == address(0)) revert NoRecipient();
        if (msg.value % 1 gwei != 0) revert NotWholeGwei(msg.value);
        // The amount of a withdrawal is a number of gwei in 64 bits.
        if (msg.value == 0 || msg.value / 1 gwei > type(uint64).max) revert OutOfRange(msg.value);
        deposits++;
        emit Deposit(deposits, to, msg.value);
    }
}
