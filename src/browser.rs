//! The checkpoint's verifier for JavaScript, as WebAssembly: texts and JSON in, JSON out. Nothing is decided here.

use serde::Serialize;
use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::credential::checkpoint::{self, EDITION, Kind, LoadError};
use crate::credential::x509::Anchors;
use crate::credential::{Algorithm, PublicKey};

/// A checkpoint, see [`checkpoint::Checkpoint`]. Times are Unix seconds; fractions are cut off.
///
/// What is thrown is JSON text: `{"code", "message_vi", "message_en"}`.
#[wasm_bindgen]
pub struct Checkpoint(checkpoint::Checkpoint);

#[wasm_bindgen]
impl Checkpoint {
    /// An empty one that trusts nothing but these root certificates, in PEM.
    #[wasm_bindgen(constructor)]
    pub fn new(anchor_pem: &str) -> Result<Checkpoint, String> {
        let anchors = Anchors::from_pem(anchor_pem)
            .map_err(|_| refused("anchor", "Chứng thư gốc không đọc được.", "The root certificate does not read."))?;
        Ok(Self(checkpoint::Checkpoint::new(anchors)))
    }

    /// Takes a document: `trust-list` (always first), `statuses` (a snapshot, or a delta to the one held), `agencies` or
    /// `gate`. Gives `{"version", "issued_at", "expires_at"}`.
    pub fn load(&mut self, kind: &str, bytes: &[u8], now: f64) -> Result<String, String> {
        let kind = Kind::named(kind)
            .ok_or_else(|| refused("kind", "Loại dữ liệu không đúng.", "There is no such kind of data."))?;
        let loaded = self.0.load(kind, bytes, seconds(now)).map_err(|error: LoadError| {
            let (code, vi, en) = error.words();
            refused(code, vi, en)
        })?;
        text(&loaded)
    }

    /// Whether a check now would be honest: `{"state", "lamps": {"app", "keys", "statuses", "agencies", "gate",
    /// "clock"}}`. `offset` is server time minus device time at the last synchronisation; absent when there was none.
    pub fn readiness(&self, now: f64, offset: Option<f64>) -> Result<String, String> {
        text(&self.0.readiness(seconds(now), offset.map(seconds)))
    }

    /// The verdict on a scanned text, exactly as it was read. Options: `{"challenge"?, "offset"?, "forget"?}`, or an empty
    /// text.
    pub fn verify(&mut self, scanned: &str, now: f64, options_json: &str) -> Result<String, String> {
        let options = match options_json {
            "" => Ok(checkpoint::Options::default()),
            json => serde_json::from_str(json),
        };
        let options =
            options.map_err(|_| refused("options", "Tùy chọn không đúng.", "The options are not understood."))?;
        let checked = self.0.verify(scanned, seconds(now), &options);
        let checked = checked
            .map_err(|_| refused("challenge", "Số kiểm tra phải có 4 đến 6 chữ số.", "The check digits are 4 to 6."))?;
        text(&checked)
    }

    /// What the device signs with ES256 for a receipt of the last check: then `.` and the signature in base64url follow.
    /// `device_jwk` is its public P-256 key.
    pub fn receipt(&self, device_jwk: &str, offset: Option<f64>) -> Result<String, String> {
        let key = serde_json::from_str::<Value>(device_jwk).ok().and_then(|jwk| PublicKey::from_jwk(&jwk).ok());
        let key = key.filter(|key| key.algorithm() == Algorithm::Es256);
        let key = key.ok_or_else(|| refused("device_key", "Khóa của máy không đúng.", "The device's key is wrong."))?;
        let none = || refused("nothing_checked", "Chưa kiểm tra thẻ nào.", "No card was checked yet.");
        self.0.receipt(&key, offset.map(seconds)).ok_or_else(none)
    }

    /// Versions of what is held, by kind, and the edition of this verifier: `{"edition", "trust-list"?, …}`.
    pub fn versions(&self) -> String {
        let mut versions = json!(self.0.versions());
        versions["edition"] = EDITION.into();
        versions.to_string()
    }

    /// The gate: `{"id", "name", "challenge_required"}`, or `null`.
    pub fn gate(&self) -> String {
        let challenge_required = self.0.asks_for_challenge();
        let gate = self.0.gate();
        gate.map_or(Value::Null, |(id, name)| json!({"id": id, "name": name, "challenge_required": challenge_required}))
            .to_string()
    }
}

fn refused(code: &str, vi: &str, en: &str) -> String {
    json!({"code": code, "message_vi": vi, "message_en": en}).to_string()
}

fn text(answer: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(answer).map_err(|_| refused("internal", "Lỗi của ứng dụng.", "The app failed."))
}

/// JavaScript's numbers hold every second exactly; what is no number becomes 0, at which nothing is valid.
#[allow(clippy::cast_possible_truncation)]
fn seconds(number: f64) -> i64 {
    number as i64
}
