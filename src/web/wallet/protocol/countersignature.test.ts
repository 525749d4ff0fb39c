// The vectors that the Rust side publishes and checks: tests/vectors/qr/countersignature.json.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { decodeBase45, encodeBase45 } from "./base45.ts";
import { type Bytes, text, utf8 } from "./bytes.ts";
import { parseSign1 } from "./cose.ts";
import {
  ALGORITHM,
  PROFILE,
  type Sign,
  countersign,
  externalData,
  protectedHeader,
  toBeSigned,
  withCountersignature,
} from "./countersignature.ts";
import { fromJwk, verify } from "./keys.ts";
import { codeText, symbol } from "./livecode.ts";
import { inflate } from "./zlib.ts";

interface Case {
  name: string;
  algorithm: keyof typeof ALGORITHM;
  card: string;
  holder: JsonWebKey;
  time: number;
  challenge: string | null;
  protected: string;
  external_aad: string;
  to_be_signed: string;
  signature: string;
  cose: string;
  version: number;
  text: string;
}

const folder = join(import.meta.dirname, "../../../../tests/vectors/qr");
const file = JSON.parse(readFileSync(join(folder, "countersignature.json"), "utf8")) as { profile: string; cases: Case[] };

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (digits: string): Bytes => Uint8Array.from(Buffer.from(digits, "hex"));

/** Signs with the published private key. */
async function signer({ algorithm, holder }: Case): Promise<Sign> {
  const kind = algorithm === "ES256" ? { name: "ECDSA", namedCurve: "P-256" } : { name: "Ed25519" };
  const key = await crypto.subtle.importKey("jwk", holder, kind, false, ["sign"]);
  const by = algorithm === "ES256" ? { name: "ECDSA", hash: "SHA-256" } : kind;
  return async (message) => new Uint8Array(await crypto.subtle.sign(by, key, message));
}

const proofOf = ({ time, algorithm, challenge }: Case) => ({ time, algorithm, challenge: challenge ?? undefined });

test("the profile and four cases are published", () => {
  expect(file.profile).toBe(PROFILE);
  expect(file.cases.map(({ name }) => name)).toEqual(["eddsa", "eddsa-challenge", "es256", "es256-challenge"]);
});

test.each(file.cases)("$name: every step is the published one", async (vector) => {
  const message = parseSign1(unhex(vector.card));
  const holderProtected = protectedHeader(proofOf(vector));
  const external = externalData(vector.challenge ?? undefined);
  expect(hex(holderProtected)).toBe(vector.protected);
  expect(text(external)).toBe(vector.external_aad);
  const signed = toBeSigned(message, holderProtected, external);
  expect(hex(signed)).toBe(vector.to_be_signed);
  const key = await fromJwk(vector.holder);
  expect(await verify(key, unhex(vector.signature), signed)).toBe(true);
  expect(hex(withCountersignature(message, holderProtected, unhex(vector.signature)))).toBe(vector.cose);
});

test.each(file.cases)("$name: the wallet's own signature is as good", async (vector) => {
  const live = await countersign(unhex(vector.card), proofOf(vector), await signer(vector));
  // Ed25519 is deterministic, ES256 is not.
  if (vector.algorithm === "EdDSA") expect(hex(live)).toBe(vector.cose);
  const signature = live.slice(hex(live).indexOf(vector.protected) / 2 + vector.protected.length / 2 + 3).slice(0, 64);
  expect(await verify(await fromJwk(vector.holder), signature, unhex(vector.to_be_signed))).toBe(true);
});

test.each(file.cases)("$name: text and symbol are the published ones", async (vector) => {
  expect(hex(await inflate(decodeBase45(vector.text), 16 * 1024))).toBe(vector.cose);
  const own = await codeText(unhex(vector.cose));
  // Another compressor may write another text; what it holds and how large it is drawn stay the same.
  expect(hex(await inflate(decodeBase45(own), 16 * 1024))).toBe(vector.cose);
  expect(symbol(vector.text).version).toBe(vector.version);
  expect(symbol(own).version).toBe(vector.version);
});

test("a new proof takes the place of an old one", async () => {
  const vector = file.cases[0] as Case;
  const again = await countersign(unhex(vector.cose), proofOf(vector), await signer(vector));
  expect(hex(again)).toBe(vector.cose);
});

test("what a proof is for is signed", () => {
  const vector = file.cases[0] as Case;
  const message = parseSign1(unhex(vector.card));
  const header = protectedHeader(proofOf(vector));
  const all = [undefined, "4829", "482913"].map((digits) => hex(toBeSigned(message, header, externalData(digits))));
  expect(new Set(all).size).toBe(3);
  for (const digits of ["", "123", "1234567", "12a4", "١٢٣٤"]) expect(() => externalData(digits)).toThrow("challenge");
});

test("every published text is read and written the same", () => {
  for (const name of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    const { text: published, cose } = JSON.parse(readFileSync(join(folder, name), "utf8")) as Record<string, unknown>;
    if (typeof published !== "string" || typeof cose !== "string") continue;
    expect(encodeBase45(decodeBase45(published)), name).toBe(published);
  }
});

test("the examples of RFC 9285 hold", () => {
  for (const [plain, encoded] of [["AB", "BB8"], ["Hello!!", "%69 VD92EX0"], ["base-45", "UJCLQE7W581"]] as const) {
    expect(encodeBase45(utf8(plain))).toBe(encoded);
    expect(text(decodeBase45(encoded))).toBe(plain);
  }
  expect(text(decodeBase45("QED8WEX0"))).toBe("ietf!");
  for (const wrong of ["GGW", "::", "A", "a", "AA ", "Ă12"]) expect(() => decodeBase45(wrong)).toThrow("Base45");
});

test("a symbol is drawn in the alphanumeric mode", () => {
  // ISO/IEC 18004 table 7: version 15-L holds 758 alphanumeric characters, and 520 bytes.
  expect(symbol("A".repeat(758)).version).toBe(15);
  expect(symbol("A".repeat(759)).version).toBe(16);
});
