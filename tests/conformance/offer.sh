#!/usr/bin/env bash
# Makes an offer for a module of the suite: prints its link and, where it has one, the transaction code on a second line.
# Runs inside issuer.sh, which says where the program, its settings and the person are; run.py says which module asks.
set -euo pipefail

arguments=(--json --person "$CONFORMANCE_PERSON" --configuration "$SUITE_CONFIGURATION")
[[ $SUITE_GRANT == pre_authorization_code ]] || arguments+=(--sign-in)
"$OFFICIALS_CARD_BIN" offer "${arguments[@]}" | tail -n 1 | jq -r '.credential_offer, (.tx_code // empty)'
