//! The program `officials-card`.

fn main() {}
