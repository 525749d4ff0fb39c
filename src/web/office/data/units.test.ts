import { expect, test } from "vitest";
import { isWithin } from "./units.ts";

test("a unit is within itself and whatever its code begins with, part by part", () => {
  expect(isWithin("H26", "H26")).toBe(true);
  expect(isWithin("H26.05.01", "H26.05")).toBe(true);
  expect(isWithin("H26.055", "H26.05")).toBe(false);
  expect(isWithin("H26", "H26.05")).toBe(false);
  expect(isWithin("H26", "")).toBe(false);
});
