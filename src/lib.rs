//! The officials card: from a verified personnel record to a signed card in the VNeID wallet, shown as a QR code or
//! presented online, verified at a checkpoint, and withdrawn.
//!
//! # One request, one straight line
//!
//! ```text
//! HTTP in    http/…          extract; nothing decided
//! parse      protocol/…      bytes → typed message                                   pure
//! prove      credential/…    signatures, proofs → facts                              pure
//! decide     model/…         state + facts + now → next state | Refusal              pure
//! store      store/…         ONE transaction: conditional writes + audit line
//! sign       credential/…    decision + Signer → bytes                               pure
//! response   http/…          bytes → HTTP
//! ```
//!
//! Only [`flow`] knows this order. What is going to be signed is stored first: a crash may leave a row without a
//! credential (harmless, revocable), never a credential without a row.
//!
//! # Rooms, and who may look into whom
//!
//! | module | what lives there | may import |
//! |---|---|---|
//! | [`clock`], [`chance`], [`error`] | the only call to the wall clock, to the system's randomness; [`error::Refusal`] (theirs) and [`error::Fault`] (ours) | nothing of ours |
//! | [`config`] | file and environment, parsed once into types; secrets do not print | error |
//! | [`model`] | pure nouns and their rules | error |
//! | [`credential`] | pure bytes: what is signed, proved and verified; trait [`credential::Signer`] | model, error |
//! | [`browser`] | the checkpoint's verifier for JavaScript (feature `browser`) | credential |
//! | [`protocol`] | pure messages of the protocols | model, error |
//! | [`keyring`] | private keys; implements `Signer` | credential, config, error |
//! | [`store`] | every SQL statement, speaking model types only | model, error |
//! | [`remote`] | every outgoing call | protocol, model, config, error |
//! | [`flow`] | one story per file | all above |
//! | [`http`] | routes; extract, call one story, wrap | flow, protocol, model, config, error |
//! | [`cli`] | the same stories from a terminal; builds everything | all above |
//!
//! `clock` and `chance` are open to all: time and chance are handed in. `tests/layers.rs` holds this table as data.
//! Without the feature `server` only the pure rooms are built; they also compile for `wasm32-unknown-unknown`.

pub mod chance;
pub mod clock;
pub mod credential;
pub mod error;
pub mod model;
pub mod protocol;

#[cfg(feature = "browser")]
pub mod browser;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod flow;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod keyring;
#[cfg(feature = "server")]
pub mod remote;
#[cfg(feature = "server")]
pub mod store;
