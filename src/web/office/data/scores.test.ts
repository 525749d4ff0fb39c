import { expect, test } from "vitest";
import type { OfDay, Score } from "../api/quality.ts";
import { line, percent, points } from "./scores.ts";

const score = (share: number | null): Score => ({ holds: 0, of: 0, percent: share });

test("shares are written as the language writes them", () => {
  expect(percent(score(99.9), "vi")).toBe("99,9%");
  expect(percent(score(100), "en")).toBe("100.0%");
  expect(percent(score(null), "vi")).toBe("–");
});

test("differences have a sign", () => {
  expect(points(score(95.1), score(94.9), "vi")).toBe("+0,2");
  expect(points(score(94.9), score(95.1), "en")).toBe("−0.2");
  expect(points(score(95), score(95), "vi")).toBe("±0,0");
  expect(points(score(95), undefined, "vi")).toBeUndefined();
  expect(points(score(null), score(1), "vi")).toBeUndefined();
});

test("a line stands where its days are, also with gaps", () => {
  const of = (day: string, share: number | null) => ({ day, records: 1, scores: { correct: score(share) } }) as unknown as OfDay;
  const box = { left: 10, top: 0, width: 100, height: 50 };
  expect(line([of("2026-11-01", 100), of("2026-11-02", 50), of("2026-11-05", 0)], "correct", box)).toBe("10.0,0.0 35.0,25.0 110.0,50.0");
  expect(line([of("2026-11-01", 100)], "correct", box)).toBe("10.0,0.0");
  expect(line([of("2026-11-01", null)], "correct", box)).toBe("");
});
