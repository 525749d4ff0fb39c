#!/usr/bin/env bash
# Lets other people's libraries read what the built programs make. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")"

target=$(cd ../.. && realpath -m "${CARGO_TARGET_DIR:-target}")
export OFFICIALS_CARD_BIN=${OFFICIALS_CARD_BIN:-$target/debug/officials-card}
export OFFICIALS_CARD_WALLET=${OFFICIALS_CARD_WALLET:-$target/debug/examples/wallet}
export OFFICIALS_CARD_VNEID=${OFFICIALS_CARD_VNEID:-$target/debug/examples/vneid_sign_in}
export OFFICIALS_CARD_HR_SYSTEM=${OFFICIALS_CARD_HR_SYSTEM:-$target/debug/examples/hr_system}
export OFFICIALS_CARD_POPULATION=${OFFICIALS_CARD_POPULATION:-$target/debug/examples/population_registry}
export OFFICIALS_CARD_PERSONNEL=${OFFICIALS_CARD_PERSONNEL:-$target/debug/examples/personnel}
export OFFICIALS_CARD_OFFICER_SIGN_IN=${OFFICIALS_CARD_OFFICER_SIGN_IN:-$target/debug/examples/officer_sign_in}
for program in "$OFFICIALS_CARD_BIN" "$OFFICIALS_CARD_WALLET" "$OFFICIALS_CARD_VNEID" \
  "$OFFICIALS_CARD_HR_SYSTEM" "$OFFICIALS_CARD_POPULATION" "$OFFICIALS_CARD_PERSONNEL" "$OFFICIALS_CARD_OFFICER_SIGN_IN"; do
  if [[ ! -x $program ]]; then
    echo "$program is missing: build it with cargo build --bins --examples" >&2
    exit 1
  fi
done

# A changed list of requirements makes a new environment; an interrupted installation leaves no mark.
environment=$target/interop-venv
if ! cmp -s requirements.txt "$environment/installed"; then
  python3 -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
  cp requirements.txt "$environment/installed"
fi

# The wallet of other people's libraries, exactly as npm/package-lock.json has them; no package runs anything when it is
# installed.
export PATH="$environment/bin:$PATH"
if ! cmp -s npm/package-lock.json npm/node_modules/installed; then
  (cd npm && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel error)
  cp npm/package-lock.json npm/node_modules/installed
fi
exec "$environment/bin/python" -B -m pytest -p no:cacheprovider "$@"
