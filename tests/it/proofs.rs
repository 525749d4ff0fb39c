//! Keys proved by attestation, and messages in envelopes: what a wallet with attested keys and one that encrypts receive,
//! and that nothing weaker gets past.

use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::config::{Attester as TrustedAttester, Certifies, KeyAttestations};
use officials_card::credential::jwe::Recipient;
use officials_card::credential::sd_jwt::Presentation;
use officials_card::credential::{PublicKey, Signer, attestation, jws};
use officials_card::keyring::{DecryptionKey, FileKey, fresh_p256_jwk};
use serde_json::{Value, json};

use crate::attester::{Attester, key_claims};
use crate::story;
use crate::town::{Answer, Town, URL, Wallet, proof_by};

const PERSON: &str = "001199000018";
const SD_JWT: &str = "official-card-sdjwt";
const EDDSA: &str = "official-card-sdjwt-eddsa";

fn fresh_key() -> FileKey {
    FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap()
}

/// The town, trusting this attester for keys.
fn trusting(town: &Town, attester: &Attester, policies: &[(&str, KeyAttestations)]) -> Town {
    let town = town.configured(|config| {
        config.attesters.push(TrustedAttester {
            clients: Vec::new(),
            name: "wallet provider".into(),
            root: attester.root_pem.clone(),
            certifies: vec![Certifies::Keys],
        });
        config.key_attestations =
            policies.iter().map(|(configuration, policy)| ((*configuration).to_owned(), policy.clone())).collect();
    });
    town.service.check_attesters().unwrap();
    town
}

fn required(key_storage: &[&str], user_authentication: &[&str]) -> KeyAttestations {
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    KeyAttestations { required: true, key_storage: texts(key_storage), user_authentication: texts(user_authentication) }
}

async fn proof_types(town: &Town, configuration: &str) -> Value {
    let metadata = town.get("/.well-known/openid-credential-issuer").await.expect(200);
    metadata["credential_configurations_supported"][configuration]["proof_types_supported"].clone()
}

/// A proof with a key attestation in its header.
fn attested_proof(key: &FileKey, named_by: Value, attestation: &str, nonce: &str, now: i64) -> String {
    let mut extra = named_by;
    extra["key_attestation"] = json!(attestation);
    let payload = json!({"aud": URL, "iat": now, "nonce": nonce});
    jws::sign(key, &jws::header(key, "openid4vci-proof+jwt", extra), payload.to_string().as_bytes()).unwrap()
}

fn by_jwk(key: &FileKey) -> Value {
    json!({"jwk": key.public_key().to_jwk()})
}

fn by_attestation(configuration: &str, attestation: &str) -> Value {
    json!({"credential_configuration_id": configuration, "proofs": {"attestation": [attestation]}})
}

/// The holder keys of an answer, in its order.
fn holders(town: &Town, answer: &Value) -> Vec<PublicKey> {
    let anchors = officials_card::credential::x509::Anchors::from_pem(town.service.anchor_pem()).unwrap();
    let holder = |one: &Value| {
        let card = Presentation::parse(one["credential"].as_str().unwrap()).unwrap();
        card.verify(&anchors, &format!("{URL}/types/official-card/1"), town.clock.now()).unwrap().holder.unwrap()
    };
    answer["credentials"].as_array().unwrap().iter().map(holder).collect()
}

fn public<'a>(keys: impl IntoIterator<Item = &'a FileKey>) -> Vec<PublicKey> {
    keys.into_iter().map(|key| key.public_key().clone()).collect()
}

story! {
    async fn every_attested_key_gets_a_credential(town) {
        let attester = Attester::new(town.clock.now());
        let trusting = trusting(&town, &attester, &[]);
        town.hires(PERSON, "H26").await;
        let wallet = trusting.wallet();
        let token = wallet.token(&trusting.officer("vneid").await.offer(PERSON).await).await;
        let now = town.clock.now();
        let keys: Vec<_> = (0..3).map(|_| fresh_key()).collect();
        let [one, two, three] = keys.as_slice() else { unreachable!() };

        let nonce = wallet.nonce().await;
        let mut claims = key_claims(&[one, two, three], &nonce, now);
        claims.as_object_mut().unwrap().remove("exp");
        let request = by_attestation(SD_JWT, &attester.attest(&claims));
        let answer = wallet.post("/credential", &token, &request).await.expect(200);
        assert_eq!(holders(&trusting, &answer), public(&keys));
        let again = wallet.post("/credential", &token, &request).await.expect(200);
        assert_eq!(again["notification_id"], answer["notification_id"], "a lost answer is had again");
        assert_eq!(holders(&trusting, &again), public(&keys));

        // One key proves itself, and by the attestation the others come with it.
        for name in [by_jwk(two), json!({"kid": "1"})] {
            let nonce = wallet.nonce().await;
            let attestation = attester.attest(&key_claims(&[one, two, three], &nonce, now));
            let proof = attested_proof(two, name, &attestation, &nonce, now);
            let answer = wallet.post("/credential", &token, &Wallet::request(SD_JWT, &[proof])).await.expect(200);
            assert_eq!(holders(&trusting, &answer), public([two, one, three]));
        }

        // An attestation that does not cover the key is refused, also where none is required, and so is one that fails.
        let nonce = wallet.nonce().await;
        let foreign = attester.attest(&key_claims(&[one, two], &nonce, now));
        for attestation in [foreign.clone(), spoiled_of(&foreign), "x".to_owned()] {
            let proof = attested_proof(three, by_jwk(three), &attestation, &nonce, now);
            let request = Wallet::request(SD_JWT, &[proof]);
            assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "invalid_proof");
        }

        // All prove themselves, as the conformance suite does.
        let nonce = wallet.nonce().await;
        let attestation = attester.attest(&key_claims(&[one, two, three], &nonce, now));
        let proofs: Vec<_> =
            keys.iter().map(|key| attested_proof(key, by_jwk(key), &attestation, &nonce, now)).collect();
        let answer = wallet.post("/credential", &token, &Wallet::request(SD_JWT, &proofs)).await.expect(200);
        assert_eq!(holders(&trusting, &answer), public(&keys));

        // The batch is bounded by what the metadata says.
        let many: Vec<_> = (0..12).map(|_| fresh_key()).collect();
        let nonce = wallet.nonce().await;
        let attestation = attester.attest(&key_claims(&many.iter().collect::<Vec<_>>(), &nonce, now));
        let answer = wallet.post("/credential", &token, &by_attestation(SD_JWT, &attestation)).await.expect(200);
        assert_eq!(holders(&trusting, &answer), public(&many[..10]));
    }
}

story! {
    async fn where_nobody_attests_attestations_are_refused(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let (now, nonce) = (town.clock.now(), wallet.nonce().await);
        let attestation = Attester::new(now).attest(&key_claims(&[&wallet.key], &nonce, now));
        let proof = attested_proof(&wallet.key, by_jwk(&wallet.key), &attestation, &nonce, now);
        for request in [by_attestation(SD_JWT, &attestation), Wallet::request(SD_JWT, &[proof])] {
            assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "invalid_proof");
        }
        let types = proof_types(&town, SD_JWT).await;
        assert_eq!(types, json!({"jwt": {"proof_signing_alg_values_supported": ["ES256", "EdDSA"]}}));
    }
}

story! {
    async fn a_failed_key_attestation_cannot_be_got_round(town) {
        let attester = Attester::new(town.clock.now());
        let policy = required(&["iso_18045_moderate"], &["iso_18045_high"]);
        let trusting = trusting(&town, &attester, &[(SD_JWT, policy)]);
        town.hires(PERSON, "H26").await;
        let wallet = trusting.wallet();
        let token = wallet.token(&trusting.officer("vneid").await.offer(PERSON).await).await;
        let (now, nonce) = (town.clock.now(), wallet.nonce().await);

        let asked = json!({"key_storage": ["iso_18045_high", "iso_18045_moderate"], "user_authentication": ["iso_18045_high"]});
        let types = proof_types(&trusting, SD_JWT).await;
        for proof_type in ["jwt", "attestation"] {
            assert_eq!(types[proof_type]["key_attestations_required"], asked, "{proof_type}");
        }
        let others = proof_types(&trusting, EDDSA).await;
        assert!(others["attestation"].is_object());
        assert_eq!(others["jwt"].get("key_attestations_required"), None);

        let other = fresh_key();
        let good = key_claims(&[&wallet.key], &nonce, now);
        let claims = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        let stranger = Attester::new(now);
        let good_jwt = attester.attest(&good);
        let claims_part = good_jwt.split('.').nth(1).unwrap();
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"key-attestation+jwt"}"#), claims_part);
        let failing = [
            spoiled_of(&good_jwt),
            unsigned,
            stranger.attest(&good),
            attester.sign("JWT", &good),
            attester.sign_under(attestation::TYPE, &good, json!({"jwk": attester.public_key().to_jwk()})),
            jws::sign(&wallet.key, &jws::header(&wallet.key, attestation::TYPE, json!({"x5c": jws::x5c(&attester)})), good.to_string().as_bytes()).unwrap(),
            attester.attest(&claims("key_storage", json!(["iso_18045_basic"]))),
            attester.attest(&claims("key_storage", json!(["ISO_18045_HIGH"]))),
            attester.attest(&claims("key_storage", Value::Null)),
            attester.attest(&claims("user_authentication", json!(["iso_18045_moderate"]))),
            attester.attest(&claims("user_authentication", json!(["iso_18045_high", "iso_18045_basic"]))),
            attester.attest(&claims("exp", json!(now - 1))),
            attester.attest(&claims("iat", json!(now + 3600))),
            attester.attest(&claims("nonce", Value::Null)),
            attester.attest(&claims("attested_keys", json!([]))),
        ];
        let proof = |key: &FileKey, attestation: &str| attested_proof(key, by_jwk(key), attestation, &nonce, now);
        let plain = wallet.proof(&nonce);
        for wrong in &failing {
            for request in [
                by_attestation(SD_JWT, wrong),
                Wallet::request(SD_JWT, &[proof(&wallet.key, wrong)]),
                // A good proof beside it is no help, of whichever kind and in whichever order.
                Wallet::request(SD_JWT, &[proof(&wallet.key, &good_jwt), proof(&other, wrong)]),
                Wallet::request(SD_JWT, &[proof(&other, wrong), proof(&wallet.key, &good_jwt)]),
            ] {
                assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "invalid_proof");
            }
        }
        let foreign = attester.attest(&key_claims(&[&other], &nonce, now));
        let without_end = {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove("exp");
            attester.attest(&claims)
        };
        for (request, code) in [
            // Without any.
            (Wallet::request(SD_JWT, std::slice::from_ref(&plain)), "invalid_proof"),
            // Of another key, by kid or by jwk, or for another of the batch.
            (Wallet::request(SD_JWT, &[proof(&wallet.key, &foreign)]), "invalid_proof"),
            (Wallet::request(SD_JWT, &[attested_proof(&wallet.key, json!({"kid": "0"}), &foreign, &nonce, now)]), "invalid_proof"),
            (Wallet::request(SD_JWT, &[attested_proof(&wallet.key, json!({"kid": "1"}), &good_jwt, &nonce, now)]), "invalid_proof"),
            (Wallet::request(SD_JWT, &[proof(&wallet.key, &good_jwt), proof_by(&other, json!({"aud": URL, "iat": now, "nonce": nonce}))]), "invalid_proof"),
            (Wallet::request(SD_JWT, &[proof(&wallet.key, &without_end)]), "invalid_proof"),
            // Where a proof belongs, or the other way round.
            (Wallet::request(SD_JWT, std::slice::from_ref(&good_jwt)), "invalid_proof"),
            (by_attestation(SD_JWT, &plain), "invalid_proof"),
            // Two types, or two attestations.
            (json!({"credential_configuration_id": SD_JWT, "proofs": {"attestation": [spoiled_of(&good_jwt)], "jwt": [proof(&wallet.key, &good_jwt)]}}), "invalid_credential_request"),
            (json!({"credential_configuration_id": SD_JWT, "proofs": {"attestation": [good_jwt, foreign]}}), "invalid_credential_request"),
            (json!({"credential_configuration_id": SD_JWT, "proofs": {"di_vp": [good_jwt]}}), "invalid_proof"),
        ] {
            assert_eq!(wallet.post("/credential", &token, &request).await.error(400), code, "{request}");
        }
        // None of this used the nonce up, and the policy is of this configuration alone.
        let answer = wallet.post("/credential", &token, &by_attestation(SD_JWT, &good_jwt)).await.expect(200);
        assert_eq!(holders(&trusting, &answer), public([&wallet.key]));
        let plain = wallet.proof(&wallet.nonce().await);
        wallet.post("/credential", &token, &Wallet::request(EDDSA, &[plain])).await.expect(200);
    }
}

/// The same JWT with another signature.
fn spoiled_of(jwt: &str) -> String {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    format!("{signed}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..])
}

story! {
    async fn one_nonce_is_for_proofs_and_attestations_together(town) {
        let attester = Attester::new(town.clock.now());
        let trusting = trusting(&town, &attester, &[]);
        town.hires(PERSON, "H26").await;
        let wallet = trusting.wallet();
        let token = wallet.token(&trusting.officer("vneid").await.offer(PERSON).await).await;
        let now = town.clock.now();
        let (nonce, other) = (wallet.nonce().await, wallet.nonce().await);
        let attestation = |nonce: &str| attester.attest(&key_claims(&[&wallet.key], nonce, now));
        let proof = |of_proof: &str, of_attestation: &str| {
            let proof = attested_proof(&wallet.key, by_jwk(&wallet.key), &attestation(of_attestation), of_proof, now);
            Wallet::request(SD_JWT, &[proof])
        };
        for (request, code) in [
            (proof(&nonce, &other), "invalid_proof"),
            (proof(&nonce, "made-up"), "invalid_nonce"),
            (proof("made-up", &nonce), "invalid_nonce"),
            (by_attestation(SD_JWT, &attestation("made-up")), "invalid_nonce"),
        ] {
            assert_eq!(wallet.post("/credential", &token, &request).await.error(400), code);
        }
        wallet.post("/credential", &token, &by_attestation(SD_JWT, &attestation(&nonce))).await.expect(200);
        // Used by one proof type, it is used for the other.
        let request = proof(&nonce, &nonce);
        assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "invalid_nonce");
        let request = Wallet::request(SD_JWT, &[wallet.proof(&nonce)]);
        assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "invalid_nonce");
        // An attestation that is kept for later ends with its nonce.
        let request = by_attestation(SD_JWT, &attestation(&other));
        town.clock.advance(299);
        let late = wallet.token(&trusting.officer("vneid").await.offer(PERSON).await).await;
        town.clock.advance(2);
        assert_eq!(wallet.post("/credential", &late, &request).await.error(400), "invalid_proof", "the attestation is over");
        let mut claims = key_claims(&[&wallet.key], &other, now);
        claims["exp"] = json!(now + 3600);
        let request = by_attestation(SD_JWT, &attester.attest(&claims));
        assert_eq!(wallet.post("/credential", &late, &request).await.error(400), "invalid_nonce");
    }
}

/// A wallet that encrypts.
pub struct Envelope {
    to_issuer: Value,
    /// The key that answers are encrypted to.
    pub own: DecryptionKey,
}

impl Envelope {
    /// After reading the metadata.
    pub async fn new(town: &Town) -> Self {
        let metadata = town.get("/.well-known/openid-credential-issuer").await.expect(200);
        let to_issuer = metadata["credential_request_encryption"]["jwks"]["keys"][0].clone();
        Self { to_issuer, own: DecryptionKey::new(&fresh_p256_jwk().unwrap()).unwrap() }
    }

    /// How it wants its answer.
    pub fn asks(&self, enc: &str) -> Value {
        json!({"jwk": self.own.public_jwk(), "enc": enc})
    }

    /// A request as the issuer's key opens it.
    pub fn seal(&self, request: &Value, enc: &str, compress: bool) -> String {
        Recipient::new(&self.to_issuer, enc, compress).unwrap().seal(request.to_string().as_bytes()).unwrap()
    }
}

async fn post_jwt(town: &Town, token: &str, body: impl Into<String>) -> Answer {
    let request = Request::post("/credential")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/jwt");
    town.send(request.body(body.into().into()).unwrap()).await
}

fn jwe_header(jwe: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwe.split('.').next().unwrap()).unwrap()).unwrap()
}

story! {
    async fn requests_and_answers_travel_in_envelopes(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let envelope = Envelope::new(&town).await;
        for member in ["kid", "alg", "use", "kty", "crv", "x", "y"] {
            assert!(envelope.to_issuer[member].is_string(), "{member}");
        }
        assert_eq!(envelope.to_issuer.get("d"), None);

        // Encrypted there, plain back.
        let request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
        let answer = post_jwt(&town, &token, envelope.seal(&request, "A128GCM", false)).await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(holders(&town, &answer.expect(200)), public([&wallet.key]));

        for (enc, zip) in [("A128GCM", false), ("A256GCM", false), ("A128GCM", true), ("A256GCM", true)] {
            let mut request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
            request["credential_response_encryption"] = envelope.asks(enc);
            if zip {
                request["credential_response_encryption"]["zip"] = json!("DEF");
            }
            let mut first = Value::Null;
            for attempt in 0..2 {
                let answer = post_jwt(&town, &token, envelope.seal(&request, enc, zip)).await;
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
                assert_eq!(answer.header("content-type"), "application/jwt");
                assert_eq!(answer.header("cache-control"), "no-store");
                let jwe = String::from_utf8(answer.bytes.to_vec()).unwrap();
                let header = jwe_header(&jwe);
                assert_eq!((&header["alg"], &header["enc"]), (&json!("ECDH-ES"), &json!(enc)));
                assert_eq!(header["kid"], envelope.own.public_jwk()["kid"]);
                assert_eq!(header.get("zip"), zip.then_some(&json!("DEF")));
                let opened: Value = serde_json::from_slice(&envelope.own.open(&jwe, 1 << 20).unwrap()).unwrap();
                assert_eq!(holders(&town, &opened), public([&wallet.key]));
                if attempt == 0 {
                    first = opened;
                } else {
                    assert_eq!(first["notification_id"], opened["notification_id"], "the same request in another envelope");
                }
            }
        }
        // A key without a name: no kid comes back.
        let mut request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
        request["credential_response_encryption"] = envelope.asks("A128GCM");
        request["credential_response_encryption"]["jwk"].as_object_mut().unwrap().remove("kid");
        let answer = post_jwt(&town, &token, envelope.seal(&request, "A128GCM", false)).await;
        let jwe = String::from_utf8(answer.bytes.to_vec()).unwrap();
        assert_eq!(jwe_header(&jwe).get("kid"), None);
    }
}

story! {
    async fn what_is_wrong_with_an_envelope_is_told_in_the_clear(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let envelope = Envelope::new(&town).await;
        let nonce = wallet.nonce().await;
        let request = Wallet::request(SD_JWT, &[wallet.proof(&nonce)]);
        let good = envelope.seal(&request, "A128GCM", false);
        let parts: Vec<&str> = good.split('.').collect();
        let with = |place: usize, part: String| {
            let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            parts[place] = part;
            parts.join(".")
        };
        let with_header = |name: &str, value: Value| {
            let mut header = jwe_header(&good);
            header[name] = value;
            with(0, URL_SAFE_NO_PAD.encode(header.to_string()))
        };
        let first_byte = |part: &str| URL_SAFE_NO_PAD.encode(&URL_SAFE_NO_PAD.decode(part).unwrap()[..1]);
        let mut nameless = envelope.to_issuer.clone();
        nameless.as_object_mut().unwrap().remove("kid");
        let nameless = Recipient::new(&nameless, "A128GCM", false).unwrap().seal(b"{}").unwrap();
        let stranger = DecryptionKey::new(&fresh_p256_jwk().unwrap()).unwrap();
        let for_another = Recipient::new(stranger.public_jwk(), "A128GCM", false).unwrap().seal(b"{}").unwrap();
        let mut of_another = stranger.public_jwk().clone();
        of_another["kid"] = envelope.to_issuer["kid"].clone();
        let of_another = Recipient::new(&of_another, "A128GCM", false).unwrap().seal(b"{}").unwrap();
        let bomb = Recipient::new(&envelope.to_issuer, "A128GCM", true).unwrap();
        let bomb = bomb.seal(format!("{}{request}", " ".repeat(64 << 20)).as_bytes()).unwrap();
        assert!(bomb.len() < 128 * 1024, "it must fit into a request: {}", bomb.len());
        for (name, wrong) in [
            ("empty", String::new()),
            ("four parts", parts[..4].join(".")),
            ("six parts", format!("{good}.AA")),
            ("plain JSON", request.to_string()),
            ("a proof", wallet.proof(&nonce)),
            ("an encrypted key", with(1, "AA".into())),
            ("no vector", with(2, String::new())),
            ("a short vector", with(2, first_byte(parts[2]))),
            ("another vector", with(2, URL_SAFE_NO_PAD.encode([0; 12]))),
            ("no ciphertext", with(3, String::new())),
            ("a changed ciphertext", with(3, parts[3].replacen(&parts[3][..4], "AAAA", 1))),
            ("no tag", with(4, String::new())),
            ("one right byte of the tag", with(4, first_byte(parts[4]))),
            ("another tag", with(4, URL_SAFE_NO_PAD.encode([0; 16]))),
            ("a changed header", with_header("cty", json!("json"))),
            ("another alg", with_header("alg", json!("dir"))),
            ("key wrapping", with_header("alg", json!("ECDH-ES+A128KW"))),
            ("another enc", with_header("enc", json!("A192GCM"))),
            ("an enc without authentication of its own", with_header("enc", json!("A128CBC-HS256"))),
            ("another zip", with_header("zip", json!("GZ"))),
            ("zip of the wrong type", with_header("zip", json!(1))),
            ("a critical member", with_header("crit", json!(["b64"]))),
            ("no epk", with_header("epk", Value::Null)),
            ("an epk off the curve", with_header("epk", json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([1; 32]), "y": URL_SAFE_NO_PAD.encode([1; 32])}))),
            ("no kid", nameless),
            ("another kid", for_another),
            ("another key of that kid", of_another),
            ("a bomb", bomb),
        ] {
            let answer = post_jwt(&town, &token, wrong).await;
            assert_eq!(answer.header("content-type"), "application/json", "{name}");
            assert_eq!(answer.error(400), "invalid_encryption_parameters", "{name}");
        }
        // The token comes first, then what is inside.
        assert_eq!(post_jwt(&town, "made-up", good.clone()).await.error(401), "invalid_token");
        for (request, code) in [
            (json!([]), "invalid_credential_request"),
            (json!({"credential_configuration_id": "other", "credential_response_encryption": {}}), "unknown_credential_configuration"),
            (json!({"credential_identifier": "other", "credential_response_encryption": {}}), "unknown_credential_identifier"),
        ] {
            assert_eq!(post_jwt(&town, &token, envelope.seal(&request, "A128GCM", false)).await.error(400), code);
        }
        // A refusal is told in the clear, though the answer was to be encrypted.
        let mut refused = request.clone();
        refused["credential_response_encryption"] = envelope.asks("A128GCM");
        refused["proofs"] = json!({"jwt": ["x"]});
        let answer = post_jwt(&town, &token, envelope.seal(&refused, "A128GCM", false)).await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.error(400), "invalid_proof");
        // Encryption is judged before proofs; none of this used the nonce up.
        for (pointer, value) in [
            ("/jwk/alg", json!("UNSUPPORTED_ALG")),
            ("/jwk/y", envelope.own.public_jwk()["x"].clone()),
            ("/enc", json!("A128CBC-HS256")),
            ("/zip", json!("GZ")),
        ] {
            let mut wrong = refused.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            wrong["credential_response_encryption"].pointer_mut(parent).unwrap()[name] = value;
            let answer = post_jwt(&town, &token, envelope.seal(&wrong, "A128GCM", false)).await;
            assert_eq!(answer.error(400), "invalid_encryption_parameters", "{pointer}");
        }
        let mut in_the_clear = request;
        in_the_clear["credential_response_encryption"] = envelope.asks("A128GCM");
        let refused = wallet.post("/credential", &token, &in_the_clear).await;
        assert_eq!(refused.error(400), "invalid_encryption_parameters");
        post_jwt(&town, &token, good).await.expect(200);
    }
}

story! {
    async fn where_encryption_is_required_nothing_plain_is_looked_at(town) {
        town.hires(PERSON, "H26").await;
        let closed = town.configured(|config| {
            config.encryption.requests_required = true;
            config.encryption.responses_required = true;
        });
        let metadata = closed.get("/.well-known/openid-credential-issuer").await.expect(200);
        for direction in ["credential_request_encryption", "credential_response_encryption"] {
            assert_eq!(metadata[direction]["encryption_required"], true);
            assert_eq!(metadata[direction]["enc_values_supported"], json!(["A128GCM", "A256GCM"]));
            assert_eq!(metadata[direction]["zip_values_supported"], json!(["DEF"]));
        }
        assert_eq!(metadata["credential_response_encryption"]["alg_values_supported"], json!(["ECDH-ES"]));
        let wallet = closed.wallet();
        let token = wallet.token(&closed.officer("vneid").await.offer(PERSON).await).await;
        let envelope = Envelope::new(&closed).await;
        let mut request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
        assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "invalid_encryption_parameters");
        let answer = post_jwt(&closed, &token, envelope.seal(&request, "A256GCM", true)).await;
        assert_eq!(answer.error(400), "invalid_encryption_parameters");
        request["credential_response_encryption"] = envelope.asks("A256GCM");
        let answer = post_jwt(&closed, &token, envelope.seal(&request, "A256GCM", true)).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/jwt"));
    }
}
