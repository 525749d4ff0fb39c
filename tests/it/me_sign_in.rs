//! Who gets a session and who does not: by VNeID at level 2 in a wallet or a browser, or by the card itself.

use axum::http::{Request, header};
use officials_card::credential::x509::Anchors;
use serde_json::{Value, json};

use crate::browser::{Browser, form};
use crate::draft::Draft;
use crate::holder::{CodeWallet, Landing, NEIGHBOUR, Office, PERSON, VERIFIER};
use crate::me::{Me, authorize, challenge, lands, redeem};
use crate::presenter::{Kept, Presenter};
use crate::story;
use crate::town::{Answer, REDIRECT_URI, URL};

/// A page in Vietnamese first that says why it does not go on.
#[track_caller]
fn stops(answer: &Answer, status: u16, text: &str) {
    let page = std::str::from_utf8(&answer.bytes).unwrap();
    assert_eq!(answer.status.as_u16(), status, "{page}");
    assert!(page.contains(text) && page.contains("<p id=\"error\" role=\"alert\">"), "{page}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    assert!(answer.headers.get("location").is_none());
}

story! {
    async fn a_sign_in_of_level_1_or_none_gives_no_session(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let browser = office.browser();
        let vneid = browser.get(&authorize(&wallet)).await;
        let callback = office.vneid.signs_in(vneid.header("location"), PERSON, 1).await;
        let landing = wallet.landing(browser.get(&callback).await);
        assert_eq!((landing.error(), landing.0["state"].as_str()), ("access_denied", "the state & more"));
        let vneid = browser.get(&authorize(&wallet)).await;
        let denied = office.vneid.denies(vneid.header("location")).await;
        assert_eq!(wallet.landing(browser.get(&denied).await).error(), "access_denied");
        // A no is final.
        stops(&browser.get(&denied).await, 400, "Lần đăng nhập này không tồn tại");
        // A browser by itself is told on a page.
        let vneid = browser.get("/api/v1/me/sign-in?return_to=/").await;
        let callback = office.vneid.signs_in(vneid.header("location"), PERSON, 1).await;
        stops(&browser.get(&callback).await, 403, "mức độ 2");
        assert!(!browser.cookies.lock().unwrap().contains_key("me"));
    }
}

story! {
    async fn a_code_is_good_once_for_its_wallet_and_its_verifier(town) {
        let office = Office::open(town).await;
        let (wallet, other) = (office.wallet(), office.second_wallet());
        let fresh = async || lands(&office, &wallet, PERSON).await.code();
        let code = fresh().await;
        assert_eq!(redeem(&wallet, &code).anonymous().send().await.error(401), "invalid_client");
        assert_eq!(redeem(&other, &code).with("redirect_uri", REDIRECT_URI).send().await.error(400), "invalid_grant");
        let answer = redeem(&wallet, &code).send().await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let token = answer.expect(200)["access_token"].as_str().unwrap().to_owned();
        let me = Me { town: &office.town, token };
        let session = me.get("/session").await.expect(200);
        let now = office.town.clock.now();
        assert_eq!(session, json!({"way": "sign_in", "signed_in_at": now, "expires_at": now + 900, "fresh_until": now + 300}));
        // Who brings the code again shows that it was stolen: the session ends.
        assert_eq!(redeem(&wallet, &code).send().await.error(400), "invalid_grant");
        assert_eq!(me.get("/session").await.problem(401), "invalid-token");
        for (name, value) in [("code_verifier", "x".repeat(43)), ("redirect_uri", "https://wallet.example/other".into())] {
            let code = fresh().await;
            assert_eq!(redeem(&wallet, &code).with(name, value).send().await.error(400), "invalid_grant", "{name}");
            // And it is used by that.
            assert_eq!(redeem(&wallet, &code).send().await.error(400), "invalid_grant", "{name}");
        }
        let late = fresh().await;
        office.town.clock.advance(61);
        assert_eq!(redeem(&wallet, &late).send().await.error(400), "invalid_grant");
        assert_eq!(redeem(&wallet, "x").with("grant_type", "refresh_token").with("refresh_token", "x").send().await.error(400), "unsupported_grant_type");
        // A code for a card is none for a session, nor the other way round.
        let card_code = wallet.code(PERSON).await;
        assert_eq!(redeem(&wallet, &card_code).send().await.error(400), "invalid_grant");
        assert_eq!(wallet.redeem(&fresh().await).send().await.error(400), "invalid_grant");
    }
}

story! {
    async fn a_sign_in_stays_in_its_browser_and_goes_where_it_is_registered(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let (browser, stranger) = (office.browser(), office.browser());
        let vneid = browser.get(&authorize(&wallet)).await;
        let callback = office.vneid.signs_in(vneid.header("location"), PERSON, 2).await;
        stops(&stranger.get(&callback).await, 400, "trình duyệt khác");
        wallet.landing(browser.get(&callback).await).code();
        stops(&browser.get(&callback).await, 400, "không tồn tại");
        // The callback of the one sign-in is not that of the other.
        let vneid = browser.get(&authorize(&wallet)).await;
        let callback = office.vneid.signs_in(vneid.header("location"), PERSON, 2).await;
        let crossed = browser.get(&callback.replace("/me/callback", "/sign-in/callback")).await;
        assert_eq!(crossed.status, 400);
        for wrong in [
            authorize(&wallet).replace("client_id=vneid", "client_id=nobody"),
            authorize(&wallet).replace("wallet.example", "evil.example"),
            authorize(&wallet).replace("S256", "plain"),
            authorize(&wallet).replace("response_type=code", "response_type=token"),
            authorize(&wallet) + "&state=again",
            "/api/v1/me/authorize".into(),
        ] {
            stops(&browser.get(&wrong).await, 400, "không hợp lệ");
        }
        for elsewhere in ["//evil.example", "https%3A%2F%2Fevil.example", "%2F%5Cevil.example", "", "x"] {
            stops(&browser.get(&format!("/api/v1/me/sign-in?return_to={elsewhere}")).await, 400, "không hợp lệ");
        }
        assert_eq!(browser.head(&authorize(&wallet)).await.status, 405);
    }
}

/// A request of a browser that has a session's cookie.
async fn with_cookie(browser: &Browser<'_>, method: &str, path: &str, origin: Option<&str>, body: Value) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(origin) = origin {
        request = request.header(header::ORIGIN, origin);
    }
    browser.send(request, if body.is_null() { String::new() } else { body.to_string() }).await
}

story! {
    async fn a_browser_has_a_cookie_that_no_other_site_can_use(town) {
        let office = Office::open(town).await;
        let browser = office.browser();
        let vneid = browser.get("/api/v1/me/sign-in?return_to=/me%3Ftab%3Dcards").await;
        let callback = office.vneid.signs_in(vneid.header("location"), PERSON, 2).await;
        let answer = browser.get(&callback).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, format!("{URL}/me?tab=cards").as_str()));
        let mut cookies = answer.headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap());
        let cookie = cookies.find(|line| line.starts_with("me=")).unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
        let seen = browser.get("/api/v1/me").await.expect(200);
        let record = seen["records"][0]["record"].clone();
        let change = json!({"record": record, "changes": {"email": "a@b.vn"}});
        for origin in [None, Some("https://evil.example"), Some("null"), Some("http://127.0.0.1:8081")] {
            let answer = with_cookie(&browser, "POST", "/api/v1/me/proposals", origin, change.clone()).await;
            assert_eq!(answer.problem(403), "foreign-origin", "{origin:?}");
        }
        with_cookie(&browser, "POST", "/api/v1/me/proposals", Some(URL), change).await.expect(201);
        let answer = with_cookie(&browser, "DELETE", "/api/v1/me/session", None, Value::Null).await;
        assert_eq!(answer.problem(403), "foreign-origin");
        with_cookie(&browser, "DELETE", "/api/v1/me/session", Some(URL), Value::Null).await.expect(204);
        assert_eq!(browser.get("/api/v1/me").await.problem(401), "invalid-token");
        // Neither a program's token nor nothing at all.
        let program = office.town.officer("vneid").await;
        assert_eq!(program.get("/api/v1/me").await.problem(401), "invalid-token");
        assert_eq!(office.town.get("/api/v1/me").await.problem(401), "invalid-token");
        let me = Me::signs_in(&office, PERSON).await;
        let as_program = Request::get("/api/v1/events").header(header::AUTHORIZATION, format!("Bearer {}", me.token));
        assert_eq!(office.town.send(as_program.body(axum::body::Body::empty()).unwrap()).await.problem(401), "invalid-token");
        office.town.clock.advance(901);
        assert_eq!(me.get("").await.problem(401), "invalid-token");
    }
}

/// Begins a sign-in with the card.
async fn begins(office: &Office, wallet: &CodeWallet<'_>) -> Value {
    let body =
        json!({"client_id": wallet.client_id, "redirect_uri": wallet.redirect_uri, "code_challenge": challenge()});
    let request = Request::post("/api/v1/me/presentations").header(header::CONTENT_TYPE, "application/json");
    office.town.send(request.body(body.to_string().into()).unwrap()).await.expect(201)
}

/// The link to the wallet on a page.
fn wallet_link(page: &Answer) -> String {
    let text = std::str::from_utf8(&page.bytes).unwrap();
    let (_, rest) = text.split_once("id=\"open-wallet\" class=\"button\" href=\"").unwrap();
    rest.split('"').next().unwrap().replace("&amp;", "&")
}

fn exchange<'a>(wallet: &'a CodeWallet<'a>, made: &Value, code: &str) -> Draft<'a> {
    let fields = [
        ("grant_type", "urn:officials-card:grant-type:presentation"),
        ("presentation", made["id"].as_str().unwrap()),
        ("response_code", code),
        ("code_verifier", VERIFIER),
    ];
    Draft::form(wallet, "/api/v1/me/token", &fields)
}

/// The person presents in this browser; the code that it brings to the wallet product.
async fn presents(
    office: &Office,
    wallet: &CodeWallet<'_>,
    browser: &Browser<'_>,
    presenter: &Presenter,
    made: &Value,
) -> String {
    let page = browser.opens(made["page"].as_str().unwrap()).await;
    let answer = presenter.present(&office.town, &wallet_link(&page)).await.expect(200);
    let back = browser.get(answer["redirect_uri"].as_str().unwrap()).await;
    let (_, query) =
        back.header("location").strip_prefix(wallet.redirect_uri.as_str()).unwrap().split_once('?').unwrap();
    let pair = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "response_code").unwrap();
    pair.1.into_owned()
}

story! {
    async fn the_card_itself_opens_its_holders_record_once(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        let product = office.wallet();
        for format in ["official-card-sdjwt", "official-card-mdoc"] {
            let holder = office.town.wallet();
            let credential = holder.card(&officer, PERSON, format).await;
            let kept = if format.ends_with("sdjwt") {
                Kept::sd_jwt(&credential, holder.key)
            } else {
                Kept::mdoc(&credential, holder.key, office.town.clock.now())
            };
            let presenter = Presenter::new(Anchors::from_pem(office.town.service.anchor_pem()).unwrap(), vec![kept]);
            let (made, browser) = (begins(&office, &product).await, office.browser());
            assert_eq!(exchange(&product, &made, "x").send().await.error(400), "invalid_request");
            let code = presents(&office, &product, &browser, &presenter, &made).await;
            // The verifier of who began, the code that the browser brought, and the product: all three.
            assert_eq!(exchange(&product, &made, &code).with("code_verifier", "y".repeat(43)).send().await.error(400), "invalid_grant");
            assert_eq!(exchange(&product, &made, "x").send().await.error(400), "invalid_request");
            assert_eq!(exchange(&product, &made, &code).anonymous().send().await.error(401), "invalid_client");
            let other = office.second_wallet();
            assert_eq!(exchange(&other, &made, &code).send().await.error(400), "invalid_grant");
            let token = exchange(&product, &made, &code).send().await.expect(200)["access_token"].as_str().unwrap().to_owned();
            assert_eq!(exchange(&product, &made, &code).send().await.error(400), "invalid_grant");
            let me = Me { town: &office.town, token };
            assert_eq!(me.get("/session").await.expect(200)["way"], "card");
            let seen = me.get("").await.expect(200);
            assert_eq!(seen["person"]["personal_id_number"], PERSON);
            let card = seen["cards"][0]["card"].as_str().unwrap();
            // A card freezes itself and does not vouch for its own return.
            me.post(&format!("/cards/{card}/freeze"), json!({"reason": "device_change"})).await.expect(200);
            assert_eq!(me.post(&format!("/cards/{card}/unfreeze"), json!({})).await.problem(403), "assurance-too-low");
            // Frozen, it opens nothing.
            let (made, browser) = (begins(&office, &product).await, office.browser());
            let page = browser.opens(made["page"].as_str().unwrap()).await;
            assert_eq!(presenter.present(&office.town, &wallet_link(&page)).await.error(400), "invalid_request");
            let me = Me::signs_in(&office, PERSON).await;
            me.post(&format!("/cards/{card}/unfreeze"), json!({})).await.expect(200);
        }
    }
}

/// Somebody who has the device presents its card and signs in, but has redeemed neither; then the owner freezes the card.
/// Nothing comes of either, and the owner can sign in.
async fn freezes_between(office: &Office, seconds: i64) {
    let (product, holder) = (office.wallet(), office.town.wallet());
    let officer = office.town.officer("vneid").await;
    let credential = holder.card(&officer, PERSON, "official-card-sdjwt").await;
    let me = Me::signs_in(office, PERSON).await;
    let card = me.get("").await.expect(200)["cards"][0]["card"].as_str().unwrap().to_owned();
    office.town.imports_as("other", PERSON, "H29", "001", "active").await;
    office.town.matches_and_confirms("H29").await;
    if seconds > 0 {
        // A card of another unit is in force all the time.
        let other = json!({"personal_id_number": PERSON, "assurance_level": 2, "unit": "H29"});
        officer.post("/api/v1/offers", other).await.expect(201);
    }
    let anchors = Anchors::from_pem(office.town.service.anchor_pem()).unwrap();
    let presenter = Presenter::new(anchors, vec![Kept::sd_jwt(&credential, holder.key)]);
    let (made, browser) = (begins(office, &product).await, office.browser());
    let presented = presents(office, &product, &browser, &presenter, &made).await;
    let signed_in = lands(office, &product, PERSON).await.code();
    office.town.clock.advance(seconds);
    me.post(&format!("/cards/{card}/freeze"), json!({"reason": "stolen"})).await.expect(200);
    assert_eq!(exchange(&product, &made, &presented).send().await.error(400), "invalid_grant");
    assert_eq!(redeem(&product, &signed_in).send().await.error(400), "invalid_grant");
    Me::signs_in(office, PERSON).await.get("").await.expect(200);
}

story! {
    async fn a_freeze_ends_what_is_about_to_become_a_session(town) {
        freezes_between(&Office::open(town).await, 0).await;
    }
}

story! {
    async fn a_freeze_of_one_of_several_cards_ends_what_is_about_to_become_a_session(town) {
        freezes_between(&Office::open(town).await, 1).await;
    }
}

story! {
    async fn nobody_but_this_service_asks_with_its_template(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        let answer = officer.post("/api/v1/presentations", json!({"template": "self-service"})).await;
        assert_eq!(answer.problem(400), "invalid-request");
        let product = office.wallet();
        let made = begins(&office, &product).await;
        let answer = officer.get(&format!("/api/v1/presentations/{}", made["id"].as_str().unwrap())).await;
        assert_eq!(answer.problem(404), "not-found");
        for (member, value) in [
            ("client_id", "nobody"), ("redirect_uri", "https://evil.example"), ("code_challenge", "short"),
        ] {
            let mut body = json!({"client_id": product.client_id, "redirect_uri": product.redirect_uri, "code_challenge": challenge()});
            body[member] = json!(value);
            let request = Request::post("/api/v1/me/presentations").header(header::CONTENT_TYPE, "application/json");
            let answer = office.town.send(request.body(body.to_string().into()).unwrap()).await;
            assert_eq!(answer.problem(400), "invalid-request", "{member}");
        }
        let mut config = office.town.service.config.clone();
        config.clients[0].name = "self-service".into();
        let renamed = office.town.configured(|own| *own = config);
        assert!(renamed.service.check_settings().is_err());
    }
}

story! {
    async fn whose_record_it_is_is_who_signed_in(town) {
        let office = Office::open(town).await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let (wallet, browser) = (office.wallet(), office.browser());
        // A code that one person signed in for, brought to another's browser, is still theirs alone.
        let vneid = browser.get(&authorize(&wallet)).await;
        let callback = office.vneid.signs_in(vneid.header("location"), NEIGHBOUR, 2).await;
        let landing: Landing = wallet.landing(browser.get(&callback).await);
        let token = redeem(&wallet, &landing.code()).send().await.expect(200)["access_token"].as_str().unwrap().to_owned();
        let me = Me { town: &office.town, token };
        assert_eq!(me.get("").await.expect(200)["person"]["personal_id_number"], NEIGHBOUR);
        // Somebody without a record sees that there is none.
        let nobody = Me::signs_in(&office, "001199000777").await;
        let seen = nobody.get("").await.expect(200);
        assert_eq!((&seen["records"], &seen["cards"], &seen["person"]["full_name"]), (&json!([]), &json!([]), &Value::Null));
        assert_eq!(nobody.get("/access").await.expect(200), json!({"items": [], "next": null}));
        nobody.get("/export").await.expect(200);
        let query = form(&[("return_to", "/x")]);
        assert_eq!(office.browser().get(&format!("/api/v1/me/sign-in?{query}")).await.status, 303);
    }
}
