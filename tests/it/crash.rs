//! The server is killed (SIGKILL) again and again while wallets fetch their cards: every wallet ends with one copy, no
//! two copies share a status entry, and each person has one card.

use std::collections::HashSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use officials_card::credential::sd_jwt::Presentation;
use officials_card::credential::{Signer, jws};
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use officials_card::model::card::Selector;
use officials_card::model::id::PersonalNumber;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::story;
use crate::town::{Town, client_key};

const PEOPLE: [&str; 3] = ["001199000018", "001199000019", "001199000020"];
const WALLETS: usize = 12;
const KILLS: u32 = 4;
/// A real process needs real time; this is the step in which the test looks again.
const LOOK: Duration = Duration::from_millis(20);
/// After so many looks something is wrong.
const PATIENCE: usize = 1500;

/// The real program on the town's database.
struct Server {
    config: String,
    url: String,
}

impl Server {
    fn new(town: &Town) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (url, jwk) = (format!("http://{free}"), client_key().public_key().to_jwk());
        let text = format!(
            "listen = \"{free}\"\npublic_url = \"{url}\"\ndatabase_url = {database:?}\nkeys = \"{keys}\"\nlog = \"error\"\n\
             [[clients]]\nname = \"vneid\"\nscopes = [\"offers:create\"]\n\
             jwks = {{ keys = [{{ kty = \"EC\", crv = \"P-256\", x = {x}, y = {y} }}] }}\n",
            database = town.database_url,
            keys = Town::folder_of_keys().display(),
            x = jwk["x"],
            y = jwk["y"],
        );
        let config = town.write("crash.toml", &text);
        Self { config, url }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_officials-card"));
        command.args(["--config", &self.config]).kill_on_drop(true);
        command
    }

    async fn start(&self) -> Child {
        let child = self.command().arg("serve").stdout(Stdio::null()).spawn().unwrap();
        for _ in 0..PATIENCE {
            if reqwest::get(format!("{}/health", self.url)).await.is_ok_and(|answer| answer.status() == 200) {
                return child;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("the server did not start");
    }

    async fn token(&self) -> String {
        let output = self.command().args(["token", "--client", "vneid"]).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A wallet that repeats what it gets no answer to.
struct Patient {
    server: Arc<Server>,
    http: reqwest::Client,
}

impl Patient {
    /// Sends until there is an answer with one of these statuses.
    async fn ask(&self, statuses: &[u16], request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder) -> Value {
        for _ in 0..PATIENCE {
            if let Ok(answer) = request(&self.http).send().await
                && statuses.contains(&answer.status().as_u16())
                && let Ok(answer) = answer.json().await
            {
                return answer;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("no answer");
    }

    /// From a person to a credential, whatever happens to the server.
    async fn fetch(&self, number: usize, token: &str) -> String {
        let url = &self.server.url;
        let person = PEOPLE[number % PEOPLE.len()];
        let ask = json!({"personal_id_number": person, "assurance_level": 2});
        let offer = self
            .ask(&[201], |http| {
                let request = http.post(format!("{url}/api/v1/offers")).bearer_auth(token).json(&ask);
                request.header("Idempotency-Key", number.to_string())
            })
            .await;
        let by_reference = offer["credential_offer_uri"].as_str().unwrap();
        let grants = self.ask(&[200], |http| http.get(by_reference)).await;
        let grant = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
        let form = [
            ("grant_type", grant),
            ("pre-authorized_code", grants["grants"][grant]["pre-authorized_code"].as_str().unwrap()),
            ("tx_code", offer["tx_code"].as_str().unwrap()),
        ];
        // A lost answer: the code may be redeemed again after a moment, as long as its token was not used.
        let answer = self.ask(&[200], |http| http.post(format!("{url}/token")).form(&form)).await;
        let wallet_token = answer["access_token"].as_str().unwrap();
        let nonce = self.ask(&[200], |http| http.post(format!("{url}/nonce"))).await;
        let key = FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap();
        let now = officials_card::clock::Clock::system().now();
        let payload = json!({"aud": url, "iat": now, "nonce": nonce["c_nonce"]});
        let header = jws::header(&key, "openid4vci-proof+jwt", json!({"jwk": key.public_key().to_jwk()}));
        let proof = jws::sign(&key, &header, payload.to_string().as_bytes()).unwrap();
        let request = json!({"credential_configuration_id": "official-card-sdjwt", "proofs": {"jwt": [proof]}});
        let issued = self
            .ask(&[200], |http| http.post(format!("{url}/credential")).bearer_auth(wallet_token).json(&request))
            .await;
        let credential = issued["credentials"][0]["credential"].as_str().unwrap().to_owned();
        let parts: Vec<_> = credential.split('.').collect();
        let signed: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(signed["cnf"]["jwk"], key.public_key().to_jwk());
        credential
    }
}

story! {
    async fn wallets_get_their_cards_from_a_server_that_is_killed(town) {
        for person in PEOPLE {
            town.hires(person, "H26").await;
        }
        let server = Arc::new(Server::new(&town));
        let token = server.token().await;
        let patient = Patient { server: Arc::clone(&server), http: reqwest::Client::new() };
        let killer = async {
            for at in 0..KILLS {
                let mut child = server.start().await;
                tokio::time::sleep(LOOK * (1 + at)).await;
                child.kill().await.unwrap();
            }
            server.start().await
        };
        let fetching = join_all((0..WALLETS).map(|number| patient.fetch(number, &token)));
        let (last, credentials) = tokio::join!(killer, fetching);
        drop(last);
        let places: HashSet<_> = credentials
            .iter()
            .map(|credential| {
                let status = Presentation::parse(credential).unwrap().claimed_status().unwrap();
                (status.uri, status.index)
            })
            .collect();
        assert_eq!(places.len(), WALLETS);
        for person in PEOPLE {
            let person = Selector::Person(PersonalNumber::parse(person).unwrap());
            assert_eq!(town.service.store().cards(&person, 10).await.unwrap().len(), 1);
        }
    }
}
