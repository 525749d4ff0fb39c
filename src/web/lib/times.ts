// Times and sizes as people at a Vietnamese checkpoint read them.
import type { Language } from "./language.ts";

const ZONE = "Asia/Ho_Chi_Minh";
const clockFace = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: ZONE });
const date = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "2-digit", year: "numeric", timeZone: ZONE });

/** `HH:MM`. */
export function timeOfDay(unixSeconds: number): string {
  return clockFace.format(unixSeconds * 1000);
}

/** `dd/MM/yyyy`. */
export function day(unixSeconds: number): string {
  return date.format(unixSeconds * 1000);
}

/** `HH:MM`, with the day in front unless it is that of `now`. */
export function moment(unixSeconds: number, now: number): string {
  const time = timeOfDay(unixSeconds);
  return day(unixSeconds) === day(now) ? time : `${day(unixSeconds)} ${time}`;
}

const UNITS: Record<Language, { ago: (text: string) => string; minute: string; hour: string; day: string; now: string }> = {
  vi: { ago: (text) => `${text} trước`, minute: "phút", hour: "giờ", day: "ngày", now: "vừa xong" },
  en: { ago: (text) => `${text} ago`, minute: "min", hour: "h", day: "d", now: "just now" },
};

/** How long ago something was, in its largest unit. */
export function ago(unixSeconds: number, now: number, language: Language): string {
  const units = UNITS[language];
  const minutes = Math.floor((now - unixSeconds) / 60);
  if (minutes < 1) return units.now;
  if (minutes < 60) return units.ago(`${minutes} ${units.minute}`);
  if (minutes < 48 * 60) return units.ago(`${Math.floor(minutes / 60)} ${units.hour}`);
  return units.ago(`${Math.floor(minutes / 1440)} ${units.day}`);
}

/** Kilobytes of 1000 bytes, with one place below ten. */
export function kilobytes(bytes: number): string {
  const amount = bytes / 1000;
  return `${amount < 10 ? amount.toFixed(1) : Math.round(amount)} KB`;
}
