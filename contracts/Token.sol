// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// A fungible token with nothing but balances, so that one transfer costs two
/// storage slots and one log and the rest of the gas is the transaction's own.
/// The local genesis holds it already deployed: its holders' balances are in
/// the genesis state, and there is no constructor to run.
contract Token {
    event Transfer(address indexed from, address indexed to, uint256 value);

    error InsufficientBalance(uint256 balance, uint256 value);

    // Slot 0. The balance of an account lies at keccak256(account . 0).
    mapping(address => uint256) public balanceOf;

    // Slot 1.
    uint256 public totalSupply;

    function transfer(address to, uint256 value) external returns (bool) {
        uint256 balance = balanceOf[msg.sender];
        if (balance < value) revert InsufficientBalance(balance, value);
        unchecked {
            balanceOf[msg.sender] = balance - value;
            // Cannot overflow: the sum of all balances is totalSupply.
            balanceOf[to] += value;
        }
        emit Transfer(msg.sender, to, value);
        return true;
    }
}
