#!/usr/bin/env bash
# Runs every command of the README's tour against a fresh demo, and looks for the lines that the README shows.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=$(cd "$root" && cargo metadata --format-version 1 --no-deps | jq -r .target_directory)
profile=${OFFICIALS_CARD_TOUR_PROFILE:-debug}
work=$(mktemp -d)
trap 'kill "${demo_pid:-0}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
mkdir -p target && ln -s "$target/$profile" target/release

"$target/$profile/officials-card" demo --dir demo --listen 127.0.0.1:0 --json >ready.json 2>demo.log &
demo_pid=$!
for _ in $(seq 600); do
  [[ -s ready.json ]] && break
  kill -0 "$demo_pid" || { cat demo.log >&2; exit 1; }
  sleep 0.1
done

# One script of all blocks, each followed by the lines that its output must hold.
python3 - "$root/README.md" >tour.sh <<'PYTHON'
import re, shlex, sys

text = open(sys.argv[1], encoding="utf-8").read()
blocks = re.findall(r"<!-- tour -->\n```sh\n(.*?)```\n(?:```text\n(.*?)```\n)?", text, re.S)
assert len(blocks) >= 16, "the README has lost its tour"
print("set -euo pipefail")
for number, (commands, expected) in enumerate(blocks, 1):
    print(f"exec 3>&1 >output.{number}\n{commands}exec >&3\ncat output.{number}")
    for line in filter(None, map(str.strip, expected.splitlines())):
        print(f"grep -qF -- {shlex.quote(line)} output.{number} || {{ echo 'the tour lacks: '{shlex.quote(line)} >&2; exit 1; }}")
print("echo 'the tour: all commands ran'")
PYTHON
bash tour.sh
