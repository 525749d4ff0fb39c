//! Every outgoing call.

pub mod delivery;
pub mod population;
