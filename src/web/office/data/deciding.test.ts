import { expect, test } from "vitest";
import { canBeOneOfMany } from "./deciding.ts";

test("what has to be looked at is not approved among many", () => {
  const simple = { may_decide: true, state: "open", has_conflicts: false, is_sensitive: false, is_on_card: false } as const;
  expect(canBeOneOfMany(simple)).toBe(true);
  expect(canBeOneOfMany({ ...simple, is_on_card: true })).toBe(false);
  expect(canBeOneOfMany({ ...simple, is_sensitive: true })).toBe(false);
  expect(canBeOneOfMany({ ...simple, has_conflicts: true })).toBe(false);
  expect(canBeOneOfMany({ ...simple, state: "appealed" })).toBe(false);
  expect(canBeOneOfMany({ ...simple, may_decide: false })).toBe(false);
});
