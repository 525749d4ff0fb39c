//! The templates of the configuration, ready to ask with.

use serde_json::Value;

use super::Presenting;
use crate::config::{ClientIdPrefix, Config, PresentationTemplate};
use crate::credential::x509;
use crate::error::Fault;
use crate::flow::Service;
use crate::protocol::dcql::{CredentialQuery, Query};
use crate::protocol::mdoc;
use crate::protocol::oid4vp::purpose_info;

/// The templates in force.
#[derive(Default)]
pub(super) struct Templates(Vec<Ready>);

/// A template whose query was read.
pub(super) struct Ready {
    /// As configured.
    pub template: PresentationTemplate,
    /// The query, with the names of this deployment's card.
    pub query: Query,
    /// `verifier_info`.
    pub verifier_info: Option<Value>,
}

impl Templates {
    /// Reads those of the configuration, and gives what is wrong with the first that cannot be used.
    pub(super) fn new(config: &Config, vct: &str) -> Result<Self, Fault> {
        let templates = config.presentation_templates()?;
        templates.into_iter().map(|template| ready(template, vct, config.specimen)).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn all(&self) -> &[Ready] {
        &self.0
    }

    pub(super) fn named(&self, id: &str) -> Option<&Ready> {
        self.0.iter().find(|one| one.template.id == id)
    }
}

fn ready(template: PresentationTemplate, vct: &str, specimen: bool) -> Result<Ready, Fault> {
    let wrong = |what: String| {
        Fault::new("checking the configuration", format!("presentation template {}: {what}", template.id))
    };
    let text = template
        .dcql_query
        .replace("${vct}", vct)
        .replace("${doctype}", mdoc::doctype(specimen))
        .replace("${namespace}", mdoc::NAMESPACE);
    let query: Value = serde_json::from_str(&text).map_err(|_| wrong("dcql_query is not JSON".into()))?;
    let query = Query::parse_own(&query).map_err(|error| wrong(format!("dcql_query: {error}")))?;
    let verifier_info = verifier_info(&template, &query).ok_or_else(|| {
        wrong("verifier_info must be a JSON array of objects with format, data and credential_ids of the query".into())
    })?;
    Ok(Ready { template, query, verifier_info: Some(verifier_info).filter(|info| !info.is_empty()).map(Value::Array) })
}

/// What the template says that others vouch for, and why it is asked; nothing if the template's cannot be used. A
/// conformance suite gets no more than the template says.
fn verifier_info(template: &PresentationTemplate, query: &Query) -> Option<Vec<Value>> {
    let mut info = match &template.verifier_info {
        None => Vec::new(),
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Array(info)) if !info.is_empty() && info.iter().all(|one| is_verifier_info(one, query)) => info,
            _ => return None,
        },
    };
    if !template.conformance {
        info.push(purpose_info(&[template.purpose_vi.clone(), template.purpose_en.clone()]));
    }
    Some(info)
}

/// OpenID4VP 1.0 section 5.11.
fn is_verifier_info(one: &Value, query: &Query) -> bool {
    let Some(members) = one.as_object() else { return false };
    let is_of_query = |id: &Value| id.as_str().is_some_and(|id| query.credential(id).is_some());
    members.keys().all(|name| ["format", "data", "credential_ids"].contains(&name.as_str()))
        && one["format"].is_string()
        && (one["data"].is_string() || one["data"].is_object())
        && members
            .get("credential_ids")
            .is_none_or(|ids| ids.as_array().is_some_and(|ids| !ids.is_empty() && ids.iter().all(is_of_query)))
}

impl Service {
    /// Checks that every template can be asked with, and every end be told.
    pub(in crate::flow) fn check_presentations(&self) -> Result<(), Fault> {
        let presenting = Presenting::new(&self.config, &self.templates.vct)?;
        let leaf = self.keys.verifier.certificates().first().map(Vec::as_slice).unwrap_or_default();
        let names = x509::dns_names(leaf).map_err(|error| Fault::new("reading verifier.pem", error))?;
        let host = url::Url::parse(&self.config.public_url).ok().and_then(|url| url.domain().map(str::to_owned));
        let is_named = host.is_some_and(|host| names.contains(&host));
        for Ready { template, query, .. } in presenting.templates.all() {
            let issued = |kind: &String| self.trusted_issuers().iter().any(|issuer| issuer.types.contains(kind));
            let is_vain = |credential: &CredentialQuery| !credential.types().iter().any(issued);
            if !template.conformance && query.credentials().iter().any(is_vain) {
                let what = format!(
                    "presentation template {}: its query asks for a type that neither we nor any of trusted_issuers issue",
                    template.id
                );
                return Err(Fault::new("checking the configuration", what));
            }
            if template.client_id_prefix == ClientIdPrefix::X509SanDns && !is_named {
                let what = format!(
                    "presentation template {}: verifier.pem does not have the host of public_url as a DNS name",
                    template.id
                );
                return Err(Fault::new("checking the configuration", what));
            }
        }
        Ok(())
    }
}
