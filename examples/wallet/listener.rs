//! Waits on this machine for the browser to come back (RFC 8252 section 7.3). A wallet for phones is called by its
//! claimed https address instead.

use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::error::{Result, WalletError};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_mins(10);

const DONE: &str = "<!doctype html><html lang=\"vi\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
    content=\"width=device-width\"><title>Ví</title><style>:root { color-scheme: light dark; font: 17px/1.5 system-ui, \
    sans-serif } body { max-width: 32rem; margin: 2rem auto; padding: 0 1rem }</style></head><body><main><h1>Xong</h1>\
    <p>Hãy trở lại ví; có thể đóng trang này.</p><p lang=\"en\">Done: go back to the wallet. This page can be closed.</p>\
    </main></body></html>";

/// A place where a browser is awaited.
pub struct Waiting {
    listener: TcpListener,
    redirect_uri: Url,
}

impl Waiting {
    /// Listens at the redirect URI, which has to be http on this machine.
    pub async fn at(redirect_uri: &str) -> Result<Self> {
        let unusable = || WalletError::Command("the product's redirect_uri is not http on this machine".to_owned());
        let url = Url::parse(redirect_uri).map_err(|_| unusable())?;
        let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme()) else {
            return Err(unusable());
        };
        if !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
            return Err(unusable());
        }
        let listener = TcpListener::bind((host.trim_matches(['[', ']']), port)).await;
        let listener = listener.map_err(|source| WalletError::File { path: redirect_uri.into(), source })?;
        Ok(Self { listener, redirect_uri: url })
    }

    /// The address with which the browser came back.
    pub async fn browser(self) -> Result<String> {
        let (sender, mut came) = mpsc::channel::<String>(1);
        let path = self.redirect_uri.path().to_owned();
        let page = move |uri: Uri| async move {
            let _ = sender.send(uri.query().unwrap_or_default().to_owned()).await;
            let headers = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
            (StatusCode::OK, headers, Html(DONE)).into_response()
        };
        let router = Router::new().route(&path, get(page));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let serving = tokio::spawn(serving.into_future());
        let query = tokio::time::timeout(PATIENCE, came.recv()).await.ok().flatten();
        // The page is still sent.
        let _ = stop.send(());
        let _ = tokio::time::timeout(Duration::from_secs(1), serving).await;
        let mut back = self.redirect_uri;
        back.set_query(Some(&query.ok_or(WalletError::SignIn("nobody came back"))?));
        Ok(back.into())
    }
}
