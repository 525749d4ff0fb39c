//! Who looked at an official's data, who asked the population database about them, and what happened: the lines of the
//! audit table about their records, cards, proposals and evidence.
//!
//! The law gives two working days for the answer; this one is immediate.

use serde::Serialize;

use super::see::{MOST_CARDS, OWN_LOOKING};
use super::{Official, Service};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::model::card::Selector;
use crate::store::AuditLine;

/// Proposals whose lines are told.
const MOST_PROPOSALS: i64 = 200;

/// A page of lines.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AccessPage {
    /// The lines, newest first.
    pub items: Vec<AccessLine>,
    /// What to send as `after` for the next page.
    pub next: Option<String>,
}

/// One line.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AccessLine {
    /// When (Unix seconds).
    pub at: UnixSeconds,
    /// Who: an officer, a program, a part of the system; `holder` is the person themselves.
    #[schema(example = "nguyen.van.a")]
    pub actor: String,
    /// What.
    #[schema(example = "record.read")]
    pub action: String,
    /// `looked`, `asked` (the population database) or `changed`.
    #[schema(example = "looked")]
    pub kind: &'static str,
    /// The record that it is about.
    pub record: Option<String>,
    /// The card that it is about.
    pub card: Option<String>,
    /// The proposal that it is about.
    pub proposal: Option<String>,
    /// Codes: the purpose, or what changed.
    pub detail: String,
}

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Record,
    Card,
    Proposal,
}

impl Service {
    /// Who looked and what happened, newest first. `after` is `next` of the page before.
    pub async fn self_access(&self, official: &Official, after: Option<&str>, limit: i64) -> Result<AccessPage> {
        let before = match after {
            None => i64::MAX,
            Some(text) => {
                let rule = || Refusal::malformed("after", "must be `next` of the page before");
                text.parse::<i64>().ok().filter(|number| *number > 0).ok_or_else(rule)?
            }
        };
        let mut subjects = Vec::new();
        let mut kinds = Vec::new();
        for stored in self.store.held_on(&official.person).await? {
            subjects.push(stored.handle.to_string());
            kinds.push(About::Record);
        }
        for card in self.store.cards(&Selector::Person(official.person.clone()), MOST_CARDS).await? {
            subjects.push(card.handle.to_string());
            kinds.push(About::Card);
        }
        for proposal in self.store.proposals_of(&official.person, None, MOST_PROPOSALS).await? {
            subjects.push(proposal.id);
            kinds.push(About::Proposal);
        }
        let mut lines = self.store.audit_about(&subjects, before, OWN_LOOKING, limit + 1).await?;
        let has_more = i64::try_from(lines.len()).is_ok_and(|count| count > limit);
        lines.truncate(usize::try_from(limit).unwrap_or(0));
        let next = lines.last().filter(|_| has_more).map(|line| line.seq.to_string());
        let about = |line: &AuditLine| {
            let at = subjects.iter().position(|subject| *subject == line.subject);
            at.map(|at| kinds[at])
        };
        let items = lines.into_iter().map(|line| {
            let about = about(&line);
            let named = |wanted| (about == Some(wanted)).then(|| line.subject.clone());
            AccessLine {
                at: line.at,
                kind: kind(&line.action),
                record: named(About::Record),
                card: named(About::Card),
                proposal: named(About::Proposal),
                actor: line.actor,
                action: line.action,
                detail: line.detail,
            }
        });
        Ok(AccessPage { items: items.collect(), next })
    }
}

fn kind(action: &str) -> &'static str {
    if action.starts_with("population.") {
        "asked"
    } else if action.rsplit('.').next() == Some("read") {
        "looked"
    } else {
        "changed"
    }
}
