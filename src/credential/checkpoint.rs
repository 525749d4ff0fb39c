//! A checkpoint without network: signed documents that it carries, whether it may work now, and its verdicts. Pure; the
//! browser, the command line and tests share it.
//!
//! Every signature is checked when a document is loaded, whether it came from the network or from the device's own memory.
//! The trust list leads to the pinned anchor; everything else is signed by a key that the trust list names for statuses,
//! and falls with it. A lower version is never taken in the place of a higher one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{HOUR_SECONDS, UnixSeconds};
use crate::credential::PublicKey;
use crate::credential::agencies::AgencyNames;
use crate::credential::cose::Sign1;
use crate::credential::gate::SignedGate;
use crate::credential::qr::Challenge;
use crate::credential::receipt::{self, Found};
use crate::credential::replay::Memory;
use crate::credential::signed::{SignedError, Term, not_older};
use crate::credential::snapshot::{DELTA, Delta, DeltaError, Snapshot};
use crate::credential::status_list::{Band, StatusReference};
use crate::credential::trust_list::{GRACE_SECONDS, Purpose, TrustList};
use crate::credential::verdict::{Outcome, Reason, Verdict};
use crate::credential::verify::{Context, PROOF_WINDOW_SECONDS, StatusAnswer, StatusSource, verify_qr};
use crate::credential::x509::{Anchors, Use};

/// The edition of this verifier. The issuer can stop lower ones through the trust list; it rises when an older one would
/// judge wrongly.
pub const EDITION: u64 = 1;
/// How far the device's clock may be from the server's until that is said.
pub const CLOCK_WARN_SECONDS: i64 = 30;
/// How far it may be until nothing is checked any more.
pub const CLOCK_STOP_SECONDS: i64 = 120;
/// How far a document may be dated ahead of the device's clock.
const ISSUER_SKEW_SECONDS: i64 = 60;

/// A kind of document that a checkpoint carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The trust list: always the first to be loaded.
    TrustList,
    /// The status snapshot, or a delta to the one that is held.
    Statuses,
    /// The names of agencies.
    Agencies,
    /// The gate's policy.
    Gate,
}

impl Kind {
    /// From its name, the last part of its address.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "trust-list" => Some(Self::TrustList),
            "statuses" => Some(Self::Statuses),
            "agencies" => Some(Self::Agencies),
            "gate" => Some(Self::Gate),
            _ => None,
        }
    }
}

/// Why a document is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It does not read, is not signed as it must be, or is older than the one in use.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// Nothing can be trusted before there is a trust list.
    #[error("the trust list has to be loaded first")]
    TrustListFirst,
    /// A delta does not fit what is held.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The policy of another gate than the one in use.
    #[error("the policy is for another gate")]
    OtherGate,
}

impl LoadError {
    /// A code, and one sentence each in Vietnamese and English.
    #[rustfmt::skip]
    pub fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Signed(SignedError::Older { .. }) => ("older", "Dữ liệu tải về cũ hơn dữ liệu đang dùng; đã bỏ qua.", "The data fetched is older than what is in use; it was not taken."),
            Self::Signed(SignedError::Forked(_)) => ("forked", "Hai dữ liệu khác nhau có cùng phiên bản; hãy báo người phụ trách.", "Two different data have one version; tell the person in charge."),
            Self::Signed(SignedError::Untrusted) => ("untrusted", "Dữ liệu không do nơi cấp ký; đã bỏ qua.", "The data is not signed by the issuer; it was not taken."),
            Self::Signed(_) => ("damaged", "Dữ liệu bị hỏng hoặc bị sửa; đã bỏ qua.", "The data is damaged or was changed; it was not taken."),
            Self::TrustListFirst => ("trust_list_first", "Cần tải danh sách nơi cấp trước.", "The list of issuers has to be fetched first."),
            Self::Delta(_) => ("other_base", "Phần cập nhật không khớp; cần tải lại toàn bộ.", "The update does not fit; fetch the whole again."),
            Self::OtherGate => ("other_gate", "Quy định này dành cho cửa khác.", "These rules are for another gate."),
        }
    }
}

/// A document and the key that signed it.
struct Held<T> {
    document: T,
    signer: PublicKey,
}

/// A checkpoint.
pub struct Checkpoint {
    anchors: Anchors,
    trust: Option<TrustList>,
    statuses: Option<Held<Snapshot>>,
    agencies: Option<Held<AgencyNames>>,
    gate: Option<Held<SignedGate>>,
    memory: Memory,
    last: Option<Check>,
}

/// The last check, for a receipt. Nothing in it is personal.
struct Check {
    checked_at: UnixSeconds,
    outcome: Outcome,
    reasons: Vec<String>,
    code_hash: String,
}

/// How a document stands after it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// Its version.
    pub version: u64,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// From when it is over.
    pub expires_at: UnixSeconds,
}

/// Whether something is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Ready.
    Ok,
    /// Ready, but somebody should see to it.
    Warn,
    /// Not ready: no answer would be honest.
    Stop,
}

/// One lamp of the readiness screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lamp {
    /// Its state.
    pub state: State,
    /// Version of the document, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When the document was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<UnixSeconds>,
    /// How long ago that is; for the clock, by how much it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<i64>,
    /// One sentence in Vietnamese.
    pub text_vi: String,
    /// The same in English.
    pub text_en: String,
}

/// All lamps. A checkpoint may begin a shift unless one says stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// The worst of all.
    pub state: State,
    /// The lamps: `app`, `keys`, `statuses`, `agencies`, `gate`, `clock`.
    pub lamps: BTreeMap<&'static str, Lamp>,
}

/// What a check is asked with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The digits that the holder was asked to type.
    pub challenge: Option<String>,
    /// Server time minus device time at the last synchronisation.
    pub offset: Option<i64>,
    /// Judge without remembering that the code was shown: for a picture that is looked at again.
    pub forget: bool,
}

/// A verdict, and what to do next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What to do next, in Vietnamese.
    pub next_vi: &'static str,
    /// The same in English.
    pub next_en: &'static str,
}

/// The digits to be typed are not 4 to 6 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the challenge must be 4 to 6 digits")]
pub struct ChallengeError;

impl Checkpoint {
    /// An empty one, which trusts nothing but these anchors.
    pub fn new(anchors: Anchors) -> Self {
        Self { anchors, trust: None, statuses: None, agencies: None, gate: None, memory: Memory::default(), last: None }
    }

    /// Takes a document in the place of the one that is held, if there is one. One that has expired is taken as well:
    /// the readiness tells, and a delta may start from it.
    pub fn load(&mut self, kind: Kind, bytes: &[u8], now: UnixSeconds) -> Result<Loaded, LoadError> {
        if kind == Kind::TrustList {
            let offered =
                TrustList::accept(self.trust.as_ref(), bytes, |chain| self.anchors.check(chain, Use::TrustList, now))?;
            let trust = self.trust.insert(offered);
            return Ok(Loaded { version: trust.version, issued_at: trust.issued_at, expires_at: trust.expires_at });
        }
        let trust = self.trust.as_ref().ok_or(LoadError::TrustListFirst)?;
        let signer = |message: &Sign1| trust.signer(message, Purpose::Status).map(|key| key.key.clone());
        let term = match kind {
            Kind::TrustList | Kind::Statuses => {
                let held = self.statuses.as_ref().map(|held| &held.document);
                let (offered, signer) = if DELTA.is_kind_of(bytes) {
                    let (delta, signer) = Delta::open(bytes, signer)?;
                    (delta.apply(held.ok_or(DeltaError::OtherBase(delta.from))?)?, signer)
                } else {
                    Snapshot::open(bytes, signer)?
                };
                let lists = offered.lists.iter().map(|list| list.uri.as_str());
                may_sign(trust, &signer, &offered.term, lists)?;
                let document = not_older(held, offered, |snapshot| snapshot.term.version)?;
                self.statuses.insert(Held { document, signer }).document.term
            }
            Kind::Agencies => {
                let (offered, signer) = AgencyNames::open(bytes, signer)?;
                may_sign(trust, &signer, &offered.term, [])?;
                let held = self.agencies.as_ref().map(|held| &held.document);
                let document = not_older(held, offered, |names| names.term.version)?;
                self.agencies.insert(Held { document, signer }).document.term
            }
            Kind::Gate => {
                let (offered, signer) = SignedGate::open(bytes, signer)?;
                may_sign(trust, &signer, &offered.term, [])?;
                let held = self.gate.as_ref().map(|held| &held.document);
                if held.is_some_and(|held| held.id != offered.id) {
                    return Err(LoadError::OtherGate);
                }
                let document = not_older(held, offered, |gate| gate.term.version)?;
                self.gate.insert(Held { document, signer }).document.term
            }
        };
        Ok(Loaded { version: term.version, issued_at: term.issued_at, expires_at: term.expires_at })
    }

    /// Versions of all that is held, by the name of its kind.
    pub fn versions(&self) -> BTreeMap<&'static str, u64> {
        let versions = [
            ("trust-list", self.trust.as_ref().map(|list| list.version)),
            ("statuses", self.statuses.as_ref().map(|held| held.document.term.version)),
            ("agencies", self.agencies.as_ref().map(|held| held.document.term.version)),
            ("gate", self.gate.as_ref().map(|held| held.document.term.version)),
        ];
        versions.into_iter().filter_map(|(name, version)| Some((name, version?))).collect()
    }

    /// Whether the holder must be asked to type digits at this gate.
    pub fn asks_for_challenge(&self) -> bool {
        self.gate.as_ref().is_some_and(|held| held.document.policy.challenge_required)
    }

    /// The gate's id and name.
    pub fn gate(&self) -> Option<(&str, &str)> {
        self.gate.as_ref().map(|held| (held.document.id.as_str(), held.document.name.as_str()))
    }

    /// Whether a check now would be honest. `offset` is server time minus device time at the last synchronisation.
    pub fn readiness(&self, now: UnixSeconds, offset: Option<i64>) -> Readiness {
        let lamps = BTreeMap::from([
            ("app", self.app_lamp()),
            ("keys", self.keys_lamp(now)),
            ("statuses", self.statuses_lamp(now)),
            ("agencies", self.agencies_lamp(now)),
            ("gate", self.gate_lamp(now)),
            ("clock", self.clock_lamp(now, offset)),
        ]);
        let state = lamps.values().map(|lamp| lamp.state).max().unwrap_or(State::Stop);
        Readiness { state, lamps }
    }

    /// The verdict on a scanned text, taken as it is.
    pub fn verify(&mut self, text: &str, now: UnixSeconds, options: &Options) -> Result<Checked, ChallengeError> {
        let challenge = options.challenge.as_deref().map(|digits| Challenge::parse(digits).ok_or(ChallengeError));
        let challenge = challenge.transpose()?;
        let context = Context {
            now,
            trust: self.trust.as_ref(),
            status: &SnapshotStatus { checkpoint: self, now },
            challenge: challenge.as_ref(),
            gate: self.gate.as_ref().map(|held| &held.document.policy),
        };
        let mut verdict = verify_qr(text, &context);
        self.name_agency(&mut verdict);
        if let Some(reason) = self.doubt(&verdict, now, options) {
            verdict.overrule(Outcome::CheckFurther, reason);
        }
        self.last = Some(Check {
            checked_at: now,
            outcome: verdict.outcome,
            reasons: verdict.reasons.iter().map(|reason| reason.code().to_owned()).collect(),
            code_hash: receipt::code_hash(text),
        });
        // A notice does not decide: what to do next follows from the outcome then.
        let decided = !matches!(verdict.outcome, Outcome::ValidLive | Outcome::ValidCopy);
        let decisive = verdict.reasons.first().filter(|_| decided);
        let (next_vi, next_en) = decisive.map_or_else(|| verdict.outcome.next(), |reason| reason.next());
        Ok(Checked { verdict, next_vi, next_en })
    }

    /// What the device has to sign for a receipt of the last check; `None` before there was one.
    pub fn receipt(&self, device: &PublicKey, offset: Option<i64>) -> Option<String> {
        use base64::Engine;
        let last = self.last.as_ref()?;
        let found = Found {
            iss: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(device.thumbprint()),
            gate: self.gate.as_ref().map(|held| held.document.id.clone()),
            gate_version: self.gate.as_ref().map(|held| held.document.term.version),
            checked_at: last.checked_at,
            clock_offset_seconds: offset,
            outcome: last.outcome,
            reasons: last.reasons.clone(),
            code_hash: last.code_hash.clone(),
            trust_list_version: self.trust.as_ref().map(|list| list.version),
            statuses_version: self.statuses.as_ref().map(|held| held.document.term.version),
            statuses_as_of: self.statuses.as_ref().map(|held| held.document.term.issued_at),
            edition: EDITION,
        };
        Some(found.signing_input(device))
    }

    /// What makes a verdict on the card itself one that this device cannot give, or not alone.
    fn doubt(&mut self, verdict: &Verdict, now: UnixSeconds, options: &Options) -> Option<Reason> {
        let valid = matches!(verdict.outcome, Outcome::ValidLive | Outcome::ValidCopy);
        let of_time = matches!(
            verdict.reasons.first(),
            Some(Reason::ProofStale { .. } | Reason::ProofFromFuture { .. } | Reason::Expired | Reason::NotYetValid)
        );
        if (valid || of_time) && self.clock_lamp(now, options.offset).state == State::Stop {
            return Some(Reason::ClockBehind);
        }
        if (valid || of_time) && is_fresh_by_one_clock_only(verdict, now, options.offset) {
            return Some(Reason::ClockBehind);
        }
        if !valid {
            return None;
        }
        if self.app_lamp().state == State::Stop {
            return Some(Reason::AppTooOld);
        }
        if self.gate_lamp(now).state == State::Stop {
            return Some(Reason::GateUnusable);
        }
        // A printed copy is meant to be shown again and again.
        if verdict.outcome != Outcome::ValidLive || options.forget {
            return None;
        }
        let card = verdict.claims.as_ref()?.get("card")?.as_str()?;
        let seconds_ago = self.memory.seen(card, verdict.proof_time?, now)?;
        Some(Reason::AlreadyShown { seconds_ago })
    }

    /// Puts the agency's name beside a code that stands alone.
    fn name_agency(&self, verdict: &mut Verdict) {
        let (Some(held), Some(claims)) = (&self.agencies, &mut verdict.claims) else { return };
        if claims.contains_key("agency_name") || !self.is_trusted(held) {
            return;
        }
        let code = claims.get("agency_code").and_then(|code| code.as_str()).unwrap_or_default();
        if let Some(name) = held.document.names.get(code) {
            claims.insert("agency_name".to_owned(), name.as_str().into());
        }
    }

    /// Whether the trust list still names the key of a document: a retired key takes what it signed with it.
    fn is_trusted<T>(&self, held: &Held<T>) -> bool {
        let names = |list: &TrustList| {
            list.keys.iter().any(|key| key.key == held.signer && key.purposes.contains(&Purpose::Status))
        };
        self.trust.as_ref().is_some_and(names)
    }

    fn app_lamp(&self) -> Lamp {
        let minimum = self.trust.as_ref().map_or(0, |list| list.minimum_edition);
        let (state, vi, en) = if EDITION < minimum {
            (State::Stop, "Ứng dụng quá cũ; hãy cập nhật.", "The app is too old; update it.")
        } else {
            (State::Ok, "Ứng dụng dùng được.", "The app is good.")
        };
        Lamp { version: Some(EDITION), ..Lamp::new(state, vi, en) }
    }

    fn keys_lamp(&self, now: UnixSeconds) -> Lamp {
        let Some(list) = &self.trust else {
            return Lamp::new(State::Stop, "Chưa có danh sách nơi cấp.", "There is no list of issuers.");
        };
        let (state, vi, en) = match list.band(now) {
            Band::Expired => (State::Stop, "Danh sách nơi cấp quá cũ.", "The list of issuers is too old."),
            Band::Aging if now >= list.expires_at.saturating_add(GRACE_SECONDS - HOUR_SECONDS) => {
                (State::Warn, "Danh sách nơi cấp sắp hết hạn dùng.", "The list of issuers is about to end.")
            }
            Band::Aging => (State::Warn, "Danh sách nơi cấp đã cũ.", "The list of issuers is old."),
            Band::Fresh if now >= list.expires_at.saturating_sub(HOUR_SECONDS) => {
                (State::Warn, "Danh sách nơi cấp sắp cũ.", "The list of issuers is getting old.")
            }
            Band::Fresh => (State::Ok, "Danh sách nơi cấp còn mới.", "The list of issuers is fresh."),
        };
        Lamp::new(state, vi, en).of(list.version, list.issued_at, now)
    }

    fn statuses_lamp(&self, now: UnixSeconds) -> Lamp {
        let Some(held) = &self.statuses else {
            return Lamp::new(State::Stop, "Chưa có dữ liệu hiệu lực thẻ.", "There is no status data.");
        };
        let term = held.document.term;
        let (state, vi, en) = match term.band(now) {
            _ if !self.is_trusted(held) => {
                (State::Stop, "Dữ liệu hiệu lực không còn được tin cậy.", "The status data is no longer trusted.")
            }
            Band::Expired => (State::Stop, "Dữ liệu hiệu lực quá cũ.", "The status data is too old."),
            Band::Aging if now >= term.expires_at.saturating_sub(HOUR_SECONDS) => {
                (State::Warn, "Dữ liệu hiệu lực sắp hết hạn dùng.", "The status data is about to end.")
            }
            Band::Aging => (State::Warn, "Dữ liệu hiệu lực đã cũ.", "The status data is old."),
            Band::Fresh => (State::Ok, "Dữ liệu hiệu lực còn mới.", "The status data is fresh."),
        };
        Lamp::new(state, vi, en).of(term.version, term.issued_at, now)
    }

    /// Without names a checkpoint still works: most cards carry them.
    fn agencies_lamp(&self, now: UnixSeconds) -> Lamp {
        let Some(held) = &self.agencies else {
            return Lamp::new(State::Warn, "Chưa có tên các cơ quan.", "There are no names of agencies.");
        };
        let term = held.document.term;
        let (state, vi, en) = match term.band(now) {
            _ if !self.is_trusted(held) => {
                (State::Warn, "Tên các cơ quan không còn được tin cậy.", "The names of agencies are no longer trusted.")
            }
            Band::Fresh => (State::Ok, "Tên các cơ quan còn mới.", "The names of agencies are fresh."),
            _ => (State::Warn, "Tên các cơ quan đã cũ.", "The names of agencies are old."),
        };
        Lamp::new(state, vi, en).of(term.version, term.issued_at, now)
    }

    fn gate_lamp(&self, now: UnixSeconds) -> Lamp {
        let Some(held) = &self.gate else {
            return Lamp::new(State::Ok, "Không có quy định riêng của cửa.", "This gate has no rules of its own.");
        };
        let term = held.document.term;
        let (state, vi, en) = match term.band(now) {
            _ if held.document.is_closed => (State::Stop, "Cửa này đã đóng.", "This gate was closed."),
            _ if !self.is_trusted(held) => {
                (State::Stop, "Quy định của cửa không còn được tin cậy.", "The gate's rules are no longer trusted.")
            }
            Band::Expired => (State::Stop, "Quy định của cửa quá cũ.", "The gate's rules are too old."),
            Band::Aging => (State::Warn, "Quy định của cửa đã cũ.", "The gate's rules are old."),
            Band::Fresh => (State::Ok, "Quy định của cửa còn mới.", "The gate's rules are fresh."),
        };
        Lamp::new(state, vi, en).of(term.version, term.issued_at, now)
    }

    fn clock_lamp(&self, now: UnixSeconds, offset: Option<i64>) -> Lamp {
        let newest = [
            self.trust.as_ref().map(|list| list.issued_at),
            self.statuses.as_ref().map(|held| held.document.term.issued_at),
            self.agencies.as_ref().map(|held| held.document.term.issued_at),
            self.gate.as_ref().map(|held| held.document.term.issued_at),
        ];
        let newest = newest.into_iter().flatten().max().unwrap_or(UnixSeconds::MIN);
        let distance = offset.map(i64::saturating_abs);
        let (state, vi, en) = match distance {
            _ if newest > now.saturating_add(ISSUER_SKEW_SECONDS) => {
                (State::Stop, "Đồng hồ của máy chạy chậm; hãy chỉnh giờ.", "This device's clock is behind; set it.")
            }
            Some(distance) if distance > CLOCK_STOP_SECONDS => {
                (State::Stop, "Đồng hồ của máy chạy sai; hãy chỉnh giờ.", "This device's clock is wrong; set it.")
            }
            Some(distance) if distance > CLOCK_WARN_SECONDS => {
                (State::Warn, "Đồng hồ của máy hơi lệch.", "This device's clock is a little off.")
            }
            Some(_) => (State::Ok, "Đồng hồ của máy đúng.", "This device's clock is right."),
            None => (State::Warn, "Chưa so được giờ với máy chủ.", "The time was not compared with the server's yet."),
        };
        Lamp { age_seconds: offset, ..Lamp::new(state, vi, en) }
    }
}

impl Lamp {
    fn new(state: State, vi: &str, en: &str) -> Self {
        let (text_vi, text_en) = (vi.to_owned(), en.to_owned());
        Self { state, version: None, issued_at: None, age_seconds: None, text_vi, text_en }
    }

    fn of(self, version: u64, issued_at: UnixSeconds, now: UnixSeconds) -> Self {
        let age_seconds = Some(now.saturating_sub(issued_at).max(0));
        Self { version: Some(version), issued_at: Some(issued_at), age_seconds, ..self }
    }
}

/// Whether the holder's proof is in its window by this device's clock and not by the server's, or the reverse: a clock that
/// is a little off must neither let a screenshot live longer nor turn a good card away.
fn is_fresh_by_one_clock_only(verdict: &Verdict, now: UnixSeconds, offset: Option<i64>) -> bool {
    let (Some(proof_time), Some(offset)) = (verdict.proof_time, offset) else { return false };
    let is_fresh = |at: UnixSeconds| at.saturating_sub(proof_time).saturating_abs() <= PROOF_WINDOW_SECONDS;
    is_fresh(now) != is_fresh(now.saturating_add(offset))
}

/// Whether a key of the trust list may have signed a document of that time about these status lists.
fn may_sign<'a>(
    trust: &TrustList,
    signer: &PublicKey,
    term: &Term,
    lists: impl IntoIterator<Item = &'a str>,
) -> Result<(), LoadError> {
    let lists: Vec<_> = lists.into_iter().collect();
    let may = trust.keys.iter().any(|key| {
        key.key == *signer
            && key.purposes.contains(&Purpose::Status)
            && key.may_sign_at(term.issued_at)
            && lists.iter().all(|list| key.may_name(list))
    });
    if may { Ok(()) } else { Err(SignedError::Untrusted.into()) }
}

/// Looks statuses up in the snapshot, while its signer is trusted.
struct SnapshotStatus<'a> {
    checkpoint: &'a Checkpoint,
    now: UnixSeconds,
}

impl StatusSource for SnapshotStatus<'_> {
    fn status(&self, reference: &StatusReference) -> StatusAnswer {
        let held = self.checkpoint.statuses.as_ref().filter(|held| self.checkpoint.is_trusted(held));
        let Some(held) = held else { return StatusAnswer::Unavailable };
        let Some(list) = held.document.list(&reference.uri) else { return StatusAnswer::Unavailable };
        match list.statuses.get(reference.index) {
            Ok(value) if reference.index < list.entries => StatusAnswer::Known {
                value,
                as_of: held.document.term.issued_at,
                band: held.document.term.band(self.now),
            },
            _ => StatusAnswer::OutOfRange,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Signer;
    use crate::credential::test_key::TestKey;
    use crate::credential::trust_list::TrustedKey;
    use crate::credential::verdict::Verdict;
    use crate::model::gate::GatePolicy;

    /// When everything was signed; fresh for an hour, over after three days.
    const SIGNED: UnixSeconds = 1_790_000_000;
    const TTL: i64 = HOUR_SECONDS;
    const LIFETIME: i64 = 72 * HOUR_SECONDS;

    fn held<T>(document: T) -> Held<T> {
        Held { document, signer: TestKey::new(1).public_key().clone() }
    }

    fn term() -> Term {
        Term { version: 7, issued_at: SIGNED, ttl_seconds: TTL, expires_at: SIGNED + LIFETIME }
    }

    /// One that has everything.
    fn checkpoint() -> Checkpoint {
        let key = TestKey::new(1).public_key().clone();
        let key = TrustedKey {
            key_id: TrustedKey::key_id_of(&key),
            key,
            issuer: "https://issuer.example.vn".into(),
            valid_from: 0,
            valid_until: UnixSeconds::MAX,
            purposes: vec![Purpose::Status],
            agencies: Vec::new(),
            status_lists: Vec::new(),
        };
        let trust = TrustList {
            version: 7,
            issued_at: SIGNED,
            expires_at: SIGNED + LIFETIME,
            keys: vec![key],
            minimum_edition: EDITION,
        };
        let gate = SignedGate {
            term: term(),
            id: "gate".into(),
            name: "Cổng".into(),
            policy: GatePolicy::default(),
            is_closed: false,
        };
        Checkpoint {
            trust: Some(trust),
            statuses: Some(held(Snapshot { term: term(), lists: Vec::new() })),
            agencies: Some(held(AgencyNames { term: term(), names: BTreeMap::new() })),
            gate: Some(held(gate)),
            ..Checkpoint::new(Anchors::default())
        }
    }

    /// The lamps that are not green, and the whole.
    fn lamps(checkpoint: &Checkpoint, now: UnixSeconds, offset: Option<i64>) -> (State, Vec<(&'static str, State)>) {
        let readiness = checkpoint.readiness(now, offset);
        let lamps = readiness.lamps.iter().map(|(name, lamp)| (*name, lamp.state));
        (readiness.state, lamps.filter(|(_, state)| *state != State::Ok).collect())
    }

    #[test]
    fn documents_age_each_in_its_own_time() {
        use State::{Ok, Stop, Warn};
        let checkpoint = checkpoint();
        let all = |state| vec![("agencies", Warn), ("gate", state), ("keys", Warn), ("statuses", state)];
        let aging = vec![("agencies", Warn), ("gate", Warn), ("statuses", Warn)];
        for (after, state, expected) in [
            (0, Ok, vec![]),
            (TTL, Ok, vec![]),
            (TTL + 1, Warn, aging),
            // The trust list warns an hour before it is old, and serves for its grace; the others end.
            (LIFETIME - HOUR_SECONDS, Warn, all(Warn)),
            (LIFETIME, Stop, all(Stop)),
        ] {
            assert_eq!(lamps(&checkpoint, SIGNED + after, Some(0)), (state, expected), "{after} seconds later");
        }
        let over = lamps(&checkpoint, SIGNED + LIFETIME + GRACE_SECONDS, Some(0)).1;
        assert!(over.contains(&("keys", Stop)), "beyond its grace");
    }

    #[test]
    fn the_clock_is_compared_with_the_server_and_with_what_was_signed() {
        use State::{Ok, Stop, Warn};
        let checkpoint = checkpoint();
        for (now, offset, clock) in [
            (SIGNED, Some(CLOCK_WARN_SECONDS), Ok),
            (SIGNED, Some(-CLOCK_WARN_SECONDS - 1), Warn),
            (SIGNED, Some(CLOCK_STOP_SECONDS), Warn),
            (SIGNED, Some(-CLOCK_STOP_SECONDS - 1), Stop),
            (SIGNED, Some(i64::MIN), Stop),
            (SIGNED, None, Warn),
            (SIGNED - ISSUER_SKEW_SECONDS, Some(0), Ok),
            (SIGNED - ISSUER_SKEW_SECONDS - 1, Some(0), Stop),
        ] {
            assert_eq!(checkpoint.readiness(now, offset).lamps["clock"].state, clock, "{now} {offset:?}");
        }
    }

    #[test]
    fn what_is_missing_or_not_trusted_any_more_is_not_ready() {
        use State::{Stop, Warn};
        let nothing = lamps(&Checkpoint::new(Anchors::default()), SIGNED, Some(0));
        assert_eq!(nothing, (Stop, vec![("agencies", Warn), ("keys", Stop), ("statuses", Stop)]));

        let changed = |change: fn(&mut Checkpoint)| {
            let mut checkpoint = checkpoint();
            change(&mut checkpoint);
            lamps(&checkpoint, SIGNED, Some(0))
        };
        let retired = changed(|checkpoint| checkpoint.trust.as_mut().unwrap().keys.clear());
        assert_eq!(retired, (Stop, vec![("agencies", Warn), ("gate", Stop), ("statuses", Stop)]));
        let stopped = changed(|checkpoint| checkpoint.trust.as_mut().unwrap().minimum_edition = EDITION + 1);
        assert_eq!(stopped, (Stop, vec![("app", Stop)]));
        let closed = changed(|checkpoint| checkpoint.gate.as_mut().unwrap().document.is_closed = true);
        assert_eq!(closed, (Stop, vec![("gate", Stop)]));
        assert_eq!(changed(|checkpoint| checkpoint.gate = None), (State::Ok, vec![]), "a gate may have no rules");
    }

    #[test]
    fn a_clock_that_is_a_little_off_stretches_no_proof_and_turns_nobody_away() {
        let mut checkpoint = checkpoint();
        let mut doubt = |outcome, reason: Option<Reason>, age: i64, offset: Option<i64>| {
            let verdict = Verdict {
                outcome,
                reasons: reason.into_iter().collect(),
                sentence_vi: String::new(),
                sentence_en: String::new(),
                claims: None,
                status_as_of: None,
                proof_time: Some(SIGNED - age),
            };
            checkpoint.doubt(&verdict, SIGNED, &Options { offset, ..Options::default() })
        };
        let stale =
            |age| Reason::ProofStale { difference_seconds: age, proof_time: SIGNED - age, checkpoint_time: SIGNED };
        // The device is 90 seconds behind: by the server's clock the picture is 120 seconds old.
        assert_eq!(doubt(Outcome::ValidLive, None, 30, Some(90)), Some(Reason::ClockBehind));
        // It is 90 seconds ahead: by the server's clock the code is new.
        assert_eq!(doubt(Outcome::NotValid, Some(stale(95)), 95, Some(-90)), Some(Reason::ClockBehind));
        // By both clocks the same.
        assert_eq!(doubt(Outcome::NotValid, Some(stale(200)), 200, Some(-90)), None);
        assert_eq!(doubt(Outcome::ValidLive, None, 30, Some(20)), None);
        assert_eq!(doubt(Outcome::ValidLive, None, 30, None), None);
        // What is not about time stays what it is.
        assert_eq!(doubt(Outcome::NotValid, Some(Reason::Withdrawn), 30, Some(90)), None);
    }
}
