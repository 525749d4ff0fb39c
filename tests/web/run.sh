#!/usr/bin/env bash
# Tests the browser apps in Debian's Chromium against the built programs. Arguments go to `node --test`. Pictures of every
# state are left in the target folder, under web-artefacts.
set -euo pipefail
cd "$(dirname "$0")"

target=$(cd ../.. && realpath -m "${CARGO_TARGET_DIR:-target}")
export OFFICIALS_CARD_BIN=${OFFICIALS_CARD_BIN:-$target/debug/officials-card}
export OFFICIALS_CARD_WALLET=${OFFICIALS_CARD_WALLET:-$target/debug/examples/wallet}
export WEB_ARTEFACTS=${WEB_ARTEFACTS:-$target/web-artefacts}
for program in "$OFFICIALS_CARD_BIN" "$OFFICIALS_CARD_WALLET"; do
  if [[ ! -x $program ]]; then
    echo "$program is missing: build it with cargo build --bins --examples" >&2
    exit 1
  fi
done
if [[ ! -f ../../src/web/dist/checkpoint/index.html ]]; then
  echo "the browser parts are missing: build them with make web" >&2
  exit 1
fi

# shellcheck source=../../src/web/node.sh
source ../../src/web/node.sh
# shellcheck source=packages.sh
source packages.sh
npx --no-install tsc --noEmit
# A browser that a failed test left open would keep node waiting for ever.
(($#)) || set -- ./*.test.ts ./*.test.mjs
exec node --test --test-concurrency=1 --test-force-exit "$@"
