// Every refusal of the server as a sentence that says what to do next. Vietnamese is the model.
import type { Language, Sentence } from "../../lib/language.ts";
import { Problem, TooSlow, Unreachable } from "../api/client.ts";
import { fieldOf } from "./fields.ts";

/** What is shown of an error. */
export interface Described {
  readonly sentence: string;
  /** Which part of what was sent is wrong, where the server names it. */
  readonly place: string | undefined;
  /** The server's own words, in English. */
  readonly detail: string;
}

/** The problem that asks somebody who is signed in to sign in anew before a grave step. */
export const STEP_UP = "insufficient-user-authentication";

const KINDS: Record<string, Sentence> = {
  "invalid-request": { vi: "Nội dung gửi đi chưa đúng. Hãy sửa chỗ nêu dưới đây.", en: "What was sent is not right. Please correct the place below." },
  "invalid-token": { vi: "Chưa đăng nhập.", en: "You are not signed in." },
  "session-ended": { vi: "Phiên làm việc đã kết thúc. Hãy đăng nhập lại.", en: "The session has ended. Please sign in again." },
  [STEP_UP]: { vi: "Việc này cần xác thực lại. Hãy đăng nhập lại rồi thực hiện lại.", en: "This step needs a fresh sign-in. Please sign in again, then repeat it." },
  "insufficient-scope": { vi: "Vai trò của anh/chị không có quyền làm việc này.", en: "Your role may not do this." },
  "foreign-unit": { vi: "Đơn vị này không thuộc phạm vi của anh/chị.", en: "That unit is not one of yours." },
  "cross-site-request": { vi: "Yêu cầu bị từ chối vì lý do an toàn. Hãy tải lại trang.", en: "The request was refused for safety. Please reload the page." },
  "not-found": { vi: "Không tìm thấy, hoặc không thuộc phạm vi của anh/chị.", en: "Not found, or not within your units." },
  gone: { vi: "Mục này đã hết hiệu lực.", en: "This is no longer available." },
  "not-verified": { vi: "Hồ sơ của người này chưa đủ điều kiện: chưa xác nhận hoặc chưa khớp dữ liệu dân cư.", en: "The person has no verified record yet." },
  "several-records": { vi: "Người này có hồ sơ ở nhiều đơn vị. Hãy chọn đơn vị.", en: "The person has records in several units. Please name the unit." },
  "card-state": { vi: "Trạng thái hiện tại của thẻ không cho phép làm việc này.", en: "The card's state does not allow this." },
  "upload-state": { vi: "Tệp đang ở bước không cho phép làm việc này. Hãy tải lại trang để xem bước hiện tại.", en: "The upload is at a step that does not allow this. Please reload to see where it is." },
  "proposal-state": { vi: "Đề nghị này đã được người khác giải quyết hoặc đã rút. Hãy tải lại.", en: "This proposal was decided or withdrawn meanwhile. Please reload." },
  claimed: { vi: "Người khác đang xử lý đề nghị này.", en: "Somebody else is working on this proposal." },
  "moved-on": { vi: "Dữ liệu đã thay đổi kể từ khi anh/chị mở. Chưa ghi gì cả. Hãy xem lại bản mới.", en: "The data has changed since you opened it. Nothing was written. Please look at the newer version." },
  "not-impartial": { vi: "Anh/chị không thể tự duyệt việc của mình, hoặc duyệt lần hai việc mình đã duyệt.", en: "You cannot decide your own case, or one that you decided before." },
  "record-exists": { vi: "Hồ sơ này đã có.", en: "This record exists already." },
  "record-incomplete": { vi: "Hồ sơ thiếu ngày sinh hoặc số định danh nên chưa đối khớp được.", en: "The record lacks birth date or number and cannot be matched." },
  "registry-unavailable": { vi: "Cơ sở dữ liệu quốc gia về dân cư chưa trả lời. Hãy thử lại sau.", en: "The population database does not answer. Please try again later." },
  "officer-exists": { vi: "Người này đã có tài khoản.", en: "This person has an account already." },
  "not-manageable": { vi: "Anh/chị không được thay đổi tài khoản này.", en: "You may not change this account." },
  "idempotency-key-reused": { vi: "Yêu cầu này đã được gửi với nội dung khác.", en: "This request was sent before with other content." },
  "too-much": { vi: "Quá giới hạn cho phép.", en: "Over the allowed limit." },
  busy: { vi: "Hệ thống đang bận. Hãy thử lại sau vài giây.", en: "The system is busy. Please try again in a few seconds." },
  "temporarily-unavailable": { vi: "Quá nhiều yêu cầu. Hãy thử lại sau ít phút.", en: "Too many requests. Please try again in a few minutes." },
  fault: { vi: "Hệ thống gặp lỗi. Hãy thử lại; nếu vẫn lỗi, hãy báo người vận hành.", en: "The service failed. Please try again; if it fails again, tell the operator." },
};

const OFFLINE: Sentence = { vi: "Không kết nối được máy chủ. Hãy kiểm tra mạng rồi thử lại.", en: "The server cannot be reached. Please check the network and try again." };
const SLOW: Sentence = { vi: "Việc này lâu hơn thường lệ, máy chủ chưa trả lời kịp. Hãy đợi ít phút rồi thử lại.", en: "This takes longer than usual; the server has not answered in time. Please wait a few minutes and try again." };
const UNKNOWN: Sentence = { vi: "Máy chủ từ chối yêu cầu.", en: "The server refused the request." };
const DEFECT: Sentence = { vi: "Trang gặp lỗi. Hãy tải lại trang.", en: "The page failed. Please reload it." };

/** What to say of an error. */
export function describe(error: unknown, language: Language): Described {
  if (error instanceof Problem) {
    const known = KINDS[error.kind] ?? (error.status >= 500 ? KINDS["fault"] : UNKNOWN);
    return { sentence: (known ?? UNKNOWN)[language], place: placeOf(error.detail, language), detail: error.detail };
  }
  if (error instanceof TooSlow) return { sentence: SLOW[language], place: undefined, detail: "" };
  const known = error instanceof Unreachable || (error instanceof DOMException && error.name === "TimeoutError") ? OFFLINE : DEFECT;
  return { sentence: known[language], place: undefined, detail: "" };
}

/** The part of the request that a detail such as `body.unit: must be …` names. */
function placeOf(detail: string, language: Language): string | undefined {
  const [, place] = /^([A-Za-z_][\w.[\]-]*): /.exec(detail) ?? [];
  const member = place?.replace(/\[\d+\]/g, "").split(".").at(-1);
  if (place === undefined || member === undefined) return undefined;
  const name = fieldOf(member)?.label[language] ?? place;
  return language === "vi" ? `Chỗ sai: ${name}.` : `Where: ${name}.`;
}
