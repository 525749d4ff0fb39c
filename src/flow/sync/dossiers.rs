//! What a packet says of each dossier, put on what is there now.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Call, EXISTS, MISSING, SyncFault};
use crate::error::Result;
use crate::flow::Service;
use crate::flow::receive::{Expects, Incoming, Says, brought};
use crate::model::calendar::day_of;
use crate::model::catalogue::Catalogue;
use crate::model::code_list::CodeLabels;
use crate::model::intake::Intake;
use crate::model::origin::Way;
use crate::model::record::{Record, RecordKey};
use crate::model::rule::Knowledge;
use crate::model::unit::is_within;
use crate::protocol::ministry::{Action, Dossier, EFFECTIVE_ON, Operation, SUPPLEMENT, complaint, place};
use crate::store::{StoredRecord, SyncKey, Waiting};

/// What a call will write.
pub(super) enum Prepared {
    /// Records come in.
    Receive {
        /// One for each dossier.
        incoming: Vec<Incoming>,
        /// Where numbers of the agency lead to then: of what it adds, and of what it moves.
        keys: Vec<SyncKey>,
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
        let (mut incoming, mut keys, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let (only, today) = (call.packet.dossiers.len() == 1, day_of(self.clock.now()));
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
                if dossier.effective_on.is_some_and(|on| on > today) {
                    faults
                        .push(fault("operation", format!("{SUPPLEMENT}.{EFFECTIVE_ON}: DEL M0001 có hiệu lực ngay!")));
                    continue;
                }
                match base {
                    Found::One(stored) if only => return Ok(Ok(Prepared::Remove { key: stored.record.key() })),
                    Found::Coming(coming) if only => return Ok(Ok(Prepared::Forgo { coming })),
                    _ => {}
                }
                faults.push(fault("too_many", "Mỗi gói tin DEL M0001 chỉ được có một hồ sơ!".into()));
                continue;
            }
            let (stored, there, due_on) = match base {
                Found::One(stored) => (Some(stored), None, None),
                Found::Coming(coming) => (None, Some(brought(&coming)?), Some(coming.due_on)),
                _ => (None, None, None),
            };
            // Who comes on a day of their own, and not with their status, still comes on it.
            let status_on = there.as_ref().and_then(|there| there.date("employment_status_date")?.exact());
            let effective_on = dossier.effective_on.or(due_on.filter(|on| status_on != Some(*on)));
            let there = stored.as_ref().map(|stored| &stored.record).or(there.as_ref());
            match said(call, &intake, dossier, there, at + 1) {
                Err(wrong) => faults.extend(wrong),
                Ok((record, _)) if there.is_some_and(|there| there.key() != record.key()) && stored.is_none() => {
                    let field = place(intake.catalogue, "managing_unit_code");
                    let message = format!("{field}: hồ sơ chưa có hiệu lực, đề nghị xóa (DEL) rồi thêm mới (ADD)");
                    faults.push(fault("unit", message));
                }
                Ok((record, says)) => {
                    let (key, confirmed_by) = (record.key(), call.confirmed_by());
                    let goes = stored.as_ref().is_some_and(|stored| stored.record.key() != key);
                    let field = place(intake.catalogue, "managing_unit_code");
                    if goes && !only {
                        let message = format!("{field}: chuyển đơn vị quản lý phải gửi riêng từng hồ sơ");
                        faults.push(fault("unit", message));
                    } else if goes && effective_on.is_some_and(|on| on > today) {
                        let day = format!("{SUPPLEMENT}.{EFFECTIVE_ON}");
                        let message = format!("{field}: chuyển đơn vị quản lý không gửi cùng {day} trong tương lai");
                        faults.push(fault("unit", message));
                    }
                    let expects = match stored {
                        None => Expects::New,
                        Some(stored) if goes => {
                            Expects::Elsewhere { key: stored.record.key(), version: stored.version }
                        }
                        Some(stored) => Expects::Version(stored.version),
                    };
                    if goes || call.packet.action == Action::Add {
                        keys.push(SyncKey::of(&dossier.number, key));
                    }
                    incoming.push(Incoming { record, expects, effective_on, confirmed_by, says });
                }
            }
        }
        Ok(if faults.is_empty() { Ok(Prepared::Receive { incoming, keys }) } else { Err(faults) })
    }

    async fn found(&self, call: &Call<'_>, dossier: &Dossier) -> Result<Found> {
        let mut keys = self.store.sync_keys(call.org.as_str(), &dossier.number).await?;
        if keys.len() > 1 {
            return Ok(Found::Several(keys.into_iter().map(|key| key.unit).collect()));
        }
        let Some(key) = keys.pop() else {
            let mut coming = self.store.waiting_newcomers(call.org.as_str(), &dossier.number, Way::Sync).await?;
            return Ok(match (coming.pop(), coming.is_empty()) {
                (None, _) => Found::Nothing,
                (Some(only), true) => Found::Coming(Box::new(only)),
                (Some(last), false) => {
                    let units = coming.into_iter().chain([last]).map(|coming| coming.key.unit);
                    Found::Several(units.collect::<BTreeSet<_>>().into_iter().collect())
                }
            });
        };
        let stored = self.store.record(&key).await?;
        let stored = stored.filter(|stored| stored.removed_at.is_none());
        Ok(stored.map_or(Found::Nothing, |stored| Found::One(Box::new(stored))))
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
