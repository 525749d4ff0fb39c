//! Those who ask too often: by address, as client, for one person. The others are served.

use axum::body::Body;
use axum::http::Request;
use officials_card::config::{ForwardedHeader, RateLimits};
use officials_card::http::Peer;
use serde_json::json;

use crate::story;
use crate::town::{Answer, Ground, Officer, Town};

const PERSON: &str = "001199000018";
const NEIGHBOUR: &str = "001199000019";

fn limited(town: &Town, limits: RateLimits) -> Town {
    town.configured(|config| config.rate_limits = limits)
}

async fn from(town: &Town, peer: &str, request: axum::http::request::Builder) -> Answer {
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer(peer.parse().unwrap()));
    town.send(request).await
}

async fn nonce_from(town: &Town, peer: &str) -> Answer {
    from(town, peer, Request::post("/nonce")).await
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_the_others_are_served() {
    let town = Town::on(Ground::Sqlite).await;
    let town = limited(&town, RateLimits { address_per_minute: 3, address_documents_per_minute: 5, ..RateLimits::OFF });
    for _ in 0..3 {
        nonce_from(&town, "192.0.2.1").await.expect(200);
    }
    let refused = nonce_from(&town, "192.0.2.1").await;
    assert_eq!(refused.header("retry-after"), "20");
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(refused.error(429), "temporarily_unavailable");
    nonce_from(&town, "192.0.2.2").await.expect(200);
    // In IPv6 form it is the same address; a subscriber's whole network is one.
    assert_eq!(nonce_from(&town, "::ffff:192.0.2.1").await.status, 429);
    for last in ["1", "ffff", "a:b:c:d"] {
        nonce_from(&town, &format!("2001:db8:0:1::{last}").replace("1::a:b:c:d", "1:a:b:c:d")).await.expect(200);
    }
    assert_eq!(nonce_from(&town, "2001:db8:0:1:9:9:9:9").await.status, 429);
    nonce_from(&town, "2001:db8:0:2::1").await.expect(200);

    // What costs nothing has a bound of its own, in the form of its own.
    for path in ["/health", "/.well-known/openid-credential-issuer", "/logo.svg", "/s", "/openapi.json"] {
        assert_eq!(from(&town, "192.0.2.1", Request::get(path)).await.status, 200, "{path}");
    }
    let refused = from(&town, "192.0.2.1", Request::get("/health")).await;
    assert_eq!(refused.header("retry-after"), "12");
    assert_eq!(refused.problem(429), "temporarily-unavailable");
    let readable = from(&town, "192.0.2.1", Request::get("/s").header("origin", "https://web.example")).await;
    assert_eq!((readable.status.as_u16(), readable.header("access-control-allow-origin")), (429, "*"));

    town.clock.advance(19);
    assert_eq!(nonce_from(&town, "192.0.2.1").await.header("retry-after"), "1");
    town.clock.advance(1);
    nonce_from(&town, "192.0.2.1").await.expect(200);
    assert_eq!(nonce_from(&town, "192.0.2.1").await.status, 429, "one comes back, not all");
    town.clock.advance(60);
    town.service.forget_idle_callers();
    for _ in 0..3 {
        nonce_from(&town, "192.0.2.1").await.expect(200);
    }
    assert_eq!(nonce_from(&town, "192.0.2.1").await.status, 429);
}

#[tokio::test]
async fn a_person_at_a_browser_gets_a_page() {
    let town = Town::on(Ground::Sqlite).await;
    let town = limited(&town, RateLimits { address_per_minute: 1, ..RateLimits::OFF });
    nonce_from(&town, "192.0.2.1").await.expect(200);
    let ask = |accept| Request::get("/offers/x").header("accept", accept);
    let page = from(&town, "192.0.2.1", ask("text/html,application/xhtml+xml,*/*;q=0.8")).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (429, "60"));
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(String::from_utf8_lossy(&page.bytes).contains("Hãy thử lại sau 60 giây."));
    assert_eq!(from(&town, "192.0.2.1", ask("*/*")).await.error(429), "temporarily_unavailable");
    // What only browsers use shows a page, whatever is asked for.
    for request in [Request::post("/authorize/x"), Request::get("/authorize"), Request::get("/sign-in/callback")] {
        let page = from(&town, "192.0.2.1", request).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (429, "text/html; charset=utf-8"));
        assert_eq!((page.header("retry-after"), page.header("cache-control")), ("60", "no-store"));
    }
}

#[tokio::test]
async fn without_a_bound_nobody_waits() {
    let town = Town::on(Ground::Sqlite).await;
    for _ in 0..50 {
        nonce_from(&town, "192.0.2.1").await.expect(200);
    }
}

#[tokio::test]
async fn a_proxy_is_believed_only_when_it_is_trusted() {
    let town = Town::on(Ground::Sqlite).await;
    for (by, header, value) in [
        (ForwardedHeader::XForwardedFor, "x-forwarded-for", ["203.0.113.9", "203.0.113.10"]),
        (ForwardedHeader::Forwarded, "forwarded", ["for=203.0.113.9", "for=203.0.113.10"]),
    ] {
        let town = town.configured(|config| {
            config.rate_limits = RateLimits { address_per_minute: 1, ..RateLimits::OFF };
            config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
            config.forwarded_header = by;
        });
        let ask = |peer, client: &str| from(&town, peer, Request::post("/nonce").header(header, client));
        ask("10.0.0.1", value[0]).await.expect(200);
        ask("10.0.0.1", value[1]).await.expect(200);
        assert_eq!(ask("10.0.0.2", value[0]).await.status, 429, "the same client through another proxy");
        // What a client writes itself stands to the left of what the proxy saw.
        let forged = format!("{}, {}", value[1].replace("10", "77"), value[0]);
        assert_eq!(ask("10.0.0.1", &forged).await.status, 429);
        // A stranger's word counts for nothing: it is the stranger who asks.
        ask("192.0.2.1", value[0]).await.expect(200);
        assert_eq!(ask("192.0.2.1", "203.0.113.99").await.status, 429);
    }
}

story! {
    async fn a_client_that_asks_too_often_waits_and_the_others_are_served(town) {
        let tokens = [town.officer("vneid").await.token, town.officer("reader").await.token];
        let limited = limited(&town, RateLimits { client_per_minute: 2, ..RateLimits::OFF });
        let [vneid, reader] = tokens.map(|token| Officer { town: &limited, token });
        let search = json!({"personal_id_number": PERSON});
        for _ in 0..2 {
            vneid.post("/api/v1/cards/search", search.clone()).await.expect(200);
        }
        let refused = vneid.post("/api/v1/cards/search", search.clone()).await;
        assert_eq!(refused.header("retry-after"), "30");
        assert_eq!(refused.problem(429), "temporarily-unavailable");
        reader.post("/api/v1/cards/search", search.clone()).await.expect(200);
        // Who is nobody uses up nobody's allowance.
        let stranger = Officer { town: &limited, token: "made-up".into() };
        for _ in 0..3 {
            assert_eq!(stranger.post("/api/v1/cards/search", search.clone()).await.problem(401), "invalid-token");
        }
        reader.post("/api/v1/cards/search", search.clone()).await.expect(200);
        limited.clock.advance(30);
        vneid.post("/api/v1/cards/search", search).await.expect(200);
    }
}

story! {
    async fn offers_for_one_person_are_bounded(town) {
        town.hires(PERSON, "H26").await;
        town.hires(NEIGHBOUR, "G09").await;
        let tokens = [town.officer("vneid").await.token, town.officer("hanoi").await.token];
        let limited = limited(&town, RateLimits { person_per_hour: 2, ..RateLimits::OFF });
        let [nation, hanoi] = tokens.map(|token| Officer { town: &limited, token });
        let ask = |person: &str| json!({"personal_id_number": person, "assurance_level": 2});
        // A unit that may not see a person cannot use up the person's offers.
        for _ in 0..3 {
            assert_eq!(hanoi.post("/api/v1/offers", ask(NEIGHBOUR)).await.problem(409), "not-verified");
        }
        nation.offer(NEIGHBOUR).await;
        for _ in 0..2 {
            nation.offer(PERSON).await;
        }
        let refused = nation.post("/api/v1/offers", ask(PERSON)).await;
        assert_eq!(refused.header("retry-after"), "1800");
        assert!(!String::from_utf8_lossy(&refused.bytes).contains(PERSON));
        assert_eq!(refused.problem(429), "temporarily-unavailable");
        nation.offer(NEIGHBOUR).await;
        limited.clock.advance(1800);
        nation.offer(PERSON).await;
    }
}
