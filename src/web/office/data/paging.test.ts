import { expect, test } from "vitest";
import { Walk } from "./paging.ts";

test("a list is walked forth and back", () => {
  const second = Walk.start.onwards("a");
  const third = second.onwards("b");
  expect([Walk.start.after, second.after, third.after]).toEqual([undefined, "a", "b"]);
  expect([Walk.start.number, third.number]).toEqual([1, 3]);
  expect(third.back().after).toBe("a");
  expect(third.back().back().isFirst).toBe(true);
  expect(Walk.start.back()).toBe(Walk.start);
});
