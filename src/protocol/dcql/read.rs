//! A query from JSON. Unknown members are passed over, as section 6 wants of receivers; [`Query::parse_own`] refuses
//! them, for queries that we ask ourselves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::path::{Path, Step};
use super::{
    ALWAYS_DISCLOSED, Authorities, ClaimQuery, CredentialQuery, CredentialSet, DcqlError, Format, MAX_ALTERNATIVES,
    MAX_CLAIMS, MAX_CREDENTIALS, MAX_PATH, MAX_TEXT, Query,
};

impl Query {
    /// Parses a query.
    pub fn parse(value: &Value) -> Result<Self, DcqlError> {
        let root = At::new(value);
        let credentials = root.list("credentials", MAX_CREDENTIALS)?.ok_or_else(|| root.no("needs credentials"))?;
        let credentials = credentials.iter().map(CredentialQuery::parse).collect::<Result<Vec<_>, _>>()?;
        for (at, credential) in credentials.iter().enumerate() {
            if credentials[..at].iter().any(|earlier| earlier.id == credential.id) {
                return Err(root.no("no two credentials have the same id"));
            }
        }
        let known = |id: &str| credentials.iter().any(|credential| credential.id == id);
        let sets = root.list("credential_sets", MAX_CREDENTIALS)?;
        let sets = sets.map(|sets| sets.iter().map(|set| CredentialSet::parse(set, &known)).collect());
        Ok(Self { credential_sets: sets.transpose()?, credentials })
    }

    /// Parses a query that we are going to ask: beside the rules, nothing in it is unknown, no claim of it is left out
    /// of every claim set, no claim is one that arrives anyway, and no credential is left out of every set. Conformance
    /// suites warn of all of these, and each is a mistake.
    pub fn parse_own(value: &Value) -> Result<Self, DcqlError> {
        let query = Self::parse(value)?;
        let root = At::new(value);
        if query.to_json() != *value {
            return Err(root.no("has a member that the language does not know"));
        }
        for credential in &query.credentials {
            let here = |rule| DcqlError { place: format!("credentials[id={}]", credential.id), rule };
            let sets = credential.claim_sets();
            for claim in credential.claims.iter().flatten() {
                if !sets.iter().any(|set| set.contains(&claim)) {
                    return Err(here("every claim stands in a claim set"));
                }
                if credential.format == Format::SdJwt
                    && claim.path.first().is_some_and(|name| ALWAYS_DISCLOSED.contains(&name))
                {
                    return Err(here("no claim is one that is always disclosed"));
                }
            }
            if let Some(sets) = &query.credential_sets
                && !sets.iter().flat_map(|set| &set.options).any(|option| option.contains(&credential.id))
            {
                return Err(here("every credential stands in a credential set"));
            }
        }
        Ok(query)
    }
}

impl CredentialQuery {
    fn parse(at: &At<'_>) -> Result<Self, DcqlError> {
        let format = at.text("format")?.and_then(Format::parse);
        let format = format.ok_or_else(|| at.member("format").no("is dc+sd-jwt or mso_mdoc"))?;
        let meta = at.member("meta");
        let types = match format {
            Format::SdJwt => meta.texts("vct_values")?.ok_or_else(|| meta.no("needs vct_values"))?,
            Format::Mdoc => vec![meta.text("doctype_value")?.ok_or_else(|| meta.no("needs doctype_value"))?.to_owned()],
        };
        let claims = at.list("claims", MAX_CLAIMS)?;
        let claims = claims.map(|claims| claims.iter().map(|claim| ClaimQuery::parse(claim, format)).collect());
        let claims: Option<Vec<ClaimQuery>> = claims.transpose()?;
        for (position, claim) in claims.iter().flatten().enumerate() {
            let earlier = &claims.as_deref().unwrap_or_default()[..position];
            if claim.id.is_some() && earlier.iter().any(|earlier| earlier.id == claim.id) {
                return Err(at.member("claims").no("no two claims have the same id"));
            }
            if earlier.iter().any(|earlier| earlier.path == claim.path) {
                return Err(at.member("claims").no("no two claims have the same path"));
            }
        }
        let known = |id: &str| claims.iter().flatten().any(|claim| claim.id.as_deref() == Some(id));
        let claim_sets = at.list("claim_sets", MAX_ALTERNATIVES)?;
        let claim_sets = claim_sets.map(|sets| sets.iter().map(|set| set.ids(MAX_CLAIMS, &known)).collect());
        let claim_sets: Option<Vec<_>> = claim_sets.transpose()?;
        if claim_sets.is_some() && claims.iter().flatten().any(|claim| claim.id.is_none()) {
            return Err(at.member("claims").no("every claim has an id where there are claim_sets"));
        }
        let authorities = at.list("trusted_authorities", MAX_ALTERNATIVES)?;
        let authorities = authorities.map(|all| all.iter().map(Authorities::parse).collect());
        Ok(Self {
            id: at.id("id")?.ok_or_else(|| at.no("needs an id"))?,
            format,
            types,
            multiple: at.truth("multiple")?,
            binding: at.truth("require_cryptographic_holder_binding")?,
            authorities: authorities.transpose()?,
            claims,
            claim_sets,
        })
    }
}

impl Authorities {
    fn parse(at: &At<'_>) -> Result<Self, DcqlError> {
        let values = at.texts("values")?.ok_or_else(|| at.no("needs values"))?;
        match at.text("type")? {
            Some("aki") => {
                let decoded = values.iter().map(|value| URL_SAFE_NO_PAD.decode(value).ok()).collect::<Option<_>>();
                decoded.map(Self::KeyIds).ok_or_else(|| at.member("values").no("are base64url without padding"))
            }
            Some("etsi_tl") => Ok(Self::TrustedLists(values)),
            Some("openid_federation") => Ok(Self::Federations(values)),
            _ => Err(at.member("type").no("is aki, etsi_tl or openid_federation")),
        }
    }
}

impl ClaimQuery {
    fn parse(at: &At<'_>, format: Format) -> Result<Self, DcqlError> {
        let steps = at.list("path", MAX_PATH)?.ok_or_else(|| at.no("needs a path"))?;
        let steps = steps.iter().map(step).collect::<Result<Vec<_>, _>>()?;
        if format == Format::Mdoc && !matches!(steps.as_slice(), [Step::Name(_), Step::Name(_)]) {
            return Err(at.member("path").no("is namespace and element in an mdoc"));
        }
        let values = at.list("values", MAX_ALTERNATIVES)?;
        let values = values.map(|values| values.iter().map(expected).collect());
        Ok(Self {
            id: at.id("id")?,
            path: Path(steps),
            values: values.transpose()?,
            intent_to_retain: if format == Format::Mdoc { at.truth("intent_to_retain")? } else { None },
        })
    }
}

impl CredentialSet {
    fn parse(at: &At<'_>, known: &dyn Fn(&str) -> bool) -> Result<Self, DcqlError> {
        let options = at.list("options", MAX_ALTERNATIVES)?.ok_or_else(|| at.no("needs options"))?;
        let options = options.iter().map(|option| option.ids(MAX_CREDENTIALS, known)).collect::<Result<_, _>>()?;
        Ok(Self { options, required: at.truth("required")? })
    }
}

fn step(at: &At<'_>) -> Result<Step, DcqlError> {
    match at.value {
        Some(Value::Null) => Ok(Step::Every),
        Some(Value::String(name)) if name.len() <= MAX_TEXT => Ok(Step::Name(name.clone())),
        Some(Value::Number(number)) => {
            let index = number.as_u64().and_then(|index| usize::try_from(index).ok());
            index.map(Step::Index).ok_or_else(|| at.no("is a text, null, or a whole number from 0"))
        }
        _ => Err(at.no("is a text, null, or a whole number from 0")),
    }
}

fn expected(at: &At<'_>) -> Result<Value, DcqlError> {
    match at.value {
        Some(Value::String(text)) if text.len() > MAX_TEXT => Err(at.no("is too long")),
        Some(value @ (Value::String(_) | Value::Bool(_))) => Ok(value.clone()),
        Some(value @ Value::Number(number)) if !number.is_f64() => Ok(value.clone()),
        _ => Err(at.no("is a text, a whole number or a truth value")),
    }
}

/// A value, or the lack of one, and where it stands.
struct At<'a> {
    place: String,
    value: Option<&'a Value>,
}

impl<'a> At<'a> {
    fn new(value: &'a Value) -> Self {
        Self { place: "dcql_query".to_owned(), value: Some(value) }
    }

    fn no(&self, rule: &'static str) -> DcqlError {
        DcqlError { place: self.place.clone(), rule }
    }

    fn object(&self) -> Option<&'a Map<String, Value>> {
        self.value.and_then(Value::as_object)
    }

    fn member(&self, name: &str) -> At<'a> {
        At { place: format!("{}.{name}", self.place), value: self.object().and_then(|object| object.get(name)) }
    }

    /// The elements of a member that is an array with at least one, when it is there.
    fn list(&self, name: &str, most: usize) -> Result<Option<Vec<At<'a>>>, DcqlError> {
        if self.object().is_none() {
            return Err(self.no("is an object"));
        }
        let member = self.member(name);
        if member.value.is_none() { Ok(None) } else { member.elements(most).map(Some) }
    }

    fn elements(&self, most: usize) -> Result<Vec<At<'a>>, DcqlError> {
        let elements = self.value.and_then(Value::as_array).filter(|elements| !elements.is_empty());
        let elements = elements.ok_or_else(|| self.no("is an array with at least one element"))?;
        if elements.len() > most {
            return Err(self.no("has too many elements"));
        }
        let element =
            |(at, value): (usize, &'a Value)| At { place: format!("{}[{at}]", self.place), value: Some(value) };
        Ok(elements.iter().enumerate().map(element).collect())
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, DcqlError> {
        let member = self.member(name);
        match member.value {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_TEXT => Ok(Some(text)),
            Some(_) => Err(member.no("is a text, not empty and not too long")),
        }
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<String>>, DcqlError> {
        let Some(elements) = self.list(name, MAX_ALTERNATIVES)? else { return Ok(None) };
        let text = |at: &At<'_>| match at.value {
            Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_TEXT => Ok(text.clone()),
            _ => Err(at.no("is a text, not empty and not too long")),
        };
        elements.iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, DcqlError> {
        let member = self.member(name);
        match member.value {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(_) => Err(member.no("is true or false")),
        }
    }

    fn id(&self, name: &str) -> Result<Option<String>, DcqlError> {
        let Some(id) = self.text(name)? else { return Ok(None) };
        if id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            Ok(Some(id.to_owned()))
        } else {
            Err(self.member(name).no("has letters, digits, _ and - only"))
        }
    }

    /// This array as identifiers, each of which is known.
    fn ids(&self, most: usize, known: &dyn Fn(&str) -> bool) -> Result<Vec<String>, DcqlError> {
        let id = |at: &At<'_>| match at.value {
            Some(Value::String(id)) if known(id) => Ok(id.clone()),
            _ => Err(at.no("is an id that stands in the query")),
        };
        self.elements(most)?.iter().map(id).collect()
    }
}
