#!/bin/sh
# Compiles the checkpoint's verifier to WebAssembly: src/web/core/{core.js,core.d.ts,core_bg.wasm}. Needs nothing but
# cargo and the target wasm32-unknown-unknown.
set -eu
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-target}"
cargo rustc --locked --lib --crate-type cdylib --target wasm32-unknown-unknown --no-default-features \
    --features browser --profile wasm
cargo run --locked --no-default-features --features bindings --example bindings -- \
    "$target/wasm32-unknown-unknown/wasm/officials_card.wasm" src/web/core
