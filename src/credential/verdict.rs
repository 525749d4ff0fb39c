//! What a verification ends with: an outcome for the person at the checkpoint, the reasons for it, and one sentence in
//! Vietnamese and in English. Short verbs, no words of cryptography, no personal data.

use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};

use crate::clock::UnixSeconds;

/// What the person at the checkpoint does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Let in: genuine, in force, shown by its holder's own device now.
    ValidLive,
    /// Compare the face: genuine and in force, but a print can be copied.
    ValidCopy,
    /// Ask further: this device cannot decide.
    CheckFurther,
    /// Turn away.
    NotValid,
    /// Not a card to be accepted at all.
    OtherCode,
}

/// Why the outcome is what it is, or what to bear in mind with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "server", schema(as = VerdictReason))]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Unsigned text of a citizen identity card.
    CitizenCard,
    /// An EU Digital COVID Certificate or one of its kin.
    HealthCertificate,
    /// A SMART Health Card.
    SmartHealthCard,
    /// A web address.
    WebAddress,
    /// Our text, changed by an input method on its way from a scanner that types.
    KeyboardScanner,
    /// Any other text.
    OtherText,
    /// Ours by its beginning, but it does not read.
    Damaged,
    /// The checkpoint has no trust list.
    NoTrustList,
    /// The trust list was signed after the checkpoint's time.
    ClockBehind,
    /// The trust list has expired but still serves; a notice.
    TrustListAging,
    /// The trust list is beyond its grace.
    TrustListExpired,
    /// No trusted key has the card's `kid`.
    UnknownKey,
    /// No key with the card's `kid` made its signature.
    BadSignature,
    /// The card names another issuer than its key's.
    IssuerMismatch,
    /// The key was not valid when the card was issued.
    KeyNotValidThen,
    /// The key may not speak for the card's agency.
    AgencyNotAllowed,
    /// The key's cards may not name this status list.
    StatusListNotAllowed,
    /// Issued after the checkpoint's time.
    IssuedInFuture,
    /// Before its first day.
    NotYetValid,
    /// After its last.
    Expired,
    /// The card asks for a holder proof and has none.
    ProofMissing,
    /// The holder proof is malformed, by another key or for something else.
    ProofWrong,
    /// The holder proof was made for another verifier or question, or for another selection of claims.
    ProofForAnother,
    /// The verifier did not say what it had asked, so nothing shows that the presentation is for it.
    NothingAsked,
    /// The card is of another type than is accepted.
    OtherType,
    /// The proof is good but does not cover the challenge.
    ChallengeUnanswered,
    /// The proof is older than the window.
    ProofStale {
        /// How far apart the two clocks are.
        difference_seconds: i64,
        /// The time in the proof.
        proof_time: UnixSeconds,
        /// The checkpoint's time.
        checkpoint_time: UnixSeconds,
    },
    /// The proof is ahead of the checkpoint's clock by more than the window.
    ProofFromFuture {
        /// How far apart the two clocks are.
        difference_seconds: i64,
        /// The time in the proof.
        proof_time: UnixSeconds,
        /// The checkpoint's time.
        checkpoint_time: UnixSeconds,
    },
    /// There is no status list.
    StatusUnavailable,
    /// The status list is over.
    StatusExpired {
        /// When it was signed.
        as_of: UnixSeconds,
    },
    /// The status list is past its time to live; a notice.
    StatusAging {
        /// When it was signed.
        as_of: UnixSeconds,
    },
    /// The status list has no such index, or a value that means nothing to us.
    StatusUnknown,
    /// The facts changed: the wallet has a newer card, or gets it.
    Superseded,
    /// Withdrawn for good.
    Withdrawn,
    /// Locked for now.
    Locked,
    /// The gate is for some agencies and the card names none.
    AgencyUnknown,
    /// The gate is for other agencies.
    OutsideGate,
    /// The gate asks for a minimum position and the card's is none that has a rank.
    PositionUnknown,
    /// The position is below the gate's.
    PositionBelowGate,
    /// The gate is for people on duty, and this card's holder is not.
    NotOnDuty,
    /// The gate accepts no printed copies.
    CopyNotAccepted,
    /// The gate asks for the checker's digits, and the holder was not asked to type them.
    ChallengeRequired,
    /// The rules of this gate are over, or the gate was closed.
    GateUnusable,
    /// The very code was shown here before: one code in two hands, or scanned twice.
    AlreadyShown {
        /// How long ago.
        seconds_ago: i64,
    },
    /// This device's program is older than the issuer lets go on.
    AppTooOld,
    /// A specimen.
    Specimen,
}

/// The answer for one presented card. Its reasons hold no personal data; its claims do, and are only there when a key
/// that may speak for them has signed them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Verdict {
    /// What to do.
    pub outcome: Outcome,
    /// Why: the one that decided first, then what to bear in mind.
    pub reasons: Vec<Reason>,
    /// One sentence in Vietnamese.
    pub sentence_vi: String,
    /// The same in English.
    pub sentence_en: String,
    /// What the card says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub claims: Option<JsonMap<String, Json>>,
    /// When the status data was signed.
    pub status_as_of: Option<UnixSeconds>,
    /// When the holder's device says it made the code: with the card's handle, what a checkpoint remembers for two
    /// minutes to notice one live code in two hands.
    pub proof_time: Option<UnixSeconds>,
}

impl Verdict {
    /// Another outcome for a reason that lies outside the card: it goes before the others.
    pub fn overrule(&mut self, outcome: Outcome, reason: Reason) {
        self.outcome = outcome;
        self.reasons.insert(0, reason);
        (self.sentence_vi, self.sentence_en) = reason.sentences();
    }
}

impl Outcome {
    /// One sentence in Vietnamese, one in English.
    pub fn sentences(self) -> (String, String) {
        let (vi, en) = match self {
            Self::ValidLive => ("Thẻ còn hiệu lực.", "The card is valid."),
            Self::ValidCopy => {
                ("Thẻ in còn hiệu lực; hãy đối chiếu khuôn mặt.", "The printed card is valid; compare the face.")
            }
            Self::CheckFurther => ("Hãy kiểm tra thêm.", "Check further."),
            Self::NotValid => ("Thẻ không có hiệu lực.", "The card is not valid."),
            Self::OtherCode => ("Đây không phải mã thẻ công vụ.", "This is not an officials card code."),
        };
        (vi.to_owned(), en.to_owned())
    }

    /// What the person at the checkpoint does next where no reason says: one sentence in Vietnamese, one in English.
    pub fn next(self) -> (&'static str, &'static str) {
        match self {
            Self::ValidLive => ("Cho vào.", "Let in."),
            Self::ValidCopy => ("Đối chiếu khuôn mặt rồi cho vào.", "Compare the face, then let in."),
            Self::CheckFurther => ("Hỏi thêm trước khi cho vào.", "Ask further before letting in."),
            Self::NotValid => ("Không cho vào.", "Do not let in."),
            Self::OtherCode => ("Đề nghị đưa đúng mã thẻ công vụ.", "Ask for the code of the officials card."),
        }
    }
}

impl Reason {
    /// The code on the wire, for example `proof_stale`.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// What the person at the checkpoint does next: one sentence in Vietnamese, one in English.
    #[rustfmt::skip]
    pub fn next(self) -> (&'static str, &'static str) {
        match self {
            Self::CitizenCard => ("Đề nghị mở thẻ công vụ trong ví rồi quét lại.", "Ask for the officials card in the wallet, then scan again."),
            Self::HealthCertificate | Self::SmartHealthCard | Self::WebAddress | Self::OtherText | Self::OtherType => ("Đề nghị đưa đúng mã thẻ công vụ.", "Ask for the code of the officials card."),
            Self::KeyboardScanner => ("Tắt bộ gõ tiếng Việt trên máy này rồi quét lại.", "Switch the Vietnamese input method off on this device and scan again."),
            Self::Damaged => ("Quét lại; nếu vẫn lỗi, đề nghị mở lại thẻ.", "Scan again; if it fails again, ask to reopen the card."),
            Self::NoTrustList | Self::TrustListAging | Self::TrustListExpired | Self::StatusUnavailable | Self::StatusExpired { .. } | Self::StatusAging { .. } => ("Nối mạng và bấm Đồng bộ, rồi quét lại.", "Go online, press Synchronise, then scan again."),
            Self::ClockBehind | Self::IssuedInFuture => ("Đặt giờ tự động trên máy này rồi quét lại.", "Set this device's time to automatic, then scan again."),
            Self::UnknownKey => ("Bấm Đồng bộ rồi quét lại; nếu vẫn vậy, không cho vào.", "Synchronise and scan again; if it stays so, do not let in."),
            Self::BadSignature | Self::IssuerMismatch | Self::KeyNotValidThen | Self::AgencyNotAllowed | Self::StatusListNotAllowed | Self::StatusUnknown => ("Không cho vào; báo người phụ trách.", "Do not let in; tell the person in charge."),
            Self::NotYetValid => ("Không cho vào trước ngày có hiệu lực.", "Do not let in before its first day."),
            Self::Expired | Self::Superseded => ("Đề nghị cập nhật thẻ trong ví rồi quét lại.", "Ask the holder to update the card in the wallet, then scan again."),
            Self::ProofMissing => ("Đề nghị mở thẻ trên điện thoại, không dùng ảnh chụp.", "Ask to open the card on the phone, not a picture of it."),
            Self::ProofWrong | Self::ProofForAnother => ("Đề nghị mở lại thẻ trên điện thoại của chính người đó; nếu vẫn lỗi, không cho vào.", "Ask to reopen the card on the person's own phone; if it fails again, do not let in."),
            Self::NothingAsked => ("Tạo yêu cầu mới và đề nghị xuất trình lại.", "Make a new request and ask to present again."),
            Self::ChallengeUnanswered | Self::ChallengeRequired => ("Đọc số kiểm tra, đề nghị nhập vào điện thoại, rồi quét mã mới.", "Read the check digits out, ask to type them into the phone, then scan the new code."),
            Self::ProofStale { .. } => ("Đề nghị làm mới mã; nếu vẫn cũ, so giờ hai máy.", "Ask to refresh the code; if it is still old, compare both clocks."),
            Self::ProofFromFuture { .. } => ("So giờ hai máy và đặt giờ tự động.", "Compare both clocks and set them to automatic."),
            Self::Withdrawn => ("Không cho vào; đề nghị liên hệ cơ quan cấp thẻ.", "Do not let in; refer the person to the issuing body."),
            Self::Locked => ("Không cho vào; đề nghị liên hệ cơ quan để mở khóa.", "Do not let in; refer the person to the agency to unlock it."),
            Self::AgencyUnknown | Self::OutsideGate | Self::PositionUnknown | Self::PositionBelowGate | Self::NotOnDuty => ("Hỏi nơi hẹn và gọi xác nhận trước khi cho vào.", "Ask whom they visit, and call to confirm before letting in."),
            Self::CopyNotAccepted => ("Đề nghị mở thẻ trên điện thoại.", "Ask to open the card on the phone."),
            Self::GateUnusable => ("Nối mạng và bấm Đồng bộ; nếu vẫn vậy, hỏi người phụ trách.", "Go online and synchronise; if it stays so, ask the person in charge."),
            Self::AlreadyShown { .. } => ("Đề nghị làm mới mã rồi quét lại; đối chiếu khuôn mặt.", "Ask to refresh the code and scan again; compare the face."),
            Self::AppTooOld => ("Nối mạng và mở lại ứng dụng để cập nhật.", "Go online and reopen the app to update it."),
            Self::Specimen => ("Không cho vào bằng thẻ mẫu.", "Do not let in with a specimen."),
        }
    }

    /// One sentence in Vietnamese, one in English.
    pub fn sentences(self) -> (String, String) {
        let (_, vi, en) = self.words();
        (self.fill(vi), self.fill(en))
    }

    /// Code, Vietnamese, English.
    #[rustfmt::skip]
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::CitizenCard => ("citizen_card", "Đây là mã căn cước công dân, không có chữ ký.", "This is a citizen identity card code; it is not signed."),
            Self::HealthCertificate => ("health_certificate", "Đây là chứng nhận y tế kiểu châu Âu.", "This is a European style health certificate."),
            Self::SmartHealthCard => ("smart_health_card", "Đây là thẻ sức khỏe SMART.", "This is a SMART health card."),
            Self::WebAddress => ("web_address", "Đây là địa chỉ trang web; đừng mở.", "This is a web address; do not open it."),
            Self::KeyboardScanner => ("keyboard_scanner", "Máy quét gõ sai ký tự; hãy tắt bộ gõ tiếng Việt rồi quét lại.", "The scanner typed wrong letters; switch the Vietnamese input method off and scan again."),
            Self::OtherText => ("other_text", "Đây không phải mã thẻ công vụ.", "This is not an officials card code."),
            Self::Damaged => ("damaged", "Mã bị hỏng hoặc bị sửa.", "The code is damaged or was changed."),
            Self::NoTrustList => ("no_trust_list", "Máy chưa có danh sách nơi cấp; hãy đồng bộ.", "This device has no list of issuers; synchronise it."),
            Self::ClockBehind => ("clock_behind", "Đồng hồ của máy chạy sai; hãy chỉnh giờ.", "This device's clock is wrong; set it."),
            Self::TrustListAging => ("trust_list_aging", "Danh sách nơi cấp đã cũ; hãy đồng bộ.", "The list of issuers is old; synchronise it."),
            Self::TrustListExpired => ("trust_list_expired", "Danh sách nơi cấp quá cũ; hãy đồng bộ.", "The list of issuers is too old; synchronise it."),
            Self::UnknownKey => ("unknown_key", "Không nhận ra nơi cấp thẻ.", "The card's issuer is not known."),
            Self::BadSignature => ("bad_signature", "Thẻ giả hoặc đã bị sửa.", "The card is forged or was changed."),
            Self::IssuerMismatch => ("issuer_mismatch", "Nơi cấp ghi trên thẻ không đúng.", "The issuer named on the card is wrong."),
            Self::KeyNotValidThen => ("key_not_valid_then", "Nơi cấp chưa được hoặc không còn được cấp thẻ vào ngày ghi trên thẻ.", "The issuer was not entitled to issue on the date of the card."),
            Self::AgencyNotAllowed => ("agency_not_allowed", "Nơi cấp không được cấp thẻ cho cơ quan này.", "The issuer may not issue for this agency."),
            Self::StatusListNotAllowed => ("status_list_not_allowed", "Thẻ chỉ sai nơi tra cứu hiệu lực.", "The card points to a wrong place for its status."),
            Self::IssuedInFuture => ("issued_in_future", "Ngày cấp ở sau giờ của máy; hãy xem lại giờ.", "The card is dated after this device's time; check the clock."),
            Self::NotYetValid => ("not_yet_valid", "Thẻ chưa đến ngày có hiệu lực.", "The card is not valid yet."),
            Self::Expired => ("expired", "Thẻ đã hết hạn.", "The card has expired."),
            Self::ProofMissing => ("proof_missing", "Đây là bản chụp mã; hãy mở thẻ trên điện thoại của người giữ thẻ.", "This is a copy of a code; open the card on the holder's phone."),
            Self::ProofWrong => ("proof_wrong", "Mã không do điện thoại của người giữ thẻ tạo ra.", "The code was not made by the holder's phone."),
            Self::ProofForAnother => ("proof_for_another", "Lần xuất trình này dành cho nơi khác hoặc đã dùng.", "This presentation was made for another verifier or request."),
            Self::NothingAsked => ("nothing_asked", "Chưa rõ thẻ được xuất trình cho ai; hãy yêu cầu xuất trình lại.", "It is not clear whom the card was presented to; ask again."),
            Self::OtherType => ("other_type", "Đây là loại thẻ khác.", "This is another type of card."),
            Self::ChallengeUnanswered => ("challenge_unanswered", "Chưa nhập số kiểm tra vào điện thoại.", "The check digits were not typed into the phone."),
            Self::ProofStale { .. } => ("proof_stale", "Mã đã cũ {difference} giây (điện thoại {phone}, máy này {here}); hãy làm mới mã.", "The code is {difference} seconds old (phone {phone}, this device {here}); refresh it."),
            Self::ProofFromFuture { .. } => ("proof_from_future", "Mã đi trước {difference} giây (điện thoại {phone}, máy này {here}); hãy xem lại giờ.", "The code is {difference} seconds ahead (phone {phone}, this device {here}); check both clocks."),
            Self::StatusUnavailable => ("status_unavailable", "Chưa tra được hiệu lực của thẻ; hãy đồng bộ.", "The card's status cannot be looked up; synchronise."),
            Self::StatusExpired { .. } => ("status_expired", "Dữ liệu hiệu lực đã quá cũ; hãy đồng bộ.", "The status data is too old; synchronise."),
            Self::StatusAging { .. } => ("status_aging", "Hiệu lực tính đến {at}.", "Status as of {at}."),
            Self::StatusUnknown => ("status_unknown", "Không rõ hiệu lực của thẻ; không chấp nhận.", "The card's status is unknown; do not accept it."),
            Self::Superseded => ("superseded", "Thẻ đã có bản mới; đề nghị cập nhật thẻ trong ví.", "There is a newer card; ask the holder to update it in the wallet."),
            Self::Withdrawn => ("withdrawn", "Thẻ đã bị thu hồi.", "The card has been withdrawn."),
            Self::Locked => ("locked", "Thẻ đang bị khóa.", "The card is locked."),
            Self::AgencyUnknown => ("agency_unknown", "Thẻ không ghi cơ quan; hãy hỏi thêm.", "The card names no agency; ask further."),
            Self::OutsideGate => ("outside_gate", "Thẻ của cơ quan khác; hãy hỏi thêm.", "The card is of another agency; ask further."),
            Self::PositionUnknown => ("position_unknown", "Không rõ cấp bậc của chức danh trên thẻ; hãy hỏi thêm.", "The rank of the position on the card is not known; ask further."),
            Self::PositionBelowGate => ("position_below_gate", "Chức danh chưa đủ điều kiện vào cửa này; hãy hỏi thêm.", "The position is below what this gate asks for; ask further."),
            Self::NotOnDuty => ("not_on_duty", "Không có trong ca trực lúc này; hãy hỏi thêm.", "Not on duty at this time; ask further."),
            Self::CopyNotAccepted => ("copy_not_accepted", "Cửa này không nhận thẻ in.", "This gate does not accept printed cards."),
            Self::ChallengeRequired => ("challenge_required", "Cửa này yêu cầu nhập số kiểm tra.", "This gate asks for check digits."),
            Self::GateUnusable => ("gate_unusable", "Quy định của cửa này đã hết hiệu lực.", "The rules of this gate are over."),
            Self::AlreadyShown { .. } => ("already_shown", "Mã này đã được quét {ago} giây trước.", "This code was scanned {ago} seconds ago."),
            Self::AppTooOld => ("app_too_old", "Ứng dụng trên máy này quá cũ.", "The app on this device is too old."),
            Self::Specimen => ("specimen", "Đây là thẻ mẫu, không dùng để kiểm tra.", "This is a specimen, not a card to be accepted."),
        }
    }

    /// Puts times and differences in the places that the sentence keeps for them.
    fn fill(self, sentence: &str) -> String {
        match self {
            Self::ProofStale { difference_seconds, proof_time, checkpoint_time }
            | Self::ProofFromFuture { difference_seconds, proof_time, checkpoint_time } => sentence
                .replace("{difference}", &difference_seconds.to_string())
                .replace("{phone}", &clock_face(proof_time))
                .replace("{here}", &clock_face(checkpoint_time)),
            Self::StatusAging { as_of } | Self::StatusExpired { as_of } => sentence.replace("{at}", &clock_face(as_of)),
            Self::AlreadyShown { seconds_ago } => sentence.replace("{ago}", &seconds_ago.to_string()),
            _ => sentence.to_owned(),
        }
    }
}

/// The time of day in Viet Nam, `HH:MM:SS`.
fn clock_face(at: UnixSeconds) -> String {
    let second = at.saturating_add(7 * 3600).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_has_one_code_for_a_reason() {
        for reason in [
            Reason::CitizenCard,
            Reason::KeyNotValidThen,
            Reason::Superseded,
            Reason::Withdrawn,
            Reason::StatusAging { as_of: 1 },
            Reason::ProofStale { difference_seconds: 61, proof_time: 0, checkpoint_time: 61 },
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap()["code"], reason.code());
        }
    }

    #[test]
    fn a_clock_that_differs_says_which_and_by_how_much() {
        let stale = Reason::ProofStale { difference_seconds: 90, proof_time: 0, checkpoint_time: 90 };
        let (vi, en) = stale.sentences();
        assert_eq!(vi, "Mã đã cũ 90 giây (điện thoại 07:00:00, máy này 07:01:30); hãy làm mới mã.");
        assert_eq!(en, "The code is 90 seconds old (phone 07:00:00, this device 07:01:30); refresh it.");
        assert_eq!(clock_face(i64::MIN).len(), 8);
        assert_eq!(clock_face(i64::MAX).len(), 8);
    }
}
