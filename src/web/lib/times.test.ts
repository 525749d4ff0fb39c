import { expect, test } from "vitest";
import { ago, day, kilobytes, moment, timeOfDay } from "./times.ts";

const NOON = 1_700_000_000;

test("times are those of Viet Nam", () => {
  expect(timeOfDay(NOON)).toBe("05:13");
  expect(day(NOON)).toBe("15/11/2023");
  expect(moment(NOON, NOON + 60)).toBe("05:13");
  expect(moment(NOON, NOON + 86_400)).toBe("15/11/2023 05:13");
});

test("ages are in their largest unit", () => {
  expect(ago(NOON, NOON + 59, "vi")).toBe("vừa xong");
  expect(ago(NOON, NOON + 60, "vi")).toBe("1 phút trước");
  expect(ago(NOON, NOON + 47 * 3600, "en")).toBe("47 h ago");
  expect(ago(NOON, NOON + 49 * 3600, "en")).toBe("2 d ago");
  expect(ago(NOON + 100, NOON, "en")).toBe("just now");
});

test("sizes keep a place where it matters", () => {
  expect(kilobytes(1234)).toBe("1.2 KB");
  expect(kilobytes(38_400)).toBe("38 KB");
});
