//! Every outgoing call.

pub mod population;
