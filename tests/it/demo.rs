//! The routes of the demo: an offer for whoever asks, on this machine and in demo mode only.

use axum::body::Body;
use axum::http::{Request, header};

use crate::story;
use crate::town::URL;

const PERSON: &str = "001199000018";
const ROUTES: [(&str, &str); 4] =
    [("POST", "/demo/offers"), ("GET", "/demo/wallet"), ("GET", "/demo/wallet/"), ("GET", "/demo/wallet/index.html")];

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

story! {
    async fn without_the_mode_nothing_of_it_exists(town) {
        town.hires(PERSON, "H26").await;
        for (method, path) in ROUTES {
            assert_eq!(town.send(request(method, path)).await.problem(404), "not-found", "{path}");
        }
    }
}

story! {
    async fn in_the_mode_somebody_of_the_sample_gets_an_offer(town) {
        let town = town.configured(|config| config.demo = true);
        assert_eq!(town.send(request("POST", "/demo/offers")).await.problem(404), "not-found", "nobody is verified yet");
        town.hires(PERSON, "H26").await;
        let answer = town.send(request("POST", "/demo/offers")).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let offer = answer.expect(201);
        let wallet = town.wallet();
        let code = wallet.code(&offer).await;
        wallet.redeem(&code, offer["tx_code"].as_str().unwrap()).await.expect(200);

        // A page of somebody else's, by whatever name it reaches this machine.
        let from = |origin: &str| {
            Request::post("/demo/offers").header(header::ORIGIN, origin).body(Body::empty()).unwrap()
        };
        town.send(from(URL)).await.expect(201);
        for origin in ["http://attacker.example:8080", "null", "http://127.0.0.1:8081", "https://127.0.0.1:8080"] {
            town.send(from(origin)).await.problem(404);
        }
    }
}

story! {
    async fn a_link_keeps_what_it_brings_on_its_way_to_the_page(town) {
        let town = town.configured(|config| config.demo = true);
        for (path, location) in [
            ("/demo/wallet", "wallet/"),
            ("/demo/wallet?credential_offer_uri=http%3A%2F%2Fa", "wallet/?credential_offer_uri=http%3A%2F%2Fa"),
        ] {
            let answer = town.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (307, location));
        }
        town.get("/demo/wallet/assets/nothing.js").await.problem(404);
    }
}
