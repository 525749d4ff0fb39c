//! Programs: who may call what, and what bad input gets.

use axum::http::{Request, header};
use officials_card::credential::jws;
use serde_json::{Value, json};

use crate::story;
use crate::town::{Town, URL, client_key};

const PERSON: &str = "001199000018";

fn assertion(payload: &Value) -> String {
    let header = jws::header(client_key(), "JWT", Value::Null);
    jws::sign(client_key(), &header, payload.to_string().as_bytes()).unwrap()
}

fn claims(town: &Town, jti: &str) -> Value {
    json!({"iss": "vneid", "sub": "vneid", "aud": URL, "jti": jti, "exp": town.clock.now() + 60})
}

async fn authenticate(town: &Town, payload: &Value, scope: &str) -> crate::town::Answer {
    let form = format!(
        "grant_type=client_credentials&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer\
         &client_assertion={}&scope={scope}",
        assertion(payload)
    );
    town.wallet().form("/token", form).await
}

story! {
    async fn a_program_authenticates_by_its_key(town) {
        let answer = authenticate(&town, &claims(&town, "1"), "cards:read").await.expect(200);
        assert_eq!((answer["token_type"].as_str(), answer["scope"].as_str()), (Some("Bearer"), Some("cards:read")));
        let token = answer["access_token"].as_str().unwrap().to_owned();
        let officer = crate::town::Officer { town: &town, token };
        let search = json!({"personal_id_number": PERSON});
        assert_eq!(officer.post("/api/v1/cards/search", search.clone()).await.expect(200), json!({"cards": []}));
        assert_eq!(officer.post("/api/v1/offers", json!({"personal_id_number": PERSON, "assurance_level": 2})).await.problem(403), "insufficient-scope");
        assert_eq!(authenticate(&town, &claims(&town, "1"), "").await.error(401), "invalid_client", "a jti serves once");
        let with = |member: &str, value: Value| {
            let mut payload = claims(&town, member);
            payload[member] = value;
            payload
        };
        for payload in [
            with("aud", json!(format!("{URL}/token"))),
            with("aud", json!([URL])),
            with("iss", json!("other")),
            with("sub", json!("other")),
            with("exp", json!(town.clock.now() - 1)),
            with("exp", json!(town.clock.now() + 3600)),
            with("nbf", json!(town.clock.now() + 3600)),
            with("jti", json!("")),
        ] {
            assert_eq!(authenticate(&town, &payload, "").await.error(401), "invalid_client", "{payload}");
        }
        assert_eq!(authenticate(&town, &claims(&town, "2"), "everything").await.error(400), "invalid_scope");
        town.clock.advance(301);
        let late = officer.post("/api/v1/cards/search", search).await;
        assert_eq!(late.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        assert_eq!(late.problem(401), "invalid-token");
    }
}

story! {
    async fn a_unit_sees_and_touches_its_own_cards_only(town) {
        town.hires(PERSON, "H26").await;
        town.hires("001199000019", "G09").await;
        let (nation, hanoi, reader) = (town.officer("vneid").await, town.officer("hanoi").await, town.officer("reader").await);
        let own = nation.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let foreign = nation.offer("001199000019").await["card"].as_str().unwrap().to_owned();
        hanoi.get(&format!("/api/v1/cards/{own}")).await.expect(200);
        assert_eq!(hanoi.get(&format!("/api/v1/cards/{foreign}")).await.problem(404), "not-found");
        assert_eq!(hanoi.step(&foreign, "lock", "lost").await.problem(404), "not-found");
        assert_eq!(hanoi.post("/api/v1/cards/withdraw", json!({"unit": "G09", "reason": "retired"})).await.problem(403), "foreign-unit");
        assert_eq!(hanoi.post("/api/v1/cards/withdraw", json!({"unit": "H261", "reason": "retired"})).await.problem(403), "foreign-unit");
        let found = hanoi.post("/api/v1/cards/search", json!({"personal_id_number": "001199000019"})).await.expect(200);
        assert_eq!(found, json!({"cards": []}));
        assert_eq!(reader.step(&own, "lock", "lost").await.problem(403), "insufficient-scope");
        hanoi.step(&own, "lock", "lost").await.expect(200);
        let nobody = town.get(&format!("/api/v1/cards/{own}")).await;
        assert_eq!(nobody.header("www-authenticate"), "Bearer", "no error code without credentials");
        assert_eq!(nobody.problem(401), "invalid-token");
    }
}

story! {
    async fn bad_input_is_told_what_and_where(town) {
        let officer = town.officer("vneid").await;
        for (body, place) in [
            (json!({"personal_id_number": "12", "assurance_level": 2}), "body.personal_id_number"),
            (json!({"personal_id_number": PERSON, "assurance_level": "two"}), "body.assurance_level"),
            (json!({"personal_id_number": PERSON}), "missing field `assurance_level`"),
            (json!({"personal_id_number": PERSON, "assurance_level": 2, "x": 1}), "a member that is not known"),
            (json!({"personal_id_number": PERSON, "assurance_level": 2, "configurations": ["x"]}), "body.configurations[0]"),
            (json!([]), "body"),
        ] {
            let answer = officer.post("/api/v1/offers", body.clone()).await;
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(place), "{body}: {detail}");
            assert!(!detail.contains(PERSON) && !detail.contains("two"), "no value is repeated: {detail}");
            assert_eq!(answer.problem(400), "invalid-request");
        }
        let send = |content_type: &str, body: String| {
            Request::post("/api/v1/offers")
                .header(header::AUTHORIZATION, format!("Bearer {}", officer.token))
                .header(header::CONTENT_TYPE, content_type)
                .body(body.into())
                .unwrap()
        };
        assert_eq!(town.send(send("text/plain", "{}".into())).await.problem(400), "invalid-request");
        assert_eq!(town.send(send("application/json", "{".into())).await.problem(400), "invalid-request");
        assert_eq!(town.send(send("application/json", " ".repeat(256 * 1024 + 1))).await.problem(413), "too-much");
        assert_eq!(town.get("/nowhere").await.problem(404), "not-found");
        assert_eq!(town.get("/api/v1/offers").await.problem(405), "method-not-allowed");
    }
}

story! {
    async fn a_web_page_may_ask_for_a_verdict(town) {
        let request = Request::options("/api/v1/verify")
            .header(header::ORIGIN, "https://gate.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = town.send(request).await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-headers"), "*");
        let closed = Request::options("/api/v1/offers").body(axum::body::Body::empty()).unwrap();
        assert_eq!(town.send(closed).await.problem(405), "method-not-allowed");
    }
}

story! {
    async fn every_refusal_of_the_api_is_a_problem_document(town) {
        let officer = town.officer("vneid").await;
        assert_eq!(town.get("/s/x").await.problem(404), "not-found");
        assert_eq!(town.get("/offers/a%00b").await.problem(404), "not-found");
        for query in ["scale=abc", "scale=0", "foo=1", "width_mm=inf", "width_mm=1e400"] {
            let path = format!("/api/v1/cards/0123456789ABCDEF/badge.png?{query}");
            assert_eq!(officer.get(&path).await.problem(400), "invalid-request", "{query}");
        }
        let reason = officer.step("0123456789ABCDEF", "lock", "because").await;
        let detail = reason.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("body.reason: must be one of `lost`"), "{detail}");
        assert!(!detail.contains("because"));
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 255});
        assert_eq!(officer.post("/api/v1/offers", ask).await.problem(400), "invalid-request");
        let twice = json!({"personal_id_number": PERSON, "assurance_level": 2, "configurations": ["official-card-qr", "official-card-qr"]});
        assert_eq!(officer.post("/api/v1/offers", twice).await.problem(400), "invalid-request");
    }
}

story! {
    async fn a_wallet_that_authenticates_is_checked_and_named(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let offer = town.officer("vneid").await.offer(PERSON).await;
        let code = wallet.code(&offer).await;
        let form = |assertion: &str| {
            format!(
                "grant_type=urn:ietf:params:oauth:grant-type:pre-authorized_code&pre-authorized_code={code}&tx_code={}\
                 &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={assertion}",
                offer["tx_code"].as_str().unwrap()
            )
        };
        assert_eq!(wallet.form("/token", form("a.b.c")).await.error(401), "invalid_client");
        let answer = wallet.form("/token", form(&assertion(&claims(&town, "w1")))).await.expect(200);
        let token = answer["access_token"].as_str().unwrap();
        let nonce = wallet.nonce().await;
        let request = |issuer: &str| {
            let payload = json!({"iss": issuer, "aud": URL, "iat": town.clock.now(), "nonce": nonce});
            crate::town::Wallet::request("official-card-sdjwt", &[crate::town::proof_by(&wallet.key, payload)])
        };
        assert_eq!(wallet.post("/credential", token, &request("reader")).await.error(400), "invalid_proof");
        wallet.post("/credential", token, &request("vneid")).await.expect(200);
    }
}

story! {
    async fn operators_see_health_readiness_and_metrics(town) {
        officials_card::http::start_metrics().unwrap();
        town.hires(PERSON, "H26").await;
        town.officer("vneid").await.offer(PERSON).await;
        town.get("/health").await.expect(200);
        let ready = town.get("/ready").await;
        assert!(!ready.header("x-request-id").is_empty());
        assert_eq!(ready.expect(200)["checks"], json!({"database": true, "keys": true, "trust_list": true, "status_lists": true}));
        let metrics = town.get("/metrics").await;
        let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
        assert!(text.contains("http_requests_total{") && text.contains("officials_cards{state=\"active\"}"), "{text}");
        town.clock.advance(10 * 366 * 86400);
        assert_eq!(town.get("/ready").await.expect(503)["checks"]["keys"], false, "certificates are over");
    }
}

/// An SQLite file stays open when it is deleted: only a server can go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_database_is_gone_is_not_ready() {
    use sqlx::ConnectOptions;
    let town = Town::on(crate::town::Ground::Postgres).await;
    let checks = async || serde_json::from_slice::<serde_json::Value>(&town.get("/ready").await.bytes).unwrap();
    assert_eq!(checks().await["checks"]["database"], true);
    let name = town.database_url.split_once("?host=").unwrap().0.rsplit('/').next().unwrap();
    let server = std::env::var("OFFICIALS_CARD_TEST_POSTGRES").unwrap();
    let options: sqlx::any::AnyConnectOptions = server.parse().unwrap();
    let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::query(drop).execute(&mut options.connect().await.unwrap()).await.unwrap();
    let ready = town.get("/ready").await.expect(503);
    assert_eq!((&ready["ready"], &ready["checks"]["database"]), (&json!(false), &json!(false)));
}

story! {
    async fn the_audit_table_only_grows(town) {
        town.hires(PERSON, "H26").await;
        town.officer("vneid").await.offer(PERSON).await;
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        let count = || async { sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM audit").fetch_one(&pool).await.unwrap() };
        let before = count().await;
        assert!(before >= 4);
        assert!(sqlx::query("UPDATE audit SET actor = 'nobody'").execute(&pool).await.is_err());
        assert!(sqlx::query("DELETE FROM audit").execute(&pool).await.is_err());
        assert_eq!(count().await, before);
        let personal: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE subject LIKE $1 OR detail LIKE $1 OR actor LIKE $1")
            .bind(format!("%{PERSON}%"))
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(personal, 0);
    }
}

story! {
    async fn cards_are_counted_once_for_many_scrapes(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        assert_eq!(town.service.count_cards().await.unwrap(), []);
        officer.offer(PERSON).await;
        town.clock.advance(14);
        assert_eq!(town.service.count_cards().await.unwrap(), []);
        town.clock.advance(1);
        assert_eq!(town.service.count_cards().await.unwrap(), [("active".to_owned(), 1)]);
    }
}
