// What the overview says.
import type { Language } from "../../../lib/language.ts";

const vi = {
  waiting: "Việc đang chờ",
  open: "Đề nghị chờ duyệt",
  overdue: "Đề nghị quá hạn",
  appealed: "Khiếu nại chờ giải quyết",
  second: "Chờ người duyệt thứ hai",
  unconfirmed: "Hồ sơ chờ đơn vị xác nhận",
  uploads: "Tệp đã kiểm tra, chờ nộp",
  changes: "Thay đổi chờ ngày",
  conflicts: "Thay đổi bị xung đột",
  calls: "Lần đồng bộ bị từ chối, 24 giờ qua",
  ending: "Thẻ hết hạn trong 60 ngày",
  approval: "Phê duyệt dữ liệu tháng",
  approvalDue: (last: string) => `cần ký trước hết ngày ${last}`,
  approvalDone: "đã phê duyệt",
  approvalLater: (from: string) => `mở từ ${from}`,
  notKnown: "chưa lấy được",
  words: "Dữ liệu của đơn vị",
  more: (count: number) => `${count} trở lên`,
};

const en: typeof vi = {
  waiting: "What waits",
  open: "Proposals to decide",
  overdue: "Proposals overdue",
  appealed: "Appeals to decide",
  second: "Waiting for a second approver",
  unconfirmed: "Records to be confirmed",
  uploads: "Checked files to be submitted",
  changes: "Changes that wait for their day",
  conflicts: "Changes in conflict",
  calls: "Synchronisation calls refused in 24 hours",
  ending: "Cards that end within 60 days",
  approval: "Monthly approval",
  approvalDue: (last) => `to be signed by ${last}`,
  approvalDone: "approved",
  approvalLater: (from) => `opens on ${from}`,
  notKnown: "not known",
  words: "The unit's data",
  more: (count) => `${count} or more`,
};

export const TEXTS: Record<Language, typeof vi> = { vi, en };
