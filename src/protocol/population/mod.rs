//! The messages of the national population database: SOAP 1.1 over HTTP, as public clients of the real service write and
//! read them (domain dossier, section 5). The service publishes no contract; how each part is known:
//!
//! | part | certainty |
//! |---|---|
//! | requests: namespace `http://dancuquocgia.bca`, names and order of the elements, codes 033 and 037 | M: four public clients agree |
//! | answers: namespace `http://www.mic.gov.vn/dancu/1.0`, `CongdanCollection/CongDan` and everything in it | M: a recorded answer and three clients |
//! | the hash of the header, in milliseconds or seconds | M: three public clients |
//! | change feed: `TuNgay` and `DenNgay` in milliseconds, `Loai`, `Trang`, `SoBanGhi` | M: one public client |
//! | `KetQuaXacThuc/TonTai` stands in either of the two namespaces | derived |
//! | `GioiTinh` 1 is male (seen), 2 is female, anything else says nothing | derived but for 1 |
//! | no match is an empty `CongdanCollection`; a refusal is a SOAP fault | derived |
//!
//! [`Call`] is what is asked, [`answer`] what comes back, [`login`] proves who asks, [`xml`] is the bounded reader and the
//! writer below all of them.

pub mod answer;
pub mod login;
mod person;
mod request;
pub mod xml;

pub use answer::AnswerError;
pub use request::{Call, CallError, FeedQuestion, Question, Sender};

/// Namespace of SOAP 1.1 envelopes.
pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Namespace of requests.
pub const REQUESTS: &str = "http://dancuquocgia.bca";
/// Namespace of answers.
pub const ANSWERS: &str = "http://www.mic.gov.vn/dancu/1.0";
/// The media type that public clients send.
pub const MEDIA_TYPE: &str = "application/xml";

/// Operation that verifies, and its integration code.
pub const VERIFY: (&str, &str) = ("XacThucThongTinCongDan", "033");
/// Operation that looks up, and its integration code.
pub const LOOK_UP: (&str, &str) = ("TraCuuThongTinCongDan", "037");
