//! Every outgoing call.

pub mod population;
pub mod sign_in;
