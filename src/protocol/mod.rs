//! Pure messages of the protocols that we speak: bytes to typed messages and back, nothing decided.

pub mod authorize;
pub mod credential_request;
pub mod dcql;
pub mod delivery;
pub mod display;
pub mod mdoc;
pub mod ministry;
pub mod oauth;
pub mod oid4vci;
pub mod oid4vp;
#[cfg(feature = "server")]
pub mod population;
pub mod self_service;
pub mod sign_in;
