// compile.js DIRECTORY SOURCE... compiles Solidity files, each with one contract
// of the file's name, and writes an artifact for each: compiler, settings, the
// hash of the sources, the slots of its variables, and the bytecode before and
// after deployment. The metadata hash is left out of the bytecode, because it
// would change with every comment.
"use strict";

const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const solc = require("solc");

// These two are to cost what unoptimized code costs; see their sources.
const unoptimized = ["Fibonacci", "IOHeavy"];

// The file and what it imports, in the order of their names.
function read(directory, file) {
  const sources = {};
  (function add(file) {
    if (sources[file]) return;
    const content = fs.readFileSync(path.join(directory, file), "utf8");
    sources[file] = { content };
    for (const [, imported] of content.matchAll(/^import .*"\.\/(\w+\.sol)";$/gm)) add(imported);
  })(file);
  return Object.fromEntries(Object.entries(sources).sort());
}

function compile(source) {
  const file = path.basename(source);
  const name = path.basename(file, ".sol");
  const sources = read(path.dirname(source), file);
  const settings = {
    evmVersion: "cancun",
    optimizer: unoptimized.includes(name) ? { enabled: false } : { enabled: true, runs: 1000000 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
  };
  const outputSelection = {
    [file]: { [name]: ["evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] },
  };
  const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  if (output.errors) {
    process.stderr.write(output.errors.map((e) => e.formattedMessage).join("\n"));
    process.exit(1);
  }
  const contract = output.contracts[file][name];
  const hash = crypto.createHash("sha256");
  for (const { content } of Object.values(sources)) hash.update(content);
  return {
    contract: name,
    compiler: solc.version(),
    settings,
    sources: Object.keys(sources),
    sha256: hash.digest("hex"),
    slots: Object.fromEntries(contract.storageLayout.storage.map((s) => [s.label, Number(s.slot)])),
    creation: "0x" + contract.evm.bytecode.object,
    runtime: "0x" + contract.evm.deployedBytecode.object,
  };
}

const [directory, ...files] = process.argv.slice(2);
for (const file of files) {
  const artifact = path.basename(file, ".sol").toLowerCase() + ".json";
  fs.writeFileSync(path.join(directory, artifact), JSON.stringify(compile(file), null, 2) + "\n");
}
