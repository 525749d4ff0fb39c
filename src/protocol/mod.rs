//! Pure messages of the protocols that we speak.
