#!/bin/sh
# Compiles Token.sol and writes the artifact that package genesis embeds. It
# needs node and npm, and fetches the one version of the compiler that the
# source names, so that the bytecode is the same everywhere.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

npm install --prefix "$work" --no-save --no-audit --no-fund --loglevel error solc@0.8.30 >&2
NODE_PATH="$work/node_modules" node "$here/compile.js" "$here/Token.sol" > "$work/token.json"
mv "$work/token.json" "$here/../internal/genesis/token.json"
