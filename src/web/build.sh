#!/usr/bin/env bash
# Builds the browser parts into dist/, with the machine's Node if it is new enough, otherwise with the one of PyPI.
# `build.sh check` also checks types and runs the unit tests.
set -euo pipefail
cd "$(dirname "$0")"

target=$(cd ../.. && realpath -m "${CARGO_TARGET_DIR:-target}")
# shellcheck source=node.sh
source node.sh

# Exactly what package-lock.json has; no package runs anything when it is installed.
if ! cmp -s package-lock.json node_modules/installed; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel error
  cp package-lock.json node_modules/installed
fi

if [[ ${1:-} == check ]]; then
  npx --no-install tsc --noEmit
  npx --no-install vitest run
  node ../../tests/vectors/checkpoint/replay.mjs
fi
node build.mjs
