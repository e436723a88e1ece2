// Compiles one Solidity file that holds one contract of the same name and
// prints its artifact: compiler, settings, ABI and runtime bytecode. The
// metadata hash is left out of the bytecode, because it would change with
// every comment.
"use strict";

const fs = require("fs");
const path = require("path");
const solc = require("solc");

const file = path.basename(process.argv[2]);
const name = path.basename(file, ".sol");
const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 1000000 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};

const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: { [file]: { content: fs.readFileSync(process.argv[2], "utf8") } },
      settings: {
        ...settings,
        outputSelection: {
          [file]: { [name]: ["abi", "evm.deployedBytecode.object", "storageLayout"] },
        },
      },
    }),
  ),
);
for (const e of output.errors || []) {
  process.stderr.write(e.formattedMessage);
}
if ((output.errors || []).length > 0) {
  process.exit(1);
}

const contract = output.contracts[file][name];
const slots = Object.fromEntries(contract.storageLayout.storage.map((s) => [s.label, Number(s.slot)]));
process.stdout.write(
  JSON.stringify(
    {
      contract: name,
      compiler: solc.version(),
      settings,
      slots,
      abi: contract.abi,
      runtime: "0x" + contract.evm.deployedBytecode.object,
    },
    null,
    2,
  ) + "\n",
);
