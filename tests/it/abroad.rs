//! Cards of other issuers, presented over the network: whose they may be, what their certificates have to say, and what
//! their status hosts tell or fail to tell.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use officials_card::chance::Chance;
use officials_card::config::{
    AgencyRule, Config, Conformance, PresentationTemplate, StatusFetches, StatusNeed, StatusRule, TrustedIssuer,
};
use officials_card::credential::cbor::{self, Value as Cbor};
use officials_card::credential::cose::Sign1;
use officials_card::credential::mdoc::{Element, Template};
use officials_card::credential::sd_jwt::SignedClaims;
use officials_card::credential::status_list::StatusListToken;
use officials_card::credential::status_token::TokenForm;
use officials_card::credential::x509::Anchors;
use officials_card::credential::{Algorithm, PublicKey, Signer};
use officials_card::error::Fault;
use officials_card::keyring::{FileKey, Keyring, fresh_p256_jwk};
use officials_card::protocol::mdoc::DOCTYPE as OUR_DOCTYPE;
use serde_json::{Value, json};

use crate::attester::Attester;
use crate::authority::{Authority, Flaw, YEAR, file_key};
use crate::present::{PERSON, begin, link, now, template};
use crate::present_refused::{credential, fresh_key, is_rejected};
use crate::presenter::{Kept, Presenter};
use crate::status_host::{Act, StatusHost, serving, token};
use crate::story;
use crate::town::{NOW, Town, URL, Wallet};

const VCT: &str = "urn:example:doctor";
const DOCTYPE: &str = "org.example.doctor.1";
const ISSUER: &str = "https://health.example.vn";
/// The usage of signers that [`Authority`] certifies.
const USAGE: &str = "1.0.18013.5.1.2";

/// The town beside another country's ministry, whose cards it accepts and whose status host is a real one.
struct Border {
    town: Town,
    host: StatusHost,
    root: Authority,
    signer: FileKey,
    _home: Option<Town>,
}

/// A template that asks for one credential of another issuer.
fn asks_for(id: &str, credential: &Value) -> PresentationTemplate {
    let mut credential = credential.clone();
    credential["id"] = json!("card");
    template(id, |template| {
        template.dcql_query = json!({"credentials": [credential]}).to_string();
        template.agency = AgencyRule::None;
    })
}

fn sd_jwt_of(vct: &str) -> Value {
    json!({"format": "dc+sd-jwt", "meta": {"vct_values": [vct]}, "claims": [{"path": ["speciality"]}]})
}

fn mdoc_of(doctype: &str) -> Value {
    json!({"format": "mso_mdoc", "meta": {"doctype_value": doctype}, "claims": [{"path": [DOCTYPE, "speciality"]}]})
}

/// Certificates as the settings hold them.
fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

/// Hosts that answer are waited for, and those that hang are given up before a test gets long.
fn fetches() -> StatusFetches {
    StatusFetches {
        wait_milliseconds: 5000,
        connect_milliseconds: 1500,
        total_milliseconds: 1500,
        ..StatusFetches::default()
    }
}

impl Border {
    async fn open(home: Town, change: impl FnOnce(&mut TrustedIssuer)) -> Self {
        let (host, root) = (StatusHost::start(Act::Hang).await, Authority::root("Bộ Y tế"));
        let mut issuer = host.issuer("Bộ Y tế", &pem(&root.der));
        issuer.types = vec![VCT.into(), DOCTYPE.into()];
        issuer.issuers = vec![ISSUER.into()];
        issuer.document_usages = vec![USAGE.into()];
        change(&mut issuer);
        let town = home.configured(|config| {
            config.trusted_issuers = vec![issuer];
            config.status_fetches = fetches();
            config.presentation_templates =
                vec![asks_for("doctor", &sd_jwt_of(VCT)), asks_for("doctor-mdoc", &mdoc_of(DOCTYPE))];
        });
        town.service.check_settings().unwrap();
        let signer = root.certifies(Flaw::None);
        Self { town, host, root, signer, _home: Some(home) }
    }

    /// The same beside a town with other settings.
    fn beside(self, change: impl FnOnce(&mut Config)) -> Self {
        Self { town: self.town.configured(change), ..self }
    }

    fn status(&self, index: u32) -> Value {
        json!({"status_list": {"idx": index, "uri": self.host.uri("1")}})
    }

    /// A card of the ministry as SD-JWT, which anybody may have signed.
    fn sd_jwt(&self, signer: &dyn Signer, change: impl FnOnce(&mut Value)) -> Kept {
        self.sd_jwt_for(fresh_key(), signer, change)
    }

    fn sd_jwt_for(&self, holder: FileKey, signer: &dyn Signer, change: impl FnOnce(&mut Value)) -> Kept {
        let mut payload = json!({"iss": ISSUER, "vct": VCT, "status": self.status(5)});
        change(&mut payload);
        let text = credential(signer, &holder, payload, &[("speciality", json!("surgery"))], NOW);
        Kept::sd_jwt(&text, holder)
    }

    /// The same as mdoc, of a type and with a place in the list.
    fn mdoc(&self, signer: &dyn Signer, doctype: &str, index: u32) -> Kept {
        let (holder, uri) = (fresh_key(), self.host.uri("1"));
        let claims = SignedClaims {
            issued_at: NOW - 100,
            expires_at: NOW + 14 * 86_400,
            holder: holder.public_key(),
            status_uri: &uri,
            status_index: index.into(),
        };
        let made = Template::new(doctype, DOCTYPE, 4, &self.root.der);
        let elements = [Element::new("speciality", &"surgery".into())];
        let card = made.issue(signer, &Chance::seeded([5; 32]), &claims, &elements).unwrap();
        Kept::mdoc(&URL_SAFE_NO_PAD.encode(card), holder, NOW)
    }

    /// The card with this place in the list, of the format that the template asks for.
    fn card(&self, template: &str, index: u32) -> Kept {
        if template == "doctor-mdoc" {
            return self.mdoc(&self.signer, DOCTYPE, index);
        }
        let status = self.status(index);
        self.sd_jwt(&self.signer, |payload| payload["status"] = status)
    }

    /// The host serves the list with these entries, signed now.
    fn publishes(&self, entries: &[(u32, u8)]) {
        self.host.does(self.publication(&token(&self.host.uri("1"), self.town.clock.now(), entries)));
    }

    fn publication(&self, token: &StatusListToken) -> Act {
        serving(token, TokenForm::Jwt, &self.signer)
    }

    fn presenter(&self, card: Kept) -> Presenter {
        Presenter::new(Anchors::from_pem(self.town.service.anchor_pem()).unwrap(), vec![card])
    }

    /// What the client sees of a card that is accepted.
    async fn accepted(&self, template: &str, wallet: &Presenter) -> Value {
        let officer = self.town.officer("vneid").await;
        let made = begin(&officer, json!({"template": template})).await;
        wallet.present(&self.town, link(&made)).await.expect(200);
        let seen = now(&officer, &made).await;
        assert_eq!(seen["state"], "verified", "{seen}");
        seen["result"]["credentials"][0].clone()
    }

    /// The card is rejected for this reason.
    async fn rejects(&self, template: &str, wallet: &Presenter, reason: &str) {
        let officer = self.town.officer("vneid").await;
        let made = begin(&officer, json!({"template": template})).await;
        let answer = wallet.present(&self.town, link(&made)).await;
        is_rejected(&officer, &made, answer, reason).await;
    }
}

// ---- Status hosts ----

story! {
    async fn a_foreign_card_is_told_with_the_age_of_its_status_whatever_its_host_does(town) {
        let border = Border::open(town, |_| {}).await;
        let clock = border.town.clock.clone();
        for template in ["doctor", "doctor-mdoc"] {
            let wallet = border.presenter(border.card(template, 5));
            let as_of = clock.now();
            border.publishes(&[(1, 1)]);
            clock.advance(1);
            let told = border.accepted(template, &wallet).await;
            let said = if template == "doctor" { &told["claims"] } else { &told["claims"][DOCTYPE] };
            assert_eq!((&said["speciality"], told["status_as_of"].as_i64()), (&json!("surgery"), Some(as_of)), "{told}");
            // Then the host has trouble of every kind: the answer stays, and says how old it is.
            clock.advance(61);
            for act in [Act::Hang, Act::Die("application/statuslist+jwt"), Act::Status(500)] {
                border.host.does(act);
                let calls = border.host.calls();
                assert_eq!(border.accepted(template, &wallet).await["status_as_of"], as_of);
                border.town.service.statuses_settled().await;
                assert_eq!(border.host.calls(), calls + 1, "it was asked all the same");
                clock.advance(64);
            }
            // Until the list is over: then nobody can tell, and that is no yes.
            clock.advance(3600);
            for act in [Act::Status(500), Act::Hang] {
                border.host.does(act);
                border.rejects(template, &wallet, "status_unavailable").await;
                border.town.service.statuses_settled().await;
                clock.advance(64);
            }
            border.publishes(&[]);
            assert_eq!(border.accepted(template, &wallet).await["status_as_of"], clock.now());
            clock.advance(3700);
        }
    }
}

story! {
    async fn only_a_status_that_says_valid_lets_a_foreign_card_pass(town) {
        let border = Border::open(town, |_| {}).await;
        border.publishes(&[(1, 1), (2, 2), (3, 3), (4, 15)]);
        for template in ["doctor", "doctor-mdoc"] {
            for (index, reason) in [
                (1, "status_invalid"),
                (2, "status_suspended"),
                (3, "status_invalid"),
                (4, "status_invalid"),
                (16, "status_unknown"),
                (u32::MAX, "status_unknown"),
            ] {
                border.rejects(template, &border.presenter(border.card(template, index)), reason).await;
            }
            assert_eq!(border.accepted(template, &border.presenter(border.card(template, 0))).await["status_as_of"], NOW);
        }
        assert_eq!(border.host.calls(), 1);
    }
}

story! {
    async fn a_list_that_is_not_the_issuers_own_and_of_now_tells_nothing(town) {
        let border = Border::open(town, |_| {}).await;
        let uri = border.host.uri("1");
        let good = token(&uri, NOW, &[]);
        for bad in [
            border.publication(&token(&uri, NOW + 61, &[])),
            serving(&good, TokenForm::Jwt, &Authority::root("Bộ Y tế").certifies(Flaw::None)),
            serving(&good, TokenForm::Jwt, &border.root.certifies(Flaw::Expired)),
            border.publication(&token(&border.host.uri("2"), NOW, &[])),
            border.publication(&StatusListToken { expires_at: Some(NOW), ..good.clone() }),
            Act::Serve("application/statuslist+cwt", b"no list".to_vec()),
            Act::Redirect("https://elsewhere.example/lists/1".into()),
        ] {
            border.host.does(bad);
            let wallet = border.presenter(border.card("doctor", 5));
            border.rejects("doctor", &wallet, "status_unavailable").await;
            // The failure is remembered, for a while.
            border.town.clock.advance(60);
        }
        border.publishes(&[]);
        border.accepted("doctor", &border.presenter(border.card("doctor", 5))).await;
    }
}

story! {
    async fn a_card_names_a_list_of_its_issuer_or_needs_none(town) {
        let border = Border::open(town, |_| {}).await;
        border.publishes(&[]);
        let elsewhere = StatusHost::start(Act::Hang).await;
        let with = |status: Value| border.presenter(border.sd_jwt(&border.signer, |payload| payload["status"] = status));
        let at = |uri: String| json!({"status_list": {"idx": 5, "uri": uri}});
        for other in [elsewhere.uri("1"), format!("{}/admin", border.host.url), format!("{URL}/s/1"), "https://[::1]/1".into()] {
            border.rejects("doctor", &with(at(other)), "status_list").await;
        }
        let without = |payload: &mut Value| drop(payload.as_object_mut().unwrap().remove("status"));
        let bare = |border: &Border| border.presenter(border.sd_jwt(&border.signer, without));
        border.rejects("doctor", &bare(&border), "status_missing").await;
        assert_eq!((elsewhere.calls(), border.host.calls()), (0, 0), "nobody was asked");

        let border = border.beside(|config| config.trusted_issuers[0].status = StatusNeed::IfPresent);
        assert_eq!(border.accepted("doctor", &bare(&border)).await.get("status_as_of"), None, "nobody says as of when");
        let revoked = border.presenter(border.card("doctor", 1));
        border.publishes(&[(1, 1)]);
        border.rejects("doctor", &revoked, "status_invalid").await;
        let border = border.beside(|config| config.presentation_templates[0].status = StatusRule::Required);
        border.rejects("doctor", &bare(&border), "status_missing").await;
        border.accepted("doctor", &border.presenter(border.card("doctor", 5))).await;
    }
}

story! {
    async fn our_own_key_cannot_give_a_card_a_place_that_we_never_gave(town) {
        let keys = Keyring::open(Town::folder_of_keys(), None).unwrap();
        let border = Border::open(town, |_| {}).await;
        let border = border.beside(|config| config.presentation_templates = vec![asks_for("own", &sd_jwt_of("${vct}"))]);
        let ours = |status: Value| border.presenter(border.sd_jwt(&*keys.issuer_es256, |payload| {
            *payload = json!({"iss": URL, "vct": format!("{URL}/types/official-card/1"), "status": status});
        }));
        for (uri, index, reason) in [
            (format!("{URL}/s/1"), 1 << 30, "status_unknown"),
            (format!("{URL}/s/99"), 5, "status_unknown"),
            (format!("{URL}/s/x"), 5, "status_unavailable"),
            (format!("{URL}/lists/1"), 5, "status_list"),
            (border.host.uri("1"), 5, "status_list"),
        ] {
            let wallet = ours(json!({"status_list": {"idx": index, "uri": uri}}));
            border.rejects("own", &wallet, reason).await;
        }
        assert_eq!(border.host.calls(), 0);
    }
}

// ---- Certificates ----

/// A key with another chain.
struct Chained<'a> {
    key: &'a FileKey,
    chain: Vec<Vec<u8>>,
}

impl Signer for Chained<'_> {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        self.key.sign(message)
    }
}

story! {
    async fn a_signer_is_who_its_certificates_say_or_nobody(town) {
        let border = Border::open(town, |_| {}).await;
        border.publishes(&[]);
        for flaw in [Flaw::Expired, Flaw::IsCa, Flaw::MayNotSign] {
            let signer = border.root.certifies(flaw);
            border.rejects("doctor", &border.presenter(border.sd_jwt(&signer, |_| {})), "issuer_chain").await;
        }
        // Of mdocs the profile of ISO/IEC 18013-5 Annex B is asked for besides.
        for flaw in [Flaw::Expired, Flaw::IsCa, Flaw::MayNotSign, Flaw::OtherCountry, Flaw::OtherUsage, Flaw::NoUsage] {
            let signer = border.root.certifies(flaw);
            border.rejects("doctor-mdoc", &border.presenter(border.mdoc(&signer, DOCTYPE, 5)), "issuer_chain").await;
        }
        let stranger = Authority::root("Bộ Y tế").certifies(Flaw::None);
        let itself = file_key(&border.root.key, vec![border.root.der.clone()]);
        let leaf = border.signer.certificates()[0].clone();
        let with_anchor = Chained { key: &border.signer, chain: vec![leaf.clone(), border.root.der.clone()] };
        let twice = Chained { key: &border.signer, chain: vec![leaf.clone(), leaf] };
        let under_another = Chained { key: &border.signer, chain: vec![border.signer.certificates()[0].clone(), stranger.certificates()[0].clone()] };
        let signers: [&dyn Signer; 5] = [&stranger, &itself, &with_anchor, &twice, &under_another];
        for signer in signers {
            border.rejects("doctor", &border.presenter(border.sd_jwt(signer, |_| {})), "issuer_chain").await;
            border.rejects("doctor-mdoc", &border.presenter(border.mdoc(signer, DOCTYPE, 5)), "issuer_chain").await;
        }
        assert_eq!(border.host.calls(), 0, "whose card it is was not known, so nobody was asked");
        border.accepted("doctor", &border.presenter(border.card("doctor", 5))).await;
        border.accepted("doctor-mdoc", &border.presenter(border.card("doctor-mdoc", 5))).await;
    }
}

story! {
    async fn nobody_issues_what_is_anothers(town) {
        let border = Border::open(town, |_| {}).await;
        border.publishes(&[]);
        let (theirs, teachers) = (StatusHost::start(Act::Hang).await, Attester::new(NOW));
        let border = border.beside(|config| {
            let mut issuer = theirs.issuer("Bộ Giáo dục", &teachers.root_pem);
            issuer.types = vec!["urn:example:teacher".into(), "org.example.teacher.1".into()];
            config.trusted_issuers.push(issuer);
            config.presentation_templates.extend([
                asks_for("teacher", &sd_jwt_of("urn:example:teacher")),
                asks_for("teacher-mdoc", &mdoc_of("org.example.teacher.1")),
                asks_for("official", &sd_jwt_of("${vct}")),
                asks_for("official-mdoc", &mdoc_of("${doctype}")),
                asks_for("nobodys", &sd_jwt_of("urn:example:nobodys")),
            ]);
        });
        let keys = Keyring::open(Town::folder_of_keys(), None).unwrap();
        let ours = format!("{URL}/types/official-card/1");
        let signers: [(&str, &dyn Signer); 3] =
            [("doctor", &border.signer), ("teacher", &teachers), ("official", &*keys.issuer_es256)];
        for (own, signer) in signers {
            for (template, vct, iss) in
                [("doctor", VCT, ISSUER), ("teacher", "urn:example:teacher", ISSUER), ("official", &ours, URL)]
            {
                if template != own {
                    let card = border.sd_jwt(signer, |payload| (payload["vct"], payload["iss"]) = (json!(vct), json!(iss)));
                    border.rejects(template, &border.presenter(card), "issuer_chain").await;
                }
            }
        }
        let signers: [(&str, &dyn Signer); 3] =
            [("doctor", &border.signer), ("teacher", &teachers), ("official", &*keys.document_signer)];
        for (own, signer) in signers {
            for (template, doctype) in
                [("doctor", DOCTYPE), ("teacher", "org.example.teacher.1"), ("official", OUR_DOCTYPE)]
            {
                if template != own {
                    let wallet = border.presenter(border.mdoc(signer, doctype, 5));
                    border.rejects(&format!("{template}-mdoc"), &wallet, "issuer_chain").await;
                }
            }
        }
        // Under another's name, on another's list, of a type that is nobody's.
        let with = |change: &dyn Fn(&mut Value)| border.presenter(border.sd_jwt(&border.signer, change));
        border.rejects("doctor", &with(&|payload| payload["iss"] = json!(URL)), "issuer_name").await;
        border.rejects("doctor", &with(&|payload| drop(payload.as_object_mut().unwrap().remove("iss"))), "issuer_name").await;
        let list = json!({"status_list": {"idx": 5, "uri": theirs.uri("1")}});
        border.rejects("doctor", &with(&|payload| payload["status"] = list.clone()), "status_list").await;
        let nobodys = with(&|payload| payload["vct"] = json!("urn:example:nobodys"));
        border.rejects("nobodys", &nobodys, "type_not_trusted").await;
        assert_eq!((border.host.calls(), theirs.calls()), (0, 0));
    }
}

// ---- Conformance suites ----

const LICENCE: &str = "org.iso.18013.5.1.mDL";

/// An mdoc without status, as a suite has it: what is made here always has one, so it is taken out and signed anew.
fn suites_licence(border: &Border, signer: &FileKey) -> Kept {
    let holder = fresh_key();
    let claims = SignedClaims {
        issued_at: NOW - 100,
        expires_at: NOW + YEAR,
        holder: holder.public_key(),
        status_uri: "",
        status_index: 0,
    };
    let elements = [Element::new("speciality", &"surgery".into())];
    let made = Template::new(LICENCE, DOCTYPE, 4, &border.root.der);
    let card = made.issue(signer, &Chance::seeded([5; 32]), &claims, &elements).unwrap();
    let Ok(Cbor::Map(mut card)) = cbor::decode(&card, 1 << 20) else { panic!() };
    let issuer_auth = &mut card.iter_mut().find(|(name, _)| name.as_text() == Some("issuerAuth")).unwrap().1;
    let payload = cbor::decode(issuer_auth.as_array().unwrap()[2].as_bytes().unwrap(), 1 << 20).unwrap();
    let Cbor::Tag(24, mso) = payload else { panic!() };
    let mut mso = cbor::decode_map(mso.as_bytes().unwrap(), 1 << 20).unwrap();
    mso.retain(|(name, _)| name.as_text() != Some("status"));
    let mso = Cbor::Tag(24, Box::new(cbor::encode(&Cbor::Map(mso)).into()));
    let signed = Sign1::sign_bare(cbor::encode(&mso), signer).unwrap().with_certificates(signer.certificates());
    let Ok(Cbor::Tag(18, signed)) = cbor::decode(&signed.encode(), 1 << 20) else { panic!() };
    *issuer_auth = *signed;
    Kept::mdoc(&URL_SAFE_NO_PAD.encode(cbor::encode(&Cbor::Map(card))), holder, NOW)
}

story! {
    async fn a_suites_self_signed_document_signer_is_pinned_for_its_own_templates_alone(town) {
        let border = Border::open(town, |_| {}).await;
        let own = Authority::root("Suite");
        let suite = file_key(&own.key, vec![own.der.clone()]);
        let for_suite = |border: Border, enabled: bool, signers: Option<String>| {
            let border = border.beside(|config| {
                config.conformance = Conformance { enabled, issuers: None, document_signers: signers };
                config.presentation_templates =
                    vec![asks_for("suite", &mdoc_of(LICENCE)), asks_for("plain", &mdoc_of(LICENCE))];
                config.presentation_templates[0].conformance = enabled;
            });
            // `plain` asks for what nobody else issues, which a server says at its start; it must not be believed all the same.
            assert!(border.town.service.check_settings().is_err());
            border
        };
        let border = for_suite(border, true, Some(pem(&own.der)));
        let by = |border: &Border, signer: &FileKey| border.presenter(suites_licence(border, signer));
        let told = border.accepted("suite", &by(&border, &suite)).await;
        assert_eq!((&told["claims"][DOCTYPE]["speciality"], told.get("status_as_of")), (&json!("surgery"), None));
        border.rejects("plain", &by(&border, &suite), "type_not_trusted").await;
        // Somebody else of the same name, and somebody whom it has certified: it is no anchor.
        let stranger = Authority::root("Suite");
        let stranger = file_key(&stranger.key, vec![stranger.der.clone()]);
        border.rejects("suite", &by(&border, &stranger), "issuer_chain").await;
        border.rejects("suite", &by(&border, &own.certifies(Flaw::None)), "issuer_chain").await;
        let border = for_suite(border, true, None);
        border.rejects("suite", &by(&border, &suite), "issuer_chain").await;
        let border = for_suite(border, false, None);
        border.rejects("suite", &by(&border, &suite), "type_not_trusted").await;
    }
}

// ---- One person ----

story! {
    async fn cards_of_two_issuers_are_one_persons_by_the_holders_key(town) {
        town.hires(PERSON, "H26").await;
        let border = Border::open(town, |_| {}).await;
        border.publishes(&[]);
        let (ours, theirs) = (sd_jwt_of("${vct}"), sd_jwt_of(VCT));
        let border = border.beside(|config| {
            let named = |id: &str, query: &Value, claim: &str| {
                let mut query = query.clone();
                (query["id"], query["claims"]) = (json!(id), json!([{"path": [claim]}]));
                query
            };
            let query = json!({"credentials": [named("official", &ours, "full_name"), named("doctor", &theirs, "speciality")]});
            config.presentation_templates =
                vec![template("both", |template| template.dcql_query = query.to_string())];
        });
        let jwk = fresh_p256_jwk().unwrap();
        let key = || FileKey::new(&jwk, Vec::new()).unwrap();
        let officer = border.town.officer("vneid").await;
        let taker = Wallet { town: &border.town, key: key() };
        let card = taker.card(&officer, PERSON, "official-card-sdjwt").await;
        for (holder, one_person) in [(key(), true), (fresh_key(), false)] {
            let mut wallet = border.presenter(Kept::sd_jwt(&card, key()));
            wallet.cards.push(border.sd_jwt_for(holder, &border.signer, |_| {}));
            if !one_person {
                border.rejects("both", &wallet, "several_people").await;
                continue;
            }
            let made = begin(&officer, json!({"template": "both"})).await;
            wallet.present(&border.town, link(&made)).await.expect(200);
            let told = &now(&officer, &made).await["result"]["credentials"];
            assert_eq!((&told[0]["query"], &told[1]["query"]), (&json!("official"), &json!("doctor")));
            assert_eq!(told[1]["claims"], json!({"speciality": "surgery"}));
        }
    }
}
