# Two commands: `make run` shows everything, `make test` is all that CI runs. Each installs what it needs.
.PHONY: run test web wasm web-test bench install lint unit interop tour conformance
.DEFAULT_GOAL := run

TARGET := $(or $(CARGO_TARGET_DIR),target)

run:
	tests/install.sh build
	$(MAKE) web
	cargo build --release --bins --examples
	$(TARGET)/release/officials-card demo --dir demo

test: install web lint unit interop web-test tour

install:
	tests/install.sh build test

# The browser parts, which the program embeds: src/web/dist.
web: wasm
	src/web/build.sh check

lint:
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo clippy --no-default-features --lib --locked -- -D warnings
	cargo check --no-default-features --lib --locked --target wasm32-unknown-unknown
	cargo clippy --no-default-features --features browser --lib --locked --target wasm32-unknown-unknown -- -D warnings

# Every store and race test runs on SQLite and on a throw-away PostgreSQL cluster. Half of their time is waiting for disks.
unit:
	RUST_TEST_THREADS=$$(($$(nproc) * 3)) tests/with-postgres.sh cargo test --locked

# Other people's libraries read what we make.
interop:
	cargo build --locked --bins --examples
	tests/interop/run.sh

# The browser apps in Chromium; pictures of every state are left in target/web-artefacts.
web-test: web
	cargo build --locked --bins --examples
	tests/web/run.sh

# Every command of the README's tour.
tour:
	cargo build --locked --bins --examples
	tests/tour.sh

# The checkpoint's verifier for browsers, into src/web/core.
wasm:
	src/web/core.sh

# The last is the checkpoint's verdict in Chromium.
bench: install wasm
	OFFICIALS_CARD_TEST_POSTGRES_FSYNC=on tests/with-postgres.sh cargo bench --locked \
		--bench credentials --bench issuance --bench presentations --bench records
	tests/web/verdicts.sh

# Needs a conformance suite of the OpenID Foundation that runs at SUITE_URL, and is no part of `make test`.
conformance:
	@test -n "$(SUITE_URL)" || { echo "make conformance SUITE_URL=https://localhost.emobix.co.uk:8443; tests/conformance/README.md says how to start the suite" >&2; exit 2; }
	cargo build --locked --bins --examples
	SUITE_URL="$(SUITE_URL)" tests/conformance/issuer.sh tests/conformance/run.py
	SUITE_URL="$(SUITE_URL)" tests/conformance/verifier.sh tests/conformance/run.py
