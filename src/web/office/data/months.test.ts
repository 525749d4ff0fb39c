import { expect, test } from "vitest";
import { startOf } from "./dates.ts";
import { isOpen, lateUntil, monthBefore, monthOf, standingOf, windowOf } from "./months.ts";

const at = (day: string) => startOf(day) ?? 0;

test("the window is the last five days, whatever the month", () => {
  expect(windowOf("2026-11")).toEqual({ from: "2026-11-26", to: "2026-11-30" });
  expect(windowOf("2026-02")).toEqual({ from: "2026-02-24", to: "2026-02-28" });
  expect(windowOf("2028-02").from).toBe("2028-02-25");
  expect(windowOf("2026-12")).toEqual({ from: "2026-12-27", to: "2026-12-31" });
});

test("the window opens and closes at midnight in Viet Nam", () => {
  expect(isOpen("2026-11", at("2026-11-26") - 1)).toBe(false);
  expect(isOpen("2026-11", at("2026-11-26"))).toBe(true);
  expect(isOpen("2026-11", at("2026-12-01") - 1)).toBe(true);
  expect(isOpen("2026-11", at("2026-12-01"))).toBe(false);
  expect(monthOf(at("2026-12-01"))).toBe("2026-12");
});

test("the month before can be approved late for as many days as the server allows", () => {
  expect([monthBefore("2026-11"), monthBefore("2027-01"), monthBefore("2026-03")]).toEqual(["2026-10", "2026-12", "2026-02"]);
  expect([lateUntil("2026-11", 10), lateUntil("2026-12", 31), lateUntil("2026-11", 0)]).toEqual(["2026-12-10", "2027-01-31", undefined]);
  const standing = (day: string, lateDays: number) => standingOf("2026-11", at(day), lateDays);
  expect(standing("2026-11-25", 10)).toBe("early");
  expect(standing("2026-11-26", 10)).toBe("open");
  expect(standing("2026-12-01", 10)).toBe("late");
  expect(standingOf("2026-11", at("2026-12-11") - 1, 10)).toBe("late");
  expect(standing("2026-12-11", 10)).toBe("over");
  expect(standing("2026-12-01", 0)).toBe("over");
});
