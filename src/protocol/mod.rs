//! Pure messages of the protocols that we speak: bytes to typed messages and back, nothing decided.

pub mod delivery;
pub mod oauth;
pub mod oid4vci;
pub mod population;
