//! Whose cards are accepted beside our own, and where the status lists of others may be fetched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use url::{Host, Url};

use super::{Config, Network};
use crate::error::Fault;

/// The longest address of a status list, in bytes.
pub const MAX_STATUS_URI_BYTES: usize = 1024;
/// The most prefixes under which one issuer or attester may have its lists.
const MAX_PREFIXES: usize = 32;

/// Another issuer whose cards are accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// For people and for the log; its own among all.
    pub name: String,
    /// The root certificates that the chains of its cards lead to: PEM, or the name of a PEM file, which is read when the
    /// settings are.
    pub anchors: String,
    /// What it may issue: `vct` values of SD-JWT cards and document types of mdocs. Never our own type.
    pub types: Vec<String>,
    /// The `iss` that its SD-JWT cards may carry; any when empty.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// The extended key usages (dotted) of which a signer of its mdocs must have one, with the rest of the document
    /// signer's profile of ISO/IEC 18013-5 Annex B; when empty, any certificate for signatures will do.
    #[serde(default)]
    pub document_usages: Vec<String>,
    /// Whether its cards must name a status list.
    #[serde(default)]
    pub status: StatusNeed,
    /// Where its status lists are; without it a card that names one can never be told to be in force.
    #[serde(default)]
    pub status_lists: Option<StatusLists>,
}

/// Whether a card must name a status list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusNeed {
    /// A card without one is refused.
    #[default]
    Required,
    /// A card without one is in force while its dates allow; a card with one is looked up.
    IfPresent,
}

/// Where somebody's status lists are, and who signs them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusLists {
    /// How the addresses of the lists begin. Nothing else is ever fetched, neither first nor by redirection.
    pub prefixes: Vec<StatusPrefix>,
    /// The root certificates of who signs the lists, like those of the cards; the same as those when absent.
    #[serde(default)]
    pub anchors: Option<String>,
    /// Networks that are not of the internet in which the hosts may stand all the same: the government's own.
    #[serde(default)]
    pub allow_private_networks: Vec<Network>,
}

/// How the addresses of status lists begin: scheme, host, port and whole folders.
///
/// https, or http when the host is this machine; no user, query or fragment; the end is `/`, so that no other host or
/// folder begins the same; written as a URL parser writes it, so that texts can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StatusPrefix(Url);

impl StatusPrefix {
    /// Reads a prefix.
    pub fn parse(text: &str) -> Result<Self, TrustFault> {
        let url = Url::parse(text).map_err(|_| TrustFault::Prefix)?;
        let is_secure = url.scheme() == "https" || url.scheme() == "http" && is_this_machine(&url);
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if is_secure && is_bare && text.ends_with('/') && url.as_str() == text && url.fragment().is_none() {
            Ok(Self(url))
        } else {
            Err(TrustFault::Prefix)
        }
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a list may stand there. The address must be written as a URL parser writes it: then it is the very text that
    /// is asked for, and `..` has not led it elsewhere.
    pub fn holds(&self, address: &Url, text: &str) -> bool {
        address.as_str() == text
            && text.len() <= MAX_STATUS_URI_BYTES
            && text.starts_with(self.0.as_str())
            && address.fragment().is_none()
    }

    /// The host, when it is an address by itself and so is never looked up.
    fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }
}

impl TryFrom<String> for StatusPrefix {
    type Error = TrustFault;

    fn try_from(text: String) -> Result<Self, TrustFault> {
        Self::parse(&text)
    }
}

/// Whether the host of a URL is this machine by its name.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether an address is one that anybody on the internet may have (IANA's registries of special-purpose addresses): no
/// loopback, private, link-local, shared (CGNAT), multicast, documentation or reserved one, and none that leads to an
/// IPv4 address inside.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

/// Global unicast is 2000::/3; in it stand Teredo and other protocol assignments (2001::/23), documentation, and 6to4,
/// whose addresses lead to IPv4 ones. NAT64 (64:ff9b::/96) stands outside and has to be allowed where it is used.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_special = matches!((a, b), (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff));
    (0x2000..=0x3fff).contains(&a) && !is_special
}

/// How the status lists of others are fetched and kept, by each process for itself. All have sound defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusFetches {
    /// How long a verification waits for a list that is not held: 0 to 5,000.
    pub wait_milliseconds: u64,
    /// How long a host may take to connect: 10 to 10,000.
    pub connect_milliseconds: u64,
    /// How long a whole fetch may take, redirections included: 10 to 30,000.
    pub total_milliseconds: u64,
    /// How many fetches are under way at once, over all hosts: 1 to 256. Of one host it is never more than one.
    pub parallel: usize,
    /// How many lists are kept: 1 to 65,536. The one that was not asked for longest makes room.
    pub lists: usize,
    /// How many bytes of inflated lists are kept: at least 1 MiB, the largest list.
    pub bytes: usize,
}

impl Default for StatusFetches {
    fn default() -> Self {
        Self {
            wait_milliseconds: 500,
            connect_milliseconds: 1000,
            total_milliseconds: 3000,
            parallel: 8,
            lists: 1024,
            bytes: 128 << 20,
        }
    }
}

/// Why the settings of others who are trusted cannot be used. The texts name the place and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    /// Not a prefix of status lists.
    #[error(
        "a prefix of status lists must be an https URL (http only on loopback) in normal form that ends with /, without user, query and fragment"
    )]
    Prefix,
    /// No name, or that of another.
    #[error("trusted_issuers: each needs a name of its own")]
    Name,
    /// It may issue nothing.
    #[error("trusted_issuers.{0}: types must name what it may issue")]
    NoTypes(String),
    /// Its cards need a status, and may name none.
    #[error("trusted_issuers.{0}: status = \"required\" needs status_lists")]
    NoStatusLists(String),
    /// No prefix, or too many.
    #[error("status_lists of {0}: there must be 1 to 32 prefixes")]
    Prefixes(String),
    /// A prefix names an address inside, and no setting allows it.
    #[error("status_lists of {0}: a prefix names an address that is not public and not in allow_private_networks")]
    PrivateAddress(String),
    /// A bound is outside its range.
    #[error("status_fetches.{0} is outside its range")]
    Range(&'static str),
}

/// Puts the certificates in the place of the names of their files.
pub(super) fn read(config: &mut Config) -> Result<(), Fault> {
    let issuers = config.trusted_issuers.iter_mut().flat_map(|issuer| {
        let lists = issuer.status_lists.iter_mut().filter_map(|lists| lists.anchors.as_mut());
        lists.chain([&mut issuer.anchors])
    });
    let attesters = config.attesters.iter_mut().filter_map(|attester| attester.status_lists.as_mut()?.anchors.as_mut());
    let conformance = &mut config.conformance;
    let suite = [&mut conformance.issuers, &mut conformance.document_signers].into_iter().flatten();
    for anchors in issuers.chain(attesters).chain(suite).filter(|anchors| !anchors.contains("-----BEGIN")) {
        *anchors = std::fs::read_to_string(&*anchors)
            .map_err(|error| Fault::new("reading root certificates", format!("{anchors}: {error}")))?;
    }
    Ok(())
}

/// What can be seen without reading a certificate.
pub(super) fn check(config: &Config) -> Result<(), TrustFault> {
    for (at, issuer) in config.trusted_issuers.iter().enumerate() {
        let is_taken = config.trusted_issuers[..at].iter().any(|other| other.name == issuer.name);
        if issuer.name.trim().is_empty() || is_taken {
            return Err(TrustFault::Name);
        }
        if issuer.types.is_empty() || issuer.types.iter().any(String::is_empty) {
            return Err(TrustFault::NoTypes(issuer.name.clone()));
        }
        match &issuer.status_lists {
            Some(lists) => check_lists(&issuer.name, lists)?,
            None if issuer.status == StatusNeed::Required => {
                return Err(TrustFault::NoStatusLists(issuer.name.clone()));
            }
            None => {}
        }
    }
    for attester in &config.attesters {
        if let Some(lists) = &attester.status_lists {
            check_lists(&attester.name, lists)?;
        }
    }
    let fetches = &config.status_fetches;
    let ranges = [
        ("wait_milliseconds", (0..=5000).contains(&fetches.wait_milliseconds)),
        ("connect_milliseconds", (10..=10_000).contains(&fetches.connect_milliseconds)),
        ("total_milliseconds", (10..=30_000).contains(&fetches.total_milliseconds)),
        ("parallel", (1..=256).contains(&fetches.parallel)),
        ("lists", (1..=65_536).contains(&fetches.lists)),
        ("bytes", fetches.bytes >= 1 << 20),
    ];
    ranges.into_iter().find(|(_, fits)| !fits).map_or(Ok(()), |(name, _)| Err(TrustFault::Range(name)))
}

fn check_lists(name: &str, lists: &StatusLists) -> Result<(), TrustFault> {
    if !(1..=MAX_PREFIXES).contains(&lists.prefixes.len()) {
        return Err(TrustFault::Prefixes(name.to_owned()));
    }
    let is_allowed = |address: IpAddr| {
        is_public(address)
            || address.is_loopback()
            || lists.allow_private_networks.iter().any(|network| network.contains(address))
    };
    if lists.prefixes.iter().filter_map(StatusPrefix::address).all(is_allowed) {
        Ok(())
    } else {
        Err(TrustFault::PrivateAddress(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_one_that_nothing_else_begins_with() {
        for good in [
            "https://status.example.vn/",
            "https://status.example.vn/lists/",
            "https://status.example.vn:8443/a/b/",
            "http://127.0.0.1:9/",
            "http://localhost:8080/",
            "http://[::1]:9/s/",
        ] {
            assert!(StatusPrefix::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "https://status.example.vn",
            "https://status.example.vn/lists",
            "http://status.example.vn/",
            "http://127.0.0.1.example.vn/",
            "http://10.0.0.1/",
            "https://user@status.example.vn/",
            "https://status.example.vn/?list=/",
            "https://status.example.vn/#/",
            "https://STATUS.example.vn/",
            "https://status.example.vn/a/../",
            "https://status.example.vn:443/",
            "ftp://status.example.vn/",
            "/lists/",
            "",
        ] {
            assert_eq!(StatusPrefix::parse(bad), Err(TrustFault::Prefix), "{bad}");
        }
    }

    #[test]
    fn only_what_begins_with_a_prefix_and_stays_there_may_be_named() {
        let prefix = StatusPrefix::parse("https://status.example.vn/lists/").unwrap();
        let holds = |text: &str| Url::parse(text).is_ok_and(|url| prefix.holds(&url, text));
        assert!(holds("https://status.example.vn/lists/7"));
        assert!(holds("https://status.example.vn/lists/7?form=x"));
        let long = format!("https://status.example.vn/lists/{}", "x".repeat(MAX_STATUS_URI_BYTES));
        for bad in [
            "https://status.example.vn/7",
            "https://status.example.vn/lists/../admin",
            "https://status.example.vn/lists/%2e%2e/admin",
            "https://status.example.vn/lists\\7",
            "https://status.example.vn@evil.example/lists/7",
            "https://status.example.vn.evil.example/lists/7",
            "https://status.example.vn:444/lists/7",
            "https://STATUS.example.vn/lists/7",
            "http://status.example.vn/lists/7",
            "https://status.example.vn/lists/7#x",
            "https://status.example.vn/lists/\n7",
            &long,
        ] {
            assert!(!holds(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_that_are_not_of_the_internet() {
        for public in ["1.1.1.1", "100.63.0.1", "172.32.0.1", "203.162.0.1", "2402:800::1", "2001:4860::8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
    }

    fn checked(text: &str) -> Result<(), String> {
        let config: Config = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        check(&config).map_err(|fault| fault.to_string())
    }

    #[test]
    fn issuers_are_checked_at_the_start() {
        let issuer = "[[trusted_issuers]]\nname = 'a'\nanchors = '-----BEGIN …'\ntypes = ['urn:a']\n";
        let lists = "[trusted_issuers.status_lists]\nprefixes = ['https://s.example.vn/']\n";
        assert_eq!(checked(&format!("{issuer}{lists}")), Ok(()));
        assert_eq!(checked(&format!("{issuer}status = 'if_present'")), Ok(()));
        assert_eq!(
            checked(&format!(
                "{issuer}[trusted_issuers.status_lists]\nprefixes = ['https://10.1.1.1/']\nallow_private_networks = ['10.1.0.0/16']"
            )),
            Ok(())
        );
        for (wrong, says) in [
            (issuer.to_owned(), "needs status_lists"),
            (format!("{issuer}{lists}{issuer}{lists}"), "a name of its own"),
            (format!("{issuer}status = 'if_present'").replace("['urn:a']", "[]"), "types must name"),
            (format!("{issuer}status = 'if_present'").replace("'a'", "' '"), "a name of its own"),
            (format!("{issuer}status = 'never'"), "unknown variant"),
            (format!("{issuer}[trusted_issuers.status_lists]\nprefixes = []"), "1 to 32 prefixes"),
            (format!("{issuer}[trusted_issuers.status_lists]\nprefixes = ['http://x.vn/']"), "https URL"),
            (format!("{issuer}[trusted_issuers.status_lists]\nprefixes = ['https://10.1.1.1/']"), "not public"),
            ("[status_fetches]\nparallel = 0".to_owned(), "status_fetches.parallel"),
            ("[status_fetches]\nbytes = 1".to_owned(), "status_fetches.bytes"),
        ] {
            assert!(checked(&wrong).is_err_and(|said| said.contains(says)), "{wrong}\n{:?}", checked(&wrong));
        }
        let mut config: Config = toml::from_str(&issuer.replace("-----BEGIN …", "/nowhere.pem")).unwrap();
        assert!(read(&mut config).is_err());
        let suite = |name: &str| {
            let text = format!("[conformance]\nenabled = true\ndocument_signers = '{name}'");
            let mut config: Config = toml::from_str(&text).unwrap();
            read(&mut config).map(|()| config.conformance.document_signers.unwrap())
        };
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/suite-document-signer.pem");
        assert!(suite(file).unwrap().contains("-----BEGIN CERTIFICATE-----"));
        assert!(suite("/nowhere.pem").is_err());
        assert_eq!(suite("-----BEGIN …").unwrap(), "-----BEGIN …");
    }
}
