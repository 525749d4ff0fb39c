//! What is believed of a wallet that presents the cards of this issuer: by every road when it behaves, and the name of
//! the check that fails for everything that it can do wrong. The verifier here has no server: it is the library's part
//! of one, from the signed request to the checked answer.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::credential::jws;
use officials_card::credential::mdoc::device::SessionTranscript;
use officials_card::credential::presentation::{
    Asked, Believed, SignedFor, StatusPolicy, Trusted, TrustedIssuer, Wanted, verify_mdoc, verify_sd_jwt,
};
use officials_card::credential::trust_list::TrustList;
use officials_card::credential::x509::{Anchors, Use};
use officials_card::credential::{PublicKey, Signer};
use officials_card::keyring::{DecryptionKey, fresh_p256_jwk};
use officials_card::protocol::dcql::{Format, Presented, Query};
use officials_card::protocol::mdoc::{DOCTYPE, NAMESPACE};
use officials_card::protocol::oid4vp::{
    ANY_WALLET, Answer, ClientId, ClientMetadata, Delivery, Posted, REQUEST_TYPE, RequestObject, VpToken,
    origin_audience,
};
use serde_json::{Value, json};

use crate::attester::Attester;
use crate::presenter::{Kept, Misdeed, Presenter, Reply, YEAR_SECONDS};
use crate::story;
use crate::town::{Town, URL};

const PERSON: &str = "001199000018";
const RESPONSE_URI: &str = "https://checkpoint.example/r/1";
const ORIGIN: &str = "https://checkpoint.example";

/// A verifier of a town's cards.
struct Desk<'a> {
    town: &'a Town,
    /// Signs the requests.
    signer: Attester,
    decryption: DecryptionKey,
    issuers: Vec<TrustedIssuer>,
    list: TrustList,
}

/// How the answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Road {
    Post,
    PostEncrypted,
    Browser,
    BrowserEncrypted,
}

impl<'a> Desk<'a> {
    async fn open(town: &'a Town) -> Self {
        let now = town.clock.now();
        let root = Anchors::from_pem(town.service.anchor_pem()).unwrap();
        let pem = |bytes: &[u8]| Anchors::from_pem(std::str::from_utf8(bytes).unwrap()).unwrap();
        let list = town.get("/trust-list").await;
        let list = TrustList::accept(None, &list.bytes, |chain| root.check(chain, Use::TrustList, now)).unwrap();
        let own = |name: &str, anchors, kind: String| TrustedIssuer {
            name: name.into(),
            anchors,
            types: vec![kind],
            signed_for: SignedFor::Own,
            issuers: None,
            status: StatusPolicy::Required,
            status_lists: vec![format!("{URL}/s/")],
            pinned_signers: Vec::new(),
        };
        let iaca = pem(&town.get("/iaca.pem").await.bytes);
        Self {
            town,
            signer: Attester::new(now),
            decryption: DecryptionKey::new(&fresh_p256_jwk().unwrap()).unwrap(),
            issuers: vec![own("cards", root, vct()), own("mdocs", iaca, DOCTYPE.into())],
            list,
        }
    }

    fn request(&self, query: &Value, road: Road) -> RequestObject {
        let now = self.town.clock.now();
        let query = Query::parse_own(query).unwrap();
        let delivery = match road {
            Road::Post | Road::PostEncrypted => {
                Delivery::DirectPost { response_uri: RESPONSE_URI.into(), state: Some("state".into()) }
            }
            Road::Browser | Road::BrowserEncrypted => Delivery::DcApi { expected_origins: vec![ORIGIN.into()] },
        };
        let encrypted = matches!(road, Road::PostEncrypted | Road::BrowserEncrypted);
        RequestObject {
            client_id: ClientId::x509_hash(&self.signer.certificates()[0]),
            delivery,
            nonce: "a-nonce.of~43_characters".into(),
            client_metadata: ClientMetadata::new(
                encrypted.then(|| self.decryption.public_jwk().clone()),
                query.formats(),
            ),
            query,
            audience: ANY_WALLET.into(),
            issued_at: now,
            expires_at: now + 300,
            wallet_nonce: None,
            verifier_info: None,
            transaction_data: Vec::new(),
        }
    }

    fn signed(&self, request: &RequestObject) -> String {
        let header = jws::header(&self.signer, REQUEST_TYPE, json!({"x5c": jws::x5c(&self.signer)}));
        jws::sign(&self.signer, &header, request.to_json().to_string().as_bytes()).unwrap()
    }

    /// What is made of a reply: the claims under each identifier, or where it fails.
    fn judge(&self, request: &RequestObject, reply: &Reply) -> Result<Vec<(String, Value)>, String> {
        let mode = request.response_mode();
        let posted = match reply {
            Reply::Form(form) => Posted::of_form(form, mode),
            Reply::Data(data) => Posted::of_dc_api(data, mode),
        };
        let answer = match posted.map_err(|error| error.place)? {
            Posted::Clear(answer) => answer,
            Posted::Encrypted(jwe) => {
                let opened = self.decryption.open_plain(&jwe, 1 << 20).map_err(|error| format!("{error:?}"))?;
                Answer::of_payload(&opened).map_err(|error| error.place)?
            }
        };
        if answer.state() != request.state() {
            return Err("state".into());
        }
        let Answer::Presented { vp_token, .. } = answer else { return Err("declined".into()) };
        let token = VpToken::parse(&vp_token, &request.query).map_err(|error| error.rule)?;
        let believed: Vec<_> = token
            .presentations
            .iter()
            .map(|(id, text)| Ok((id.as_str(), self.believed(request, id, text)?)))
            .collect::<Result<_, String>>()?;
        let presented: Vec<_> = believed
            .iter()
            .map(|(id, (format, one))| Presented {
                query_id: id,
                format: *format,
                types: &one.types,
                claims: &one.claims,
                authority_key_ids: &one.authority_key_ids,
                bound: one.bound,
            })
            .collect();
        let matched = request.query.check(&presented).map_err(|mismatch| mismatch.code())?;
        Ok(matched.into_iter().map(|one| (one.query_id, one.claims)).collect())
    }

    fn believed(&self, request: &RequestObject, id: &str, text: &str) -> Result<(Format, Believed), String> {
        let query = request.query.credential(id).unwrap();
        let wanted = Wanted { types: query.types(), bound: query.requires_binding(), authorities: true };
        let key = PublicKey::from_jwk(self.decryption.public_jwk()).unwrap().thumbprint();
        let key = request.response_mode().is_encrypted().then_some(&key);
        let (audience, transcript) = match &request.delivery {
            Delivery::DirectPost { response_uri, .. } => {
                let id = request.client_id.as_str();
                (id.to_owned(), SessionTranscript::of_redirect(id, &request.nonce, key, response_uri))
            }
            Delivery::DcApi { .. } => {
                (origin_audience(ORIGIN), SessionTranscript::of_dc_api(ORIGIN, &request.nonce, key))
            }
        };
        let issuers: Vec<_> = self.issuers.iter().collect();
        let trusted = Trusted { issuers: &issuers, list: Some(&self.list) };
        let asked = Asked {
            audience: &audience,
            nonce: &request.nonce,
            transcript: &transcript,
            requested_at: request.issued_at,
        };
        let verify = if query.format() == Format::SdJwt { verify_sd_jwt } else { verify_mdoc };
        let believed = verify(text, &wanted, &trusted, &asked, self.town.clock.now());
        believed.map(|believed| (query.format(), believed)).map_err(|error| error.code().to_owned())
    }
}

fn vct() -> String {
    format!("{URL}/types/official-card/1")
}

fn sd_jwt_query() -> Value {
    json!({"credentials": [{
        "id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": [vct()]},
        "claims": [{"path": ["full_name"]}, {"path": ["employing_agency", "code"]}],
    }]})
}

fn mdoc_query() -> Value {
    json!({"credentials": [{
        "id": "card", "format": "mso_mdoc", "meta": {"doctype_value": DOCTYPE},
        "claims": [{"path": [NAMESPACE, "full_name"]}, {"path": [NAMESPACE, "employing_agency"]}],
    }]})
}

/// A wallet of the person with a card of each format.
async fn wallet(town: &Town, desk: &Desk<'_>) -> Presenter {
    let officer = town.officer("vneid").await;
    let (one, other) = (town.wallet(), town.wallet());
    let cards = vec![
        Kept::sd_jwt(&one.card(&officer, PERSON, "official-card-sdjwt").await, one.key),
        Kept::mdoc(&other.card(&officer, PERSON, "official-card-mdoc").await, other.key, town.clock.now()),
    ];
    let mut presenter = Presenter::new(desk.signer.anchors(), cards);
    presenter.origin = ORIGIN.into();
    presenter
}

story! {
    async fn a_card_is_believed_by_every_road_and_in_both_formats(town) {
        town.hires(PERSON, "H26").await;
        let desk = Desk::open(&town).await;
        let wallet = wallet(&town, &desk).await;
        assert_eq!((wallet.cards[0].types(), wallet.cards[1].types()), (&[vct()][..], &[DOCTYPE.to_owned()][..]));
        for road in [Road::Post, Road::PostEncrypted, Road::Browser, Road::BrowserEncrypted] {
            let request = desk.request(&sd_jwt_query(), road);
            let read = wallet.read(&desk.signed(&request), Some(request.client_id.as_str()), town.clock.now());
            let claims = desk.judge(&request, &wallet.reply(&read, town.clock.now())).unwrap();
            let expected = json!({"full_name": "Nguyễn Thị Thử Nghiệm", "employing_agency": {"code": "H26"}});
            assert_eq!(claims, [("card".to_owned(), expected)], "{road:?}");

            let request = desk.request(&mdoc_query(), road);
            let read = wallet.read(&desk.signed(&request), None, town.clock.now());
            let claims = desk.judge(&request, &wallet.reply(&read, town.clock.now())).unwrap();
            assert_eq!(claims[0].1[NAMESPACE]["full_name"], "Nguyễn Thị Thử Nghiệm", "{road:?}");
            assert_eq!(claims[0].1[NAMESPACE].as_object().unwrap().len(), 2);
        }
    }
}

story! {
    async fn an_authority_is_asked_for_by_its_key(town) {
        town.hires(PERSON, "H26").await;
        let desk = Desk::open(&town).await;
        let wallet = wallet(&town, &desk).await;
        for (mut query, at) in [(sd_jwt_query(), 0), (mdoc_query(), 1)] {
            let chain = &desk.issuers[at].anchors;
            let request = desk.request(&query, Road::Post);
            let Reply::Form(form) = wallet.reply(&request, town.clock.now()) else { panic!() };
            let token: Value = serde_json::from_str(&form.iter().find(|(name, _)| name == "vp_token").unwrap().1).unwrap();
            let believed = desk.believed(&request, "card", token["card"][0].as_str().unwrap()).unwrap().1;
            assert!(!believed.authority_key_ids.is_empty(), "{chain:?}");
            let ours = URL_SAFE_NO_PAD.encode(&believed.authority_key_ids[0]);
            for (id, expected) in [(ours, true), ("AAAA".into(), false)] {
                query["credentials"][0]["trusted_authorities"] = json!([{"type": "aki", "values": [id]}]);
                let asking = desk.request(&query, Road::Post);
                let presented = Presented {
                    query_id: "card",
                    format: asking.query.formats()[0],
                    types: &believed.types,
                    claims: &believed.claims,
                    authority_key_ids: &believed.authority_key_ids,
                    bound: believed.bound,
                };
                assert_eq!(asking.query.check(&[presented]).is_ok(), expected);
            }
        }
    }
}

/// What each misdeed with an SD-JWT card fails at, over an encrypted form.
const SD_JWT_MISDEEDS: [(Misdeed, &str); 24] = [
    (Misdeed::Unbound, "binding_missing"),
    (Misdeed::BoundByAnother, "binding_signature"),
    (Misdeed::BoundToAnotherSelection, "binding_card"),
    (Misdeed::BindingSignature, "binding_signature"),
    (Misdeed::AudienceSuffix, "binding_audience"),
    (Misdeed::NonceSuffix, "binding_nonce"),
    (Misdeed::HashSuffix, "binding_card"),
    (Misdeed::MadeAt(YEAR_SECONDS), "binding_time"),
    (Misdeed::MadeAt(-YEAR_SECONDS), "binding_time"),
    (Misdeed::MadeAt(-61), "binding_time"),
    (Misdeed::IssuerSignature, "issuer_signature"),
    (Misdeed::Disclosure, "disclosure"),
    (Misdeed::RepeatedDisclosure, "disclosure"),
    (Misdeed::DisclosedExpiry, "disclosure"),
    (Misdeed::UnknownId, "answers only what was asked for"),
    (Misdeed::TwoPresentations, "has one presentation where one was asked for"),
    (Misdeed::EmptyToken, "is not empty"),
    (Misdeed::ClaimKeptBack, "query_claims"),
    (Misdeed::OtherState, "state"),
    (Misdeed::NoState, "state"),
    (Misdeed::InTheClear, "response"),
    (Misdeed::OtherKid, "OtherKey"),
    (Misdeed::Oversize, "Malformed"),
    (Misdeed::Deep, "response"),
];

/// What they fail at with an mdoc.
const MDOC_MISDEEDS: [(Misdeed, &str); 14] = [
    (Misdeed::NonceSuffix, "binding_signature"),
    (Misdeed::IssuerSignature, "issuer_signature"),
    (Misdeed::Element, "disclosure"),
    (Misdeed::Doctype, "type"),
    (Misdeed::DeviceSignature, "binding_signature"),
    (Misdeed::DeviceMac, "binding_missing"),
    (Misdeed::DeviceElements, "device_elements"),
    (Misdeed::TwoDocuments, "documents"),
    (Misdeed::UnknownId, "answers only what was asked for"),
    (Misdeed::ClaimKeptBack, "query_claims"),
    (Misdeed::OtherKey, "Undecryptable"),
    (Misdeed::OtherEnc, "Unsupported"),
    (Misdeed::Compressed, "Unsupported"),
    (Misdeed::OtherState, "state"),
];

story! {
    async fn every_misdeed_is_named(town) {
        town.hires(PERSON, "H26").await;
        let desk = Desk::open(&town).await;
        let mut wallet = wallet(&town, &desk).await;
        for (query, misdeeds) in [(sd_jwt_query(), &SD_JWT_MISDEEDS[..]), (mdoc_query(), &MDOC_MISDEEDS[..])] {
            let request = desk.request(&query, Road::PostEncrypted);
            for (misdeed, expected) in misdeeds {
                wallet.misdeed = Some(*misdeed);
                let outcome = desk.judge(&request, &wallet.reply(&request, town.clock.now()));
                assert_eq!(outcome.unwrap_err(), *expected, "{misdeed:?}");
            }
            // More than was asked for is no misdeed that ends anything, and nothing of it is handed on.
            wallet.misdeed = Some(Misdeed::EverythingDisclosed);
            let claims = desk.judge(&request, &wallet.reply(&request, town.clock.now())).unwrap();
            assert!(!claims[0].1.to_string().contains(PERSON));
        }
    }
}

story! {
    async fn an_answer_serves_one_question_and_one_verifier(town) {
        town.hires(PERSON, "H26").await;
        let (desk, other) = (Desk::open(&town).await, Desk::open(&town).await);
        let wallet = wallet(&town, &desk).await;
        for (query, codes) in [
            (sd_jwt_query(), ["binding_nonce", "binding_audience", "binding_audience"]),
            (mdoc_query(), ["binding_signature"; 3]),
        ] {
            let request = desk.request(&query, Road::Post);
            let reply = wallet.reply(&request, town.clock.now());
            assert!(desk.judge(&request, &reply).is_ok());
            let mut later = request.clone();
            later.nonce.push('2');
            assert_eq!(desk.judge(&later, &reply).unwrap_err(), codes[0]);
            let elsewhere = other.request(&query, Road::Post);
            assert_eq!(other.judge(&elsewhere, &reply).unwrap_err(), codes[1]);
            // The same words by the other road are another answer.
            let Reply::Form(form) = &reply else { panic!() };
            let token = form.iter().find(|(name, _)| name == "vp_token").unwrap();
            let token: Value = serde_json::from_str(&token.1).unwrap();
            let browser = desk.request(&query, Road::Browser);
            let handed = Reply::Data(json!({"vp_token": token}));
            assert_eq!(desk.judge(&browser, &handed).unwrap_err(), codes[2]);
        }
        // A proof is good for five minutes.
        let request = desk.request(&sd_jwt_query(), Road::Post);
        let reply = wallet.reply(&request, town.clock.now());
        town.clock.advance(301);
        assert_eq!(desk.judge(&request, &reply).unwrap_err(), "binding_time");
    }
}

story! {
    async fn only_the_issuer_of_a_type_is_believed_and_only_with_its_status(town) {
        town.hires(PERSON, "H26").await;
        let desk = Desk::open(&town).await;
        let wallet = wallet(&town, &desk).await;
        let mut seen = BTreeSet::new();
        for query in [sd_jwt_query(), mdoc_query()] {
            let request = desk.request(&query, Road::Post);
            let reply = wallet.reply(&request, town.clock.now());
            let mut judged = |change: &dyn Fn(&mut Desk<'_>), expected: &str| {
                let mut desk = Desk { town: &town, signer: Attester::new(0), decryption: DecryptionKey::new(&fresh_p256_jwk().unwrap()).unwrap(), issuers: desk.issuers.clone(), list: desk.list.clone() };
                change(&mut desk);
                assert_eq!(desk.judge(&request, &reply).unwrap_err(), expected);
                seen.insert(expected.to_owned());
            };
            judged(&|desk| desk.issuers.clear(), "type_not_trusted");
            judged(&|desk| desk.issuers.iter_mut().for_each(|issuer| issuer.types = vec!["x".into()]), "type_not_trusted");
            judged(&|desk| desk.issuers.iter_mut().for_each(|issuer| issuer.anchors = Anchors::default()), "issuer_chain");
            judged(&|desk| desk.issuers.iter_mut().for_each(|issuer| issuer.status_lists.clear()), "status_list");
            let host = |issuer: &mut TrustedIssuer| issuer.status_lists = vec![URL.into()];
            judged(&|desk| desk.issuers.iter_mut().for_each(host), "status_list");
            if query == sd_jwt_query() {
                judged(&|desk| desk.list.keys.clear(), "issuer_key");
                judged(&|desk| desk.list.expires_at = 0, "trust_list");
                judged(&|desk| desk.list.keys.iter_mut().for_each(|key| key.valid_until = 0), "issuer_key");
                judged(&|desk| desk.list.keys.iter_mut().for_each(|key| key.issuer = "x".into()), "issuer_name");
                judged(&|desk| desk.list.keys.iter_mut().for_each(|key| key.agencies = vec!["G01".into()]), "issuer_agency");
                judged(&|desk| desk.issuers[0].issuers = Some(vec!["https://other.example".into()]), "issuer_name");
            }
        }
        assert_eq!(seen.len(), 7);
    }
}
