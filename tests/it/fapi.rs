//! The modules of FAPI 2.0 that the OpenID Foundation's plan for issuers of the high assurance profile has
//! (`fapi2-security-profile-final-…`), each under its name. Where the suite accepts several answers, ours is named.

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::credential::Signer;
use serde_json::{Value, json};

use crate::holder::{
    CodeWallet, Draft, Landing, NEIGHBOUR, Office, PERSON, SD_JWT, Tokens, VERIFIER, entropy, fresh_key, request_uri,
};
use crate::story;
use crate::town::URL;

/// A key's thumbprint, as `dpop_jkt` has it.
fn thumbprint(key: &impl Signer) -> String {
    URL_SAFE_NO_PAD.encode(key.public_key().thumbprint())
}

/// A page for the person that says why it does not go on.
#[track_caller]
fn shows_error(answer: &crate::town::Answer, status: u16, text: &str) {
    assert_eq!(answer.status.as_u16(), status);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let page = std::str::from_utf8(&answer.bytes).unwrap();
    assert!(page.contains("<p id=\"error\" role=\"alert\">") && page.contains(text), "{page}");
}

/// A module that pushes one request that is wrong, and our refusal.
macro_rules! refused_at_par {
    ($(#[$attribute:meta])* $name:ident, $error:literal, $change:expr) => {
        story! {
            $(#[$attribute])*
            async fn $name(town) {
                let office = Office::open(town).await;
                let wallet = office.wallet();
                let change: for<'a> fn(Draft<'a>) -> Draft<'a> = $change;
                assert_eq!(change(wallet.par()).send().await.error(400), $error);
                wallet.par().send().await.expect(201);
            }
        }
    };
}

/// A module that redeems a code by a request that is wrong, and our refusal. The code is not used up by it.
macro_rules! refused_at_token {
    ($(#[$attribute:meta])* $name:ident, $status:literal, $error:literal, $change:expr) => {
        story! {
            $(#[$attribute])*
            async fn $name(town) {
                let office = Office::open(town).await;
                let wallet = office.wallet();
                let code = wallet.code(PERSON).await;
                let change: for<'a> fn(Draft<'a>) -> Draft<'a> = $change;
                assert_eq!(change(wallet.redeem(&code)).send().await.error($status), $error);
                let tokens = Tokens::of(wallet.redeem(&code).send().await);
                wallet.issued(&tokens.access).await;
            }
        }
    };
}

story! {
    async fn discovery_end_point_verification(town) {
        let office = Office::open(town).await;
        let server = office.town.get("/.well-known/oauth-authorization-server").await;
        assert_eq!(server.header("content-type"), "application/json");
        let server = server.expect(200);
        assert_eq!(server["issuer"], URL);
        for (name, value) in [
            ("response_types_supported", "code"),
            ("code_challenge_methods_supported", "S256"),
            ("dpop_signing_alg_values_supported", "ES256"),
            ("token_endpoint_auth_methods_supported", "attest_jwt_client_auth"),
            ("token_endpoint_auth_signing_alg_values_supported", "ES256"),
            ("client_attestation_signing_alg_values_supported", "ES256"),
            ("client_attestation_pop_signing_alg_values_supported", "ES256"),
            ("grant_types_supported", "authorization_code"),
            ("grant_types_supported", "refresh_token"),
            ("authorization_details_types_supported", "openid_credential"),
            ("scopes_supported", SD_JWT),
        ] {
            assert!(server[name].as_array().unwrap().contains(&json!(value)), "{name}");
        }
        assert_eq!(server["dpop_signing_alg_values_supported"][0], "ES256", "the suite takes the first");
        for name in ["authorization_response_iss_parameter_supported", "require_pushed_authorization_requests"] {
            assert_eq!(server[name], true, "{name}");
        }
        for (name, path) in [
            ("authorization_endpoint", "authorize"),
            ("pushed_authorization_request_endpoint", "par"),
            ("token_endpoint", "token"),
            ("challenge_endpoint", "challenge"),
        ] {
            assert_eq!(server[name], format!("{URL}/{path}"));
        }
    }
}

story! {
    async fn happy_flow(town) {
        let office = Office::open(town).await;
        for wallet in [office.wallet(), office.second_wallet()] {
            let state: String = "aZ09-._~".chars().cycle().take(128).collect();
            let request_uri = request_uri(wallet.par().with("state", state.as_str()).with("q7Xk", "Zr1B").send().await);
            // The order is free, and what was pushed may be said again.
            let url = format!(
                "/authorize?scope={SD_JWT}&response_type=code&redirect_uri=https%3A%2F%2Felsewhere.example\
                 &request_uri={request_uri}&client_id={}",
                wallet.client_id
            );
            let browser = office.browser();
            let to_vneid = browser.get(&url).await;
            assert_eq!(to_vneid.status, 303);
            let back = office.vneid.signs_in(to_vneid.header("location"), PERSON, 2).await;
            let landing = wallet.landing(browser.returns(&back).await.decide(&browser, "approve").await);
            assert_eq!(landing.0["state"], state);
            let tokens = Tokens::of(wallet.redeem(&landing.code()).with("q7Xk", "Zr1B").send().await);
            assert!(entropy(&landing.code()) > 96.0);
            assert_eq!(tokens.answer["scope"], SD_JWT);
            assert!(tokens.answer.get("id_token").is_none());
            wallet.issued(&tokens.access).await;
        }
    }
}

story! {
    async fn user_rejects_authentication(town) {
        let office = Office::open(town).await;
        for wallet in [office.wallet(), office.second_wallet()] {
            let browser = office.browser();
            let page = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
            let landing = wallet.landing(page.decide(&browser, "deny").await);
            assert_eq!((landing.error(), landing.0["state"].as_str()), ("access_denied", "the state & more"));
        }
    }
}

story! {
    async fn ensure_authorization_request_without_state_success(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let landing = wallet.lands(&request_uri(wallet.par().without("state").send().await), PERSON).await;
        assert!(!landing.0.contains_key("state"));
        Tokens::of(wallet.redeem(&landing.code()).send().await);
    }
}

story! {
    async fn access_token_type_header_case_sensitivity(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        wallet.credential(&tokens.access, SD_JWT).await.scheme("dPOP").send().await.expect(200);
    }
}

story! {
    async fn ensure_authorization_request_with_long_state(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let state: String = "aZ09-._~".chars().cycle().take(1000).collect();
        let landing = wallet.lands(&request_uri(wallet.par().with("state", state.as_str()).send().await), PERSON).await;
        assert_eq!(landing.0["state"], state);
        let longer = "s".repeat(2049);
        assert_eq!(wallet.par().with("state", longer).send().await.error(400), "invalid_request");
    }
}

/// The browser comes with a state in the URL. Where it lands.
async fn with_outer_state(office: &Office, wallet: &CodeWallet<'_>, par: Draft<'_>) -> Landing {
    let url =
        format!("/authorize?client_id={}&request_uri={}&state=outer", wallet.client_id, request_uri(par.send().await));
    let browser = office.browser();
    let to_vneid = browser.get(&url).await;
    let back = office.vneid.signs_in(to_vneid.header("location"), PERSON, 2).await;
    wallet.landing(browser.returns(&back).await.decide(&browser, "approve").await)
}

story! {
    async fn ensure_different_state_inside_and_outside_request_object(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let landing = with_outer_state(&office, &wallet, wallet.par().with("state", "inner")).await;
        assert_eq!(landing.0["state"], "inner");
    }
}

story! {
    async fn state_only_outside_request_object_not_used(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let landing = with_outer_state(&office, &wallet, wallet.par().without("state")).await;
        assert!(!landing.0.contains_key("state"));
    }
}

/// A module whose DPoP proofs are odd but right: at the token endpoint and at the credential endpoint.
macro_rules! dpop_accepted {
    ($name:ident, $edit:expr) => {
        story! {
            async fn $name(town) {
                let office = Office::open(town).await;
                let wallet = office.wallet();
                let edit: fn(&mut Value, &mut Value) = $edit;
                let request_uri = request_uri(wallet.par().dpop(edit).send().await);
                let code = wallet.lands(&request_uri, PERSON).await.code();
                let tokens = Tokens::of(wallet.redeem(&code).dpop(edit).send().await);
                wallet.credential(&tokens.access, SD_JWT).await.dpop(edit).send().await.expect(200);
            }
        }
    };
}

/// A claim that is an instant, so much later.
fn later(claims: &mut Value, name: &str, seconds: i64) {
    claims[name] = json!(claims["iat"].as_i64().unwrap() + seconds);
}

dpop_accepted!(check_dpop_proof_nbf_exp, |_, claims| {
    later(claims, "nbf", 0);
    later(claims, "exp", 60);
});
dpop_accepted!(ensure_dpopproof_with_iat_10seconds_before_succeeds, |_, claims| later(claims, "iat", -10));
dpop_accepted!(ensure_dpopproof_with_iat_10seconds_after_succeeds, |_, claims| later(claims, "iat", 10));

refused_at_par!(ensure_mismatched_dpop_jkt_fails, "invalid_dpop_proof", |par| {
    par.with("dpop_jkt", thumbprint(&fresh_key())).dpop(|_, _| {})
});

/// Binds a code to a DPoP key by `bind`; another key is refused, and the right one then is not.
async fn code_is_bound(town: crate::town::Town, bind: impl for<'a> Fn(Draft<'a>, &'a CodeWallet<'a>) -> Draft<'a>) {
    let office = Office::open(town).await;
    let wallet = office.wallet();
    let other = fresh_key();
    let code = wallet.lands(&request_uri(bind(wallet.par(), &wallet).send().await), PERSON).await.code();
    assert_eq!(wallet.redeem(&code).dpop_by(&other).send().await.error(400), "invalid_dpop_proof");
    let tokens = Tokens::of(wallet.redeem(&code).send().await);
    wallet.issued(&tokens.access).await;
}

fn by_proof<'a>(par: Draft<'a>, _: &'a CodeWallet<'a>) -> Draft<'a> {
    par.dpop(|_, _| {})
}

fn by_name<'a>(par: Draft<'a>, wallet: &'a CodeWallet<'a>) -> Draft<'a> {
    par.with("dpop_jkt", thumbprint(&wallet.dpop))
}

story! {
    async fn ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt(town) {
        code_is_bound(town, by_proof).await;
    }
}

story! {
    async fn ensure_token_endpoint_fails_with_mismatched_dpop_jkt(town) {
        code_is_bound(town, by_name).await;
    }
}

/// A code that is bound by `bind` is redeemed with its key.
async fn bound_code_is_good(
    town: crate::town::Town,
    bind: impl for<'a> Fn(Draft<'a>, &'a CodeWallet<'a>) -> Draft<'a>,
) {
    let office = Office::open(town).await;
    let wallet = office.wallet();
    let code = wallet.lands(&request_uri(bind(wallet.par(), &wallet).send().await), PERSON).await.code();
    let tokens = Tokens::of(wallet.redeem(&code).send().await);
    wallet.issued(&tokens.access).await;
}

story! {
    async fn ensure_dpopproof_at_par_endpoint_binding_success(town) {
        bound_code_is_good(town, |par, wallet| by_name(by_proof(par, wallet), wallet)).await;
    }
}

story! {
    async fn ensure_dpop_auth_code_binding_success(town) {
        bound_code_is_good(town, by_name).await;
    }
}

story! {
    async fn dpop_negative_tests(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let private = officials_card::keyring::fresh_p256_jwk().unwrap();
        let remove = |value: &mut Value, name: &str| drop(value.as_object_mut().unwrap().remove(name));
        let missing = |place: &'static str, name: &'static str| {
            move |header: &mut Value, claims: &mut Value| remove(if place == "header" { header } else { claims }, name)
        };
        for (place, name) in [
            ("header", "typ"),
            ("header", "alg"),
            ("header", "jwk"),
            ("claims", "jti"),
            ("claims", "htm"),
            ("claims", "htu"),
            ("claims", "iat"),
            ("claims", "ath"),
        ] {
            let draft = wallet.credential(&tokens.access, SD_JWT).await.dpop(missing(place, name));
            assert_eq!(draft.send().await.error(401), "invalid_dpop_proof", "without {name}");
        }
        for (place, name, value) in [
            ("header", "typ", json!("jwt")),
            ("header", "alg", json!("none")),
            ("header", "alg", json!("RS256")),
            ("header", "jwk", json!(private)),
            ("claims", "htm", json!("PUT")),
            ("claims", "htu", json!(format!("{URL}/token"))),
            ("claims", "htu", json!("https://other.example/credential")),
            ("claims", "iat", json!(office.town.clock.now() - 3600)),
            ("claims", "iat", json!(office.town.clock.now() + 3600)),
            ("claims", "ath", json!(URL_SAFE_NO_PAD.encode([7; 32]))),
            ("claims", "nbf", json!(office.town.clock.now() + 3600)),
            ("claims", "exp", json!(office.town.clock.now() - 1)),
        ] {
            let told = value.clone();
            let draft = wallet.credential(&tokens.access, SD_JWT).await.dpop(move |header, claims| {
                let changed = if place == "header" { header } else { claims };
                changed[name] = value.clone();
            });
            assert_eq!(draft.send().await.error(401), "invalid_dpop_proof", "{name} {told}");
        }
        let other = fresh_key();
        let good = || wallet.credential(&tokens.access, SD_JWT);
        for (what, draft, code) in [
            ("a wrong signature", good().await.spoil_dpop(), "invalid_dpop_proof"),
            ("no proof", good().await.no_dpop(), "invalid_dpop_proof"),
            ("not a JWT", good().await.no_dpop().header("DPoP", "not a JWT"), "invalid_dpop_proof"),
            ("two proofs", good().await.header("DPoP", "a.b.c"), "invalid_dpop_proof"),
            ("another key", good().await.dpop_by(&other), "invalid_token"),
            ("as Bearer", good().await.scheme("Bearer"), "invalid_token"),
        ] {
            let answer = draft.send().await;
            assert!(answer.header("www-authenticate").starts_with("DPoP error="), "{what}");
            assert_eq!(answer.error(401), code, "{what}");
        }
        let used = good().await.sealed().await;
        used.send(&office.town).await.expect(200);
        assert_eq!(used.send(&office.town).await.error(401), "invalid_dpop_proof", "the same proof again");

        for htu in ["/credential?query=1", "/credential#fragment"].map(|path| format!("{URL}{path}")) {
            good().await.dpop(move |_, claims| claims["htu"] = json!(htu)).send().await.expect(200);
        }
        let upper = URL.replace("http", "HTTP");
        good().await.dpop(move |_, claims| claims["htu"] = json!(format!("{upper}/credential"))).send().await.expect(200);
        let more = |header: &mut Value, claims: &mut Value| {
            (header["more"], claims["more"]) = (json!("x"), json!({"y": 1}));
        };
        good().await.dpop(more).send().await.expect(200);
        good().await.send().await.expect(200);
    }
}

story! {
    async fn ensure_holder_of_key_required(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let code = wallet.code(PERSON).await;
        assert_eq!(wallet.redeem(&code).no_dpop().send().await.error(400), "invalid_dpop_proof");
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        let bare = wallet.credential(&tokens.access, SD_JWT).await.no_dpop();
        assert_eq!(bare.send().await.error(401), "invalid_dpop_proof");
        assert_eq!(bare.scheme("Bearer").send().await.error(401), "invalid_token");
    }
}

refused_at_par!(ensure_request_object_without_redirect_uri_fails, "invalid_request", |par| par.without("redirect_uri"));
refused_at_par!(ensure_redirect_uri_in_authorization_request, "invalid_request", |par| par.with("redirect_uri", ""));
refused_at_par!(
    /// We do not tolerate it, which the suite allows too.
    plain_fapi_tolerate_unregistered_redirect_uri,
    "invalid_request",
    |par| par.with("redirect_uri", "https://wallet.example/callback?unregistered=1")
);
refused_at_par!(ensure_response_type_code_idtoken_fails, "unsupported_response_type", |par| {
    par.with("response_type", "code id_token")
});
refused_at_par!(ensure_response_type_token_fails, "unsupported_response_type", |par| par
    .with("response_type", "token"));

story! {
    async fn ensure_unsigned_authorization_request_without_using_par_fails(town) {
        let office = Office::open(town).await;
        let url = format!(
            "/authorize?client_id=vneid&redirect_uri=https%3A%2F%2Fwallet.example%2Fcallback&scope={SD_JWT}&state=x\
             &response_type=code&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
        shows_error(&office.browser().get(&url).await, 400, "invalid_request_uri");
    }
}

refused_at_token!(ensure_client_id_in_token_endpoint, 401, "invalid_client", |redeem| {
    redeem.with("client_id", "wallet-b")
});
refused_at_token!(ensure_pkce_code_verifier_required, 400, "invalid_grant", |redeem| redeem.without("code_verifier"));
refused_at_token!(incorrect_pkce_code_verifier_rejected, 400, "invalid_grant", |redeem| {
    redeem.with("code_verifier", VERIFIER.replace('0', "1"))
});

story! {
    async fn ensure_authorization_code_is_bound_to_client(town) {
        let office = Office::open(town).await;
        let (one, two) = (office.wallet(), office.second_wallet());
        let code = one.code(PERSON).await;
        for redirect_uri in [&one.redirect_uri, &two.redirect_uri] {
            let by_two = two.redeem(&code).with("redirect_uri", redirect_uri.as_str());
            assert_eq!(by_two.send().await.error(400), "invalid_grant");
        }
        Tokens::of(one.redeem(&code).send().await);
    }
}

story! {
    async fn attempt_reuse_authorization_code_after_one_second(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let code = wallet.code(PERSON).await;
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        wallet.issued(&tokens.access).await;
        office.town.clock.advance(1);
        assert_eq!(wallet.redeem(&code).send().await.error(400), "invalid_grant");
        let revoked = wallet.credential(&tokens.access, SD_JWT).await;
        assert_eq!(revoked.send().await.error(401), "invalid_token");
    }
}

story! {
    async fn ensure_token_endpoint_fails_with_expired_auth_code(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let (early, late) = (wallet.code(PERSON).await, wallet.code(PERSON).await);
        office.town.clock.advance(59);
        Tokens::of(wallet.redeem(&early).send().await);
        office.town.clock.advance(1);
        assert_eq!(wallet.redeem(&late).send().await.error(400), "invalid_grant");
        office.town.clock.advance(2);
        assert_eq!(wallet.redeem(&late).send().await.error(400), "invalid_grant");
    }
}

story! {
    async fn refresh_token(town) {
        let office = Office::open(town).await;
        let (wallet, other) = (office.wallet(), office.second_wallet());
        let (new_key, strange_key) = (fresh_key(), fresh_key());
        let tokens = wallet.tokens(PERSON).await;
        let refresh = || wallet.refresh(&tokens.refresh);
        let answer = refresh().with("scope", SD_JWT).dpop_by(&new_key).send().await;
        assert_eq!(answer.header("content-type"), "application/json");
        let refreshed = Tokens::of(answer);
        assert_ne!(refreshed.access, tokens.access);
        wallet.credential(&refreshed.access, SD_JWT).await.dpop_by(&new_key).send().await.expect(200);

        let of_other = other.tokens(PERSON).await;
        for (what, draft, status, code) in [
            ("no client authentication", refresh().anonymous(), 401, "invalid_client"),
            ("no DPoP proof", refresh().no_dpop(), 400, "invalid_dpop_proof"),
            (
                "another instance",
                refresh()
                    .attestation(|_, claims| claims["cnf"]["jwk"] = strange_key.public_key().to_jwk())
                    .pop_by(&strange_key),
                400,
                "invalid_grant",
            ),
            ("the token of another client", wallet.refresh(&of_other.refresh), 400, "invalid_grant"),
            ("an access token", wallet.refresh(&tokens.access), 400, "invalid_grant"),
        ] {
            assert_eq!(draft.send().await.error(status), code, "{what}");
        }

        // A proof without our nonce uses up nothing: the attestation goes with the next one as it was.
        let without = refresh().dpop(|_, claims| drop(claims.as_object_mut().unwrap().remove("nonce"))).sealed().await;
        let answer = without.send(&office.town).await;
        assert!(!answer.header("dpop-nonce").is_empty());
        assert_eq!(answer.error(400), "use_dpop_nonce");
        let again = refresh().sealed().await.with_header_of("OAuth-Client-Attestation-PoP", &without);
        Tokens::of(again.send(&office.town).await);

        office.town.clock.advance(30);
        Tokens::of(refresh().send().await);
    }
}

story! {
    async fn par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let request_uri = wallet.pushed().await;
        let browser = office.browser();
        browser.goes_to_vneid(&wallet.client_id, &request_uri).await;
        let page = browser.arrives(&office, &wallet.client_id, &request_uri, PERSON).await;
        let landing = wallet.landing(page.decide(&browser, "approve").await);
        Tokens::of(wallet.redeem(&landing.code()).send().await);
    }
}

story! {
    async fn par_attempt_reuse_request_uri(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let request_uri = wallet.pushed().await;
        let landing = wallet.lands(&request_uri, PERSON).await;
        shows_error(&office.browser().visits(&wallet.client_id, &request_uri).await, 400, "invalid_request_uri");
        Tokens::of(wallet.redeem(&landing.code()).send().await);
    }
}

story! {
    async fn par_attempt_to_use_expired_request_uri(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let (early, late) = (wallet.pushed().await, wallet.pushed().await);
        office.town.clock.advance(89);
        office.browser().goes_to_vneid(&wallet.client_id, &early).await;
        office.town.clock.advance(1);
        shows_error(&office.browser().visits(&wallet.client_id, &late).await, 400, "invalid_request_uri");
    }
}

story! {
    async fn par_attempt_to_use_request_uri_for_different_client(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let request_uri = wallet.pushed().await;
        shows_error(&office.browser().visits("wallet-b", &request_uri).await, 400, "invalid_request_uri");
        wallet.lands(&request_uri, PERSON).await.code();
    }
}

refused_at_par!(par_authorization_request_containing_request_uri_form_param, "invalid_request", |par| {
    par.with("request_uri", "urn:ietf:params:oauth:request_uri:somebody-elses")
});

story! {
    async fn par_attempt_invalid_http_method(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        for method in [Method::PUT, Method::GET, Method::DELETE] {
            assert_eq!(wallet.par().method(method).once().await.problem(405), "method-not-allowed");
        }
    }
}

refused_at_par!(par_ensure_pkce_required, "invalid_request", |par| {
    par.without("code_challenge").without("code_challenge_method")
});
refused_at_par!(par_plain_pkce_rejected, "invalid_request", |par| {
    par.with("code_challenge", VERIFIER).with("code_challenge_method", "plain")
});

story! {
    async fn par_without_duplicate_parameters(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        wallet.issued(&tokens.access).await;
        let nobody = office.browser().arrives(&office, &wallet.client_id, &wallet.pushed().await, NEIGHBOUR).await;
        assert_eq!(nobody.answer.status, 403, "who signs in decides, not the request");
    }
}
