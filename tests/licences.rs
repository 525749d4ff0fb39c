//! Every crate that ships is under a licence that permits it, and comes from the registry.

use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than a notice.
const PERMITTED: [&str; 14] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "MIT-0",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "OpenSSL",
];
/// Not permitted alone, harmless beside a permitted one: exceptions and notices of bundled C code.
const BESIDE: [&str; 2] = ["LLVM-exception", "IJG"];

/// Whether an SPDX expression can be met by permitted licences: `AND` binds closer than `OR`.
fn is_permitted(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ").replace(" WITH ", " AND ");
    // Brackets only ever group alternatives here; requiring one permitted name in every conjunct is the stricter reading.
    if expression.contains('(') {
        return expression
            .split(" AND ")
            .all(|part| part.replace(['(', ')'], " ").split(" OR ").any(|name| known(name.trim())));
    }
    flat.split(" OR ").any(|alternative| alternative.split(" AND ").all(|name| known(name.trim())))
}

fn known(name: &str) -> bool {
    PERMITTED.contains(&name) || BESIDE.contains(&name)
}

#[test]
fn all_crates_are_permissively_licensed_and_from_the_registry() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let wrong: Vec<_> = packages
        .iter()
        .filter(|package| package["name"] != "officials-card")
        .filter(|package| {
            let licence = package["license"].as_str().unwrap_or_default();
            let from_registry = package["source"].as_str().is_some_and(|source| source.starts_with("registry+"));
            !is_permitted(licence) || !from_registry
        })
        .map(|package| {
            format!("{} {}: {} {}", package["name"], package["version"], package["license"], package["source"])
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn expressions_are_read_strictly() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT/Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
    ] {
        assert!(is_permitted(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND AGPL-3.0", "EUPL-1.2"] {
        assert!(!is_permitted(bad), "{bad}");
    }
}
