import { expect, test } from "vitest";
import type { Verdict } from "../../lib/core.ts";
import { Attentive } from "./attention.ts";

const sentence = { vi: "", en: "" };
const verdict = (outcome: Verdict["outcome"], claims = {}): Verdict => ({ outcome, reasons: [], sentence, next: sentence, claims });
const card = () => verdict("valid-live");
const foreign = (): Verdict => ({ outcome: "other-code", reasons: ["web_address"], sentence, next: sentence });

test("a card is shown once, as long as it stays", () => {
  const attentive = new Attentive();
  expect(attentive.weigh("A", 0, card)).toEqual({ show: card() });
  for (let at = 100; at < 9000; at += 100) expect(attentive.weigh("A", at, card)).toBe("same");
  expect(attentive.weigh("B", 9000, card)).toEqual({ show: card() });
  expect(attentive.weigh("A", 9100, card)).toEqual({ show: card() });
  expect(attentive.weigh("A", 11_600, card), "it was out of sight").toEqual({ show: card() });
});

test("a foreign code has to stay", () => {
  const attentive = new Attentive();
  expect(attentive.weigh("https", 0, foreign)).toBe("other");
  expect(attentive.weigh("https", 800, foreign)).toBe("other");
  expect(attentive.weigh("https", 1000, foreign)).toEqual({ show: foreign() });
  expect(attentive.weigh("https", 1100, foreign)).toBe("same");
});

test("a specimen is a card and is shown at once", () => {
  const specimen = () => verdict("other-code");
  expect(new Attentive().weigh("S", 0, specimen)).toEqual({ show: specimen() });
});

test("what is out of sight is forgotten", () => {
  const attentive = new Attentive();
  attentive.weigh("A", 0, card);
  attentive.none(100);
  expect(attentive.weigh("A", 200, card), "one look that failed").toBe("same");
  attentive.none(2700);
  expect(attentive.weigh("A", 2750, card)).toEqual({ show: card() });
});

test("a card that is still there after a pause is not shown again", () => {
  const attentive = new Attentive();
  attentive.weigh("A", 0, card);
  attentive.resume(20_000);
  expect(attentive.weigh("A", 20_100, card)).toBe("same");
});
