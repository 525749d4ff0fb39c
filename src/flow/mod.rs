//! The stories. Each file is one: it knows the order read → decide → store → sign, and nothing of HTTP or SQL.

pub mod enroll;
pub mod import;
