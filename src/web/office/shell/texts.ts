// What the frame around the pages says.
import type { Language } from "../../lib/language.ts";
import type { Role } from "../api/session.ts";

const vi = {
  signInTitle: "Đăng nhập",
  signInHint: "Dành cho cán bộ được đơn vị giao quản lý hồ sơ và thẻ. Đăng nhập bằng tài khoản công vụ, có xác thực hai lớp.",
  signIn: "Đăng nhập",
  signOut: "Đăng xuất",
  ended: "Phiên làm việc đã kết thúc. Hãy đăng nhập lại để tiếp tục; trang đang xem được giữ nguyên.",
  wholeNation: "Cả nước",
  roles: {
    clerk: "Cán bộ hồ sơ",
    confirmer: "Người xác nhận",
    unit_head: "Thủ trưởng đơn vị",
    inspector: "Thanh tra (chỉ xem)",
    operator: "Người vận hành",
  } satisfies Record<Role, string>,
  who: "Người đăng nhập",
  ending: (seconds: number) => `Phiên làm việc kết thúc sau ${seconds} giây.`,
  stay: "Tiếp tục làm việc",
  again: "Đăng nhập lại",
};

const en: typeof vi = {
  signInTitle: "Sign in",
  signInHint: "For officers whom their unit has charged with records and cards. Sign in with your service account and its second factor.",
  signIn: "Sign in",
  signOut: "Sign out",
  ended: "The session has ended. Please sign in again to go on; you will come back to this page.",
  wholeNation: "Whole nation",
  roles: { clerk: "Clerk", confirmer: "Confirmer", unit_head: "Head of unit", inspector: "Inspector (read-only)", operator: "Operator" },
  who: "Signed in",
  ending: (seconds) => `The session ends in ${seconds} seconds.`,
  stay: "Go on working",
  again: "Sign in again",
};

export const TEXTS: Record<Language, typeof vi> = { vi, en };
