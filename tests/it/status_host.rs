//! Another issuer's status host: a real HTTP server on loopback that does as it is told, and the tokens that it serves.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use officials_card::config::{StatusFetches, StatusLists, StatusNeed, StatusPrefix, TrustedIssuer};
use officials_card::credential::status_list::{Bits, StatusList, StatusListToken};
use officials_card::credential::status_token::TokenForm;
use officials_card::credential::{Signer, jws};
use serde_json::json;

/// What the host does with every call, until it is told otherwise.
#[derive(Clone)]
pub enum Act {
    /// 200 with this content type and body.
    Serve(&'static str, Vec<u8>),
    /// 200 with this content type, coding and body.
    ServeCoded(&'static str, &'static str, Vec<u8>),
    /// 200, and a body without announced length that never ends.
    Flood(&'static str),
    /// Another status.
    Status(u16),
    /// 302 to there.
    Redirect(String),
    /// 302 to the next step of `/lists/step/N` until N is 0, then serves.
    Steps(&'static str, Vec<u8>),
    /// Never answers.
    Hang,
    /// Begins to answer and never ends.
    Drip(&'static str),
    /// Begins to answer and breaks off.
    Die(&'static str),
}

/// The host.
#[derive(Clone)]
pub struct StatusHost {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    act: Arc<Mutex<Act>>,
    calls: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl StatusHost {
    /// Starts one.
    pub async fn start(act: Act) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let host = Self { url, act: Arc::new(Mutex::new(act)), calls: Arc::default() };
        let app = Router::new().fallback(Self::take).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        host
    }

    /// From now on it does this.
    pub fn does(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// The path and headers of the last call.
    pub fn last_call(&self) -> (String, HeaderMap) {
        self.calls.lock().unwrap().last().unwrap().clone()
    }

    /// The address of a list.
    pub fn uri(&self, list: &str) -> String {
        format!("{}/lists/{list}", self.url)
    }

    /// The settings of an issuer whose lists stand here.
    pub fn lists(&self) -> StatusLists {
        let prefix = StatusPrefix::parse(&self.uri("")).unwrap();
        StatusLists { prefixes: vec![prefix], anchors: None, allow_private_networks: Vec::new() }
    }

    /// A trusted issuer of this name with these roots, whose lists stand here.
    pub fn issuer(&self, name: &str, anchors: &str) -> TrustedIssuer {
        TrustedIssuer {
            name: name.into(),
            anchors: anchors.into(),
            types: vec!["urn:example:doctor".into()],
            issuers: Vec::new(),
            document_usages: Vec::new(),
            status: StatusNeed::Required,
            status_lists: Some(self.lists()),
        }
    }

    async fn take(State(host): State<Self>, uri: Uri, headers: HeaderMap) -> Response {
        host.calls.lock().unwrap().push((uri.path().to_owned(), headers));
        let act = host.act.lock().unwrap().clone();
        let ok = |media_type: &'static str, body: Body| ([(header::CONTENT_TYPE, media_type)], body).into_response();
        match act {
            Act::Serve(media_type, body) => ok(media_type, body.into()),
            Act::ServeCoded(media_type, coding, body) => {
                let mut response = ok(media_type, body.into());
                response.headers_mut().insert(header::CONTENT_ENCODING, coding.parse().unwrap());
                response
            }
            Act::Flood(media_type) => {
                let pieces = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 << 10])));
                ok(media_type, Body::from_stream(pieces))
            }
            Act::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
            Act::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Act::Steps(media_type, body) => match uri.path().rsplit('/').next().unwrap().parse::<u32>().unwrap() {
                0 => ok(media_type, body.into()),
                left => (StatusCode::FOUND, [(header::LOCATION, (left - 1).to_string())]).into_response(),
            },
            Act::Hang => std::future::pending().await,
            Act::Drip(media_type) => {
                let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"ey"))]);
                ok(media_type, Body::from_stream(begun.chain(stream::pending())))
            }
            Act::Die(media_type) => {
                let pieces = [Ok(Bytes::from_static(b"ey")), Err(std::io::Error::other("the host died"))];
                ok(media_type, Body::from_stream(stream::iter(pieces)))
            }
        }
    }
}

/// Fetches that wait long enough for a slow machine: for tests in which the host answers.
pub fn patient() -> StatusFetches {
    StatusFetches {
        wait_milliseconds: 5000,
        connect_milliseconds: 5000,
        total_milliseconds: 20_000,
        ..StatusFetches::default()
    }
}

/// Fetches that give up soon: for tests in which it does not.
pub fn hasty() -> StatusFetches {
    StatusFetches {
        wait_milliseconds: 50,
        connect_milliseconds: 700,
        total_milliseconds: 700,
        ..StatusFetches::default()
    }
}

/// A token for the list at `uri`, signed at `issued_at`, with these entries of 16.
pub fn token(uri: &str, issued_at: i64, entries: &[(u32, u8)]) -> StatusListToken {
    StatusListToken {
        uri: uri.into(),
        issued_at,
        expires_at: Some(issued_at + 3600),
        ttl_seconds: Some(60),
        list: StatusList::new(Bits::Four, 16, entries.iter().copied()).unwrap().compress(),
    }
}

/// The token as a host serves it.
pub fn signed(token: &StatusListToken, form: TokenForm, signer: &dyn Signer) -> Vec<u8> {
    match form {
        TokenForm::Cwt => token.to_cwt(signer).unwrap(),
        TokenForm::Jwt => {
            let header = jws::header(signer, "statuslist+jwt", json!({"x5c": jws::x5c(signer)}));
            jws::sign(signer, &header, token.to_jwt_claims().to_string().as_bytes()).unwrap().into_bytes()
        }
    }
}

/// What a host does that serves this token.
pub fn serving(token: &StatusListToken, form: TokenForm, signer: &dyn Signer) -> Act {
    Act::Serve(form.media_type(), signed(token, form, signer))
}
