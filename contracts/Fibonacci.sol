// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Computes and touches no storage. The arithmetic is checked, so that an n
/// whose number does not fit reverts; 370 is the last that does. It is compiled
/// without the optimizer, so that a call costs about what load_test's does.
contract Fibonacci {
    function fibonacci(uint256 n) external pure returns (uint256) {
        if (n < 2) return n;
        uint256 a = 0;
        uint256 b = 1;
        for (uint256 i = 2; i <= n; i++) {
            uint256 c = a + b;
            a = b;
            b = c;
        }
        return b;
    }
}
