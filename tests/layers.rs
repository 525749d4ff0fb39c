//! Who may look into whom: the table of `src/lib.rs` as data, checked against every `use crate::…` and `crate::…` path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that everybody may use: time, chance and the two kinds of no.
const OPEN: [&str; 3] = ["clock", "chance", "error"];

/// Room and what it may import beside [`OPEN`] and itself.
const ROOMS: [(&str, &[&str]); 14] = [
    ("clock", &[]),
    ("chance", &[]),
    ("error", &[]),
    ("config", &[]),
    ("model", &[]),
    ("credential", &["model"]),
    ("browser", &["credential"]),
    ("protocol", &["model"]),
    ("keyring", &["credential", "config"]),
    ("store", &["model"]),
    ("remote", &["protocol", "model", "config"]),
    ("flow", &["config", "model", "credential", "protocol", "keyring", "store", "remote"]),
    ("http", &["flow", "protocol", "model", "config"]),
    ("cli", &["config", "model", "credential", "protocol", "keyring", "store", "remote", "flow", "http"]),
];

/// Crates that only one room may name.
const CRATES: [(&str, &[&str]); 4] =
    [("sqlx", &["store"]), ("axum", &["http", "cli"]), ("reqwest", &["remote", "cli"]), ("wasm_bindgen", &["browser"])];

fn sources() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let room = path.strip_prefix(&src).unwrap().components().next().unwrap();
                let room = Path::new(&room).file_stem().unwrap().to_str().unwrap().to_owned();
                // Tests at the foot of a file may build what they like.
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
                found.push((room, path, text));
            }
        }
    }
    found
}

/// Every name that follows `prefix` in code, not in comments.
fn named<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(move |line| {
        line.match_indices(prefix).map(move |(at, _)| {
            let rest = &line[at + prefix.len()..];
            &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
        })
    })
}

#[test]
fn no_room_looks_into_another_against_the_table() {
    let rooms: BTreeMap<_, _> = ROOMS.into_iter().collect();
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        // `web` is no room of the library: a build script beside the browser sources.
        if ["lib", "main", "web"].contains(&room.as_str()) {
            continue;
        }
        let allowed = rooms.get(room.as_str()).unwrap_or_else(|| panic!("{room} is not in the table"));
        let imports: BTreeSet<_> = named(&text, "crate::").filter(|name| rooms.contains_key(name)).collect();
        for import in imports {
            if import != room && !OPEN.contains(&import) && !allowed.contains(&import) {
                wrong.push(format!("{}: {room} may not import {import}", path.display()));
            }
        }
        for (name, owners) in CRATES {
            let used =
                text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{name}::")));
            if used && !owners.contains(&room.as_str()) {
                wrong.push(format!("{}: only {owners:?} may use {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_cycle_and_stands_in_the_map() {
    // Every room imports only rooms above it.
    for (position, (room, imports)) in ROOMS.iter().enumerate() {
        for import in *imports {
            let above = ROOMS.iter().position(|(name, _)| name == import).unwrap();
            assert!(above < position, "{room} imports {import} from below");
        }
    }
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (room, _) in ROOMS {
        assert!(map.contains(&format!("[`{room}`]")), "{room} is missing in the map of src/lib.rs");
    }
}
