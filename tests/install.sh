#!/usr/bin/env bash
# Installs what is missing to build and test: Debian packages by apt-get, the browser target by rustup.
set -euo pipefail

missing=()
need() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' || missing+=("$1"); }
for package in build-essential pkg-config libssl-dev postgresql python3 python3-venv curl jq chromium fonts-noto-core; do
  need "$package"
done
if ((${#missing[@]})); then
  echo "installing ${missing[*]}"
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get update -q
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qy --no-install-recommends "${missing[@]}"
fi

if ! command -v cargo >/dev/null; then
  echo "Rust is missing: install it by rustup (https://rustup.rs), version 1.94 or newer." >&2
  exit 1
fi
if command -v rustup >/dev/null && ! rustup target list --installed | grep -q wasm32-unknown-unknown; then
  rustup target add wasm32-unknown-unknown
fi
