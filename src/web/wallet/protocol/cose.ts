// COSE_Sign1 (RFC 9052 section 4.2): read without changing a byte of what was signed, and verified.

import { type Bytes, Malformed } from "./bytes.ts";
import { type Item, Reader, array, byteString, decode, textString } from "./cbor.ts";
import { type VerifyingKey, verify } from "./keys.ts";

/** COSE_Sign1 under this tag (RFC 9052 section 2). */
export const TAG_SIGN1 = 18;
/** Labels of headers (RFC 9052 section 3.1; RFC 9596; RFC 9360). */
export const LABEL = { algorithm: 1, critical: 2, keyId: 4, type: 16, certificates: 33 } as const;

/** A signed message, its parts as they were received. */
export interface Sign1 {
  /** What is inside the byte string of the protected header. */
  readonly protectedBytes: Bytes;
  /** The entries of the unprotected header, each key and value as it stands. */
  readonly unprotected: readonly (readonly [key: Bytes, value: Bytes])[];
  readonly payload: Bytes;
  readonly signature: Bytes;
}

/** Reads a message under tag 18, as our issuer writes them. */
export function parseSign1(bytes: Uint8Array): Sign1 {
  const reader = new Reader(bytes);
  if (reader.enter("tag") !== TAG_SIGN1 || reader.enter("array") !== 4) {
    throw new Malformed("message", "is not a COSE_Sign1 under tag 18");
  }
  const protectedBytes = bytesOf(reader.item(), "protected header");
  const unprotected: [Bytes, Bytes][] = [];
  for (let left = reader.enter("map"); left > 0; left--) unprotected.push([reader.raw(), reader.raw()]);
  const [payload, signature] = [bytesOf(reader.item(), "payload"), bytesOf(reader.item(), "signature")];
  if (!reader.isAtEnd) throw new Malformed("message", "is followed by something else");
  return { protectedBytes, unprotected, payload, signature };
}

/** A header, the protected one first. */
export function header(message: Sign1, label: number): Item | undefined {
  const own = protectedHeaders(message).get(label);
  if (own !== undefined) return own;
  const entry = message.unprotected.find(([key]) => decode(key) === label);
  return entry && decode(entry[1]);
}

/** Checks the issuer's signature (RFC 9052 section 4.4, without external data). */
export async function verifySign1(message: Sign1, key: VerifyingKey): Promise<void> {
  const headers = protectedHeaders(message);
  const isKnown = headers.get(LABEL.algorithm) === key.coseAlgorithm && !headers.has(LABEL.critical);
  const signed = array(
    textString("Signature1"),
    byteString(message.protectedBytes),
    byteString(new Uint8Array()),
    byteString(message.payload),
  );
  if (!isKnown || !(await verify(key, message.signature, signed))) {
    throw new Malformed("message", "has a wrong signature");
  }
}

function protectedHeaders(message: Sign1): Map<Item, Item> {
  return message.protectedBytes.length === 0 ? new Map() : mapOf(decode(message.protectedBytes), "protected header");
}

/** An item that has to be a byte string. */
export function bytesOf(item: Item | undefined, place: string): Bytes {
  if (!(item instanceof Uint8Array)) throw new Malformed(place, "is not a byte string");
  return item;
}

/** An item that has to be a map. */
export function mapOf(item: Item | undefined, place: string): Map<Item, Item> {
  if (!(item instanceof Map)) throw new Malformed(place, "is not a map");
  return item;
}
