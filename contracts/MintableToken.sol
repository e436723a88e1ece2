// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Token} from "./Token.sol";

/// The token for chains that do not have it in their genesis: anybody can make
/// some for anybody. It is worth nothing and for loads only.
contract MintableToken is Token {
    /// Gives each holder value out of nothing.
    function mint(address[] calldata holders, uint256 value) external {
        for (uint256 i = 0; i < holders.length; i++) {
            balanceOf[holders[i]] += value;
            emit Transfer(address(0), holders[i], value);
        }
        totalSupply += value * holders.length;
    }
}
