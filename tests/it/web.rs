//! The browser apps: where they are, how they are kept, what they may do. `make web` builds them before the tests; where
//! that was not done, the program says so.

use axum::body::Body;
use axum::http::Request;

use crate::story;
use crate::town::{Answer, Town};

const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/dist/checkpoint/index.html");

async fn ask(town: &Town, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    town.send(request.body(Body::empty()).unwrap()).await
}

/// The page, or nothing where this tree has none.
async fn page(town: &Town) -> Option<Answer> {
    let page = ask(town, "/checkpoint/", &[]).await;
    if std::path::Path::new(BUILT).exists() {
        assert_eq!(page.status, 200);
        return Some(page);
    }
    assert_eq!(page.status, 503);
    assert!(String::from_utf8_lossy(&page.bytes).contains("was built without its web part"));
    None
}

/// Every address that an attribute of the page names.
fn named(page: &Answer, attribute: &str) -> Vec<String> {
    let html = String::from_utf8(page.bytes.to_vec()).unwrap();
    let before = format!(" {attribute}=\"");
    html.split(&before).skip(1).map(|part| part.split('"').next().unwrap().to_owned()).collect()
}

story! {
    async fn the_app_lives_in_a_folder_whatever_stands_before_it(town) {
        let answer = ask(&town, "/checkpoint", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, "checkpoint/"));
        assert_eq!(ask(&town, "/checkpoint/no-such-file.js", &[]).await.problem(404), "not-found");
        assert_eq!(ask(&town, "/checkpoint/..%2F..%2FCargo.toml", &[]).await.problem(404), "not-found");
        if let Some(page) = page(&town).await {
            let addresses = [named(&page, "src"), named(&page, "href")].concat();
            assert!(addresses.len() > 3 && addresses.iter().all(|address| address.starts_with("./")), "{addresses:?}");
        }
    }
}

story! {
    async fn the_app_may_run_its_own_files_and_the_camera_and_nothing_else(town) {
        let Some(page) = page(&town).await else { return };
        let policy = page.header("content-security-policy");
        for rule in [
            "default-src 'none'", "script-src 'self' 'wasm-unsafe-eval';", "connect-src 'self'", "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains("http"), "{policy}");
        assert!(page.header("permissions-policy").contains("camera=(self)"));
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        // A worker lives under the policy that comes with it.
        let worker = ask(&town, "/checkpoint/sw.js", &[]).await;
        assert_eq!(worker.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(worker.header("content-security-policy"), policy);
    }
}

story! {
    async fn what_has_its_content_in_its_name_is_kept_and_the_rest_asked_for(town) {
        let Some(page) = page(&town).await else { return };
        assert_eq!(page.header("cache-control"), "no-cache");
        let again = ask(&town, "/checkpoint/", &[("if-none-match", page.header("etag"))]).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
        assert_eq!(ask(&town, "/checkpoint/sw.js", &[]).await.header("cache-control"), "no-cache");

        let scripts = named(&page, "src");
        let script = scripts[0].strip_prefix('.').unwrap();
        let plain = ask(&town, &format!("/checkpoint{script}"), &[]).await;
        assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
        let small = ask(&town, &format!("/checkpoint{script}"), &[("accept-encoding", "gzip, br")]).await;
        assert_eq!((small.header("content-encoding"), small.header("vary")), ("br", "Accept-Encoding"));
        assert!(small.bytes.len() < plain.bytes.len() / 2);
        assert_ne!(small.header("etag"), plain.header("etag"));
    }
}
