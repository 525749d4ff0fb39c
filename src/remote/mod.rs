//! Every outgoing call.

pub mod delivery;
pub mod population;
pub mod sign_in;
pub mod status_lists;
