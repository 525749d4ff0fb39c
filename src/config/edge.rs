//! What stands between the network and the stories: TLS, proxies, and how often somebody may ask.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

use super::Config;
use crate::error::Fault;

/// TLS of the listener. Without it the server speaks plain HTTP, for a proxy that terminates TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificate and the intermediates below the root, leaf first.
    pub certificate: PathBuf,
    /// PEM file of its private key, which not everybody may read.
    pub key: PathBuf,
}

/// How often somebody may ask, counted by each process for itself. 0 is no bound. A whole allowance may be used at once
/// and comes back evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Requests of wallets and browsers from one address. Phones of a carrier share addresses, so it is no small number.
    pub address_per_minute: u32,
    /// Everything else from one address: documents for everybody, `/api/v1`, pages, health.
    pub address_documents_per_minute: u32,
    /// Requests of one authenticated client. A wallet product is one client, however many phones it is on.
    pub client_per_minute: u32,
    /// Offers for, and sign-ins of, one person.
    pub person_per_hour: u32,
    /// Requests of one official for themselves.
    pub self_service_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            address_per_minute: 1_200,
            address_documents_per_minute: 6_000,
            client_per_minute: 60_000,
            person_per_hour: 30,
            self_service_per_minute: 120,
        }
    }
}

impl RateLimits {
    /// No bound at all.
    pub const OFF: Self = Self {
        address_per_minute: 0,
        address_documents_per_minute: 0,
        client_per_minute: 0,
        person_per_hour: 0,
        self_service_per_minute: 0,
    };
}

/// The header in which the trusted proxies say who asked. Only this one is read: a proxy that writes one of them may
/// let a client's own text pass in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// A network, such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in it. An IPv4 address in IPv6 form (`::ffff:10.0.0.1`) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| "must be a network such as 10.0.0.0/8, or an address".to_owned())
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Takes over the variables of these settings.
pub(super) fn override_by(config: &mut Config, variable: impl Fn(&str) -> Option<String>) -> Result<(), Fault> {
    let wrong = |what: &str| Fault::new("reading the environment", format!("OFFICIALS_CARD_{what}"));
    if let Some(networks) = variable("TRUSTED_PROXIES") {
        let networks = networks.split(',').filter(|network| !network.trim().is_empty()).map(str::parse);
        config.trusted_proxies =
            networks.collect::<Result<_, _>>().map_err(|rule| wrong(&format!("TRUSTED_PROXIES: each {rule}")))?;
    }
    match (variable("TLS_CERTIFICATE"), variable("TLS_KEY")) {
        (Some(certificate), Some(key)) => config.tls = Some(Tls { certificate: certificate.into(), key: key.into() }),
        (None, None) => {}
        _ => return Err(wrong("TLS_CERTIFICATE and OFFICIALS_CARD_TLS_KEY belong together")),
    }
    Ok(())
}

/// What belongs together.
pub(super) fn check(config: &Config) -> Result<(), &'static str> {
    if config.tls.is_some() && !config.public_url.starts_with("https://") {
        return Err("public_url must be https when tls is set");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_in_either_form() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        for (address, inside) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("::1", false)] {
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!("fd00::/8".parse::<Network>().unwrap().contains("fd12::1".parse().unwrap()));
        assert!("192.0.2.7".parse::<Network>().unwrap().contains("192.0.2.7".parse().unwrap()));
        for wrong in ["", "10.0.0.0/33", "proxy.example", "10.0.0.0/8,::1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_are_read_from_file_and_variables() {
        let text = "trusted_proxies = ['10.0.0.0/8', '::1']\nforwarded_header = 'forwarded'\n\
                    tls = { certificate = 'chain.pem', key = 'key.pem' }\n[rate_limits]\nperson_per_hour = 0";
        let mut config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(config.forwarded_header, ForwardedHeader::Forwarded);
        assert_eq!(config.rate_limits, RateLimits { person_per_hour: 0, ..RateLimits::default() });
        assert!(check(&config).is_err(), "TLS under a plain public_url");
        config.public_url = "https://127.0.0.1:8443".into();
        assert_eq!(check(&config), Ok(()));

        let set = |name: &str| match name {
            "TRUSTED_PROXIES" => Some("192.0.2.0/24, ::1".into()),
            "TLS_CERTIFICATE" => Some("a".into()),
            "TLS_KEY" => Some("b".into()),
            _ => None,
        };
        override_by(&mut config, set).unwrap();
        assert!(config.trusted_proxies[0].contains("192.0.2.9".parse().unwrap()));
        assert_eq!(config.tls, Some(Tls { certificate: "a".into(), key: "b".into() }));
        for lonely in ["TLS_KEY", "TLS_CERTIFICATE", "TRUSTED_PROXIES"] {
            assert!(override_by(&mut config, |name| (name == lonely).then(|| "x".into())).is_err(), "{lonely}");
        }
        for wrong in ["trusted_proxies = ['x']", "forwarded_header = 'via'", "[rate_limits]\nperson = 1", "tls = {}"] {
            assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
        }
    }
}
