#!/usr/bin/env bash
# Installs what is missing: `install.sh build` to build and run, `install.sh build test` also to test. Debian packages by
# apt-get, the browser target by rustup.
set -euo pipefail

packages=()
for purpose in "$@"; do
  case $purpose in
    build) packages+=(build-essential pkg-config libssl-dev python3 python3-venv) ;;
    test) packages+=(postgresql python3 python3-venv curl openssl jq chromium fonts-noto-core poppler-utils) ;;
    *) echo "install.sh: $purpose is neither build nor test" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
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
if [[ " $* " == *" test "* ]] && command -v rustup >/dev/null; then
  rustup component add rustfmt clippy >/dev/null 2>&1 || true
fi
if command -v rustup >/dev/null; then
  rustup target list --installed | grep -q wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown
fi
