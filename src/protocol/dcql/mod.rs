//! The Digital Credentials Query Language (OpenID4VP 1.0 section 6): what a verifier asks for, parsed once at the door,
//! and whether what came answers it.
//!
//! A [`Query`] exists only when it keeps every rule of the specification and every bound below, so whoever holds one
//! need not look again. [`Query::check`] is the verifier's side, which believes nothing that a wallet has filtered;
//! [`Query::select`] is the wallet's. Both walk the same paths ([`Path`]).

mod check;
mod path;
mod read;

pub use check::{Held, Matched, Mismatch, Presented, Selected};
pub use path::{Path, Step};

use serde_json::{Map, Value, json};

/// The most credential queries of one query, and the most credential sets.
pub const MAX_CREDENTIALS: usize = 20;
/// The most claims of one credential query.
pub const MAX_CLAIMS: usize = 100;
/// The most claim sets, options of a credential set, types, trusted authorities and values in one place.
pub const MAX_ALTERNATIVES: usize = 100;
/// The most steps of a path: no credential nests deeper than what is read of JSON.
pub const MAX_PATH: usize = crate::model::json::MAX_DEPTH;
/// The longest text in a query (an identifier, a type, a name in a path, an expected value), in bytes.
pub const MAX_TEXT: usize = 1000;

/// Claims of an SD-JWT VC that are never disclosed selectively (SD-JWT VC section 2.2.2.2): to ask for them asks for
/// nothing, and they arrive anyway.
pub const ALWAYS_DISCLOSED: [&str; 8] = ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status", "aka_vcts"];

/// Why a query is none: the place in it, and the rule of section 6 or bound that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub struct DcqlError {
    /// The path to the member, such as `credentials[0].claims[2].path`.
    pub place: String,
    /// The rule.
    pub rule: &'static str,
}

/// A credential format that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// SD-JWT VC.
    SdJwt,
    /// ISO/IEC 18013-5 mdoc.
    Mdoc,
}

impl Format {
    /// Both, in the order in which they are written.
    pub const ALL: [Self; 2] = [Self::SdJwt, Self::Mdoc];

    /// Its Credential Format Identifier (appendix B).
    pub fn id(self) -> &'static str {
        match self {
            Self::SdJwt => "dc+sd-jwt",
            Self::Mdoc => "mso_mdoc",
        }
    }

    /// From its identifier.
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.id() == id)
    }
}

/// A whole query, valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    credentials: Vec<CredentialQuery>,
    credential_sets: Option<Vec<CredentialSet>>,
}

/// One credential that is asked for (section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialQuery {
    id: String,
    format: Format,
    types: Vec<String>,
    /// `None` where the member is absent, so that a query is written as it was read.
    multiple: Option<bool>,
    binding: Option<bool>,
    authorities: Option<Vec<Authorities>>,
    claims: Option<Vec<ClaimQuery>>,
    claim_sets: Option<Vec<Vec<String>>>,
}

/// Who should stand behind the issuer (section 6.1.1), by one of three ways to name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Key identifiers of certificates, raw: those of `AuthorityKeyIdentifier`.
    KeyIds(Vec<Vec<u8>>),
    /// Addresses of ETSI trusted lists.
    TrustedLists(Vec<String>),
    /// Entity identifiers of OpenID Federation trust anchors.
    Federations(Vec<String>),
}

/// One claim that is asked for (section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimQuery {
    id: Option<String>,
    path: Path,
    values: Option<Vec<Value>>,
    intent_to_retain: Option<bool>,
}

/// Combinations of credentials that serve one purpose (section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialSet {
    options: Vec<Vec<String>>,
    required: Option<bool>,
}

impl Query {
    /// The credential queries, in their order.
    pub fn credentials(&self) -> &[CredentialQuery] {
        &self.credentials
    }

    /// The credential query with this identifier.
    pub fn credential(&self, id: &str) -> Option<&CredentialQuery> {
        self.credentials.iter().find(|credential| credential.id == id)
    }

    /// The credential sets, in their order; none when all credentials are asked for.
    pub fn credential_sets(&self) -> &[CredentialSet] {
        self.credential_sets.as_deref().unwrap_or_default()
    }

    /// The formats that are asked for, each once.
    pub fn formats(&self) -> Vec<Format> {
        let asked = |format: &Format| self.credentials.iter().any(|credential| credential.format == *format);
        Format::ALL.into_iter().filter(asked).collect()
    }

    /// Whether every credential is asked for with its holder's proof. Where one is not, `state` is mandatory
    /// (section 5.3).
    pub fn binds_all(&self) -> bool {
        self.credentials.iter().all(CredentialQuery::requires_binding)
    }

    /// The query as it stands in a request.
    pub fn to_json(&self) -> Value {
        let mut query = json!({"credentials": list(&self.credentials, CredentialQuery::to_json)});
        if let Some(sets) = &self.credential_sets {
            query["credential_sets"] = list(sets, CredentialSet::to_json);
        }
        query
    }
}

impl CredentialQuery {
    /// Its identifier, by which the `vp_token` answers.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The types, any of which will do: `vct` values, or the one doctype.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// Whether more than one presentation may answer.
    pub fn multiple(&self) -> bool {
        self.multiple.unwrap_or(false)
    }

    /// Whether the holder has to prove that the card is theirs. This is decided here, before anything has arrived.
    pub fn requires_binding(&self) -> bool {
        self.binding.unwrap_or(true)
    }

    /// Who should stand behind the issuer; empty when anybody may.
    pub fn authorities(&self) -> &[Authorities] {
        self.authorities.as_deref().unwrap_or_default()
    }

    /// The claims; `None` asks for none that its holder could keep back.
    pub fn claims(&self) -> Option<&[ClaimQuery]> {
        self.claims.as_deref()
    }

    /// The alternatives among the claims, the preferred first: one with all claims where the query names no sets, and
    /// one without any where it names no claims.
    pub fn claim_sets(&self) -> Vec<Vec<&ClaimQuery>> {
        let claims = self.claims.as_deref().unwrap_or_default();
        let Some(sets) = &self.claim_sets else { return vec![claims.iter().collect()] };
        let named = |id: &String| claims.iter().find(|claim| claim.id.as_ref() == Some(id));
        sets.iter().map(|set| set.iter().filter_map(named).collect()).collect()
    }

    fn to_json(&self) -> Value {
        let meta = match self.format {
            Format::SdJwt => json!({"vct_values": self.types}),
            Format::Mdoc => json!({"doctype_value": self.types.first()}),
        };
        let mut query = json!({"id": self.id, "format": self.format.id(), "meta": meta});
        let optional = [
            ("multiple", self.multiple.map(Value::from)),
            ("require_cryptographic_holder_binding", self.binding.map(Value::from)),
            ("trusted_authorities", self.authorities.as_ref().map(|all| list(all, Authorities::to_json))),
            ("claims", self.claims.as_ref().map(|all| list(all, ClaimQuery::to_json))),
            ("claim_sets", self.claim_sets.as_ref().map(|sets| json!(sets))),
        ];
        put(&mut query, optional);
        query
    }
}

impl Authorities {
    fn to_json(&self) -> Value {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        match self {
            Self::KeyIds(ids) => {
                let values: Vec<_> = ids.iter().map(|id| URL_SAFE_NO_PAD.encode(id)).collect();
                json!({"type": "aki", "values": values})
            }
            Self::TrustedLists(values) => json!({"type": "etsi_tl", "values": values}),
            Self::Federations(values) => json!({"type": "openid_federation", "values": values}),
        }
    }
}

impl ClaimQuery {
    /// The name by which claim sets refer to it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Where it stands in the credential.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The values, one of which it should have; empty when any will do.
    pub fn values(&self) -> &[Value] {
        self.values.as_deref().unwrap_or_default()
    }

    /// Whether the verifier says that it will keep the element (ISO/IEC 18013-5).
    pub fn intent_to_retain(&self) -> Option<bool> {
        self.intent_to_retain
    }

    fn to_json(&self) -> Value {
        let mut claim = json!({"path": self.path.to_json()});
        let optional = [
            ("id", self.id.as_deref().map(Value::from)),
            ("values", self.values.as_ref().map(|values| json!(values))),
            ("intent_to_retain", self.intent_to_retain.map(Value::from)),
        ];
        put(&mut claim, optional);
        claim
    }
}

impl CredentialSet {
    /// The combinations, each of which will do, the preferred first.
    pub fn options(&self) -> &[Vec<String>] {
        &self.options
    }

    /// Whether one of them has to come.
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(true)
    }

    fn to_json(&self) -> Value {
        let mut set = json!({"options": self.options});
        put(&mut set, [("required", self.required.map(Value::from))]);
        set
    }
}

fn list<T>(all: &[T], to_json: impl Fn(&T) -> Value) -> Value {
    Value::Array(all.iter().map(to_json).collect())
}

fn put<const N: usize>(object: &mut Value, optional: [(&str, Option<Value>); N]) {
    if let Value::Object(members) = object {
        let present = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        members.extend(present.collect::<Map<_, _>>());
    }
}
