//! Tests as people: a town with a real router, a real store (SQLite and PostgreSQL), a clock that a test moves, and
//! people with verbs. A story goes through HTTP only; `store` is the contract of the store; in `races` two do the same
//! thing at once and exactly one wins.

#![allow(clippy::needless_pass_by_value)]

mod abroad;
mod api;
mod approvals;
mod attestations;
mod attester;
#[path = "../authority/mod.rs"]
mod authority;
mod authorize;
mod browser;
mod bureau;
mod checkpoint;
mod confirmations;
mod crash;
mod deferred;
mod delivery;
mod demo;
mod draft;
mod fapi;
mod feed;
mod foreign;
mod grants;
mod haip;
mod holder;
mod holders;
mod issue;
mod kill;
mod life;
mod life_meets;
mod mdoc;
mod me;
mod me_evidence;
mod me_proposals;
mod me_sign_in;
mod metadata;
mod office;
mod office_cards;
mod office_records;
mod population;
mod present;
mod present_queries;
mod present_refused;
mod presented;
mod presenter;
mod program;
mod proofs;
mod quality;
mod races;
mod records;
mod refresh;
mod reorganisation;
mod review;
mod review_races;
mod revoke;
mod rights;
mod show;
mod sign_in;
mod status_host;
mod store;
mod stories5;
mod sync;
mod throttle;
mod tls;
mod town;
mod uploads;
mod uploads_killed;
mod vneid;
mod web;
mod wire;
