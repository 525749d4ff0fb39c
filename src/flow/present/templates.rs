//! The templates of the configuration, ready to ask with.

use serde_json::Value;

use super::Presenting;
use crate::config::{ClientIdPrefix, Config, PresentationTemplate};
use crate::credential::x509;
use crate::error::Fault;
use crate::flow::Service;
use crate::protocol::dcql::Query;
use crate::protocol::mdoc;

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
    let query = Query::parse(&query).map_err(|error| wrong(format!("dcql_query: {error}")))?;
    let verifier_info = template.verifier_info.as_deref().map(serde_json::from_str::<Value>).transpose();
    let verifier_info = verifier_info.ok().filter(|info| info.as_ref().is_none_or(is_verifier_info));
    let verifier_info = verifier_info
        .ok_or_else(|| wrong("verifier_info must be a JSON array of objects with format and data".into()))?;
    Ok(Ready { template, query, verifier_info })
}

/// OpenID4VP 1.0 section 5.1.
fn is_verifier_info(info: &Value) -> bool {
    let is_one = |one: &Value| {
        one["format"].is_string()
            && (one["data"].is_string() || one["data"].is_object())
            && one
                .as_object()
                .is_some_and(|one| one.keys().all(|name| ["format", "data", "credential_ids"].contains(&name.as_str())))
    };
    info.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_one))
}

impl Service {
    /// Checks that every template can be asked with, and every end be told.
    pub(in crate::flow) fn check_presentations(&self) -> Result<(), Fault> {
        let presenting = Presenting::new(&self.config, &self.templates.vct)?;
        let leaf = self.keys.verifier.certificates().first().map(Vec::as_slice).unwrap_or_default();
        let names = x509::dns_names(leaf).map_err(|error| Fault::new("reading verifier.pem", error))?;
        let host = url::Url::parse(&self.config.public_url).ok().and_then(|url| url.domain().map(str::to_owned));
        let is_named = host.is_some_and(|host| names.contains(&host));
        for Ready { template, .. } in presenting.templates.all() {
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
