//! The good rows of an upload are written, by the path of every other record: in batches where they hold at once, one by one
//! where they wait for their day, or something waits for their record. A row whose record somebody else changed after the
//! check is not written.

use std::collections::HashMap;

use super::check::signed;
use super::vault::Vault;
use super::{Service, waits};
use crate::error::{Error, Fault, Refusal, Result};
use crate::flow::import::ImportError;
use crate::flow::import::read::Batch;
use crate::flow::receive::{Became, Expects, Incoming, Says};
use crate::model::calendar::start_of;
use crate::model::origin::{Origin, Way};
use crate::model::record::Record;
use crate::model::upload::{RowOutcome, UploadState};
use crate::store::{IncomingRecord, Upload, UploadClaim, UploadRow, UploadStep};

/// Rows that wait for their day and are kept in one transaction.
const TOGETHER: usize = 100;

impl Service {
    /// Writes the good rows of an upload after its last durable line; `false` if the claim is over.
    pub(super) async fn write(&self, upload: &Upload, claim: UploadClaim, vault: &Vault) -> Result<bool, ImportError> {
        let origin = Origin {
            way: Way::Upload,
            reference: upload.id.clone(),
            actor: upload.submitted_by.clone().unwrap_or_else(|| upload.uploaded_by.clone()),
        };
        let mut batches = self.batches(upload, vault).await?;
        while let Some(batch) = batches.next().await {
            let claim = self.renewed(&claim);
            if !self.store.renew_upload(&claim, UploadState::Submitting).await? {
                return Ok(false);
            }
            let step = self.written(upload, &origin, batch).await?;
            if step.rows > 0 && !self.store.step_upload(&self.renewed(&claim), UploadState::Submitting, step).await? {
                return Ok(false);
            }
        }
        batches.end().await?;
        self.store.finish_import(&origin.reference, &origin.actor, self.clock.now()).await?;
        Ok(true)
    }

    /// Writes a batch.
    async fn written(&self, upload: &Upload, origin: &Origin, batch: Batch) -> Result<UploadStep> {
        let Batch { good, bad, bytes, .. } = batch;
        let lines = good.iter().map(|incoming| incoming.line).chain(bad.iter().map(|row| row.line));
        let lines: Vec<_> = lines.map(signed).filter(|line| *line > upload.line).collect();
        let (Some(first), Some(last)) = (lines.iter().min(), lines.iter().max()) else {
            return Ok(UploadStep::default());
        };
        let outcomes = [RowOutcome::New, RowOutcome::Changed];
        let checked = self.store.upload_rows(&upload.id, &outcomes, first - 1, signed(lines.len() as u64)).await?;
        let mut checked: HashMap<_, _> =
            checked.into_iter().filter(|row| row.line <= *last).map(|row| (row.line, row)).collect();
        let (mut at_once, mut later) = (Vec::new(), Vec::new());
        let keys: Vec<_> = good.iter().map(|incoming| incoming.key.clone()).collect();
        let waiting = self.store.waiting_of_all(&keys).await?;
        for mut incoming in good {
            let Some(row) = checked.remove(&signed(incoming.line)) else { continue };
            let now = self.clock.now();
            let waits_for_day = upload.effective_on.is_some_and(|on| start_of(on) > now);
            if waits_for_day || waits(incoming.status_on, now).is_some() || waiting.contains_key(&incoming.key) {
                later.push((row, incoming));
            } else {
                incoming.expects = Some(row.base_version);
                at_once.push(incoming);
            }
        }
        // Rows that were good when they were checked, and are not any more: a unit or a list has changed.
        let mut became: Vec<_> = checked.into_keys().map(|line| (line, RowOutcome::MovedOn)).collect();
        became.extend(self.write_at_once(origin, at_once).await?);
        let keys: Vec<_> = later.iter().map(|(_, incoming)| incoming.key.clone()).collect();
        let heads = self.store.record_heads(&keys).await?;
        let mut whole = Vec::with_capacity(later.len());
        for (row, incoming) in later {
            match incoming.over(heads.get(&incoming.key))? {
                Ok(new) => whole.push((row, new.record()?, Says::of_row(&incoming)?)),
                Err(_) => became.push((row.line, RowOutcome::MovedOn)),
            }
        }
        for together in whole.chunks(TOGETHER) {
            became.extend(self.write_later(upload, origin, together).await?);
        }
        let mut step = UploadStep {
            line: *last,
            bytes_done: signed(bytes),
            rows: signed(lines.len() as u64),
            ..UploadStep::default()
        };
        for (_, outcome) in &became {
            *match outcome {
                RowOutcome::Written => &mut step.counts.written,
                RowOutcome::Waiting => &mut step.counts.waiting,
                _ => &mut step.counts.conflicts,
            } += 1;
        }
        step.became = became;
        Ok(step)
    }

    async fn write_at_once(&self, origin: &Origin, rows: Vec<IncomingRecord>) -> Result<Vec<(i64, RowOutcome)>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let lines: Vec<_> = rows.iter().map(|incoming| incoming.line).collect();
        let outcome = self.store.take_batch(origin.clone(), rows, self.clock.now()).await?;
        let refused = outcome.refused.iter().map(|(line, _)| line);
        let left_out: std::collections::HashSet<_> =
            outcome.moved_on.iter().chain(&outcome.twice).chain(refused).collect();
        let became = |line: u64| {
            let outcome = if left_out.contains(&line) { RowOutcome::MovedOn } else { RowOutcome::Written };
            (signed(line), outcome)
        };
        Ok(lines.into_iter().map(became).collect())
    }

    /// All together; one by one where one of them is refused.
    async fn write_later(
        &self,
        upload: &Upload,
        origin: &Origin,
        rows: &[(UploadRow, Record, Says)],
    ) -> Result<Vec<(i64, RowOutcome)>> {
        let incoming =
            rows.iter().map(|(row, record, says)| self.incoming(upload, record, says, expects(row))).collect();
        match self.receive(origin, incoming).await {
            Ok(received) => {
                let lines = rows.iter().map(|(row, ..)| row.line);
                return Ok(lines.zip(received).map(|(line, received)| (line, outcome(received.became))).collect());
            }
            Err(Error::Fault(fault)) => return Err(fault.into()),
            Err(Error::Refusal(_)) => {}
        }
        let mut became = Vec::with_capacity(rows.len());
        for (row, record, says) in rows {
            became.push((row.line, self.write_one(upload, origin, row, (record, says)).await?));
        }
        Ok(became)
    }

    async fn write_one(
        &self,
        upload: &Upload,
        origin: &Origin,
        row: &UploadRow,
        (record, says): (&Record, &Says),
    ) -> Result<RowOutcome> {
        let incoming = self.incoming(upload, record, says, expects(row));
        match self.receive(origin, vec![incoming]).await {
            Ok(received) => return Ok(received.first().map_or(RowOutcome::MovedOn, |one| outcome(one.became))),
            Err(Error::Refusal(Refusal::MovedOn(_) | Refusal::RecordExists | Refusal::NotFound(_))) => {}
            Err(Error::Refusal(_)) => return Ok(RowOutcome::MovedOn),
            Err(fault) => return Err(fault),
        }
        // Perhaps it was this upload that moved it on, before it was killed.
        let key = record.key();
        let heads = self.store.record_heads(std::slice::from_ref(&key)).await?;
        if heads.get(&key).is_none_or(|head| head.run != upload.id) {
            return Ok(RowOutcome::MovedOn);
        }
        let incoming = self.incoming(upload, record, says, Expects::Any);
        let received = self.receive(origin, vec![incoming]).await?;
        received.first().map(|one| outcome(one.became)).ok_or_else(|| Fault::new("writing a row", "no answer").into())
    }

    fn incoming(&self, upload: &Upload, record: &Record, says: &Says, expects: Expects) -> Incoming {
        let now = self.clock.now();
        let effective_on = upload.effective_on.filter(|on| start_of(*on) > now);
        Incoming { record: record.clone(), expects, effective_on, confirmed_by: None, says: says.clone() }
    }
}

fn expects(row: &UploadRow) -> Expects {
    if row.outcome == RowOutcome::New { Expects::New } else { Expects::Version(row.base_version) }
}

fn outcome(became: Became) -> RowOutcome {
    match became {
        Became::New | Became::Changed | Became::Unchanged => RowOutcome::Written,
        Became::Waiting { .. } => RowOutcome::Waiting,
    }
}
