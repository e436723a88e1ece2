// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// What the L1 knows of the built-in rollup: the chain of its state roots, batch
/// by batch. A batch is committed first and verified later, both strictly in
/// order.
///
/// The committer says what a batch leads to; the proof sender brings the public
/// output of whoever executed it. A batch is verified when the two are the same.
/// There is no cryptography in it: it suits a prover that executes batches
/// again, and nothing of value may depend on it.
contract OnChainProposer {
    error NotOwner(address sender);
    error NotCommitter(address sender);
    error NotProofSender(address sender);
    error NotNextToCommit(uint256 next, uint256 given);
    error NotNextToVerify(uint256 next, uint256 given);
    error NotCommitted(uint256 number);
    error WrongStateRoot(bytes32 reached, bytes32 given);
    error WrongFirstBlock(uint256 next, uint256 given);
    error NoBlocks(uint256 first, uint256 last);
    error WrongPublicOutput(bytes32 committed, bytes32 given);

    event BatchCommitted(uint256 indexed number, bytes32 stateRoot);
    event BatchVerified(uint256 indexed number);

    /// May change who commits and who sends proofs.
    address public owner;
    address public committer;
    address public proofSender;

    /// The numbers of the newest batches; the first batch is 1.
    uint64 public lastCommittedBatch;
    uint64 public lastVerifiedBatch;
    /// The last block of the newest committed batch, and the state after it.
    uint64 public lastCommittedBlock;
    bytes32 public stateRoot;
    /// Of each committed batch, the hash of the public output that its proof
    /// must have: the ABI encoding of state root before, state root after, hash
    /// of the last block, first block, last block and hash of the deposits.
    mapping(uint256 => bytes32) public outputs;

    /// A rollup whose genesis block has the state genesisRoot.
    constructor(address owner_, address committer_, address proofSender_, bytes32 genesisRoot) {
        owner = owner_;
        committer = committer_;
        proofSender = proofSender_;
        stateRoot = genesisRoot;
    }

    /// Changes who commits and who sends proofs.
    function appoint(address committer_, address proofSender_) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        committer = committer_;
        proofSender = proofSender_;
    }

    /// The types of proof that a batch needs, all of them.
    function requiredProofTypes() external pure returns (string[] memory types) {
        types = new string[](1);
        types[0] = "Exec";
    }

    function commitBatch(
        uint256 number,
        bytes32 previousStateRoot,
        bytes32 newStateRoot,
        uint256 firstBlock,
        uint256 lastBlock,
        bytes32 lastBlockHash,
        bytes32 depositsHash
    ) external {
        if (msg.sender != committer) revert NotCommitter(msg.sender);
        uint256 next = uint256(lastCommittedBatch) + 1;
        if (number != next) revert NotNextToCommit(next, number);
        if (previousStateRoot != stateRoot) revert WrongStateRoot(stateRoot, previousStateRoot);
        uint256 nextBlock = uint256(lastCommittedBlock) + 1;
        if (firstBlock != nextBlock) revert WrongFirstBlock(nextBlock, firstBlock);
        if (lastBlock < firstBlock || lastBlock > type(uint64).max) revert NoBlocks(firstBlock, lastBlock);

        lastCommittedBatch = uint64(number);
        lastCommittedBlock = uint64(lastBlock);
        stateRoot = newStateRoot;
        outputs[number] = keccak256(
            abi.encode(previousStateRoot, newStateRoot, lastBlockHash, firstBlock, lastBlock, depositsHash)
        );
        emit BatchCommitted(number, newStateRoot);
    }

    function verifyBatch(uint256 number, bytes calldata publicOutput) external {
        if (msg.sender != proofSender) revert NotProofSender(msg.sender);
        uint256 next = uint256(lastVerifiedBatch) + 1;
        if (number != next) revert NotNextToVerify(next, number);
        if (number > lastCommittedBatch) revert NotCommitted(number);
        bytes32 given = keccak256(publicOutput);
        if (given != outputs[number]) revert WrongPublicOutput(outputs[number], given);

        lastVerifiedBatch = uint64(number);
        emit BatchVerified(number);
    }
}
