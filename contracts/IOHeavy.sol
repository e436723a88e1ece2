// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Reads and writes a hundred slots a call. It is compiled without the
/// optimizer, so that a call costs about what load_test's does.
contract IOHeavy {
    // Slots 0 to 99, the same for all senders. None is ever zero, so that all
    // calls cost the same.
    uint256[100] public numbers;

    // A hundred slots for each sender, from keccak256(sender . 100) on. They
    // are zero before the sender's first call.
    mapping(address => uint256[100]) private own;

    constructor() {
        for (uint256 i = 0; i < 100; i++) numbers[i] = i + 1;
    }

    /// Adds one to the slots that all senders share.
    function incrementNumbers() external {
        for (uint256 i = 0; i < numbers.length; i++) numbers[i]++;
    }

    /// Adds one to the sender's own slots.
    function incrementOwn() external {
        uint256[100] storage mine = own[msg.sender];
        for (uint256 i = 0; i < mine.length; i++) mine[i]++;
    }
}
