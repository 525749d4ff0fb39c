#!/usr/bin/env bash
# Starts the verifier as the conformance suite needs it, and makes the suite's configuration. Everything is fresh each time.
# `verifier.sh COMMAND...` runs the command and stops with it; `verifier.sh` alone runs until it is interrupted. Settings are
# those of common.sh.
set -euo pipefail

# A name, not an address: `x509_san_dns` needs one, and the certificate that signs requests takes that of the public URL.
party=verifier name=localhost
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

make_keys
configure verifier

export OFFICIALS_CARD_CONFIG=$server/officials-card.toml
cat >"$OFFICIALS_CARD_CONFIG" <<TOML
$(common_settings)

$(cat "$suite/verifier.toml")
TOML

serve_for "$@"
