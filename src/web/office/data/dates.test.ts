import { expect, test } from "vitest";
import { dayAndTime, daysUntil, deadline, duration, isoDay, now, partialDate, setClock, startOf } from "./dates.ts";

/** 30/11/2026 23:30 in Viet Nam, still 16:30 of that day in London. */
const LATE = 1_796_056_200;

test("a day is the one of Viet Nam", () => {
  expect(dayAndTime(LATE)).toBe("30/11/2026 23:30");
  expect(isoDay(LATE)).toBe("2026-11-30");
  expect(isoDay(LATE + 1800)).toBe("2026-12-01");
  expect(isoDay(LATE, 1)).toBe("2026-12-01");
  expect(dayAndTime(startOf("2026-12-01") ?? 0)).toBe("01/12/2026 00:00");
  expect(startOf("soon")).toBeUndefined();
});

test("dates keep the precision that they have", () => {
  expect(["2026-11-30", "2026-11", "202611", "2026", "20261130"].map(partialDate)).toEqual(["30/11/2026", "11/2026", "11/2026", "2026", "30/11/2026"]);
  expect(partialDate("khoảng 1980")).toBe("khoảng 1980");
});

test("deadlines count calendar days, not 24 hours", () => {
  expect(daysUntil(LATE + 3600, LATE)).toBe(1);
  expect(deadline(LATE + 3600, LATE, "vi")).toBe("còn 1 ngày");
  expect(deadline(LATE + 3600, LATE, "en")).toBe("1 day left");
  expect(deadline(LATE + 60, LATE, "vi")).toBe("hết hạn hôm nay");
  expect(deadline(LATE, LATE, "vi")).toBe("quá hạn hôm nay");
  expect(deadline(LATE - 3 * 86_400, LATE, "vi")).toBe("quá hạn 3 ngày");
  expect(deadline(LATE - 86_400, LATE, "en")).toBe("1 day overdue");
});

test("durations are in their largest unit", () => {
  expect([0.2, 59, 60, 3599, 7200].map((seconds) => duration(seconds, "vi"))).toEqual(["1 giây", "59 giây", "1 phút", "1 giờ", "2 giờ"]);
  expect(duration(1, "en")).toBe("1 second");
});

test("the time is the server's, whatever this computer's clock says", () => {
  const own = Math.floor(Date.now() / 1000);
  setClock(own + 7200);
  expect(Math.abs(now() - own - 7200)).toBeLessThan(5);
  setClock(own - 86_400);
  expect(Math.abs(now() - own + 86_400)).toBeLessThan(5);
  setClock(Math.floor(Date.now() / 1000));
  expect(Math.abs(now() - own)).toBeLessThan(5);
});
