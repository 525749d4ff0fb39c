//! How a wallet is invited (section 5.7), and what it may send when it fetches the request (section 5.10).

use serde_json::{Map, Value};

use super::{ClientIdPrefix, MAX_TEXT, MessageError, single};
use crate::model::json;
use crate::protocol::dcql::Format;

/// The longest `wallet_nonce` that is taken, in bytes: it comes back in what we sign.
pub const MAX_WALLET_NONCE: usize = 512;
/// The longest `wallet_metadata` that is looked at, in bytes.
const MAX_WALLET_METADATA: usize = 16 * 1024;

/// What opens a wallet: the identifier and the address of the request, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Who asks, as it will stand in the request.
    pub client_id: String,
    /// Where the request is.
    pub request_uri: String,
    /// Whether the wallet may say something first.
    pub by_post: bool,
}

impl Invocation {
    /// The link: `base` is a scheme with `://` (`haip-vp://`, `openid4vp://`) or the address of a wallet that takes its
    /// parameters in the query.
    pub fn link(&self, base: &str) -> String {
        let mut parameters = url::form_urlencoded::Serializer::new(String::new());
        parameters.append_pair("client_id", &self.client_id).append_pair("request_uri", &self.request_uri);
        if self.by_post {
            parameters.append_pair("request_uri_method", "post");
        }
        let separator = if base.contains('?') { '&' } else { '?' };
        format!("{base}{separator}{}", parameters.finish())
    }

    /// A wallet's reading of a link, whatever its scheme. Parameters that are not known are passed over; the request
    /// itself in the link is refused, because nobody would have signed it.
    pub fn parse(link: &str) -> Result<Self, MessageError> {
        let (_, query) = link.split_once('?').ok_or(MessageError::new("link", "has parameters"))?;
        let query = query.split('#').next().unwrap_or_default();
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let parameter = single(&pairs)?;
        let needed = |name: &'static str| {
            let value = parameter(name).filter(|value| !value.is_empty() && value.len() <= MAX_TEXT);
            value.map(str::to_owned).ok_or(MessageError::new(name, "is missing or too long"))
        };
        let by_post = match parameter("request_uri_method") {
            None | Some("get") => false,
            Some("post") => true,
            Some(_) => return Err(MessageError::new("request_uri_method", "is get or post")),
        };
        Ok(Self { client_id: needed("client_id")?, request_uri: needed("request_uri")?, by_post })
    }
}

/// What came with a POST to the `request_uri`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestUriPost {
    /// What has to stand in the request, verbatim.
    pub wallet_nonce: Option<String>,
    /// What the wallet can do.
    pub wallet_metadata: WalletMetadata,
}

impl RequestUriPost {
    /// Parses the form. Parameters that are not known are ignored.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, MessageError> {
        let parameter = single(pairs)?;
        let wallet_nonce = parameter("wallet_nonce").map(str::to_owned);
        if wallet_nonce.as_ref().is_some_and(|nonce| nonce.is_empty() || nonce.len() > MAX_WALLET_NONCE) {
            return Err(MessageError::new("wallet_nonce", "is not empty and has at most 512 bytes"));
        }
        let wallet_metadata = parameter("wallet_metadata").map(WalletMetadata::parse).transpose()?.unwrap_or_default();
        Ok(Self { wallet_nonce, wallet_metadata })
    }
}

/// What a wallet says that it can do (section 10). Used to refuse politely, never to ask for less proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalletMetadata(Map<String, Value>);

impl WalletMetadata {
    fn parse(text: &str) -> Result<Self, MessageError> {
        let malformed = MessageError::new("wallet_metadata", "is a JSON object of at most 16 KiB");
        if text.len() > MAX_WALLET_METADATA {
            return Err(malformed);
        }
        match json::parse(text.as_bytes()) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(malformed),
        }
    }

    /// Whether the wallet can answer a request that asks for cards of these formats, by a verifier of this kind, signed
    /// with ES256. Where it says nothing, it can.
    pub fn check(&self, formats: &[Format], prefix: ClientIdPrefix) -> Result<(), MessageError> {
        let lists = |name: &str, value: &str| match self.0.get(name).and_then(Value::as_array) {
            Some(values) => values.iter().any(|one| one == value),
            None => true,
        };
        if !lists("client_id_prefixes_supported", prefix.name()) {
            return Err(MessageError::new("client_id_prefixes_supported", "lacks the kind of this verifier"));
        }
        if !lists("request_object_signing_alg_values_supported", "ES256") {
            return Err(MessageError::new("request_object_signing_alg_values_supported", "lacks ES256"));
        }
        let supported = self.0.get("vp_formats_supported").and_then(Value::as_object);
        if supported.is_some_and(|supported| !formats.iter().any(|format| supported.contains_key(format.id()))) {
            return Err(MessageError::new("vp_formats_supported", "lacks every format that is asked for"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_link_holds_three_parameters_at_the_most() {
        let mut invocation = Invocation {
            client_id: "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk".into(),
            request_uri: "https://verifier.example/r/a?b&c".into(),
            by_post: false,
        };
        for base in ["haip-vp://", "openid4vp://", "https://wallet.example/authorize", "https://wallet.example/?x=1"] {
            for by_post in [false, true] {
                invocation.by_post = by_post;
                let link = invocation.link(base);
                assert!(link.starts_with(base));
                assert_eq!(Invocation::parse(&link).unwrap(), invocation);
            }
        }
        assert_eq!(
            Invocation { client_id: "a:b".into(), request_uri: "https://v/r".into(), by_post: true }.link("haip-vp://"),
            "haip-vp://?client_id=a%3Ab&request_uri=https%3A%2F%2Fv%2Fr&request_uri_method=post"
        );
        for bad in [
            "openid4vp://",
            "openid4vp://?client_id=a",
            "openid4vp://?request_uri=a",
            "openid4vp://?client_id=a&request_uri=b&request_uri_method=POST",
            "openid4vp://?client_id=a&request_uri=b&client_id=c",
        ] {
            assert!(Invocation::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wallet_may_say_what_it_can_do() {
        let metadata =
            r#"{"vp_formats_supported":{"mso_mdoc":{}},"client_id_prefixes_supported":["x509_hash"],"more":1}"#;
        let post = RequestUriPost::parse(&pairs(&[("wallet_nonce", "w"), ("wallet_metadata", metadata), ("x", "y")]));
        let post = post.unwrap();
        assert_eq!(post.wallet_nonce.as_deref(), Some("w"));
        let check =
            |formats: &[Format], prefix| post.wallet_metadata.check(formats, prefix).err().map(|error| error.place);
        assert_eq!(check(&[Format::Mdoc], ClientIdPrefix::X509Hash), None);
        assert_eq!(check(&Format::ALL, ClientIdPrefix::X509Hash), None);
        assert_eq!(check(&[Format::SdJwt], ClientIdPrefix::X509Hash), Some("vp_formats_supported"));
        assert_eq!(check(&[Format::Mdoc], ClientIdPrefix::X509SanDns), Some("client_id_prefixes_supported"));
        let nothing = RequestUriPost::parse(&[]).unwrap();
        assert_eq!(nothing, RequestUriPost::default());
        assert_eq!(nothing.wallet_metadata.check(&[Format::SdJwt], ClientIdPrefix::X509SanDns), Ok(()));
    }

    #[test]
    fn what_is_too_long_twice_or_no_json_is_refused() {
        let place = |form: &[(&str, &str)]| RequestUriPost::parse(&pairs(form)).unwrap_err().place;
        assert_eq!(place(&[("wallet_nonce", &"n".repeat(MAX_WALLET_NONCE + 1))]), "wallet_nonce");
        assert_eq!(place(&[("wallet_nonce", "")]), "wallet_nonce");
        assert_eq!(place(&[("wallet_nonce", "a"), ("wallet_nonce", "a")]), "form");
        for bad in ["", "[]", "{", r#"{"a":1,"a":2}"#, &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_WALLET_METADATA))] {
            assert_eq!(place(&[("wallet_metadata", bad)]), "wallet_metadata");
        }
    }
}
