import { expect, test } from "vitest";
import { startOf } from "./dates.ts";
import { isOpen, monthOf, windowOf } from "./months.ts";

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
