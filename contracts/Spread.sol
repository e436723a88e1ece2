// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Sends ether to many addresses in one transaction, to all of them or none.
contract Spread {
    error LengthMismatch(uint256 addresses, uint256 values);
    error SendFailed(address to, uint256 value);

    /// Sends values[i] to to[i] and what is left back to the sender.
    function spread(address payable[] calldata to, uint256[] calldata values) external payable {
        if (to.length != values.length) revert LengthMismatch(to.length, values.length);
        for (uint256 i = 0; i < to.length; i++) send(to[i], values[i]);
        if (address(this).balance > 0) send(payable(msg.sender), address(this).balance);
    }

    function send(address payable to, uint256 value) private {
        (bool ok,) = to.call{value: value}("");
        if (!ok) revert SendFailed(to, value);
    }
}
