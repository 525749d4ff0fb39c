//! The same stories from a terminal.

pub mod records;
