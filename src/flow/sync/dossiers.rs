//! What a packet says of each dossier, put on what is there now.

use serde_json::{Map, Value};

use super::{Call, EXISTS, MISSING, SyncFault};
use crate::error::Result;
use crate::flow::Service;
use crate::flow::receive::{Expects, Incoming, Says, brought, word};
use crate::model::calendar::day_of;
use crate::model::catalogue::Catalogue;
use crate::model::code_list::CodeLabels;
use crate::model::intake::Intake;
use crate::model::origin::Way;
use crate::model::partial_date::PartialDate;
use crate::model::record::{Record, RecordKey};
use crate::model::rule::Knowledge;
use crate::model::unit::is_within;
use crate::protocol::ministry::{Action, Dossier, Operation, complaint, place};
use crate::store::{CardStep, IncomingRecord, StoredRecord, SyncKey, VersionWrite, Waiting};

/// What a call will write.
pub(super) enum Prepared {
    /// Records come in.
    Receive {
        /// One for each dossier.
        incoming: Vec<Incoming>,
    },
    /// A record is taken back.
    Remove {
        /// Which.
        key: RecordKey,
    },
    /// A record that was to come does not.
    Forgo {
        /// The change that would bring it.
        coming: Box<Waiting>,
    },
    /// A record goes to another managing unit of the same agency.
    Move {
        /// Its new version.
        write: Box<VersionWrite>,
        /// Where the agency's number leads to then.
        key: SyncKey,
    },
}

/// What is there under an agency's number.
enum Found {
    Nothing,
    One(Box<StoredRecord>),
    /// It comes on a later day.
    Coming(Box<Waiting>),
    /// In several units: which is meant cannot be known.
    Several(Vec<String>),
}

impl Service {
    /// Every dossier of the call, or all that is wrong with them.
    pub(super) async fn prepare(
        &self,
        call: &Call<'_>,
        codes: &dyn CodeLabels,
    ) -> Result<Result<Prepared, Vec<SyncFault>>> {
        let intake = Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units: &call.units, codes } };
        let (mut incoming, mut faults) = (Vec::new(), Vec::new());
        let only = call.packet.dossiers.len() == 1;
        for (at, dossier) in call.packet.dossiers.iter().enumerate() {
            let fault = |code, message: String| SyncFault::of_dossier(at + 1, code, message);
            let found = match self.found(call, dossier).await? {
                Found::Several(units) => {
                    let message = format!(
                        "Số hiệu CBCCVC Bộ ngành địa phương có ở nhiều đơn vị ({}), đề nghị gửi với org_Code của đơn vị quản \
                         lý hồ sơ!",
                        units.join(", ")
                    );
                    faults.push(fault("ambiguous", message));
                    continue;
                }
                found => found,
            };
            let base = match (call.packet.action, found) {
                (Action::Add, Found::One(_) | Found::Coming(_)) => {
                    faults.push(fault("exists", EXISTS.into()));
                    continue;
                }
                (Action::Add, _) if !dossier.has_general(intake.catalogue) => {
                    let message = "Không tìm thấy thông tin chung trong khi thực hiện thêm mới dữ liệu cán bộ, công chức, \
                                   viên chức!";
                    faults.push(fault("section", message.into()));
                    continue;
                }
                (Action::Edit | Action::Del, Found::Nothing) => {
                    faults.push(fault("missing", MISSING.into()));
                    continue;
                }
                (_, base) => base,
            };
            if (call.operation, call.packet.action) == (Operation::Whole, Action::Del) {
                match base {
                    Found::One(stored) if only => return Ok(Ok(Prepared::Remove { key: stored.record.key() })),
                    Found::Coming(coming) if only => return Ok(Ok(Prepared::Forgo { coming })),
                    _ => {}
                }
                faults.push(fault("too_many", "Mỗi gói tin DEL M0001 chỉ được có một hồ sơ!".into()));
                continue;
            }
            let (stored, there) = match base {
                Found::One(stored) => (Some(stored), None),
                Found::Coming(coming) => (None, Some(brought(&coming)?)),
                _ => (None, None),
            };
            let there = stored.as_ref().map(|stored| &stored.record).or(there.as_ref());
            match said(call, &intake, dossier, there, at + 1) {
                Err(wrong) => faults.extend(wrong),
                Ok((record, _)) if there.is_some_and(|there| there.key() != record.key()) && stored.is_none() => {
                    let field = place(intake.catalogue, "managing_unit_code");
                    let message = format!("{field}: hồ sơ chưa có hiệu lực, đề nghị xóa (DEL) rồi thêm mới (ADD)");
                    faults.push(fault("unit", message));
                }
                Ok((record, says)) => match stored {
                    Some(stored) if stored.record.key() != record.key() => {
                        match self.moved(call, (&stored, &dossier.number), (&record, &says), only).await? {
                            Ok(moved) if faults.is_empty() => return Ok(Ok(moved)),
                            Ok(_) => {}
                            Err((code, message)) => faults.push(fault(code, message)),
                        }
                    }
                    base => {
                        let expects = base.map_or(Expects::New, |stored| Expects::Version(stored.version));
                        let confirmed_by = call.confirmed_by();
                        incoming.push(Incoming { record, expects, effective_on: None, confirmed_by, says });
                    }
                },
            }
        }
        Ok(if faults.is_empty() { Ok(Prepared::Receive { incoming }) } else { Err(faults) })
    }

    async fn found(&self, call: &Call<'_>, dossier: &Dossier) -> Result<Found> {
        let mut keys = self.store.sync_keys(call.org.as_str(), &dossier.number).await?;
        if keys.len() > 1 {
            return Ok(Found::Several(keys.into_iter().map(|key| key.unit).collect()));
        }
        let Some(key) = keys.pop() else {
            let coming = self.store.waiting_newcomers(call.org.as_str(), &dossier.number, Way::Sync).await?;
            return Ok(coming.into_iter().next().map_or(Found::Nothing, |coming| Found::Coming(Box::new(coming))));
        };
        let stored = self.store.record(&key).await?;
        let stored = stored.filter(|stored| stored.removed_at.is_none());
        Ok(stored.map_or(Found::Nothing, |stored| Found::One(Box::new(stored))))
    }

    /// The version that takes a record to another managing unit of the agency; `Err` tells code and message.
    async fn moved(
        &self,
        call: &Call<'_>,
        (stored, number): (&StoredRecord, &str),
        (record, says): (&Record, &Says),
        only: bool,
    ) -> Result<Result<Prepared, (&'static str, String)>> {
        let field = place(Catalogue::current(), "managing_unit_code");
        if !only {
            return Ok(Err(("unit", format!("{field}: chuyển đơn vị quản lý phải gửi riêng từng hồ sơ"))));
        }
        let now = self.clock.now();
        let today = day_of(now);
        let ahead = |record: &Record| {
            record.date("employment_status_date").and_then(PartialDate::exact).filter(|on| *on > today)
        };
        if ahead(record).is_some() && ahead(record) != ahead(&stored.record) {
            let date = place(Catalogue::current(), "employment_status_date");
            return Ok(Err(("unit", format!("{field}: chuyển đơn vị quản lý không gửi cùng {date} trong tương lai"))));
        }
        let (key, new) = (record.key(), IncomingRecord::of(record, 0, stored.handle.clone()));
        let (origin, given) = (call.origin(), call.confirmed_by());
        let confirmed_by = word(&self.store, Some(stored), record, says, &origin, given.as_ref()).await?;
        let write = VersionWrite {
            record: stored.handle.clone(),
            base_version: stored.version,
            base_confirmed_at: stored.standing.confirmed_at,
            new,
            origin,
            confirmed_by,
            // The round that follows the records replaces the card: it shows another unit.
            card: CardStep::Keep,
            at: now,
        };
        let kept = Some(key.number).filter(|kept| kept != number);
        let key = SyncKey { number: number.to_owned(), unit: key.unit, kept };
        Ok(Ok(Prepared::Move { write: Box::new(write), key }))
    }
}

/// The record that a dossier makes of what is there, and what of it the dossier says.
fn said(
    call: &Call<'_>,
    intake: &Intake<'_>,
    dossier: &Dossier,
    base: Option<&Record>,
    at: usize,
) -> Result<(Record, Says), Vec<SyncFault>> {
    let catalogue = intake.catalogue;
    let mut changes = changes(call, catalogue, dossier, at)?;
    // The agency's number leads to the record; the one under which it is kept may be another since a reorganisation.
    let number = base.map_or_else(|| dossier.number.clone(), |base| base.key().number);
    changes.insert("agency_personnel_number".into(), Value::String(number));
    let record = intake.amended(u64::try_from(at).unwrap_or(u64::MAX), base, &changes).map_err(|faults| {
        let told = faults.iter().map(|fault| SyncFault {
            dossier: at,
            code: "rule",
            field: place(catalogue, &fault.field),
            rule: fault.rule.clone(),
            message: complaint(catalogue, fault),
        });
        told.collect::<Vec<_>>()
    })?;
    let unit = record.key().unit;
    if is_within(&unit, call.org.as_str()) {
        return Ok((record, Says::Fields(changes.into_iter().map(|(name, _)| name).collect())));
    }
    let field = place(catalogue, "managing_unit_code");
    let message = format!("{field}: phải là đơn vị {} hoặc đơn vị trực thuộc", call.org);
    Err(vec![SyncFault { field, ..SyncFault::of_dossier(at, "unit", message) }])
}

fn changes(
    call: &Call<'_>,
    catalogue: &Catalogue,
    dossier: &Dossier,
    at: usize,
) -> Result<Map<String, Value>, Vec<SyncFault>> {
    if call.packet.action != Action::Del {
        return Ok(dossier.content.clone());
    }
    let emptied = dossier.emptied(catalogue);
    if emptied.is_empty() {
        let message = "Cấu trúc gói tin json không đúng định dạng quy định: DEL phải nêu danh sách cần xóa!";
        return Err(vec![SyncFault::of_dossier(at, "section", message)]);
    }
    Ok(emptied)
}
