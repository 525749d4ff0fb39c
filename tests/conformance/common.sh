# What issuer.sh and verifier.sh share; they source it, and say what `party` they start and under which name it is reached.
# Sets `here`, `target`, `listen`, `url`, and the fresh folders `server` (of our program) and `suite` (of configure.py).
#
#   CONFORMANCE_DIR      work folder; its PARTY/ and suite/ are replaced       target/conformance
#   CONFORMANCE_LISTEN   where the program listens, on 127.0.0.1               127.0.0.1:9443
#   SUITE_URL            the suite                                             https://localhost.emobix.co.uk:8443

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
export OFFICIALS_CARD_BIN=${OFFICIALS_CARD_BIN:-$target/debug/officials-card}
export CONFORMANCE_DIR=${CONFORMANCE_DIR:-$target/conformance}
mkdir -p "$CONFORMANCE_DIR"
CONFORMANCE_DIR=$(realpath "$CONFORMANCE_DIR")
export SUITE_URL=${SUITE_URL:-https://localhost.emobix.co.uk:8443}
listen=${CONFORMANCE_LISTEN:-127.0.0.1:9443}
url=https://$name:${listen##*:}
server=$CONFORMANCE_DIR/$party
suite=$CONFORMANCE_DIR/suite
rm -rf "$server" "$suite"
mkdir -m 700 "$server"
export CONFORMANCE_PARTY=$party CONFORMANCE_URL=$url

# Ends unless the programs are built.
need() {
  local program
  for program in "$@"; do
    if [[ ! -x $program ]]; then
      echo "$program is missing: build it with cargo build --bins --examples" >&2
      exit 1
    fi
  done
}
need "$OFFICIALS_CARD_BIN"

# A changed list of requirements makes a new environment; an interrupted installation leaves no mark.
environment=$target/conformance-venv
if ! cmp -s "$here/requirements.txt" "$environment/installed"; then
  python3 -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$environment/installed"
fi
export PATH="$environment/bin:$PATH"

children=()
ready=
exec 3>&2
stop() {
  [[ $ready ]] || echo "the $party did not start: see $server/*.log" >&3
  ((${#children[@]} == 0)) || kill "${children[@]}" 2>/dev/null || true
  wait
}
trap stop EXIT
trap 'exit 130' INT TERM

make_keys() {
  OFFICIALS_CARD_PUBLIC_URL=$url "$OFFICIALS_CARD_BIN" keys init --dir "$server/keys" >/dev/null
  "$OFFICIALS_CARD_BIN" keys tls --dir "$server/tls" --name 127.0.0.1 --name localhost >/dev/null
}

# `configure PARTY...` makes the suite's configurations and our settings.
configure() {
  "$here/configure.py" --out "$suite" --suite "$SUITE_URL" --url "$url" \
    --root "$server/keys/root.pem" "$@"
}

# The settings of both. The suite is one address that asks as fast as it can.
common_settings() {
  cat <<TOML
listen = "$listen"
public_url = "$url"
database_url = "sqlite://$server/card.sqlite"
keys = "$server/keys"
log_format = "text"
tls = { certificate = "$server/tls/tls.pem", key = "$server/tls/tls.key" }
rate_limits = { address_per_minute = 0, address_documents_per_minute = 0, client_per_minute = 0, person_per_hour = 0 }
TOML
}

# `serve_for COMMAND...` serves by https until the command ends; without one until it is interrupted.
serve_for() {
  "$OFFICIALS_CARD_BIN" serve >"$server/serve.log" 2>&1 &
  local serve=$!
  children+=("$serve")
  for _ in $(seq 150); do
    ! curl -sf --cacert "$server/tls/tls.pem" -o /dev/null "$url/ready" || break
    kill -0 "$serve" 2>/dev/null || exit 1
    sleep 0.2
  done
  curl -sSf --cacert "$server/tls/tls.pem" -o /dev/null "$url/ready"
  ready=yes
  echo "$party: $url, its log: $server/serve.log, the suite's configurations: $suite"
  if (($#)); then
    "$@"
  else
    wait "$serve"
  fi
}
