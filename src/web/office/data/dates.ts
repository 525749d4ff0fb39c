// Days and times as Vietnamese offices write them, in the time of Viet Nam wherever the computer stands.
import type { Language } from "../../lib/language.ts";
import { day, timeOfDay } from "../../lib/times.ts";

export { day } from "../../lib/times.ts";

const OFFSET_SECONDS = 7 * 3600;
const DAY_SECONDS = 86_400;

/** `dd/MM/yyyy HH:MM`. */
export function dayAndTime(unixSeconds: number): string {
  return `${day(unixSeconds)} ${timeOfDay(unixSeconds)}`;
}

/** A date of the API (`yyyy-MM-dd`), or of a record, which may be known to the month or year only. */
export function partialDate(text: string): string {
  const [, year, month, date] = /^(\d{4})(?:-?(\d{2}))?(?:-?(\d{2}))?$/.exec(text) ?? [];
  if (year === undefined) return text;
  return [date, month, year].filter((part) => part !== undefined).join("/");
}

/** A month (`yyyy-MM`) as `MM/yyyy`. */
export const month = partialDate;

/** The day in Viet Nam as the API and date fields write it, some days later. */
export function isoDay(unixSeconds: number, daysLater = 0): string {
  return new Date((unixSeconds + OFFSET_SECONDS + daysLater * DAY_SECONDS) * 1000).toISOString().slice(0, 10);
}

/** Midnight in Viet Nam at the beginning of a day of the API; `undefined` if it is none. */
export function startOf(isoDate: string): number | undefined {
  const at = Date.parse(`${isoDate}T00:00:00+07:00`);
  return Number.isNaN(at) ? undefined : at / 1000;
}

/** Days from today to a moment by the calendar of Viet Nam: 0 today, negative when it is past. */
export function daysUntil(unixSeconds: number, now: number): number {
  const dayNumber = (at: number) => Math.floor((at + OFFSET_SECONDS) / DAY_SECONDS);
  return dayNumber(unixSeconds) - dayNumber(now);
}

/** A deadline in words. Past the moment itself it is overdue, on its last day too. */
export function deadline(unixSeconds: number, now: number, language: Language): string {
  const days = daysUntil(unixSeconds, now);
  if (unixSeconds <= now) {
    if (days === 0) return language === "vi" ? "quá hạn hôm nay" : "overdue today";
    return language === "vi" ? `quá hạn ${-days} ngày` : `${plural(-days, "day")} overdue`;
  }
  if (days === 0) return language === "vi" ? "hết hạn hôm nay" : "due today";
  return language === "vi" ? `còn ${days} ngày` : `${plural(days, "day")} left`;
}

/** How long something takes, in its largest unit. */
export function duration(seconds: number, language: Language): string {
  if (seconds < 60) return language === "vi" ? `${Math.ceil(seconds)} giây` : plural(Math.ceil(seconds), "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return language === "vi" ? `${minutes} phút` : plural(minutes, "minute");
  const hours = Math.round(minutes / 60);
  return language === "vi" ? `${hours} giờ` : plural(hours, "hour");
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** How far this computer's clock is behind the server's, in seconds: what is due, open or over is so by the server's. */
let behind = 0;

/** Takes the server's time, as it told it just now. */
export function setClock(serverNow: number): void {
  behind = serverNow - Math.floor(Date.now() / 1000);
}

/** The server's time of now, in whole seconds. */
export function now(): number {
  return Math.floor(Date.now() / 1000) + behind;
}
