//! The national population database: where it is, who we are there, and how much we may ask. What the service calls each
//! value stands beside it (domain dossier, section 5); the bounds are ours.

use serde::Deserialize;

use super::{Secret, is_loopback};

/// The national population database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Population {
    /// `OFFICIALS_CARD_POPULATION_URL`: where the service is reached, path and all; https except on loopback.
    pub url: String,
    /// `OFFICIALS_CARD_POPULATION_PATH`: the service path that is hashed; the path of the URL unless a gateway changes it.
    pub path: Option<String>,
    /// `OFFICIALS_CARD_POPULATION_USER`: the name that it knows us by.
    pub user: String,
    /// `OFFICIALS_CARD_POPULATION_SECRET`: what is hashed with the time of every request.
    pub secret: Secret,
    /// `OFFICIALS_CARD_POPULATION_API_KEY`: `ApiKey`, when the gateway before it wants one.
    pub api_key: Option<Secret>,
    /// `OFFICIALS_CARD_POPULATION_X_ROAD_CLIENT`: `X-Road-Client`, for example `VN/GOV/BNV/officials-card`.
    pub x_road_client: Option<String>,
    /// Whether the headers `ESB_SOURCE_TYPE` and `ESB_SOURCE_USERNAME` are sent with the user's name.
    pub esb_source: bool,
    /// How `Timestamp` is written.
    pub timestamp: Timestamp,
    /// `MaDVC`: the public service that we ask for.
    pub service_code: String,
    /// `MaTichHop` of the operation that verifies.
    pub verify_code: String,
    /// `MaTichHop` of the operation that looks up.
    pub look_up_code: String,
    /// `MaDonVi`: the unit that asks.
    pub unit: String,
    /// `TaiKhoan`: the account of the asking system.
    pub account: String,
    /// `SoDienThoai`: somebody to call.
    pub phone: String,
    /// `MaCanBo` of questions that no officer asked: those of the background and of people about themselves.
    pub officer: String,
    /// How long an answer may take.
    pub timeout_seconds: u64,
    /// Questions that one process asks in a second at most.
    pub queries_per_second: f64,
    /// Questions that may come at once after a pause; a quarter of them is kept for people who wait.
    pub burst: u32,
    /// Questions under way at the same time; a quarter of them is kept for people who wait.
    pub concurrency: u32,
    /// How often a question is sent when there is no answer.
    pub attempts: u32,
    /// Failures in a row after which nothing is asked for a while.
    pub circuit_failures: u32,
    /// For how long.
    pub circuit_seconds: u64,
    /// How long a question of the background that got no answer rests.
    pub retry_seconds: i64,
    /// The change feed, when it is allowed to us.
    pub feed: Option<Feed>,
}

/// The registry's change feed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// `Loai`: which kind of change.
    pub kind: String,
    /// `SoBanGhi`: people on a page, 1 to 1,000.
    pub page_size: u32,
    /// How often it is asked.
    pub every_seconds: i64,
}

/// How `Timestamp` is written: two public clients send milliseconds, one seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timestamp {
    /// Unix milliseconds.
    #[default]
    Milliseconds,
    /// Unix seconds.
    Seconds,
}

impl Default for Population {
    fn default() -> Self {
        Self {
            url: String::new(),
            path: None,
            user: String::new(),
            secret: Secret::default(),
            api_key: None,
            x_road_client: None,
            esb_source: false,
            timestamp: Timestamp::default(),
            service_code: "officials-card".into(),
            verify_code: "033".into(),
            look_up_code: "037".into(),
            unit: String::new(),
            account: String::new(),
            phone: String::new(),
            officer: "system".into(),
            timeout_seconds: 10,
            queries_per_second: 20.0,
            burst: 20,
            concurrency: 16,
            attempts: 3,
            circuit_failures: 16,
            circuit_seconds: 30,
            retry_seconds: 600,
            feed: None,
        }
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self { kind: "1".into(), page_size: 200, every_seconds: 300 }
    }
}

/// What follows `OFFICIALS_CARD_POPULATION_`.
const VARIABLES: [&str; 6] = ["URL", "PATH", "USER", "SECRET", "API_KEY", "X_ROAD_CLIENT"];

/// Any variable is enough to have one.
pub(super) fn override_by(population: &mut Option<Population>, variable: impl Fn(&str) -> Option<String>) {
    let variable = |name: &str| variable(&format!("POPULATION_{name}"));
    if population.is_none() && !VARIABLES.into_iter().any(|name| variable(name).is_some()) {
        return;
    }
    let old = population.take().unwrap_or_default();
    *population = Some(Population {
        url: variable("URL").unwrap_or(old.url),
        path: variable("PATH").or(old.path),
        user: variable("USER").unwrap_or(old.user),
        secret: variable("SECRET").map(Secret).unwrap_or(old.secret),
        api_key: variable("API_KEY").map(Secret).or(old.api_key),
        x_road_client: variable("X_ROAD_CLIENT").or(old.x_road_client),
        ..old
    });
}

impl Population {
    /// What can be seen without asking it.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.user.is_empty() || self.secret.expose().is_empty() {
            return Err("url, user and secret are required");
        }
        if !(self.url.starts_with("https://") || self.url.starts_with("http://") && is_loopback(&self.url)) {
            return Err("url must be https (http only on loopback)");
        }
        if self.url.contains(['?', '#', '@', ' ']) || !self.url.is_ascii() {
            return Err("url must have no query, fragment or user, and be plain ASCII");
        }
        if self.service_code.is_empty() || self.verify_code.is_empty() || self.look_up_code.is_empty() {
            return Err("service_code, verify_code and look_up_code must not be empty");
        }
        if self.officer.is_empty() {
            return Err("officer must not be empty: every question names one");
        }
        if !(0.01..=10_000.0).contains(&self.queries_per_second) {
            return Err("queries_per_second must be from 0.01 to 10,000");
        }
        let within = |value: u64, least: u64, most: u64| (least..=most).contains(&value);
        if !(within(self.timeout_seconds, 1, 120)
            && within(self.burst.into(), 1, 10_000)
            && within(self.concurrency.into(), 1, 1_000)
            && within(self.attempts.into(), 1, 10)
            && within(self.circuit_failures.into(), 1, 10_000)
            && within(self.circuit_seconds, 1, 3_600)
            && within(self.retry_seconds.unsigned_abs(), 1, 604_800)
            && self.retry_seconds > 0)
        {
            return Err(
                "timeout_seconds must be 1 to 120, burst 1 to 10,000, concurrency 1 to 1,000, attempts 1 to 10, \
                circuit_failures 1 to 10,000, circuit_seconds 1 to 3,600, retry_seconds 1 to 604,800",
            );
        }
        match &self.feed {
            Some(feed) if feed.kind.is_empty() || !(1..=1_000).contains(&feed.page_size) || feed.every_seconds < 10 => {
                Err("feed: kind must not be empty, page_size be 1 to 1,000 and every_seconds at least 10")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Population {
        Population {
            url: "http://127.0.0.1:8090/dancu".into(),
            user: "v01".into(),
            secret: Secret::new("hidden"),
            api_key: Some(Secret::new("hidden")),
            ..Population::default()
        }
    }

    #[test]
    fn settings_are_checked_and_secrets_do_not_print() {
        assert_eq!(settings().check(), Ok(()));
        assert!(!format!("{:?}", settings()).contains("hidden"));
        let wrong = |change: fn(&mut Population)| {
            let mut settings = settings();
            change(&mut settings);
            assert!(settings.check().is_err());
        };
        wrong(|it| it.url = "http://dancu.example/x".into());
        wrong(|it| it.url = "https://a@dancu.example/x".into());
        wrong(|it| it.user.clear());
        wrong(|it| it.secret = Secret::default());
        wrong(|it| it.officer.clear());
        wrong(|it| it.queries_per_second = f64::NAN);
        wrong(|it| it.burst = 0);
        wrong(|it| it.retry_seconds = -1);
        wrong(|it| it.feed = Some(Feed { page_size: 0, ..Feed::default() }));
    }

    #[test]
    fn a_variable_is_enough_and_wins() {
        let mut none = None;
        override_by(&mut none, |_| None);
        assert!(none.is_none());
        let mut some = Some(settings());
        override_by(&mut some, |name| (name == "POPULATION_USER").then(|| "v02".into()));
        let some = some.unwrap();
        assert_eq!((some.user.as_str(), some.secret.expose()), ("v02", "hidden"));
        override_by(&mut none, |name| (name == "POPULATION_URL").then(|| "https://x.example".into()));
        assert_eq!(none.unwrap().url, "https://x.example");
    }
}
