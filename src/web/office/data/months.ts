// Months of the calendar of Viet Nam, and the days in which one is approved.
import { isoDay } from "./dates.ts";

/** Circular 06/2023/TT-BNV: the last five days of the month. */
const WINDOW_DAYS = 5;

/** The month of a moment, `yyyy-MM`. */
export function monthOf(unixSeconds: number): string {
  return isoDay(unixSeconds).slice(0, 7);
}

/** The first and last day in which a month is approved. */
export function windowOf(month: string): { from: string; to: string } {
  const [year = 0, number = 1] = month.split("-").map(Number);
  const last = new Date(Date.UTC(year, number, 0)).getUTCDate();
  return { from: `${month}-${last - WINDOW_DAYS + 1}`, to: `${month}-${last}` };
}

/** Whether a month can be approved at a moment. */
export function isOpen(month: string, unixSeconds: number): boolean {
  const today = isoDay(unixSeconds);
  const { from, to } = windowOf(month);
  return from <= today && today <= to;
}

/** The month before. */
export function monthBefore(month: string): string {
  const [year = 0, number = 1] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number - 2, 1)).toISOString().slice(0, 7);
}

/** The last day on which a month may still be approved late; `undefined` where that is not allowed. */
export function lateUntil(month: string, lateDays: number): string | undefined {
  const [year = 0, number = 1] = month.split("-").map(Number);
  return lateDays === 0 ? undefined : new Date(Date.UTC(year, number, lateDays)).toISOString().slice(0, 10);
}

/** Where a month stands: before its days, in them, after them but not too late, or over. */
export type Standing = "early" | "open" | "late" | "over";

export function standingOf(month: string, unixSeconds: number, lateDays: number): Standing {
  const today = isoDay(unixSeconds);
  const { from, to } = windowOf(month);
  if (today < from) return "early";
  if (today <= to) return "open";
  return today <= (lateUntil(month, lateDays) ?? "") ? "late" : "over";
}
