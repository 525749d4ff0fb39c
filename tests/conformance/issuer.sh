#!/usr/bin/env bash
# Starts the issuer as the conformance suite needs it, with the simulators of the population database and of the sign-in at
# VNeID and the sample records, and makes the suite's configurations. Everything is fresh each time. `issuer.sh COMMAND...`
# runs the command and stops with it; `issuer.sh` alone runs until it is interrupted. Settings beside those of common.sh:
#
#   CONFORMANCE_PERSON   who signs in and is offered cards; one of the sample  006093831303
set -euo pipefail

party=issuer name=127.0.0.1
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

sample=$root/examples/sample
vneid=${OFFICIALS_CARD_VNEID:-$target/debug/examples/vneid_sign_in}
population=${OFFICIALS_CARD_POPULATION:-$target/debug/examples/population_registry}
need "$vneid" "$population"
export CONFORMANCE_PERSON=${CONFORMANCE_PERSON:-006093831303}

# Starts a simulator, whose first line is its address.
simulator() {
  local name=$1
  shift
  "$@" >"$server/$name.url" 2>"$server/$name.log" &
  children+=($!)
  for _ in $(seq 100); do
    [[ ! -s $server/$name.url ]] || return 0
    sleep 0.1
  done
  exit 1
}
random() { openssl rand -hex 16; }
population_secret=$(random) client_secret=$(random) password=$(random)
POPULATION_SECRET=$population_secret simulator population "$population" --file "$sample/population.ndjson" --listen 127.0.0.1:0
VNEID_CLIENT_SECRET=$client_secret simulator sign-in "$vneid" --listen 127.0.0.1:0 --password "$password" \
  --redirect-uri "$url/sign-in/callback"

make_keys
configure issuer --person "$CONFORMANCE_PERSON" --password "$password"

export OFFICIALS_CARD_CONFIG=$server/officials-card.toml
# The suite signs in as one person. It warns of the form for QR codes, whose format it does not know: that one is not offered.
cat >"$OFFICIALS_CARD_CONFIG" <<TOML
$(common_settings)
configurations = ["official-card-sdjwt", "official-card-sdjwt-eddsa", "official-card-mdoc"]

[population]
url = "$(head -n 1 "$server/population.url")"
user = "officials-card"
secret = "$population_secret"
queries_per_second = 500.0
burst = 500

[sign_in]
issuer = "$(head -n 1 "$server/sign-in.url")"
client_id = "officials-card"
client_secret = "$client_secret"

$(cat "$suite/wallets.toml")
TOML

# The sample, matched and confirmed. It has bad rows on purpose, which the import rejects and reports by its exit code.
{
  "$OFFICIALS_CARD_BIN" units import "$sample/units.csv"
  "$OFFICIALS_CARD_BIN" codes import "$sample/labels.csv"
  "$OFFICIALS_CARD_BIN" records import "$sample/personnel.csv" --rejects "$server/rejects.csv" || (($? == 2))
  "$OFFICIALS_CARD_BIN" records match --officer conformance
  for unit in $(tail -n +2 "$sample/units.csv" | cut -c 1-3 | sort -u); do
    "$OFFICIALS_CARD_BIN" records confirm --unit "$unit" --officer conformance
  done
} >"$server/records.log" 2>&1

serve_for "$@"
