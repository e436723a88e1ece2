#!/bin/sh
# Compiles the contracts and writes the artifacts that package contract embeds,
# or writes them to the directory that is given. It needs node, and npm to fetch
# the one version of the compiler that the sources name, so that the bytecode is
# the same everywhere. A directory with that version in its node_modules can be
# given in VERDICT_SOLC instead.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../internal/contract}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

solc=${VERDICT_SOLC:-}
if [ -z "$solc" ]; then
	solc=$work
	npm install --prefix "$solc" --no-save --no-audit --no-fund --loglevel error solc@0.8.30 >&2
fi
mkdir "$work/artifacts"
NODE_PATH="$solc/node_modules" node "$here/compile.js" "$work/artifacts" "$here"/*.sol
mv "$work/artifacts"/*.json "$out/"
