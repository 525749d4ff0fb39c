#!/usr/bin/env bash
# Measures the checkpoint's verdict natively and in Debian's Chromium; needs `make wasm`.
set -euo pipefail
cd "$(dirname "$0")"

target=$(cd ../.. && realpath -m "${CARGO_TARGET_DIR:-target}")
if [[ ! -f ../../src/web/core/core_bg.wasm ]]; then
  echo "the verifier for browsers is missing: build it with make wasm" >&2
  exit 1
fi
mkdir -p "$target"
(cd ../.. && cargo bench --locked --bench verdicts -- "$target/verdicts.json")

# shellcheck source=../../src/web/node.sh
source ../../src/web/node.sh
# shellcheck source=packages.sh
source packages.sh
exec node verdicts.ts "$target/verdicts.json"
