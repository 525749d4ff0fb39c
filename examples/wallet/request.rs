//! What a verifier asks (OpenID4VP 1.0): fetched by its link, and believed only when it is signed by whom the holder's
//! wallet trusts and says of itself what the link said.

use officials_card::chance::Chance;
use officials_card::clock::UnixSeconds;
use officials_card::credential::jws::Jws;
use officials_card::credential::x509::{self, Anchors};
use officials_card::protocol::dcql::Path;
use officials_card::protocol::oid4vp::{
    ANY_WALLET, ClientIdPrefix, Delivery, Invocation, REQUEST_MEDIA_TYPE, REQUEST_TYPE, RequestObject, fresh_nonce,
};
use reqwest::Url;

use crate::error::{Result, WalletError};
use crate::http::{Http, Repeat, protected};

const PLACE: &str = "verifier's request";

/// A request whose verifier is known.
pub struct Asked {
    /// All of it.
    pub request: RequestObject,
    /// Where the answer goes.
    pub response_uri: String,
    /// The names in the verifier's certificate.
    pub names: Vec<String>,
}

impl Asked {
    /// Follows a link: `openid4vp://…`, `haip-vp://…` or the address of a web page of the same form.
    pub async fn fetch(
        http: &Http,
        link: &str,
        verifiers: &Anchors,
        now: UnixSeconds,
        chance: &Chance,
    ) -> Result<Self> {
        let invocation = Invocation::parse(link)?;
        let nonce = invocation.by_post.then(|| fresh_nonce(chance));
        let text = match &nonce {
            Some(nonce) => {
                let fields = [("wallet_nonce", nonce.as_str()), ("wallet_metadata", METADATA)];
                let make = || {
                    let post = http.post(PLACE, &invocation.request_uri)?;
                    Ok(post.header("Accept", REQUEST_MEDIA_TYPE).form(&fields))
                };
                http.ask(PLACE, Repeat::WhenLost, make).await?.body(PLACE)?
            }
            None => http.get(PLACE, &invocation.request_uri, REQUEST_MEDIA_TYPE).await?,
        };
        let text = String::from_utf8(text).map_err(|_| WalletError::Answer(PLACE, "is no text"))?;
        let asked = Self::read(&text, verifiers, now)?;
        if asked.request.client_id.as_str() != invocation.client_id {
            return Err(WalletError::Answer(PLACE, "is of another verifier than the link"));
        }
        // Section 5.10: another's request, taken from the wire, does not hold our nonce.
        if nonce.is_some() && asked.request.wallet_nonce != nonce {
            return Err(WalletError::Answer(PLACE, "does not hold this wallet's nonce"));
        }
        Ok(asked)
    }

    fn read(text: &str, verifiers: &Anchors, now: UnixSeconds) -> Result<Self> {
        let no = |rule| Err(WalletError::Answer(PLACE, rule));
        let jws = Jws::parse(text.trim(), REQUEST_TYPE)?;
        let Some(chain) = jws.certificates() else { return no("carries no certificates") };
        let key = verifiers.check_path(&chain, now)?;
        let request = RequestObject::parse(&jws.verify(&key)?)?;
        let names = x509::dns_names(&chain[0])?;
        if !request.client_id.is_of(&chain[0], &names) {
            return no("is signed by another than it names");
        }
        if request.audience != ANY_WALLET {
            return no("is for another wallet");
        }
        if request.expires_at <= now {
            return no("has expired");
        }
        if !request.transaction_data.is_empty() {
            return no("wants something authorised that this wallet does not know");
        }
        let Delivery::DirectPost { response_uri, .. } = &request.delivery else {
            return no("is for a browser's page, not for a link");
        };
        let response_uri = response_uri.clone();
        // Section 5.9.3: the answer goes to the host that the certificate names.
        let host = Url::parse(&response_uri).ok().and_then(|url| url.host_str().map(str::to_owned));
        if request.client_id.prefix() == ClientIdPrefix::X509SanDns
            && host.as_deref() != Some(request.client_id.original())
        {
            return no("wants the answer sent to another host than its own");
        }
        protected("response_uri", &response_uri)?;
        Ok(Self { request, response_uri, names })
    }

    /// Who asks, for a person: the names in the certificate, or else the host that the answer goes to.
    pub fn verifier(&self) -> String {
        if !self.names.is_empty() {
            return self.names.join(", ");
        }
        let host = Url::parse(&self.response_uri).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.unwrap_or_else(|| self.request.client_id.to_string())
    }
}

/// What this wallet says that it can do.
const METADATA: &str = r#"{"vp_formats_supported":{"dc+sd-jwt":{"sd-jwt_alg_values":["ES256","Ed25519"],"kb-jwt_alg_values":["ES256","Ed25519"]},"mso_mdoc":{"issuerauth_alg_values":[-7,-9],"deviceauth_alg_values":[-7,-9]}},"client_id_prefixes_supported":["x509_hash","x509_san_dns"],"request_object_signing_alg_values_supported":["ES256"]}"#;

/// The name of the claim that a path leads to: in an mdoc it stands under its namespace.
pub fn claim_name(path: &Path, is_mdoc: bool) -> &str {
    path.name(usize::from(is_mdoc)).unwrap_or_default()
}
