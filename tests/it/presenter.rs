//! A wallet that presents: it holds cards, checks a verifier's request as a careful wallet does, selects what the query
//! asks for, and answers by every road. On demand it does one thing wrong ([`Misdeed`]), so that a story shows what a
//! verifier makes of it.

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::credential::cbor::{self, Value as Cbor};
use officials_card::credential::jwe::Recipient;
use officials_card::credential::jws::Jws;
use officials_card::credential::mdoc::device::{self, SessionTranscript};
use officials_card::credential::mdoc::{self, IssuerSigned};
use officials_card::credential::x509::{self, Anchors};
use officials_card::credential::{PublicKey, Signer, sd_jwt};
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use officials_card::protocol::dcql::{Format, Held, Path};
use officials_card::protocol::oid4vp::{
    self, Answer as Response, Delivery, Invocation, REQUEST_MEDIA_TYPE, REQUEST_TYPE, RequestObject, VpToken,
};
use serde_json::{Value, json};

use crate::town::{Answer, Town, URL};

/// A year, by which proofs are misdated.
pub const YEAR_SECONDS: i64 = 365 * 86_400;

/// A card in the wallet.
pub struct Kept {
    format: Format,
    credential: String,
    key: FileKey,
    types: Vec<String>,
    claims: Value,
    authority_key_ids: Vec<Vec<u8>>,
}

impl Kept {
    /// An SD-JWT card as issued.
    pub fn sd_jwt(credential: &str, key: FileKey) -> Self {
        let mut parts = credential.split('~');
        let jws = Jws::parse(parts.next().unwrap(), sd_jwt::TYPE).unwrap();
        let vct = jws.claimed("vct").unwrap().as_str().unwrap().to_owned();
        let mut claims = json!({"vct": vct});
        for disclosure in parts.filter(|part| !part.is_empty()) {
            let disclosure: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(disclosure).unwrap()).unwrap();
            claims[disclosure[1].as_str().unwrap()] = disclosure[2].clone();
        }
        let authority_key_ids = Anchors::default().authority_key_ids(&jws.certificates().unwrap());
        Self { format: Format::SdJwt, credential: credential.into(), key, types: vec![vct], claims, authority_key_ids }
    }

    /// An mdoc as issued, in its time.
    pub fn mdoc(credential: &str, key: FileKey, now: i64) -> Self {
        let bytes = URL_SAFE_NO_PAD.decode(credential).unwrap();
        let card = IssuerSigned::parse(&bytes).unwrap();
        let doctype = card.claimed_doctype().to_owned();
        let signer = x509::public_key(&card.certificates()[0]).unwrap();
        let authority_key_ids = Anchors::default().authority_key_ids(&card.certificates());
        // The wallet believed it when it came.
        let read = card.verify_by(&signer, &doctype, now).unwrap();
        let mut claims = json!({});
        for element in read.elements {
            claims[&element.namespace][&element.identifier] = mdoc::to_json(&element.value).unwrap();
        }
        Self {
            format: Format::Mdoc,
            credential: credential.into(),
            key,
            types: vec![doctype],
            claims,
            authority_key_ids,
        }
    }

    fn held(&self) -> Held<'_> {
        Held {
            format: self.format,
            types: &self.types,
            claims: &self.claims,
            authority_key_ids: &self.authority_key_ids,
            can_bind: true,
        }
    }

    /// The key identifiers of whoever stands behind it.
    pub fn authority_key_ids(&self) -> &[Vec<u8>] {
        &self.authority_key_ids
    }

    /// The types that it is of.
    pub fn types(&self) -> &[String] {
        &self.types
    }
}

/// One thing done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misdeed {
    /// The SD-JWT without its holder's proof.
    Unbound,
    /// The proof of another key, over the same card.
    BoundByAnother,
    /// The proof of the same key, over the card with fewer disclosures.
    BoundToAnotherSelection,
    /// A bit of the proof's signature is wrong.
    BindingSignature,
    /// The audience of the proof goes on.
    AudienceSuffix,
    /// The nonce of the proof goes on; for an mdoc, that of the session.
    NonceSuffix,
    /// The hash in the proof goes on.
    HashSuffix,
    /// The proof was made so many seconds later than now.
    MadeAt(i64),
    /// A bit of the issuer's signature is wrong; the proof is right.
    IssuerSignature,
    /// A disclosure says something else; the proof is right.
    Disclosure,
    /// A disclosure stands there twice; the proof is right.
    RepeatedDisclosure,
    /// A disclosure of `exp`; the proof is right.
    DisclosedExpiry,
    /// The mdoc's element says something else.
    Element,
    /// The mdoc names another type outside than inside.
    Doctype,
    /// A bit of the device's signature is wrong.
    DeviceSignature,
    /// A MAC in the place of the device's signature.
    DeviceMac,
    /// An element signed by the device.
    DeviceElements,
    /// The document twice.
    TwoDocuments,
    /// Under an identifier that nobody asked for.
    UnknownId,
    /// Two presentations where one was asked for.
    TwoPresentations,
    /// Without any presentation.
    EmptyToken,
    /// One claim fewer than asked for.
    ClaimKeptBack,
    /// Every claim that there is.
    EverythingDisclosed,
    /// Another state.
    OtherState,
    /// Without state.
    NoState,
    /// In the clear, where it has to be encrypted.
    InTheClear,
    /// Encrypted, and the header names another key.
    OtherKid,
    /// Encrypted to a key that nobody has.
    OtherKey,
    /// Encrypted with a header that names another algorithm.
    OtherEnc,
    /// Compressed before it was encrypted.
    Compressed,
    /// A response of many mebibytes.
    Oversize,
    /// A `vp_token` that nests without end.
    Deep,
}

/// What goes back: a form, or what the browser hands over.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To the `response_uri`.
    Form(Vec<(String, String)>),
    /// Through the browser's API.
    Data(Value),
}

/// The wallet.
pub struct Presenter {
    /// What it holds, the preferred first.
    pub cards: Vec<Kept>,
    /// What it does wrong.
    pub misdeed: Option<Misdeed>,
    /// Whose requests it answers.
    pub verifiers: Anchors,
    /// The page that the browser shows, for the browser's API.
    pub origin: String,
}

impl Presenter {
    /// A wallet that trusts these roots of verifiers.
    pub fn new(verifiers: Anchors, cards: Vec<Kept>) -> Self {
        Self { cards, misdeed: None, verifiers, origin: URL.into() }
    }

    /// Reads a signed request: signature, certificates, and that it is the one that the link spoke of.
    #[track_caller]
    pub fn read(&self, request: &str, client_id: Option<&str>, now: i64) -> RequestObject {
        let jws = Jws::parse(request, REQUEST_TYPE).unwrap();
        let chain = jws.certificates().expect("x5c");
        let key = self.verifiers.check_path(&chain, now).expect("a trusted verifier");
        let claims = jws.verify(&key).expect("the verifier's signature");
        let request = RequestObject::parse(&claims).unwrap();
        assert!(
            request.client_id.is_of(&chain[0], &x509::dns_names(&chain[0]).unwrap()),
            "the signer's own identifier"
        );
        assert!(client_id.is_none_or(|client_id| client_id == request.client_id.as_str()), "that of the link");
        assert_eq!(request.audience, oid4vp::ANY_WALLET);
        assert!(request.issued_at <= now && now < request.expires_at, "in its time");
        request
    }

    /// Follows a link: fetches the request and reads it.
    pub async fn fetch(&self, town: &Town, link: &str) -> RequestObject {
        let invocation = Invocation::parse(link).unwrap();
        let path = invocation.request_uri.strip_prefix(URL).unwrap();
        let nonce = "a wallet's nonce / + ~ă";
        let ask = if invocation.by_post {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("wallet_nonce", nonce)
                .append_pair("wallet_metadata", "{\"vp_formats_supported\":{\"dc+sd-jwt\":{},\"mso_mdoc\":{}}}");
            Request::post(path)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ACCEPT, REQUEST_MEDIA_TYPE)
                .body(Body::from(form.finish()))
        } else {
            Request::get(path).body(Body::empty())
        };
        let answer = town.send(ask.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
        assert_eq!(answer.header("content-type"), REQUEST_MEDIA_TYPE);
        assert_eq!(answer.header("cache-control"), "no-store");
        let text = std::str::from_utf8(&answer.bytes).unwrap();
        let request = self.read(text, Some(&invocation.client_id), town.clock.now());
        assert_eq!(request.wallet_nonce.as_deref(), invocation.by_post.then_some(nonce));
        request
    }

    /// Follows a link and answers.
    pub async fn present(&self, town: &Town, link: &str) -> Answer {
        let request = self.fetch(town, link).await;
        self.post(town, &request, self.reply(&request, town.clock.now())).await
    }

    /// Follows a link and declines.
    pub async fn decline(&self, town: &Town, link: &str, code: &str) -> Answer {
        let request = self.fetch(town, link).await;
        let error = oid4vp::WalletError::new(code, Some("the holder's reasons"));
        let response = Response::Declined { error, state: request.state().map(str::to_owned) };
        self.post(town, &request, Reply::Form(response.to_form())).await
    }

    /// Posts a reply to where the request wants it.
    pub async fn post(&self, town: &Town, request: &RequestObject, reply: Reply) -> Answer {
        let Delivery::DirectPost { response_uri, .. } = &request.delivery else { panic!("not for a form") };
        let Reply::Form(form) = reply else { panic!("not a form") };
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let post = Request::post(response_uri.strip_prefix(URL).unwrap())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        town.send(post.body(form.into()).unwrap()).await
    }

    /// The answer to a request: what was asked for of the first cards that fit.
    #[track_caller]
    pub fn reply(&self, request: &RequestObject, now: i64) -> Reply {
        let held: Vec<_> = self.cards.iter().map(Kept::held).collect();
        let selected = request.query.select(&held).expect("the wallet holds what is asked for");
        let mut presentations: Vec<_> = selected
            .iter()
            .map(|one| {
                let card = &self.cards[one.held];
                let text = match card.format {
                    Format::SdJwt => self.sd_jwt(card, &one.paths, request, now),
                    Format::Mdoc => URL_SAFE_NO_PAD.encode(self.mdoc(card, &one.paths, request)),
                };
                (one.query.id().to_owned(), text)
            })
            .collect();
        match self.misdeed {
            Some(Misdeed::UnknownId) => presentations[0].0.push('x'),
            Some(Misdeed::TwoPresentations) => presentations.push(presentations[0].clone()),
            Some(Misdeed::EmptyToken) => presentations.clear(),
            _ => {}
        }
        let mut vp_token = VpToken { presentations }.to_json();
        let padding = match self.misdeed {
            Some(Misdeed::Oversize) => json!("x".repeat(20 << 20)),
            Some(Misdeed::Deep) => (0..100).fold(json!(0), |inner, _| json!([inner])),
            _ => Value::Null,
        };
        if !padding.is_null() {
            vp_token["padding"] = padding;
        }
        let state = match self.misdeed {
            Some(Misdeed::OtherState) => Some("another".to_owned()),
            Some(Misdeed::NoState) => None,
            _ => request.state().map(str::to_owned),
        };
        self.carried(request, &Response::Presented { vp_token, state })
    }

    fn carried(&self, request: &RequestObject, response: &Response) -> Reply {
        let mode = request.response_mode();
        if !mode.is_encrypted() || self.misdeed == Some(Misdeed::InTheClear) {
            return if mode.is_dc_api() { Reply::Data(response.to_json()) } else { Reply::Form(response.to_form()) };
        }
        let jwe = self.sealed(request, &response.to_json());
        if mode.is_dc_api() {
            Reply::Data(json!({"response": jwe}))
        } else {
            Reply::Form(vec![("response".into(), jwe)])
        }
    }

    /// Encrypted to the first key, with the first encryption.
    fn sealed(&self, request: &RequestObject, response: &Value) -> String {
        let metadata = &request.client_metadata;
        let mut key = metadata.encryption_key.clone().unwrap();
        match self.misdeed {
            Some(Misdeed::OtherKid) => key["kid"] = json!("another"),
            Some(Misdeed::OtherKey) => {
                let other = fresh_key();
                let kid = key["kid"].clone();
                key = other.public_key().to_jwk();
                key["kid"] = kid;
            }
            _ => {}
        }
        let compress = self.misdeed == Some(Misdeed::Compressed);
        let recipient = Recipient::new(&key, &metadata.encs[0], compress).unwrap();
        let jwe = recipient.seal(response.to_string().as_bytes()).unwrap();
        if self.misdeed != Some(Misdeed::OtherEnc) {
            return jwe;
        }
        let (header, rest) = jwe.split_once('.').unwrap();
        let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        header["enc"] = json!("A256CBC-HS512");
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    }

    fn discloses(&self, paths: &[&Path], depth: usize, name: &str) -> bool {
        let kept_back = self.misdeed == Some(Misdeed::ClaimKeptBack);
        self.misdeed == Some(Misdeed::EverythingDisclosed)
            || paths.iter().skip(usize::from(kept_back)).any(|path| path.name(depth) == Some(name))
    }

    fn audience(&self, request: &RequestObject) -> String {
        match request.delivery {
            Delivery::DirectPost { .. } => request.client_id.as_str().to_owned(),
            Delivery::DcApi { .. } => oid4vp::origin_audience(&self.origin),
        }
    }

    fn sd_jwt(&self, card: &Kept, paths: &[&Path], request: &RequestObject, now: i64) -> String {
        let selected = sd_jwt::select(&card.credential, |name| self.discloses(paths, 0, name));
        let (issuer, disclosures) = selected.split_once('~').unwrap();
        let first = disclosures.split('~').next().unwrap();
        let selected = match self.misdeed {
            Some(Misdeed::IssuerSignature) => format!("{}~{disclosures}", flipped(issuer)),
            Some(Misdeed::Disclosure) => {
                let mut said: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(first).unwrap()).unwrap();
                said[2] = json!("somebody else");
                selected.replacen(first, &URL_SAFE_NO_PAD.encode(said.to_string()), 1)
            }
            Some(Misdeed::RepeatedDisclosure) => format!("{selected}{first}~"),
            Some(Misdeed::DisclosedExpiry) => {
                let expiry = json!(["salt", "exp", now + YEAR_SECONDS]).to_string();
                format!("{selected}{}~", URL_SAFE_NO_PAD.encode(expiry))
            }
            _ => selected,
        };
        let with = |misdeed, text: String| if self.misdeed == Some(misdeed) { text + "INVALID" } else { text };
        let audience = with(Misdeed::AudienceSuffix, self.audience(request));
        let nonce = with(Misdeed::NonceSuffix, request.nonce.clone());
        let bind = |card: &str, key: &FileKey, now| sd_jwt::bind(card, key, &audience, &nonce, now).unwrap();
        match self.misdeed {
            Some(Misdeed::Unbound) => selected,
            Some(Misdeed::BoundByAnother) => bind(&selected, &fresh_key(), now),
            Some(Misdeed::BoundToAnotherSelection) => {
                let other = sd_jwt::select(&card.credential, |_| false);
                format!("{selected}{}", bind(&other, &card.key, now).strip_prefix(&*other).unwrap())
            }
            Some(Misdeed::MadeAt(later)) => bind(&selected, &card.key, now + later),
            Some(Misdeed::BindingSignature) => flipped(&bind(&selected, &card.key, now)),
            Some(Misdeed::HashSuffix) => {
                let bound = bind(&selected, &card.key, now);
                let proof = bound.strip_prefix(&*selected).unwrap();
                let payload = proof.split('.').nth(1).unwrap();
                let mut payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
                payload["sd_hash"] = json!(format!("{}INVALID", payload["sd_hash"].as_str().unwrap()));
                let header = proof.split('.').next().unwrap();
                let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
                let signature = URL_SAFE_NO_PAD.encode(card.key.sign(input.as_bytes()).unwrap());
                format!("{selected}{input}.{signature}")
            }
            _ => bind(&selected, &card.key, now),
        }
    }

    /// The session as this wallet sees it.
    fn transcript(&self, request: &RequestObject) -> SessionTranscript {
        let invalid = if self.misdeed == Some(Misdeed::NonceSuffix) { "INVALID" } else { "" };
        let nonce = format!("{}{invalid}", request.nonce);
        let thumbprint = request.client_metadata.encryption_key.as_ref().map(|key| {
            let mut key = key.clone();
            key.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
            PublicKey::from_jwk(&key).unwrap().thumbprint()
        });
        match &request.delivery {
            Delivery::DirectPost { response_uri, .. } => {
                SessionTranscript::of_redirect(request.client_id.as_str(), &nonce, thumbprint.as_ref(), response_uri)
            }
            Delivery::DcApi { .. } => SessionTranscript::of_dc_api(&self.origin, &nonce, thumbprint.as_ref()),
        }
    }

    fn mdoc(&self, card: &Kept, paths: &[&Path], request: &RequestObject) -> Vec<u8> {
        let issuer_signed = URL_SAFE_NO_PAD.decode(&card.credential).unwrap();
        let disclose = |namespace: &str, element: &str| {
            self.discloses(paths, 1, element)
                && (paths.iter().any(|path| path.first() == Some(namespace)) || paths.is_empty())
        };
        let bytes = device::present(&issuer_signed, &card.types[0], disclose, &self.transcript(request), &card.key);
        let bytes = bytes.unwrap();
        let Some(misdeed) = self.misdeed else { return bytes };
        let Ok(Cbor::Map(mut response)) = cbor::decode(&bytes, 1 << 20) else { panic!() };
        let documents = member(&mut response, "documents").as_array_mut().unwrap();
        if misdeed == Misdeed::TwoDocuments {
            documents.push(documents[0].clone());
        }
        let document = documents[0].as_map_mut().unwrap();
        match misdeed {
            Misdeed::Doctype => *member(document, "docType") = "vn.example.other.1".into(),
            Misdeed::Element | Misdeed::Disclosure => change_element(document),
            Misdeed::IssuerSignature => {
                let card = member(document, "issuerSigned").as_map_mut().unwrap();
                flip(&mut member(card, "issuerAuth").as_array_mut().unwrap()[3]);
            }
            Misdeed::DeviceSignature | Misdeed::BindingSignature | Misdeed::DeviceMac | Misdeed::DeviceElements => {
                let signed = member(document, "deviceSigned").as_map_mut().unwrap();
                if misdeed == Misdeed::DeviceElements {
                    let said =
                        cbor::encode(&Cbor::Map(vec![("ns".into(), Cbor::Map(vec![("rank".into(), 1.into())]))]));
                    *member(signed, "nameSpaces") = Cbor::Tag(24, Box::new(said.into()));
                }
                let authentication = member(signed, "deviceAuth").as_map_mut().unwrap();
                if misdeed == Misdeed::DeviceMac {
                    authentication[0].0 = "deviceMac".into();
                } else if misdeed != Misdeed::DeviceElements {
                    flip(&mut member(authentication, "deviceSignature").as_array_mut().unwrap()[3]);
                }
            }
            _ => {}
        }
        cbor::encode(&Cbor::Map(response))
    }
}

/// A key that nobody knows.
fn fresh_key() -> FileKey {
    FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap()
}

/// A signed text with one bit of its signature changed.
fn flipped(jws: &str) -> String {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    signature[9] ^= 1;
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn flip(signature: &mut Cbor) {
    signature.as_bytes_mut().unwrap()[9] ^= 1;
}

fn member<'a>(map: &'a mut [(Cbor, Cbor)], name: &str) -> &'a mut Cbor {
    map.iter_mut().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value).unwrap()
}

/// The first element says something else, and keeps its number and its random.
fn change_element(document: &mut [(Cbor, Cbor)]) {
    let card = member(document, "issuerSigned").as_map_mut().unwrap();
    let names = member(card, "nameSpaces").as_map_mut().unwrap();
    let Cbor::Tag(24, item) = &mut names[0].1.as_array_mut().unwrap()[0] else { panic!() };
    let mut said = cbor::decode_map(item.as_bytes().unwrap(), 1 << 20).unwrap();
    *member(&mut said, "elementValue") = "somebody else".into();
    **item = cbor::encode(&Cbor::Map(said)).into();
}
