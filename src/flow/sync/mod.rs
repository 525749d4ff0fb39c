//! The Ministry's synchronisation interface: a unit's own system logs in, and adds, changes and takes back dossiers.
//!
//! ```text
//! token → account → packet → its agency is the account's, or below
//!       → each dossier: what is there now (dossiers.rs) + what the packet says → record, by the rules of the catalogue
//!       → the one way in (flow/receive.rs): all dossiers of the call or none
//!       → a row of the log, and the answer in the interface's own form
//! ```
//!
//! What a number means. Theirs is the key `<org_Code>_<SoHieuCBCCVC_BNDP>`: the number is unique within the sending agency.
//! Ours is (managing unit, number), and the managing unit may lie below the agency. So an agency's number means the record
//! that it added under it, wherever in the agency that is kept; else the one record of the agency and below with that number
//! (imported, say). Several are told, not guessed, and the call can name the unit below as its agency. Numbers of another agency that has an account of its own below are its own.
//!
//! Derived choices, where the code that was read says nothing or does what nobody can want:
//!
//! * A member that a section leaves out stays as it is; an empty text takes the value away (the interface's own advice for
//!   what cannot be deleted). A list that is present replaces the stored one; an empty list empties it.
//! * DEL of 0002 to 0004 and 0006 empties the lists that the packet names; naming none is refused. DEL of 0005 is refused.
//! * `THONGTIN_BOSUNG.effective_on` (ours) has all that a dossier says wait for its day, as a form and a proposal may. It goes
//!   neither with DEL of a dossier nor with a move. Who says what holds today from a day on takes back what was announced
//!   for that day or later.
//! * A managing unit outside the agency is refused: the new agency adds the dossier, the old one takes it back. A move within
//!   the agency comes alone in its call.
//! * The same ADD again, when the first one was done and its answer lost, has the first one's answer; the same for DEL.

mod accounts;
mod dossiers;
mod log;

use std::time::Duration;

use serde_json::{Value, json};

use self::dossiers::Prepared;
use super::receive::MOST_DAYS_AHEAD;
use super::{Service, hash};
use crate::error::{Error, Refusal, Result};
use crate::model::calendar::day_of;
use crate::model::catalogue::Catalogue;
use crate::model::id::Handle;
use crate::model::origin::{Origin, Way};
use crate::model::record::RecordKey;
use crate::model::reorganisation::UNIT_FIELDS;
use crate::model::unit::{UnitCode, UnitDirectory, UnitRegister, is_within};
use crate::protocol::ministry::{Action, Dossier, EFFECTIVE_ON, Operation, Packet, SUPPLEMENT, place};
pub use crate::store::SyncAccount;
use crate::store::{SyncCall, SyncKey, SyncOutcome, Waiting};
pub(super) use accounts::Passwords;
pub use accounts::{NewSyncAccount, SyncLogin, add_sync_account};
pub use log::{SyncCallPage, SyncCallQuery};

/// How often a call is made again that others were in the way of.
const ATTEMPTS: usize = 5;
/// How long a number is held for the call that adds it: longer than a request may take.
const HELD_SECONDS: i64 = 120;
/// Most faults that an answer tells; the log tells more.
const TOLD: usize = 20;
/// Most faults that the log keeps of one call.
const KEPT: usize = 500;

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAnswer {
    /// The id under which the call is logged; of a repeated call, the first one's.
    pub transaction: String,
    /// Whether it was done.
    pub succeeded: bool,
    /// In Vietnamese.
    pub message: String,
}

/// One thing that is wrong with a call. No values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SyncFault {
    /// Which dossier of the call, from 1; 0 for the call as a whole.
    dossier: usize,
    /// The word of the log.
    code: &'static str,
    /// Where in the packet.
    field: String,
    /// The rule as the catalogue words it.
    rule: String,
    /// The whole sentence in Vietnamese.
    message: String,
}

impl SyncFault {
    fn of_call(code: &'static str, message: impl Into<String>) -> Self {
        Self::of_dossier(0, code, message)
    }

    fn of_dossier(dossier: usize, code: &'static str, message: impl Into<String>) -> Self {
        Self { dossier, code, field: String::new(), rule: String::new(), message: message.into() }
    }
}

/// What a call did.
#[derive(Default)]
struct Done {
    records: Vec<Handle>,
    /// Where numbers of the agency lead to now.
    keys: Vec<SyncKey>,
    /// The call that did it before.
    repeats: Option<String>,
}

/// What became of one attempt.
enum Attempt {
    Done(Done),
    /// Somebody was in the way: look again.
    Again(SyncFault),
}

/// A call on its way.
struct Call<'a> {
    account: &'a SyncAccount,
    operation: Operation,
    packet: &'a Packet,
    /// The sending agency.
    org: UnitCode,
    units: UnitRegister,
    transaction: &'a str,
}

impl Call<'_> {
    fn origin(&self) -> Origin {
        let (reference, actor) = (self.transaction.to_owned(), self.actor());
        Origin { way: Way::Sync, reference, actor }
    }

    fn actor(&self) -> String {
        format!("sync:{}", self.account.name)
    }

    /// The unit's word, where the account gives it: Decree 27/2026, article 30, has units review before they sync; that a
    /// sync therefore confirms is derived.
    fn confirmed_by(&self) -> Option<String> {
        self.account.confirms.then(|| self.actor())
    }
}

impl Service {
    /// Whose token it is. Looked at before a call's body is read.
    ///
    /// # Errors
    ///
    /// [`Refusal::InvalidToken`] and [`Refusal::TooManyRequests`], and faults of ours.
    pub async fn sync_sender(&self, token: &str) -> Result<SyncAccount> {
        let account = self.store.sync_account(&hash(&[token.as_bytes()]), self.clock.now()).await?;
        let account = account.ok_or(Refusal::InvalidToken)?;
        self.limit_client(&format!("sync:{}", account.name))?;
        Ok(account)
    }

    /// A call of one of the six operations. Refusals of what it asks are its answer; errors are faults of ours.
    pub async fn sync_call(&self, account: &SyncAccount, operation: Operation, body: &[u8]) -> Result<SyncAnswer> {
        let now = self.clock.now();
        let started = self.clock.elapsed();
        let transaction = self.random_uuid();
        let packet = Packet::read(Catalogue::current(), operation, body);
        let mut row = SyncCall {
            transaction: transaction.clone(),
            at: now,
            account: account.name.clone(),
            unit: account.org_code.clone(),
            operation: operation.word().into(),
            action: packet.as_ref().ok().map(|packet| packet.action.word().into()),
            dossiers: packet.as_ref().map_or(0, |packet| i64::try_from(packet.dossiers.len()).unwrap_or(i64::MAX)),
            outcome: SyncOutcome::Begun,
            codes: Vec::new(),
            duration_ms: 0,
            digest: packet.as_ref().map_or_else(|_| hash(&[body]), |packet| digest(operation, packet)),
            repeats: None,
            message: String::new(),
            detail: String::new(),
        };
        let ignored = packet.as_ref().map(|packet| packet.ignored.clone()).unwrap_or_default();
        let outcome = match &packet {
            Err(fault) => Ok(Err(vec![SyncFault::of_call(fault.code(), fault.to_string())])),
            Ok(packet) => self.perform(account, operation, packet, &mut row).await,
        };
        let (outcome, ours) = match outcome {
            Ok(outcome) => (outcome, None),
            Err(error) => (Err(vec![SyncFault::of_call("fault", "Hệ thống gặp sự cố, đề nghị gửi lại!")]), Some(error)),
        };
        let took = self.clock.elapsed().saturating_sub(started);
        let keys = outcome.as_ref().map(|done| done.keys.clone()).unwrap_or_default();
        let (answer, row) = concluded(operation, row, outcome, &ignored, took);
        self.store.note_sync_call(row, keys).await?;
        ours.map_or(Ok(answer), Err)
    }

    /// A call whose body did not come whole: too large, or broken off. It is in the log like every other. One that comes too
    /// often is not: it costs us nothing.
    pub async fn sync_call_unread(
        &self,
        account: &SyncAccount,
        operation: Operation,
        is_too_large: bool,
    ) -> Result<SyncAnswer> {
        let (code, message) = if is_too_large {
            ("too_large", "Gói tin vượt quá dung lượng cho phép!")
        } else {
            ("form", "Không nhận được đầy đủ gói tin, đề nghị gửi lại!")
        };
        let row = self.refused_call(account.clone(), operation.word(), code, message);
        let transaction = row.transaction.clone();
        self.store.note_sync_call(row, Vec::new()).await?;
        Ok(SyncAnswer { transaction, succeeded: false, message: message.to_owned() })
    }

    /// What the packet asks, once for each attempt until nobody is in the way.
    async fn perform(
        &self,
        account: &SyncAccount,
        operation: Operation,
        packet: &Packet,
        row: &mut SyncCall,
    ) -> Result<Result<Done, Vec<SyncFault>>> {
        let transaction = row.transaction.clone();
        let call = match self.admit(account, operation, packet, &transaction).await? {
            Ok(call) => call,
            Err(fault) => return Ok(Err(vec![fault])),
        };
        call.org.as_str().clone_into(&mut row.unit);
        let codes = self.code_book().await?;
        let mut in_the_way = None;
        for _ in 0..ATTEMPTS {
            let prepared = match self.prepare(&call, codes.as_ref()).await? {
                Err(faults) => {
                    let repeated = self.repeated(&call, &faults, &row.digest).await?;
                    return Ok(repeated.ok_or(faults));
                }
                Ok(prepared) => prepared,
            };
            match self.write_prepared(&call, prepared, row).await? {
                Attempt::Done(done) => return Ok(Ok(done)),
                Attempt::Again(fault) => in_the_way = Some(fault),
            }
        }
        Ok(Err(in_the_way.into_iter().collect()))
    }

    /// Whether the account may send this for that agency.
    async fn admit<'a>(
        &self,
        account: &'a SyncAccount,
        operation: Operation,
        packet: &'a Packet,
        transaction: &'a str,
    ) -> Result<Result<Call<'a>, SyncFault>> {
        // Only what is a code is repeated.
        let Some(org) = UnitCode::parse(&packet.org_code) else {
            return Ok(Err(SyncFault::of_call("org", "Mã đơn vị (org_Code) không tồn tại trên hệ thống!")));
        };
        if !is_within(org.as_str(), &account.org_code) {
            let message = format!("Tài khoản chưa được phân quyền đồng bộ dữ liệu cho đơn vị này {org} !");
            return Ok(Err(SyncFault::of_call("org", message)));
        }
        let units = self.units_of(&org, packet).await?;
        if !units.has_unit(org.as_str()) {
            let now = units.successor(org.as_str()).map_or_else(String::new, |now| format!(", nay là {now}"));
            return Ok(Err(SyncFault::of_call("org", format!("Mã đơn vị {org} không tồn tại trên hệ thống{now}!"))));
        }
        let sender = UnitCode::parse(&packet.sender);
        if !packet.sender.is_empty() && !sender.is_some_and(|sender| units.has_unit(sender.as_str())) {
            return Ok(Err(SyncFault::of_call("sender", "Mã đơn vị gửi không tồn tại trên hệ thống!")));
        }
        if operation == Operation::Other && packet.action == Action::Del {
            let message = "Không thể xóa thông tin khác do dữ liệu cùng thông tin hồ sơ chung, bạn có thể cập nhật giá trị \
                           rỗng cho thông tin khác!";
            return Ok(Err(SyncFault::of_call("operation", message)));
        }
        Ok(Ok(Call { account, operation, packet, org, units, transaction }))
    }

    /// The units that the packet names, of all that there are.
    async fn units_of(&self, org: &UnitCode, packet: &Packet) -> Result<UnitRegister> {
        let named = packet.dossiers.iter().flat_map(|dossier| {
            UNIT_FIELDS.iter().filter_map(|(field, _)| dossier.content.get(*field).and_then(Value::as_str))
        });
        let named = named.chain([packet.sender.as_str()]).filter_map(UnitCode::parse);
        let mut codes: Vec<_> = named.chain([org.clone()]).map(|code| code.as_str().to_owned()).collect();
        codes.sort_unstable();
        codes.dedup();
        let codes: Vec<_> = codes.iter().map(String::as_str).collect();
        Ok(self.store.units_named(day_of(self.clock.now()), &codes).await?)
    }

    /// Writes what was prepared.
    async fn write_prepared(&self, call: &Call<'_>, prepared: Prepared, row: &SyncCall) -> Result<Attempt> {
        let keys = match &prepared {
            Prepared::Receive { keys, .. } => keys.clone(),
            _ => Vec::new(),
        };
        let adds = if call.packet.action == Action::Add { keys.clone() } else { Vec::new() };
        match self.store.begin_sync_call(row.clone(), adds.clone(), row.at + HELD_SECONDS).await {
            Err(Error::Refusal(Refusal::Busy(_))) => {
                let message = "Hồ sơ đang được một giao dịch khác xử lý, đề nghị gửi lại sau!";
                return Ok(Attempt::Again(SyncFault::of_call("busy", message)));
            }
            begun => begun?,
        }
        let again = |code, message: &str| Ok(Attempt::Again(SyncFault::of_call(code, message)));
        for SyncKey { number, unit, .. } in &adds {
            // Whoever held it before may have added it; another agency's may be to come in the same place.
            let (org, place) = (call.org.as_str(), RecordKey { unit: unit.clone(), number: number.clone() });
            let is_newcomer = |waiting: &Waiting| waiting.origin.way == Way::Sync && waiting.base_version == 0;
            if !self.store.sync_keys(org, number).await?.is_empty()
                || !self.store.waiting_newcomers(org, number, Way::Sync).await?.is_empty()
                || self.store.waiting_of(&place).await?.iter().any(is_newcomer)
            {
                return again("exists", EXISTS);
            }
        }
        let origin = call.origin();
        let written = match prepared {
            Prepared::Receive { incoming, .. } => {
                let received = self.receive(&origin, incoming).await;
                received.map(|received| received.into_iter().map(|received| received.handle).collect())
            }
            Prepared::Remove { key } => self.remove_record(&origin, &key).await.map(|handle| vec![handle]),
            Prepared::Forgo { coming } => {
                let (actor, now) = (call.actor(), self.clock.now());
                let reason = call.transaction.to_owned();
                match self.store.end_waiting(&coming.id, "cancelled", &actor, reason, now).await {
                    Ok(false) => Err(Refusal::MovedOn("change").into()),
                    done => done.map(|_| vec![coming.record]),
                }
            }
        };
        match written {
            Ok(records) => Ok(Attempt::Done(Done { records, keys, repeats: None })),
            Err(Error::Refusal(Refusal::RecordExists)) => again("exists", EXISTS),
            Err(Error::Refusal(Refusal::NotFound(_))) => again("missing", MISSING),
            Err(Error::Refusal(Refusal::MovedOn(_))) => {
                again("moved_on", "Hồ sơ vừa được thay đổi bởi nguồn khác, đề nghị gửi lại!")
            }
            Err(Error::Refusal(Refusal::Malformed { .. })) => {
                let status = place(Catalogue::current(), "employment_status_date");
                let message = format!(
                    "{status}, {SUPPLEMENT}.{EFFECTIVE_ON}: phải không muộn hơn {MOST_DAYS_AHEAD} ngày kể từ hôm nay"
                );
                again("rule", &message)
            }
            Err(error) => Err(error),
        }
    }

    /// The call that did the same before, when this one is refused because it is done: ADD of what is there, DEL of what is
    /// not.
    async fn repeated(&self, call: &Call<'_>, faults: &[SyncFault], digest: &str) -> Result<Option<Done>> {
        let (code, is_add) = match (call.operation, call.packet.action) {
            (Operation::Whole, Action::Add) => ("exists", true),
            (Operation::Whole, Action::Del) => ("missing", false),
            _ => return Ok(None),
        };
        if faults.iter().any(|fault| fault.code != code) || faults.len() != call.packet.dossiers.len() {
            return Ok(None);
        }
        let (mut records, mut keys) = (Vec::new(), Vec::new());
        for dossier in call.packet.dossiers.iter().filter(|_| is_add) {
            for key in self.store.sync_keys(call.org.as_str(), &dossier.number).await? {
                records.extend(self.store.record(&key).await?.map(|stored| stored.handle));
                keys.push(SyncKey::of(&dossier.number, key));
            }
        }
        let mut latest = None;
        for earlier in self.store.earlier_sync_calls(&call.account.name, digest).await? {
            // Of several that added it, one after the other, the last.
            let mut wrote = Some(0);
            for record in &records {
                wrote = wrote.and(self.store.version_by_sync_call(&earlier.transaction, record).await?);
            }
            if wrote.is_some()
                && earlier.transaction != call.transaction
                && wrote > latest.as_ref().map(|(version, _)| *version)
            {
                latest = wrote.zip(Some(earlier.transaction));
            }
        }
        // Whoever died before the answer may have died before it was noted whose number it is.
        Ok(latest.map(|(_, earlier)| Done { records, keys, repeats: Some(earlier) }))
    }

    /// A random UUID (RFC 9562, version 4).
    fn random_uuid(&self) -> String {
        let mut bytes = self.chance.bytes::<16>();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = crate::model::value::hex(&bytes);
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

const EXISTS: &str = "Số hiệu CBCCVC Bộ ngành địa phương đã tồn tại!";
const MISSING: &str = "Số hiệu CBCCVC Bộ ngành địa phương không tồn tại!";

/// The same for two packets exactly when they ask the same of the same agency, however they are written down.
fn digest(operation: Operation, packet: &Packet) -> String {
    let day = |dossier: &Dossier| dossier.effective_on.map(|day| day.to_string());
    let dossiers = packet.dossiers.iter().map(|dossier| json!([dossier.number, dossier.content, day(dossier)]));
    let mut dossiers = Value::from(dossiers.collect::<Vec<_>>());
    dossiers.sort_all_objects();
    let parts = [operation.word(), packet.action.word(), &packet.org_code, &dossiers.to_string()];
    hash(&parts.map(str::as_bytes))
}

/// The answer and the row of a call that ended.
fn concluded(
    operation: Operation,
    row: SyncCall,
    outcome: Result<Done, Vec<SyncFault>>,
    ignored: &[String],
    took: Duration,
) -> (SyncAnswer, SyncCall) {
    let duration_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    let (outcome, done, faults) = match outcome {
        Ok(done) => (SyncOutcome::Accepted, done, Vec::new()),
        Err(faults) => (SyncOutcome::Refused, Done::default(), faults),
    };
    let succeeded = outcome == SyncOutcome::Accepted;
    let mut message = if succeeded {
        operation.success(row.action.as_deref().and_then(Action::parse).unwrap_or(Action::Edit))
    } else {
        told(&faults, row.dossiers > 1)
    };
    if !ignored.is_empty() {
        message = format!("{message} (thành phần không nhận: {})", ignored.join(", "));
    }
    let mut codes: Vec<_> = faults.iter().map(|fault| fault.code.to_owned()).collect();
    codes.sort_unstable();
    codes.dedup();
    let kept = faults.iter().take(KEPT).map(|fault| {
        json!({"dossier": fault.dossier, "field": fault.field, "code": fault.code, "rule": fault.rule, "message": fault.message})
    });
    let records: Vec<_> = done.records.iter().map(ToString::to_string).collect();
    let detail = json!({"records": records, "ignored": ignored, "faults": kept.collect::<Vec<_>>()}).to_string();
    let transaction = done.repeats.clone().unwrap_or_else(|| row.transaction.clone());
    let answer = SyncAnswer { transaction, succeeded, message: message.clone() };
    (answer, SyncCall { outcome, codes, duration_ms, repeats: done.repeats, message, detail, ..row })
}

/// What is wrong, in one line.
fn told(faults: &[SyncFault], several: bool) -> String {
    let each = faults.iter().take(TOLD).map(|fault| match fault.dossier {
        1.. if several => format!("Hồ sơ {}: {}", fault.dossier, fault.message),
        _ => fault.message.clone(),
    });
    let mut message = each.collect::<Vec<_>>().join("; ");
    if faults.len() > TOLD {
        message = format!("{message}; và {} lỗi khác", faults.len() - TOLD);
    }
    message
}
