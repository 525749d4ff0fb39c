#!/usr/bin/env bash
# Starts the issuer as the conformance suite needs it, with the simulators of the population database and of the sign-in at
# VNeID and the sample records, and makes the suite's configurations. Everything is fresh each time. `issuer.sh COMMAND...`
# runs the command and stops with it; `issuer.sh` alone runs until it is interrupted.
#
#   CONFORMANCE_DIR      work folder; its issuer/ and suite/ are replaced      target/conformance
#   CONFORMANCE_LISTEN   where the issuer listens, on 127.0.0.1                127.0.0.1:9443
#   CONFORMANCE_PERSON   who signs in and is offered cards; one of the sample  006093831303
#   SUITE_URL            the suite                                             https://localhost.emobix.co.uk:8443
#   PYTHON               a Python 3.11 or newer with `cryptography`            python3
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
sample=$root/examples/sample
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
export OFFICIALS_CARD_BIN=${OFFICIALS_CARD_BIN:-$target/debug/officials-card}
vneid=${OFFICIALS_CARD_VNEID:-$target/debug/examples/vneid_sign_in}
population=${OFFICIALS_CARD_POPULATION:-$target/debug/examples/population_registry}
for program in "$OFFICIALS_CARD_BIN" "$vneid" "$population"; do
  if [[ ! -x $program ]]; then
    echo "$program is missing: build it with cargo build --bins --examples" >&2
    exit 1
  fi
done

export CONFORMANCE_DIR=${CONFORMANCE_DIR:-$target/conformance}
mkdir -p "$CONFORMANCE_DIR"
CONFORMANCE_DIR=$(realpath "$CONFORMANCE_DIR")
export CONFORMANCE_PERSON=${CONFORMANCE_PERSON:-006093831303}
export SUITE_URL=${SUITE_URL:-https://localhost.emobix.co.uk:8443}
listen=${CONFORMANCE_LISTEN:-127.0.0.1:9443}
url=https://$listen
issuer=$CONFORMANCE_DIR/issuer
suite=$CONFORMANCE_DIR/suite
rm -rf "$issuer" "$suite"
mkdir -m 700 "$issuer"

children=()
ready=
exec 3>&2
stop() {
  [[ $ready ]] || echo "the issuer did not start: see $issuer/*.log" >&3
  ((${#children[@]} == 0)) || kill "${children[@]}" 2>/dev/null || true
  wait
}
trap stop EXIT
trap 'exit 130' INT TERM

# Starts a simulator, whose first line is its address.
simulator() {
  local name=$1
  shift
  "$@" >"$issuer/$name.url" 2>"$issuer/$name.log" &
  children+=($!)
  for _ in $(seq 100); do
    [[ ! -s $issuer/$name.url ]] || return 0
    sleep 0.1
  done
  exit 1
}
random() { openssl rand -hex 16; }
population_key=$(random) client_secret=$(random) password=$(random)
POPULATION_KEY=$population_key simulator population "$population" --file "$sample/population.ndjson" --listen 127.0.0.1:0
VNEID_CLIENT_SECRET=$client_secret simulator sign-in "$vneid" --listen 127.0.0.1:0 --password "$password" \
  --redirect-uri "$url/sign-in/callback"

"$OFFICIALS_CARD_BIN" keys init --dir "$issuer/keys" >/dev/null
"$OFFICIALS_CARD_BIN" keys tls --dir "$issuer/tls" --name 127.0.0.1 --name localhost >/dev/null
"${PYTHON:-python3}" "$here/configure.py" --out "$suite" --suite "$SUITE_URL" --issuer "$url" \
  --issuer-root "$issuer/keys/root.pem" --person "$CONFORMANCE_PERSON" --password "$password"

export OFFICIALS_CARD_CONFIG=$issuer/officials-card.toml
# The suite signs in as one person, from one address, as fast as it can. It warns of the form for QR codes, whose format it
# does not know: that one is not offered.
cat >"$OFFICIALS_CARD_CONFIG" <<TOML
listen = "$listen"
public_url = "$url"
database_url = "sqlite://$issuer/card.sqlite"
keys = "$issuer/keys"
population_url = "$(head -n 1 "$issuer/population.url")"
population_key = "$population_key"
configurations = ["official-card-sdjwt", "official-card-sdjwt-eddsa", "official-card-mdoc"]
log_format = "text"
tls = { certificate = "$issuer/tls/tls.pem", key = "$issuer/tls/tls.key" }

[rate_limits]
address_per_minute = 0
address_documents_per_minute = 0
client_per_minute = 0
person_per_hour = 0

[sign_in]
issuer = "$(head -n 1 "$issuer/sign-in.url")"
client_id = "officials-card"
client_secret = "$client_secret"

$(cat "$suite/wallets.toml")
TOML

# The sample, matched and confirmed. It has bad rows on purpose, which the import rejects and reports by its exit code.
{
  "$OFFICIALS_CARD_BIN" units import "$sample/units.csv"
  "$OFFICIALS_CARD_BIN" codes import "$sample/labels.csv"
  "$OFFICIALS_CARD_BIN" records import "$sample/personnel.csv" --rejects "$issuer/rejects.csv" || (($? == 2))
  "$OFFICIALS_CARD_BIN" records match --officer conformance
  for unit in $(tail -n +2 "$sample/units.csv" | cut -c 1-3 | sort -u); do
    "$OFFICIALS_CARD_BIN" records confirm --unit "$unit" --officer conformance
  done
} >"$issuer/records.log" 2>&1

"$OFFICIALS_CARD_BIN" serve >"$issuer/serve.log" 2>&1 &
serve=$!
children+=("$serve")
for _ in $(seq 150); do
  ! curl -sf --cacert "$issuer/tls/tls.pem" -o /dev/null "$url/ready" || break
  kill -0 "$serve" 2>/dev/null || exit 1
  sleep 0.2
done
curl -sSf --cacert "$issuer/tls/tls.pem" -o /dev/null "$url/ready"
ready=yes
echo "issuer: $url, its log: $issuer/serve.log, the suite's configurations: $suite"

if (($#)); then
  "$@"
else
  wait "$serve"
fi
