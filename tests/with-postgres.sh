#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL cluster, made from the installed binaries, reachable at
# OFFICIALS_CARD_TEST_POSTGRES through a socket in a temporary folder. It ends with the command.
set -euo pipefail

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[[ -x $bin/initdb ]] || { echo "PostgreSQL is not installed (tests/install.sh does it)" >&2; exit 1; }

folder=$(mktemp -d)
as_owner=()
if ((EUID == 0)); then # PostgreSQL refuses to run as root.
  chown postgres "$folder"
  as_owner=(runuser -u postgres --)
fi
stop() {
  "${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT

cd "$folder"
"${as_owner[@]}" "$bin/initdb" -D "$folder/data" -U card -A trust -E UTF8 --no-locale >/dev/null
# A test's data need not survive; a benchmark's commits must be as durable as in production.
fsync=${OFFICIALS_CARD_TEST_POSTGRES_FSYNC:-off}
"${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/server.log" start -o \
  "-c listen_addresses='' -c unix_socket_directories='$folder' -c max_connections=400 -c fsync=$fsync" >/dev/null
cd - >/dev/null

export OFFICIALS_CARD_TEST_POSTGRES="postgres://card@localhost/postgres?host=$folder"
"$@"
