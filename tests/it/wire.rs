//! Our own wire answers, kept in `tests/golden/`: a change there is a change of contract. `UPDATE_GOLDEN=1` writes them.

use serde_json::Value;

use crate::town::{Ground, Town};

fn golden(name: &str, answer: &Value) {
    let file = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = format!("{}\n", serde_json::to_string_pretty(answer).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text, "{file} differs");
}

#[tokio::test]
async fn documents_stay_as_they_are() {
    let town = Town::on(Ground::Sqlite).await;
    for (path, name) in [
        ("/.well-known/openid-credential-issuer", "issuer-metadata"),
        ("/.well-known/oauth-authorization-server", "server-metadata"),
        ("/types/official-card/1", "type-metadata"),
        ("/openapi.json", "openapi"),
    ] {
        let mut document = town.get(path).await.expect(200);
        if let Some(key) = document.pointer_mut("/credential_request_encryption/jwks/keys/0") {
            // The town's keys are fresh in every run.
            for member in ["kid", "x", "y"] {
                assert_eq!(key[member].as_str().map(str::len), Some(43));
                key[member] = "32 bytes".into();
            }
        }
        golden(name, &document);
    }
}

#[tokio::test]
async fn a_tenant_path_stands_after_the_well_known_part() {
    let town = Town::on(Ground::Sqlite).await;
    let tenant = town.configured(|config| config.public_url = "https://card.example.vn/tenant".into());
    let metadata = tenant.get("/.well-known/openid-credential-issuer/tenant").await.expect(200);
    assert_eq!(metadata["credential_issuer"], "https://card.example.vn/tenant");
    tenant.get("/.well-known/oauth-authorization-server/tenant").await.expect(200);
    tenant.get("/tenant/health").await.expect(200);
    tenant.get("/health").await.problem(404);
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let town = Town::on(Ground::Sqlite).await;
    let document = town.get("/openapi.json").await.expect(200);
    let mut names = std::collections::BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{method} {path}: {name} is another's");
        }
    }
    assert!(names.len() > 20);
}
