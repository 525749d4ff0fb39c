// Every word on the screen. Vietnamese first; the English says the same.
import type { Language } from "../lib/language.ts";
import { Malformed } from "./protocol/bytes.ts";
import { Refused, Unreachable } from "./protocol/http.ts";
import type { State } from "./wallet.ts";

const vi = {
  title: "Ví chạy thử",
  demo: "Bản chạy thử trên máy này. Dữ liệu là giả.",
  otherLanguage: "English",
  noCard: "Ví chưa có thẻ",
  noCardHint: "Nhận một lời mời mẫu, hoặc dán lời mời mà cơ quan đã gửi.",
  newOffer: "Lời mời mẫu mới",
  pasteOffer: "Dán lời mời",
  pasteRequest: "Trả lời yêu cầu xuất trình",
  link: "Đường dẫn",
  goOn: "Tiếp tục",
  back: "Quay lại",
  message: "Tin nhắn mô phỏng",
  messageText: (code: string) => `Mã giao dịch nhận thẻ của bạn là ${code}. Không đưa mã này cho ai.`,
  offerFrom: "Nơi cấp",
  offerTitle: "Nhận thẻ",
  transactionCode: "Mã giao dịch",
  take: "Nhận thẻ vào ví",
  working: "Đang xử lý…",
  show: "Đưa mã QR",
  notValidUnlessScanned: "Chỉ có giá trị khi được quét",
  update: "Cập nhật",
  another: "Nhận thẻ khác",
  erase: "Xóa thẻ khỏi ví này",
  eraseSure: "Xóa thẻ? Hãy bấm lần nữa.",
  details: "Thông tin trên thẻ",
  asOf: (time: string) => `theo nơi cấp lúc ${time}`,
  renewed: "Thẻ đã được cập nhật.",
  states: {
    valid: "Đang có hiệu lực",
    locked: "Thẻ đang bị khóa",
    withdrawn: "Thẻ đã bị thu hồi",
    expired: "Thẻ đã hết hạn",
    unknown: "Chưa hỏi được nơi cấp",
  } satisfies Record<State, string>,
  hidden: {
    locked: "Mã QR được ẩn cho đến khi thẻ được mở khóa.",
    withdrawn: "Thẻ này không dùng được nữa. Hãy hỏi cơ quan của bạn.",
    expired: "Thẻ này không dùng được nữa. Hãy nhận thẻ mới.",
  },
  code: "Mã QR của thẻ",
  seconds: (left: number) => `Mã mới sau ${left} giây`,
  refreshed: (left: number) => `Mã mới, còn ${left} giây`,
  paused: "Mã được ẩn khi màn hình không mở",
  challenge: "Số mà người kiểm tra đưa (nếu có)",
  challengeHint: "4 đến 6 chữ số",
  challengeUsed: (digits: string) => `Mã này trả lời cho số ${digits}`,
  close: "Đóng",
  withoutSight: "Nếu không quét được, hãy đọc số thẻ cho người kiểm tra:",
  asks: "muốn xem thông tin trên thẻ của bạn",
  purpose: "Mục đích",
  noPurpose: "Bên yêu cầu không nêu mục đích.",
  theyReceive: "Họ sẽ nhận được",
  nothingElse: "Chỉ xác nhận rằng bạn có thẻ, không có thông tin nào khác.",
  always: "Cùng với: loại thẻ, nơi cấp, thời hạn và trạng thái của thẻ.",
  agree: "Đồng ý gửi",
  refuse: "Từ chối",
  cannotAnswer: "Thẻ của bạn không có thông tin mà bên này yêu cầu.",
  sent: "Đã gửi",
  sentText: "Bên yêu cầu đã nhận được câu trả lời của bạn.",
  refused: "Đã từ chối",
  refusedText: "Không có thông tin nào được gửi đi.",
  done: "Xong",
  problem: "Không thực hiện được",
  dateOfUse: "Có giá trị đến",
};

const en: typeof vi = {
  title: "Demo wallet",
  demo: "A demo on this machine. The data is made up.",
  otherLanguage: "Tiếng Việt",
  noCard: "No card in the wallet",
  noCardHint: "Get a sample offer, or paste the offer that the agency sent.",
  newOffer: "New sample offer",
  pasteOffer: "Paste an offer",
  pasteRequest: "Answer a request",
  link: "Link",
  goOn: "Go on",
  back: "Back",
  message: "Simulated text message",
  messageText: (code) => `Your transaction code is ${code}. Give it to nobody.`,
  offerFrom: "Issuer",
  offerTitle: "Get a card",
  transactionCode: "Transaction code",
  take: "Put the card into the wallet",
  working: "Working…",
  show: "Show the QR code",
  notValidUnlessScanned: "Not valid unless scanned",
  update: "Update",
  another: "Get another card",
  erase: "Erase the card from this wallet",
  eraseSure: "Erase the card? Press again.",
  details: "What the card says",
  asOf: (time) => `as the issuer said at ${time}`,
  renewed: "The card was updated.",
  states: {
    valid: "In force",
    locked: "The card is locked",
    withdrawn: "The card was withdrawn",
    expired: "The card has expired",
    unknown: "The issuer could not be asked",
  },
  hidden: {
    locked: "The QR code is hidden until the card is unlocked.",
    withdrawn: "This card can no longer be used. Ask your agency.",
    expired: "This card can no longer be used. Get a new one.",
  },
  code: "QR code of the card",
  seconds: (left) => `New code in ${left} seconds`,
  refreshed: (left) => `New code, ${left} seconds left`,
  paused: "The code is hidden while the screen is not open",
  challenge: "The checker's number (if there is one)",
  challengeHint: "4 to 6 digits",
  challengeUsed: (digits) => `This code answers the number ${digits}`,
  close: "Close",
  withoutSight: "If it cannot be scanned, tell the checker the card number:",
  asks: "wants to see what is on your card",
  purpose: "Purpose",
  noPurpose: "Whoever asks names no purpose.",
  theyReceive: "They will receive",
  nothingElse: "Only that you have a card, and nothing else.",
  always: "With it: kind, issuer, validity and status of the card.",
  agree: "Agree and send",
  refuse: "Refuse",
  cannotAnswer: "Your card does not have what is asked for.",
  sent: "Sent",
  sentText: "Whoever asked has received your answer.",
  refused: "Refused",
  refusedText: "Nothing was sent.",
  done: "Done",
  problem: "It did not work",
  dateOfUse: "Valid until",
};

export type Texts = typeof vi;

/** The words of every language. */
export const texts: Record<Language, Texts> = { vi, en };

/** Names of the claims, in the order in which they are shown. */
export const CLAIMS: Readonly<Record<string, Record<Language, string>>> = {
  full_name: { vi: "Họ và tên", en: "Full name" },
  portrait: { vi: "Ảnh chân dung", en: "Portrait" },
  position_title: { vi: "Chức vụ, chức danh", en: "Position or title" },
  employing_agency: { vi: "Cơ quan sử dụng", en: "Employing agency" },
  managing_agency: { vi: "Cơ quan quản lý", en: "Managing agency" },
  job_position: { vi: "Vị trí việc làm", en: "Job position" },
  record_type: { vi: "Loại", en: "Kind of personnel" },
  card_number_masked: { vi: "Số thẻ (đã che)", en: "Card number (masked)" },
  card_number: { vi: "Số thẻ", en: "Card number" },
  date_of_birth: { vi: "Ngày sinh", en: "Date of birth" },
  gender: { vi: "Giới tính", en: "Gender" },
  personal_id_number: { vi: "Số định danh cá nhân", en: "Personal identification number" },
  valid_until: { vi: "Có giá trị đến", en: "Valid until" },
};

const PROBLEMS: Record<Language, Record<string, string>> = {
  vi: {
    invalid_grant: "Mã giao dịch sai, hoặc lời mời đã được dùng hay đã hết hạn.",
    "404": "Lời mời hoặc yêu cầu không còn nữa.",
    "410": "Lời mời hoặc yêu cầu đã được dùng hay đã hết hạn.",
    unreachable: "Không kết nối được. Hãy thử lại.",
    untrusted: "Chứng thư không dẫn về gốc mà ví tin cậy. Nếu bản chạy thử đã được khởi động lại, hãy xóa thẻ và nhận thẻ mới.",
    malformed: "Nội dung nhận được không đúng quy cách, nên ví không dùng.",
    refused: "Bên kia từ chối.",
  },
  en: {
    invalid_grant: "The transaction code is wrong, or the offer was used or has expired.",
    "404": "The offer or request is not there any more.",
    "410": "The offer or request was used or has expired.",
    unreachable: "No connection. Try again.",
    untrusted: "The certificate does not lead to the root that the wallet trusts. If the demo was started anew, erase the card and get a new one.",
    malformed: "What came is not in order, so the wallet does not use it.",
    refused: "The other side refused.",
  },
};

/** What went wrong, for a person; then, small, for a developer. */
export function describe(error: unknown, language: Language): { sentence: string; detail: string } {
  const problems = PROBLEMS[language];
  const sentence = (key: string) => problems[key] ?? problems["refused"] ?? "";
  if (error instanceof Refused) return { sentence: sentence(error.code), detail: `${error.place}: ${error.code}` };
  if (error instanceof Unreachable) return { sentence: sentence("unreachable"), detail: error.place };
  if (error instanceof Malformed) {
    const key = error.place === "certificate chain" ? "untrusted" : "malformed";
    return { sentence: sentence(key), detail: error.message };
  }
  return { sentence: sentence("malformed"), detail: error instanceof Error ? error.name : "" };
}
