//! The check of an upload: what each row would do, without storing anything in records.

use super::told::{KeptFault, KeptField, Told, WaitsBeside, shown};
use super::vault::Vault;
use super::{Service, waits};
use crate::error::Fault;
use crate::flow::import::ImportError;
use crate::flow::import::read::{BadRow, Batch, RawRow};
use crate::flow::receive::{MOST_DAYS_AHEAD, Says};
use crate::model::calendar::day_of;
use crate::model::catalogue::Catalogue;
use crate::model::origin::Way;
use crate::model::patch::Patch;
use crate::model::record::Record;
use crate::model::row_fault::RowFault;
use crate::model::upload::{RowOutcome, UploadState};
use crate::store::{IncomingRecord, RecordHead, Upload, UploadClaim, UploadCounts, UploadRow, UploadStep, Waiting};

impl Service {
    /// Checks the rows of an upload after its last durable line; `false` if the claim is over.
    pub(super) async fn check(&self, upload: &Upload, claim: UploadClaim, vault: &Vault) -> Result<bool, ImportError> {
        let mut batches = self.batches(upload, vault).await?;
        while let Some(batch) = batches.next().await {
            let step = self.checked(upload, batch, vault).await?;
            if step.rows > 0 && !self.store.step_upload(&self.renewed(&claim), UploadState::Checking, step).await? {
                return Ok(false);
            }
        }
        batches.end().await?;
        Ok(true)
    }

    /// What a batch would do.
    async fn checked(&self, upload: &Upload, batch: Batch, vault: &Vault) -> Result<UploadStep, Fault> {
        let Batch { header, good, raws, bad, bytes } = batch;
        let is_new = |line: u64| signed(line) > upload.line;
        let keys: Vec<_> =
            good.iter().filter(|incoming| is_new(incoming.line)).map(|incoming| incoming.key.clone()).collect();
        let heads = self.store.record_heads(&keys).await?;
        let waiting = self.store.waiting_of_all(&keys).await?;
        let mut step = UploadStep {
            bytes_done: signed(bytes),
            columns: Some(serde_json::json!(&*header).to_string()),
            ..UploadStep::default()
        };
        let counts = &mut step.counts;
        for (incoming, raw) in good.iter().zip(&raws).filter(|(incoming, _)| is_new(incoming.line)) {
            let found = match incoming.over(heads.get(&incoming.key))? {
                Ok(new) => {
                    let weighed = self.weigh(&new, heads.get(&incoming.key), &header)?;
                    weighed.beside(incoming, waiting.get(&incoming.key).map_or(&[], Vec::as_slice))?
                }
                // It contradicts what stays of the record.
                Err(faults) => Weighed {
                    outcome: RowOutcome::Faults,
                    base_version: 0,
                    changed_fields: 0,
                    waits_until: None,
                    told: faulty(&header, raw, &faults),
                },
            };
            found.count(counts);
            let sealed = self.sealed(vault, incoming.line, &found.told)?;
            step.checked.push(UploadRow {
                line: signed(incoming.line),
                outcome: found.outcome,
                unit: incoming.key.unit.clone(),
                base_version: found.base_version,
                changed_fields: found.changed_fields,
                waits_until: found.waits_until,
                sealed,
            });
        }
        for BadRow { line, raw, faults } in bad.into_iter().filter(|row| is_new(row.line)) {
            counts.faults += 1;
            let told = faulty(&header, &raw, &faults);
            step.checked.push(UploadRow {
                line: signed(line),
                outcome: RowOutcome::Faults,
                unit: cell_named(&header, &raw, "managing_unit_code").unwrap_or_default(),
                base_version: 0,
                changed_fields: 0,
                waits_until: None,
                sealed: self.sealed(vault, line, &told)?,
            });
        }
        step.checked.sort_unstable_by_key(|row| row.line);
        step.rows = signed(step.checked.len() as u64);
        step.line = step.checked.last().map_or(0, |row| row.line);
        Ok(step)
    }

    /// What a row would do to what is there; `incoming` is what it makes of that.
    fn weigh(&self, incoming: &IncomingRecord, head: Option<&RecordHead>, header: &[String]) -> Result<Weighed, Fault> {
        let now = self.clock.now();
        let record = incoming.record()?;
        let told = Told { number: incoming.key.number.clone(), person: shown(record.full_name()), ..Told::default() };
        let base_version = head.map_or(0, |head| head.version);
        let plain =
            |outcome| Weighed { outcome, base_version, changed_fields: 0, waits_until: None, told: told.clone() };
        let waits_until = waits(incoming.status_on, now);
        if let Some(on) = waits_until
            && (on - day_of(now)).whole_days() > MOST_DAYS_AHEAD
        {
            let fault = RowFault {
                line: incoming.line,
                field: "employment_status_date".to_owned(),
                shape: None,
                rule: "not_too_far".to_owned(),
                demand_vi: format!("không quá {MOST_DAYS_AHEAD} ngày kể từ hôm nay"),
                demand_en: format!("lie at most {MOST_DAYS_AHEAD} days ahead"),
            };
            let mut weighed = plain(RowOutcome::Faults);
            weighed.told.faults = vec![KeptFault::of(&fault, header, |_| Some(on.to_string()))];
            return Ok(weighed);
        }
        let Some(head) = head.filter(|head| !head.is_removed) else {
            return Ok(Weighed { waits_until, ..plain(RowOutcome::New) });
        };
        if head.content == incoming.content {
            return Ok(plain(RowOutcome::Unchanged));
        }
        let doing = "comparing a row with its record";
        let catalogue =
            Catalogue::version(&head.catalogue).ok_or_else(|| Fault::new(doing, "its catalogue is not known"))?;
        let old = Record::restore(catalogue, &head.content).map_err(|error| Fault::new(doing, error))?;
        let patch = Patch::between(&old, &record);
        if patch.is_empty() {
            return Ok(plain(RowOutcome::Unchanged));
        }
        let status = ["employment_status", "employment_status_date"];
        let mut weighed = plain(RowOutcome::Changed);
        weighed.waits_until = waits_until.filter(|_| patch.fields().any(|field| status.contains(&field)));
        weighed.changed_fields = signed(patch.fields().count() as u64);
        weighed.told.fields = KeptField::all(&patch);
        Ok(weighed)
    }

    fn sealed(&self, vault: &Vault, line: u64, told: &Told) -> Result<Vec<u8>, Fault> {
        let plain = serde_json::to_vec(told).map_err(|error| Fault::new("keeping what is told of a row", error))?;
        vault.seal_row(&self.chance, signed(line), plain)
    }
}

/// What a row would do.
struct Weighed {
    outcome: RowOutcome,
    base_version: i64,
    changed_fields: i64,
    waits_until: Option<time::Date>,
    told: Told,
}

impl Weighed {
    /// Tells what waits for the record. To end that is a change, too.
    fn beside(mut self, row: &IncomingRecord, waiting: &[Waiting]) -> Result<Self, Fault> {
        if waiting.is_empty() || self.outcome == RowOutcome::Faults {
            return Ok(self);
        }
        let says = Says::of_row(row)?;
        let kept = |waiting: &Waiting| WaitsBeside::of(waiting, says.ends(waiting, Way::Upload));
        self.told.waiting = waiting.iter().map(kept).collect();
        if self.outcome == RowOutcome::Unchanged && self.told.waiting.iter().any(|waiting| waiting.ends) {
            self.outcome = RowOutcome::Changed;
        }
        Ok(self)
    }

    fn count(&self, counts: &mut UploadCounts) {
        *match self.outcome {
            RowOutcome::New => &mut counts.new,
            RowOutcome::Changed => &mut counts.changed,
            RowOutcome::Unchanged => &mut counts.unchanged,
            _ => &mut counts.faults,
        } += 1;
        counts.changed_fields += self.changed_fields;
    }
}

fn faulty(header: &[String], raw: &RawRow, faults: &[RowFault]) -> Told {
    let cell = |at| match raw {
        RawRow::Cells(cells) => cells.get(at).map(|cell| String::from_utf8_lossy(cell).into_owned()),
        RawRow::Json(_) => None,
    };
    Told {
        number: shown(&cell_named(header, raw, "agency_personnel_number").unwrap_or_default()),
        person: shown(&cell_named(header, raw, "full_name").unwrap_or_default()),
        faults: faults.iter().map(|fault| KeptFault::of(fault, header, cell)).collect(),
        ..Told::default()
    }
}

/// What stands in a column, as far as it can be read.
fn cell_named(header: &[String], raw: &RawRow, name: &str) -> Option<String> {
    let at = header.iter().position(|column| column.trim() == name)?;
    match raw {
        RawRow::Cells(cells) => Some(shown(&String::from_utf8_lossy(cells.get(at)?))),
        RawRow::Json(_) => None,
    }
}

pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
