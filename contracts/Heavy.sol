// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Makes the witness of a block as large as its gas allows. It deploys
/// contracts of the largest size, no two alike, and reads the code of many of
/// them in one call: at 2600 gas for 24,576 bytes, nothing else that a
/// transaction can do puts more bytes into a witness. Beside it, it reads
/// slots of a mapping, whose paths grow with the size of the mapping.
contract Heavy {
    // The largest code that a contract may have (EIP-170).
    uint256 private constant SIZE = 24576;
    // A multiplier and an increment of full period, as Knuth's theorem asks.
    uint256 private constant MULTIPLIER = (uint256(keccak256("verdict heavy code")) & ~uint256(7)) | 5;
    uint256 private constant INCREMENT = uint256(keccak256("verdict heavy increment")) | 1;

    // Slot 0: how many contracts are deployed, and how many entries the
    // mapping has, from 0 on.
    uint128 public deployed;
    uint128 public filled;

    // Slot 1.
    mapping(uint256 => uint256) private values;

    error DeployFailed(uint256 index);
    error Empty();

    /// Deploys the next count contracts.
    function deploy(uint256 count) external {
        uint256 from = deployed;
        for (uint256 i = from; i < from + count; i++) make(i);
        deployed = uint128(from + count);
    }

    /// Fills the next count entries of the mapping, with values that differ.
    function fill(uint256 count) external {
        uint256 from = filled;
        for (uint256 i = from; i < from + count; i++) values[i] = uint256(keccak256(abi.encode(i)));
        filled = uint128(from + count);
    }

    /// Reads the code of so many contracts from index code on, and so many
    /// entries of the mapping from index slot on, the first following the
    /// last. The sum of what was read is of no meaning.
    function touch(uint256 code, uint256 codes, uint256 slot, uint256 slots) external view returns (uint256 sum) {
        uint256 contracts = deployed;
        uint256 entries = filled;
        if ((codes > 0 && contracts == 0) || (slots > 0 && entries == 0)) revert Empty();
        unchecked {
            for (uint256 i = 0; i < codes; i++) sum += read(addressOf((code + i) % contracts));
            for (uint256 i = 0; i < slots; i++) sum += values[(slot + i) % entries];
        }
    }

    // The last 32 bytes of a contract's code. The first access to it in a
    // transaction puts all of the code into the witness.
    function read(address from) private view returns (uint256 data) {
        assembly {
            extcodecopy(from, 0, sub(SIZE, 32), 32)
            data := mload(0)
        }
    }

    // The address of contract index: keccak256(rlp([this, index + 1])), since
    // the contracts are all that this one creates, and its first nonce is 1.
    function addressOf(uint256 index) private view returns (address made) {
        assembly {
            let nonce := add(index, 1)
            // How many bytes of nonce there are after the length byte; a
            // nonce below 0x80 has no length byte.
            let extra := add(add(gt(nonce, 0x7f), gt(nonce, 0xff)), gt(nonce, 0xffff))
            // The list's length byte, 0xd6 + extra, and the address with its
            // own, in the 22 bytes from memory address 0 on.
            mstore(0, or(shl(248, add(0xd6, extra)), or(shl(240, 0x94), shl(80, address()))))
            switch extra
            case 0 { mstore8(22, nonce) }
            default { mstore(22, shl(sub(248, shl(3, extra)), or(shl(shl(3, extra), add(0x80, extra)), nonce))) }
            made := and(keccak256(0, add(23, extra)), 0xffffffffffffffffffffffffffffffffffffffff)
        }
    }

    // Contract index: a STOP and numbers of a generator that the index seeds.
    function make(uint256 index) private {
        address made;
        uint256 multiplier = MULTIPLIER;
        uint256 increment = INCREMENT;
        assembly {
            // The memory behind the free pointer is used and not kept. The
            // first ten bytes return all that follows them:
            // PUSH2 SIZE DUP1 PUSH1 10 PUSH0 CODECOPY PUSH0 RETURN
            let start := mload(0x40)
            mstore(start, shl(176, 0x61600080600a5f395ff3))
            mstore(0, index)
            let x := keccak256(0, 32)
            let code := add(start, 10)
            for { let at := code } lt(at, add(code, SIZE)) { at := add(at, 32) } {
                x := add(mul(x, multiplier), increment)
                mstore(at, xor(x, shr(128, x)))
            }
            mstore8(code, 0)
            made := create(0, start, add(10, SIZE))
        }
        if (made == address(0)) revert DeployFailed(index);
    }
}
