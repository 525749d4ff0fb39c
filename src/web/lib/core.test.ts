import { expect, test } from "vitest";
import { CoreMismatch, CoreRefusal, LAMPS, type RawCore, typed } from "./core.ts";

const SENTENCES = { sentence_vi: "Có.", sentence_en: "Yes.", next_vi: "Đi.", next_en: "Go." };
const lamp = { state: "warn", text_vi: "Cũ.", text_en: "Old.", issued_at: 7, version: 3 };
const lamps = (of: object) => JSON.stringify({ state: "warn", lamps: Object.fromEntries(LAMPS.map((name) => [name, of])) });

/** A verifier that says what a test lets it say. */
function saying(part: Partial<RawCore>): RawCore {
  const nothing = () => "null";
  return { load: nothing, readiness: nothing, verify: nothing, receipt: nothing, versions: () => "{}", gate: nothing, ...part };
}

test("lamps come in their order, with sentences and times", () => {
  const core = typed(saying({ readiness: () => lamps(lamp) }));
  const read = core.lamps(1, undefined);
  expect(read.map(({ name }) => name)).toEqual([...LAMPS]);
  expect(read[0]).toEqual({ name: "app", state: "attention", sentence: { vi: "Cũ.", en: "Old." }, issuedAt: 7, version: 3 });
});

test("a verdict has what the verifier said and nothing else", () => {
  const said = { outcome: "valid-live", reasons: [{ code: "status_aging", as_of: 1 }], ...SENTENCES, status_as_of: 5, proof_time: null };
  const core = typed(saying({ verify: () => JSON.stringify(said) }));
  const expected = { outcome: "valid-live", reasons: ["status_aging"], statusAsOf: 5 };
  expect(core.verify("X", 1, {})).toEqual({ ...expected, sentence: { vi: "Có.", en: "Yes." }, next: { vi: "Đi.", en: "Go." } });
});

test("what is not understood is never taken for a verdict or a good lamp", () => {
  const unknown = JSON.stringify({ outcome: "valid", reasons: [], ...SENTENCES });
  for (const verify of [() => unknown, () => "null", () => "{}"]) {
    expect(() => typed(saying({ verify })).verify("X", 1, {})).toThrow(CoreMismatch);
  }
  const strange = lamps({ ...lamp, state: "toString" });
  expect(() => typed(saying({ readiness: () => strange })).lamps(1, 0)).toThrow(CoreMismatch);
});

test("a refusal has its code, and a failure stays one", () => {
  const throwing = (thrown: unknown) => {
    const load = () => {
      throw thrown;
    };
    return () => typed(saying({ load })).load("statuses", new Uint8Array(), 1);
  };
  expect(throwing(JSON.stringify({ code: "older" }))).toThrow(new CoreRefusal("older"));
  expect(throwing(new RangeError("unreachable"))).toThrow(RangeError);
});
