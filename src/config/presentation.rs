//! What may be asked of people who present a card: templates. Four are shipped (`presentations.toml`); one of the same
//! `id` in the configuration takes the place of a shipped one.

use std::net::IpAddr;

use serde::Deserialize;

/// The templates that are shipped.
const SHIPPED: &str = include_str!("presentations.toml");
/// The host name of the OpenID Foundation's conformance suite on one's own machine: public DNS says 127.0.0.1.
const SUITE_HOST: &str = "localhost.emobix.co.uk";
/// How short and how long a transaction may live.
const TTL_SECONDS: std::ops::RangeInclusive<i64> = 30..=900;

/// A request that a client can make by its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresentationTemplate {
    /// Its name: 1 to 64 of `a-z 0-9 -`.
    pub id: String,
    /// What people know it by, in Vietnamese.
    pub name_vi: String,
    /// The same in English.
    pub name_en: String,
    /// Why it is asked, in Vietnamese: shown to the holder.
    pub purpose_vi: String,
    /// The same in English.
    pub purpose_en: String,
    /// The DCQL query (OpenID4VP 1.0 section 6), JSON. `${vct}`, `${doctype}` and `${namespace}` stand for those of the
    /// card of this deployment.
    pub dcql_query: String,
    /// Whether the card must be of an agency that the client names.
    #[serde(default)]
    pub agency: AgencyRule,
    /// How the wallet answers.
    #[serde(default)]
    pub response_mode: ResponseMode,
    /// What kind of `client_id` we have.
    #[serde(default)]
    pub client_id_prefix: ClientIdPrefix,
    /// How the wallet fetches the request.
    #[serde(default)]
    pub request_uri_method: RequestUriMethod,
    /// How long an answer is waited for: 30 to 900; a code at a gate should live shorter than one in a letter.
    #[serde(default = "usual_ttl_seconds")]
    pub ttl_seconds: i64,
    /// What is asked of the status of a card.
    #[serde(default)]
    pub status: StatusRule,
    /// How it can be shown; the first is meant when the client says nothing.
    #[serde(default = "both_flows")]
    pub flows: Vec<PresentationFlow>,
    /// What the link to the wallet begins with: a scheme (`openid4vp://`, `haip-vp://`) or an https address.
    #[serde(default = "usual_wallet")]
    pub wallet: String,
    /// `verifier_info` (OpenID4VP 1.0 section 5.11), a JSON array: who we are, vouched for by others. The
    /// purpose is added to it.
    #[serde(default)]
    pub verifier_info: Option<String>,
    /// Whether this service alone asks with it, on its own behalf, and takes only cards of its own issuing.
    #[serde(default)]
    pub own: bool,
    /// Whether it is for a conformance suite; see [`Conformance`].
    #[serde(default)]
    pub conformance: bool,
}

/// Whether the card must be of an agency that the client names: the one, or one below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgencyRule {
    /// The client names none.
    #[default]
    None,
    /// The client may name one.
    Optional,
    /// The client has to name one.
    Required,
}

/// How the wallet answers (OpenID4VP 1.0 section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ResponseMode {
    /// Encrypted, as HAIP asks.
    #[default]
    #[serde(rename = "direct_post.jwt")]
    DirectPostJwt,
    /// Plain, on top of TLS.
    #[serde(rename = "direct_post")]
    DirectPost,
}

/// What kind of `client_id` we have (OpenID4VP 1.0 section 5.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientIdPrefix {
    /// The hash of our certificate, as HAIP asks.
    #[default]
    X509Hash,
    /// The DNS name in our certificate.
    X509SanDns,
}

/// How the wallet fetches the request (OpenID4VP 1.0 section 5.10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestUriMethod {
    /// By GET.
    #[default]
    Get,
    /// By POST, so that it can add a nonce of its own.
    Post,
}

/// What is asked of the status of a card, beyond the rule of its issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusRule {
    /// Nothing: our cards always have one, those of others where their issuer's settings say so.
    #[default]
    ByIssuer,
    /// A card without status is refused, whoever issued it.
    Required,
}

/// How a request is shown to the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentationFlow {
    /// As a QR code on another device.
    CrossDevice,
    /// As a link on the device of the wallet; the browser has to come back.
    SameDevice,
}

fn usual_ttl_seconds() -> i64 {
    300
}

fn both_flows() -> Vec<PresentationFlow> {
    vec![PresentationFlow::CrossDevice, PresentationFlow::SameDevice]
}

fn usual_wallet() -> String {
    "openid4vp://".to_owned()
}

/// Trust for the OpenID Foundation's conformance suite, whose keys are public. Nobody who is not on the same machine can
/// make use of it: it is only accepted where `public_url` is of the machine itself, and where the server listens on
/// loopback alone or issues nothing but specimens. So no deployment that people can reach can have it switched on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conformance {
    /// Whether the rest counts.
    pub enabled: bool,
    /// Roots of the suite's SD-JWT VC, PEM or the name of a PEM file, trusted for templates with `conformance = true` alone.
    pub issuers: Option<String>,
    /// The suite's own certificates of document signers, PEM or the name of a PEM file, taken as they are.
    pub document_signers: Option<String>,
}

#[derive(Deserialize)]
struct Shipped {
    presentation_templates: Vec<PresentationTemplate>,
}

/// The templates in force: those of the configuration, then the shipped ones that none of them replaces.
pub(super) fn templates(own: &[PresentationTemplate]) -> Result<Vec<PresentationTemplate>, String> {
    let shipped: Shipped = toml::from_str(SHIPPED).map_err(|error| error.message().to_owned())?;
    let shipped = shipped.presentation_templates.into_iter();
    let others = shipped.filter(|one| own.iter().all(|other| other.id != one.id));
    Ok(own.iter().cloned().chain(others).collect())
}

/// What belongs together.
pub(super) fn check(config: &super::Config) -> Result<(), String> {
    let conformance = &config.conformance;
    if conformance.enabled && !is_of_this_machine(config) {
        return Err("conformance: only where public_url is of this machine (loopback), and it listens on loopback \
                    or issues specimens"
            .to_owned());
    }
    if !conformance.enabled && *conformance != Conformance::default() {
        return Err("conformance: its trust means nothing unless enabled = true".to_owned());
    }
    for client in &config.clients {
        if !client.return_origins.iter().all(|origin| is_origin(origin)) {
            return Err("return_origins of a client must be origins such as https://gate.example".to_owned());
        }
    }
    let templates = templates(&config.presentation_templates)?;
    for (at, template) in templates.iter().enumerate() {
        let wrong = |what: &str| Err(format!("presentation template {}: {what}", template.id));
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=64).contains(&template.id.len()) || !template.id.bytes().all(fits) {
            return wrong("its id must be 1 to 64 of a-z, 0-9 and -");
        }
        if templates[..at].iter().any(|other| other.id == template.id) {
            return wrong("another one has the same id");
        }
        if !TTL_SECONDS.contains(&template.ttl_seconds) {
            return wrong("ttl_seconds must be 30 to 900");
        }
        let texts = [&template.name_vi, &template.name_en, &template.purpose_vi, &template.purpose_en];
        if texts.iter().any(|text| text.trim().is_empty()) {
            return wrong("people must be told what and why, in both languages");
        }
        if template.flows.is_empty() {
            return wrong("flows must not be empty");
        }
        let is_base = template.wallet.contains("://")
            && !template.wallet.contains(|c: char| "?#\"\\<>".contains(c) || !c.is_ascii_graphic());
        if !is_base {
            return wrong("wallet must be a scheme such as openid4vp:// or an address without query and fragment");
        }
        if template.conformance && !conformance.enabled {
            return wrong("conformance = true needs [conformance] enabled = true");
        }
    }
    Ok(())
}

/// Whether a text is an origin as browsers write it: https, or http on loopback.
fn is_origin(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && host_is_loopback(&url));
    is_safe && url.origin().ascii_serialization() == text
}

fn host_is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name == SUITE_HOST,
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether nobody but this machine can be served: see [`Conformance`].
fn is_of_this_machine(config: &super::Config) -> bool {
    let is_named_so = url::Url::parse(&config.public_url).is_ok_and(|url| host_is_loopback(&url));
    let listens_here =
        config.listen.parse::<std::net::SocketAddr>().is_ok_and(|listen| listen.ip().to_canonical().is_loopback());
    is_named_so && (listens_here || config.specimen)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn the_shipped_templates_stand_and_one_of_the_same_name_replaces() {
        let shipped = templates(&[]).unwrap();
        let ids: Vec<_> = shipped.iter().map(|template| template.id.as_str()).collect();
        assert_eq!(ids, ["gate-identity", "position-agency", "works-for", "full-card", "self-service"]);
        assert_eq!(shipped[2].agency, AgencyRule::Required);
        let own = PresentationTemplate { ttl_seconds: 60, ..shipped[0].clone() };
        let mixed = templates(std::slice::from_ref(&own)).unwrap();
        assert_eq!((mixed.len(), &mixed[0]), (5, &own));
        assert_eq!(check(&Config::default()), Ok(()));
    }

    #[test]
    fn what_a_template_must_not_be() {
        let shipped = templates(&[]).unwrap().remove(0);
        let wrong = |change: fn(&mut PresentationTemplate)| {
            let mut template = PresentationTemplate { id: "own".into(), ..shipped.clone() };
            change(&mut template);
            check(&Config { presentation_templates: vec![template], ..Config::default() }).is_err()
        };
        assert!(!wrong(|_| {}));
        assert!(wrong(|template| template.id = "Own".into()));
        assert!(wrong(|template| template.ttl_seconds = 901));
        assert!(wrong(|template| template.purpose_vi = " ".into()));
        assert!(wrong(|template| template.flows.clear()));
        assert!(wrong(|template| template.wallet = "openid4vp:".into()));
        assert!(wrong(|template| template.wallet = "https://wallet.example/?x".into()));
        assert!(wrong(|template| template.conformance = true));
        let with_origin = |origin: &str| {
            let client = super::super::Client { return_origins: vec![origin.into()], ..Default::default() };
            check(&Config { clients: vec![client], ..Config::default() }).is_ok()
        };
        for good in ["https://gate.example", "http://127.0.0.1:3000", "https://gate.example:8443"] {
            assert!(with_origin(good), "{good}");
        }
        for bad in ["https://gate.example/", "http://gate.example", "https://gate.example:443", "*", "null", ""] {
            assert!(!with_origin(bad), "{bad}");
        }
        let twice = vec![shipped.clone(), shipped];
        assert!(check(&Config { presentation_templates: twice, ..Config::default() }).is_err());
    }

    #[test]
    fn no_deployment_that_people_can_reach_trusts_a_conformance_suite() {
        let with = |public_url: &str, listen: &str, specimen: bool| {
            let conformance = Conformance { enabled: true, ..Conformance::default() };
            let (public_url, listen) = (public_url.to_owned(), listen.to_owned());
            check(&Config { listen, public_url, specimen, conformance, ..Config::default() }).is_ok()
        };
        for here in
            ["https://127.0.0.1:9443", "http://localhost:1", "https://[::1]:2", "https://localhost.emobix.co.uk"]
        {
            assert!(with(here, "127.0.0.1:9443", false), "{here}");
            assert!(with(here, "0.0.0.0:9443", true), "{here}");
            assert!(!with(here, "0.0.0.0:9443", false), "{here}");
            assert!(!with(here, "[::]:9443", false), "{here}");
        }
        for there in [
            "https://card.example.vn",
            "https://localhost.example.vn",
            "https://127.0.0.1.example.vn",
            "https://10.0.0.1",
            "https://x.localhost.emobix.co.uk",
        ] {
            assert!(!with(there, "127.0.0.1:9443", true), "{there}");
            assert!(!with(there, "127.0.0.1:9443", false), "{there}");
        }
        let trust = Conformance { issuers: Some("x".into()), ..Conformance::default() };
        assert!(check(&Config { conformance: trust, ..Config::default() }).is_err(), "switched on silently");
    }
}
