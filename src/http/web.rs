//! The browser apps, as `make web` built them from `src/web/`: whole files, embedded in a release and read from the folder
//! in a debug build. Addresses inside an app are relative, so that it works under any path of the public URL.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::answer;
use super::negotiate::Choices;
use super::pages;
use super::public::is_held;

#[derive(RustEmbed)]
#[folder = "src/web/dist"]
struct Built;

/// What an app may do: run its own files and WebAssembly, talk to this server, show pictures that it made. No foreign
/// host, nothing inline, no frame around it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
/// The camera for the app itself, and nothing else that a device has.
const PERMISSIONS_POLICY: &str = "camera=(self), screen-wake-lock=(self), display-capture=(), \
     geolocation=(), microphone=(), payment=(), usb=()";
/// The office: its own scripts, styles and pictures, and those that it made itself.
const OFFICE_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const OFFICE_PERMISSIONS_POLICY: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";
/// The name of a file under `assets/` changes with its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_FIRST: &str = "no-cache";

/// `GET /checkpoint`: to the app's folder, whatever stands before it. A fragment goes along.
pub async fn checkpoint_folder() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "checkpoint/")]).into_response()
}

/// `GET /checkpoint/`: the page.
pub async fn checkpoint_page(headers: HeaderMap) -> Response {
    page(Built::get, "checkpoint", &headers)
}

/// `GET /checkpoint/…`: its files.
pub async fn checkpoint_file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match file_of(Built::get, "checkpoint", &file, &headers) {
        Some(found) => found,
        None => answer::not_found().await,
    }
}

/// The page of the unit office, which needs neither camera nor WebAssembly.
pub(super) fn office_page(headers: &HeaderMap) -> Response {
    stricter(page(Built::get, "office", headers))
}

/// A file of the unit office.
pub(super) fn office_file(file: &str, headers: &HeaderMap) -> Option<Response> {
    file_of(Built::get, "office", file, headers).map(stricter)
}

fn stricter(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, OFFICE_SECURITY_POLICY),
        (HeaderName::from_static("permissions-policy"), OFFICE_PERMISSIONS_POLICY),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The page of the demo wallet; `demo.rs` says when there is one.
pub(super) fn wallet_page(headers: &HeaderMap) -> Response {
    page(Built::get, "wallet", headers)
}

/// A file of the demo wallet.
pub(super) fn wallet_file(file: &str, headers: &HeaderMap) -> Option<Response> {
    file_of(Built::get, "wallet", file, headers)
}

/// Where built files are found.
type Files = fn(&str) -> Option<EmbeddedFile>;

/// The page of an app; one sentence when the program was built without it.
fn page(files: Files, app: &str, headers: &HeaderMap) -> Response {
    file_of(files, app, "index.html", headers).unwrap_or_else(|| {
        let body = "<p>Chương trình này được dựng mà không có phần trang web; hãy dựng lại bằng <code>make</code>.</p>\
                    <p lang=\"en\">This program was built without its web part; build it with <code>make</code>.</p>";
        (StatusCode::SERVICE_UNAVAILABLE, [(header::CACHE_CONTROL, "no-store")], pages::page("Chưa có ứng dụng", body))
            .into_response()
    })
}

fn file_of(files: Files, app: &str, file: &str, headers: &HeaderMap) -> Option<Response> {
    let (media_type, own_name) = (media_type(file)?, format!("{app}/{file}"));
    let may_compress = Choices::of(headers, &header::ACCEPT_ENCODING).weight(&["br", "*"]) > 0;
    let compressed = files(&format!("{own_name}.br"));
    let encoded = compressed.filter(|_| may_compress);
    let is_encoded = encoded.is_some();
    let found = encoded.or_else(|| files(&own_name))?;

    let digest = found.metadata.sha256_hash();
    let etag = digest[..16].iter().fold(String::from("\""), |tag, byte| format!("{tag}{byte:02x}")) + "\"";
    let mut response = if is_held(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Bytes::from(found.data.into_owned()).into_response()
    };
    let caching = if file.starts_with("assets/") { FOR_EVER } else { ASK_FIRST };
    let own = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "Accept-Encoding"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        own.insert(name, HeaderValue::from_static(value));
    }
    if is_encoded {
        own.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    own.extend(HeaderValue::try_from(etag).ok().map(|etag| (header::ETAG, etag)));
    Some(response)
}

/// The types that builds have. Anything else is not served, the compressed copies by their own names included.
fn media_type(file: &str) -> Option<&'static str> {
    let (_, extension) = file.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(name: &str) -> Option<EmbeddedFile> {
        let text: &'static str = match name {
            "checkpoint/index.html" => "<!doctype html>",
            "checkpoint/assets/app-1.js" => "plain",
            "checkpoint/assets/app-1.js.br" => "compressed",
            _ => return None,
        };
        let digest = [u8::try_from(text.len()).unwrap_or_default(); 32];
        let metadata = rust_embed::Metadata::__rust_embed_new(digest, None, None);
        Some(EmbeddedFile { data: text.as_bytes().into(), metadata })
    }

    fn asking(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_program_without_its_web_part_says_so() {
        let response = page(|_| None, "checkpoint", &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(page(built, "checkpoint", &HeaderMap::new()).status(), StatusCode::OK);
    }

    #[test]
    fn a_page_is_asked_for_again_and_its_parts_never() {
        let page = page(built, "checkpoint", &HeaderMap::new());
        assert_eq!(page.headers()[header::CACHE_CONTROL], ASK_FIRST);
        let again = asking(header::IF_NONE_MATCH, page.headers()[header::ETAG].to_str().unwrap());
        assert_eq!(super::page(built, "checkpoint", &again).status(), StatusCode::NOT_MODIFIED);
        let part = file_of(built, "checkpoint", "assets/app-1.js", &HeaderMap::new()).unwrap();
        assert_eq!(part.headers()[header::CACHE_CONTROL], FOR_EVER);
    }

    #[test]
    fn a_part_comes_compressed_to_who_can_read_it() {
        let name = "assets/app-1.js";
        let plain = file_of(built, "checkpoint", name, &asking(header::ACCEPT_ENCODING, "gzip")).unwrap();
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        let small = file_of(built, "checkpoint", name, &asking(header::ACCEPT_ENCODING, "gzip, br")).unwrap();
        assert_eq!(small.headers()[header::CONTENT_ENCODING], "br");
        assert_ne!(plain.headers()[header::ETAG], small.headers()[header::ETAG]);
    }

    #[test]
    fn nothing_else_is_served() {
        for name in ["assets/app-1.js.br", "assets", "", "../checkpoint/assets/app-1.js", "data/x", ".gitignore"] {
            assert!(file_of(built, "checkpoint", name, &HeaderMap::new()).is_none(), "{name}");
        }
    }
}
