//! What the State holds on an official: every field with its source, its date, why it is held, and how it can change.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{AccessLine, Official, OwnCard, OwnProposal, Service};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::flow::records::{Sources, sources};
use crate::model::calendar::day_of;
use crate::model::card::{AgencyName, Selector};
use crate::model::catalogue::{Catalogue, Field, Privacy, RepeatList};
use crate::model::code_list::{CodeBook, CodeLabels};
use crate::model::id::Handle;
use crate::model::origin::HOLDER;
use crate::model::person::MatchOutcome;
use crate::model::self_update::{Changeable, EvidenceRule, How, legal_bases};
use crate::model::unit::{UnitDirectory, UnitRegister};
use crate::store::{StoredRecord, StoredVersion};

/// Versions of a record that sources are looked for in. What is older is told as of the oldest of them.
const MOST_VERSIONS: i64 = 500;
/// Cards of a person that are told of.
pub(super) const MOST_CARDS: i64 = 100;
/// Lines and proposals of an export.
const EXPORTED: i64 = 1_000;

/// All that is held on the person.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Overview {
    /// Whose it is.
    pub person: Person,
    /// When it was told (Unix seconds).
    pub as_of: UnixSeconds,
    /// Every record, one for each unit that keeps one; last those that a unit took back.
    pub records: Vec<RecordView>,
    /// Every card, newest first.
    pub cards: Vec<OwnCard>,
    /// Why the groups of fields are held.
    pub legal_bases: Vec<LegalBasisView>,
}

/// The person.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Person {
    /// The personal identification number.
    #[schema(example = "001199000018")]
    pub personal_id_number: String,
    /// As the first record has it.
    pub full_name: Option<String>,
}

/// One record.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RecordView {
    /// Its handle.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    pub record: String,
    /// The managing unit.
    #[schema(value_type = Object)]
    pub unit: AgencyName,
    /// The number that the unit gave.
    pub number: String,
    /// The current version.
    pub version: i64,
    /// When it came (Unix seconds).
    pub changed_at: UnixSeconds,
    /// When the unit took the record back.
    pub removed_at: Option<UnixSeconds>,
    /// What the population database says about it.
    pub population: PopulationView,
    /// When the unit confirmed this version.
    pub confirmed_at: Option<UnixSeconds>,
    /// Every field outside lists, in the catalogue's order.
    pub fields: Vec<FieldView>,
    /// Every list.
    pub lists: Vec<ListView>,
    /// Where the portrait is.
    pub portrait: Option<String>,
}

/// What the population database says.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PopulationView {
    /// `pending`, `matched`, `not_found` or `mismatched`.
    #[schema(example = "matched")]
    pub state: &'static str,
    /// The fields that differ.
    pub differs: Vec<&'static str>,
}

/// One field.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct FieldView {
    /// Its code.
    #[schema(example = "marital_status")]
    pub field: &'static str,
    /// Vietnamese label.
    pub label_vi: &'static str,
    /// English label.
    pub label_en: &'static str,
    /// The group, which has a legal basis.
    #[schema(example = "identity")]
    pub group: &'static str,
    /// `basic`, `sensitive` or `work`.
    #[schema(example = "basic")]
    pub privacy: &'static str,
    /// As the record has it; null when it is empty.
    pub value: Value,
    /// What a code means, where that is known.
    pub value_label: Option<String>,
    /// Where it came from.
    pub source: Option<SourceView>,
    /// Since when it says this (Unix seconds).
    pub since: Option<UnixSeconds>,
    /// How it can change.
    pub change: ChangeRule,
}

/// One list.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ListView {
    /// Its name.
    #[schema(example = "DS_NGOAINGU")]
    pub list: &'static str,
    /// Its columns.
    pub columns: Vec<ColumnView>,
    /// The group, which has a legal basis.
    pub group: &'static str,
    /// `basic`, `sensitive` or `work`: the strictest of its columns.
    pub privacy: &'static str,
    /// Its entries.
    pub entries: Value,
    /// Where it came from.
    pub source: Option<SourceView>,
    /// Since when it says this (Unix seconds).
    pub since: Option<UnixSeconds>,
    /// How it can change.
    pub change: ChangeRule,
}

/// A column of a list.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ColumnView {
    /// Its code.
    pub field: &'static str,
    /// Vietnamese label.
    pub label_vi: &'static str,
    /// English label.
    pub label_en: &'static str,
}

/// Where a value came from.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SourceView {
    /// `import`, `sync`, `upload`, `update`, `reorganisation` or `population`.
    #[schema(example = "sync")]
    pub way: &'static str,
    /// The version of the record that brought it.
    pub version: i64,
}

/// How a field can come to say something else.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ChangeRule {
    /// `at_once`, `proposal`, `rematch` or `unit`.
    #[schema(example = "proposal")]
    pub how: &'static str,
    /// Whether the unit has to confirm it.
    pub confirmation: bool,
    /// Whether two reviewers have to agree.
    pub four_eyes: bool,
    /// Evidence: `none`, `asked` or `required`.
    #[schema(example = "asked")]
    pub evidence: &'static str,
}

/// Why a group of fields is held.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LegalBasisView {
    /// The group.
    pub group: &'static str,
    /// In Vietnamese.
    pub vi: &'static str,
    /// In English.
    pub en: &'static str,
    /// How well it is known; never official.
    #[schema(example = "derived")]
    pub certainty: &'static str,
}

/// Everything in one document.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Export {
    /// What is held.
    #[serde(flatten)]
    pub overview: Overview,
    /// The portraits by the handle of their record, as data URLs.
    pub portraits: BTreeMap<String, String>,
    /// Who looked and what happened, newest first.
    pub access: Vec<AccessLine>,
    /// What the person proposed, newest first.
    pub proposals: Vec<OwnProposal>,
}

impl Service {
    /// All that is held on the official. Noted as a read of their own.
    pub async fn self_overview(&self, official: &Official) -> Result<Overview> {
        let records = self.store.held_on(&official.person).await?;
        self.noted(&records, "self").await?;
        self.overview(official, &records).await
    }

    /// The same with all that hangs on it, in one document.
    pub async fn self_export(&self, official: &Official) -> Result<Export> {
        use base64::Engine;
        let mut records = self.store.held_on(&official.person).await?;
        for stored in &mut records {
            self.store.attach_portrait(stored).await?;
        }
        self.noted(&records, "self.export").await?;
        let data_url =
            |jpeg: &[u8]| format!("data:image/jpeg;base64,{}", base64::engine::general_purpose::STANDARD.encode(jpeg));
        let portraits = records
            .iter()
            .filter_map(|stored| Some((stored.handle.to_string(), data_url(stored.record.portrait()?.jpeg()?))));
        Ok(Export {
            portraits: portraits.collect(),
            overview: self.overview(official, &records).await?,
            access: self.self_access(official, None, EXPORTED).await?.items,
            proposals: self.self_proposals(official, None, EXPORTED).await?.items,
        })
    }

    /// The portrait of one of the official's records: JPEG.
    pub async fn self_portrait(&self, official: &Official, record: &Handle) -> Result<Vec<u8>> {
        let records = self.store.held_on(&official.person).await?;
        let mut stored =
            records.into_iter().find(|stored| stored.handle == *record).ok_or(Refusal::NotFound("record"))?;
        self.store.attach_portrait(&mut stored).await?;
        let jpeg = stored.record.portrait().and_then(|portrait| portrait.jpeg()).map(<[u8]>::to_vec);
        Ok(jpeg.ok_or(Refusal::NotFound("portrait"))?)
    }

    async fn noted(&self, records: &[StoredRecord], purpose: &str) -> Result<()> {
        let handles: Vec<_> = records.iter().map(|stored| stored.handle.clone()).collect();
        self.note_own_read(&handles, purpose).await
    }

    async fn overview(&self, official: &Official, records: &[StoredRecord]) -> Result<Overview> {
        let (now, labels) = (self.clock.now(), self.code_book().await?);
        let codes: Vec<_> = records.iter().filter_map(|stored| stored.record.text("managing_unit_code")).collect();
        let day = day_of(now);
        let units = if codes.is_empty() { UnitRegister::on(day) } else { self.store.units_named(day, &codes).await? };
        let mut views = Vec::with_capacity(records.len());
        for stored in records {
            let versions = self.store.versions_of(&stored.handle, MOST_VERSIONS).await?;
            views.push(record_view(stored, &versions, &labels, &units));
        }
        let cards = self.store.cards(&Selector::Person(official.person.clone()), MOST_CARDS).await?;
        let mut own_cards = Vec::with_capacity(cards.len());
        for card in cards {
            own_cards.push(self.own_card(&card).await?);
        }
        let bases = legal_bases().iter().map(|(group, basis)| LegalBasisView {
            group,
            vi: &basis.vi,
            en: &basis.en,
            certainty: &basis.certainty,
        });
        Ok(Overview {
            person: Person {
                personal_id_number: official.person.expose().to_owned(),
                full_name: records.first().map(|stored| stored.record.full_name().to_owned()),
            },
            as_of: now,
            records: views,
            cards: own_cards,
            legal_bases: bases.collect(),
        })
    }
}

fn record_view(
    stored: &StoredRecord,
    versions: &[StoredVersion],
    labels: &CodeBook,
    units: &UnitRegister,
) -> RecordView {
    let (record, sources) = (&stored.record, sources(versions));
    // The catalogues live as long as the program.
    let catalogue: &'static Catalogue = record.catalogue();
    let members = record.members();
    let key = record.key();
    let name = units.unit_name(&key.unit).map(Into::into);
    let name =
        name.or_else(|| record.text("managing_unit_name").map(str::to_owned)).unwrap_or_else(|| key.unit.clone());
    let outside = catalogue.fields().iter().filter(|field| field.list.is_none());
    let portrait = record.portrait().map(|_| format!("/api/v1/me/records/{}/portrait", stored.handle));
    RecordView {
        record: stored.handle.to_string(),
        unit: AgencyName { code: key.unit, name },
        number: key.number,
        version: stored.version,
        changed_at: stored.standing.changed_at,
        removed_at: stored.removed_at,
        population: population_view(stored.standing.population.as_ref()),
        confirmed_at: stored.standing.confirmed_at,
        fields: outside.map(|field| field_view(catalogue, field, &members, &sources, labels)).collect(),
        lists: catalogue.lists().iter().map(|list| list_view(catalogue, list, &members, &sources)).collect(),
        portrait,
    }
}

pub(super) fn population_view(outcome: Option<&MatchOutcome>) -> PopulationView {
    let differs = match outcome {
        Some(MatchOutcome::Mismatched { fields }) => fields.clone(),
        _ => Vec::new(),
    };
    PopulationView { state: outcome.map_or("pending", MatchOutcome::word), differs }
}

fn field_view(
    catalogue: &'static Catalogue,
    field: &'static Field,
    members: &Map<String, Value>,
    sources: &Sources<'_>,
    labels: &CodeBook,
) -> FieldView {
    let value = members.get(&field.code).cloned().unwrap_or(Value::Null);
    let source = sources.get(&field.code);
    FieldView {
        field: &field.code,
        label_vi: &field.label_vi,
        label_en: &field.label_en,
        group: &field.group,
        privacy: privacy_word(field.privacy),
        value_label: label_of(field, &value, labels),
        value,
        source: source.map(|source| SourceView { way: source.origin.way.word(), version: source.version }),
        since: source.map(|source| source.at),
        change: change_rule(catalogue, &field.code),
    }
}

/// The meaning of a code, where a real one is known.
fn label_of(field: &Field, value: &Value, labels: &CodeBook) -> Option<String> {
    labels.label(field.code_list.as_deref()?, value.as_str()?).map(std::borrow::Cow::into_owned)
}

fn list_view(
    catalogue: &'static Catalogue,
    list: &'static RepeatList,
    members: &Map<String, Value>,
    sources: &Sources<'_>,
) -> ListView {
    let columns: Vec<&'static Field> = list.members.iter().map(|at| &catalogue.fields()[*at]).collect();
    let source = sources.get(&list.name);
    let privacy = |wanted| columns.iter().any(|field| field.privacy == wanted);
    let strictest = [Privacy::Sensitive, Privacy::Basic].into_iter().find(|one| privacy(*one)).unwrap_or(Privacy::Work);
    ListView {
        list: &list.name,
        group: columns.first().map_or("", |field| field.group.as_str()),
        privacy: privacy_word(strictest),
        columns: columns
            .iter()
            .map(|field| ColumnView { field: &field.code, label_vi: &field.label_vi, label_en: &field.label_en })
            .collect(),
        entries: members.get(&list.name).cloned().unwrap_or_else(|| Value::Array(Vec::new())),
        source: source.map(|source| SourceView { way: source.origin.way.word(), version: source.version }),
        since: source.map(|source| source.at),
        change: change_rule(catalogue, &list.name),
    }
}

fn change_rule(catalogue: &Catalogue, name: &str) -> ChangeRule {
    let closed = Changeable { how: How::Unit, is_sensitive: false, is_on_card: false, evidence: EvidenceRule::None };
    let changeable = Changeable::of(catalogue, name).unwrap_or(closed);
    let is_proposed = changeable.how == How::Proposal;
    ChangeRule {
        how: changeable.how.word(),
        confirmation: is_proposed,
        four_eyes: is_proposed && (changeable.is_sensitive || changeable.is_on_card),
        evidence: changeable.evidence.word(),
    }
}

fn privacy_word(privacy: Privacy) -> &'static str {
    match privacy {
        Privacy::Basic => "basic",
        Privacy::Sensitive => "sensitive",
        Privacy::Work => "work",
    }
}

/// The actor and action that the official's own list of who looked leaves out: their own looking.
pub(super) const OWN_LOOKING: (&str, &str) = (HOLDER, "record.read");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::{Origin, Way};
    use crate::model::record::Record;

    fn version(version: i64, way: Way, content: &str) -> StoredVersion {
        let origin = Origin { way, reference: String::new(), actor: String::new() };
        StoredVersion {
            version,
            at: 1_000 + version,
            origin,
            record: Record::restore(Catalogue::current(), content).unwrap(),
        }
    }

    #[test]
    fn a_field_has_the_source_of_its_last_change() {
        let versions = [
            version(1, Way::Import, r#"{"email":"a@b.vn","full_name":"An","marital_status":"1"}"#),
            version(2, Way::Sync, r#"{"email":"c@b.vn","full_name":"An","marital_status":"1"}"#),
            version(3, Way::Update, r#"{"email":"a@b.vn","full_name":"An"}"#),
            version(4, Way::Sync, r#"{"email":"a@b.vn","full_name":"An"}"#),
        ];
        let sources = sources(&versions);
        let told: Vec<_> = sources.iter().map(|(name, source)| (name.as_str(), source.version)).collect();
        assert_eq!(told, [("email", 3), ("full_name", 1), ("marital_status", 3)]);
    }
}
