//! Pure nouns and their rules: nothing here knows of HTTP, SQL, files or keys.

pub mod card;
pub mod id;
pub mod status;
