import { expect, test } from "vitest";
import { randomDigits } from "./shift.ts";

test("digits are as many as asked, and not always the same", () => {
  for (const count of [4, 5, 6]) expect(randomDigits(count)).toMatch(new RegExp(`^[0-9]{${count}}$`));
  const seen = new Set(Array.from({ length: 50 }, () => randomDigits(6)));
  expect(seen.size).toBeGreaterThan(45);
});
