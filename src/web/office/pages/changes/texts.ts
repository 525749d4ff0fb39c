// What the page of waiting changes says.
import type { Language } from "../../../lib/language.ts";

const vi = {
  hint: "Thay đổi đã được ghi nhận nhưng có hiệu lực vào một ngày sau. Đến ngày đó (giờ Việt Nam), hồ sơ và thẻ tự thay đổi.",
  needsUnit: "Hãy nhập mã đơn vị để xem danh sách.",
  effective: "Có hiệu lực",
  number: "Số hiệu",
  from: "Nguồn",
  fields: "Trường thay đổi",
  states: { waiting: "Chờ đến ngày", conflict: "Xung đột" },
  record: "Mở hồ sơ",
  show: "Xem thay đổi",
  title: (number: string) => `Thay đổi của ${number}`,
  conflictHint: "Các trường này đã đổi theo cách khác từ khi thay đổi được ghi nhận. Đơn vị quyết định: bỏ thay đổi này, hoặc gửi lại thay đổi mới.",
  drop: "Bỏ thay đổi",
  dropTitle: "Bỏ thay đổi đang chờ?",
  dropText: "Thay đổi này sẽ không có hiệu lực. Hồ sơ và thẻ giữ nguyên như hiện nay.",
  dropped: "Đã bỏ thay đổi.",
};

const en: typeof vi = {
  hint: "Changes that were taken in and act on a later day. On that day (time of Viet Nam) record and card change by themselves.",
  needsUnit: "Enter a unit code to see the list.",
  effective: "Effective",
  number: "Number",
  from: "Source",
  fields: "Fields",
  states: { waiting: "Waits for its day", conflict: "Conflict" },
  record: "Open the record",
  show: "Show changes",
  title: (number) => `Changes of ${number}`,
  conflictHint: "These fields changed otherwise since the change was taken in. The unit decides: drop this change, or send a new one.",
  drop: "Drop the change",
  dropTitle: "Drop the waiting change?",
  dropText: "The change will not act. Record and card stay as they are.",
  dropped: "The change was dropped.",
};

export const TEXTS: Record<Language, typeof vi> = { vi, en };
