// The verifier: the program's own, in Rust, as WebAssembly. Here stands only what TypeScript has to know about it; what
// comes out of it is looked at by hand before it is believed to have a shape.
import { isObject, type Json, type JsonObject } from "./json.ts";
import type { Sentence } from "./language.ts";

export const OUTCOMES = ["valid-live", "valid-copy", "check-further", "not-valid", "other-code"] as const;
/** What the person at the checkpoint does next. */
export type Outcome = (typeof OUTCOMES)[number];

/** The signed documents that the verifier is loaded with. The trust list is the first: it says who may sign the others. */
export const KINDS = ["trust-list", "statuses", "agencies", "gate"] as const;
export type Kind = (typeof KINDS)[number];

const STATES = { ok: "good", warn: "attention", stop: "stop" } as const;
export type LampState = (typeof STATES)[keyof typeof STATES];

/** The order in which lamps are shown, the app's own first. */
export const LAMPS = ["app", "keys", "statuses", "agencies", "gate", "clock"] as const;
export type LampName = (typeof LAMPS)[number];

/** One lamp of the readiness: what it is about, how it stands and since when. */
export interface Lamp {
  name: LampName;
  state: LampState;
  sentence: Sentence;
  /** Unix seconds when the document was signed. */
  issuedAt?: number;
  version?: number;
}

/** What a verification ends with. Holds personal data: it lives in memory and no longer than it is shown. */
export interface Verdict {
  outcome: Outcome;
  /** The one that decided first. */
  reasons: string[];
  sentence: Sentence;
  next: Sentence;
  claims?: JsonObject;
  statusAsOf?: number;
}

/** The gate that the checkpoint stands at. */
export interface Gate {
  name: string;
  challengeRequired: boolean;
}

/** How a card is to be verified. */
export interface Options {
  /** The digits that the holder was asked to type. */
  challenge?: string;
  /** Seconds that the server's clock was ahead of the device's. */
  offset?: number;
}

/** The verifier as the app uses it. Times are unix seconds of the device's clock. What it refuses it throws. */
export interface Core {
  /** Takes a document and gives its version. */
  load(kind: Kind, bytes: Uint8Array, now: number): number;
  lamps(now: number, offset: number | undefined): Lamp[];
  verify(text: string, now: number, options: Options): Verdict;
  /** What the device has to sign for a receipt of the last check: base64url, a dot, base64url. */
  receipt(deviceKey: JsonWebKey, offset: number | undefined): string;
  gate(): Gate | undefined;
  version(kind: Kind): number | undefined;
}

/** Why the verifier refuses: its code, for example `older`. */
export class CoreRefusal extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** What came from the verifier is not what this app was built for. */
export class CoreMismatch extends Error {}

/** The class of the WebAssembly module (`src/browser.rs`). */
export interface RawCore {
  load(kind: string, bytes: Uint8Array, now: number): string;
  readiness(now: number, offset?: number | null): string;
  verify(scanned: string, now: number, optionsJson: string): string;
  receipt(deviceJwk: string, offset?: number | null): string;
  versions(): string;
  gate(): string;
}

/** Types for what speaks JSON. */
export function typed(raw: RawCore): Core {
  return {
    load: (kind, bytes, now) => required(whole(parsed(asked(() => raw.load(kind, bytes, now))), "version"), "version"),
    lamps: (now, offset) => readLamps(asked(() => raw.readiness(now, offset ?? null))),
    verify: (text, now, options) => readVerdict(asked(() => raw.verify(text, now, JSON.stringify(options)))),
    receipt: (deviceKey, offset) => asked(() => raw.receipt(JSON.stringify(deviceKey), offset ?? null)),
    gate: () => readGate(raw.gate()),
    version: (kind) => whole(parsed(raw.versions()), kind),
  };
}

/** What the verifier throws is JSON text with a code. */
function asked(ask: () => string): string {
  try {
    return ask();
  } catch (error) {
    if (typeof error !== "string") throw error;
    throw new CoreRefusal(required(text(parsed(error), "code"), "code"));
  }
}

function readLamps(json: string): Lamp[] {
  const lamps = parsed(json)["lamps"];
  if (!isObject(lamps)) throw new CoreMismatch("lamps");
  return LAMPS.map((name) => {
    const raw = lamps[name];
    if (!isObject(raw)) throw new CoreMismatch(name);
    const state = text(raw, "state");
    if (state === undefined || !Object.hasOwn(STATES, state)) throw new CoreMismatch("state");
    const lamp: Lamp = { name, state: STATES[state as keyof typeof STATES], sentence: sentence(raw, "text") };
    return { ...lamp, ...wholeMember(raw, "issued_at", "issuedAt"), ...wholeMember(raw, "version", "version") };
  });
}

function readVerdict(json: string): Verdict {
  const raw = parsed(json);
  const outcome = OUTCOMES.find((known) => known === raw["outcome"]);
  const verdict: Verdict = {
    outcome: required(outcome, "outcome"),
    reasons: objects(raw["reasons"]).map((reason) => required(text(reason, "code"), "code")),
    sentence: sentence(raw, "sentence"),
    next: sentence(raw, "next"),
  };
  if (isObject(raw["claims"])) verdict.claims = raw["claims"];
  return { ...verdict, ...wholeMember(raw, "status_as_of", "statusAsOf") };
}

function readGate(json: string): Gate | undefined {
  const raw = JSON.parse(json) as Json;
  if (!isObject(raw)) return undefined;
  return { name: required(text(raw, "name"), "name"), challengeRequired: raw["challenge_required"] === true };
}

/** A member that is a text. */
export function text(object: JsonObject, name: string): string | undefined {
  const value = object[name];
  return typeof value === "string" ? value : undefined;
}

/** A member that is a whole number. */
function whole(object: JsonObject, name: string): number | undefined {
  const value = object[name];
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}

function wholeMember<Name extends string>(object: JsonObject, name: string, as: Name): { [K in Name]?: number } {
  const value = whole(object, name);
  return (value === undefined ? {} : { [as]: value }) as { [K in Name]?: number };
}

function sentence(object: JsonObject, name: string): Sentence {
  return { vi: required(text(object, `${name}_vi`), name), en: required(text(object, `${name}_en`), name) };
}

function objects(value: Json | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function parsed(json: string): JsonObject {
  const value = JSON.parse(json) as Json;
  if (!isObject(value)) throw new CoreMismatch("object");
  return value;
}

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new CoreMismatch(name);
  return value;
}
