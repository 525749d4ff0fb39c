// Bytes and the texts that carry them.
import { base64url, fromBase64 as bytesOfBase64, fromBase64url as bytesOfBase64url } from "../../lib/bytes.ts";

/** Bytes of their own buffer, as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What a peer sent does not read, or breaks a rule. `place` names the document, `rule` what it breaks, never a value. */
export class Malformed extends Error {
  constructor(
    readonly place: string,
    readonly rule: string,
  ) {
    super(`${place} ${rule}`);
    this.name = "Malformed";
  }
}

/** UTF-8 of a text. */
export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text) as Bytes;
}

/** The text of UTF-8 bytes; wrong bytes are refused. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/** Everything in one. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Whether two are the same. Not for secrets. */
export function equal(one: Uint8Array, two: Uint8Array): boolean {
  return one.length === two.length && one.every((byte, at) => byte === two[at]);
}

/** Bytewise lexicographic order. */
export function compare(one: Uint8Array, two: Uint8Array): number {
  for (let at = 0; at < Math.min(one.length, two.length); at++) {
    const difference = (one[at] ?? 0) - (two[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return one.length - two.length;
}

/** base64url without padding (RFC 4648 section 5). */
export const toBase64Url = base64url;

/** From base64url; padding and the other alphabet are refused. */
export function fromBase64Url(encoded: string, place: string): Bytes {
  const bytes = bytesOfBase64url(encoded);
  if (bytes === undefined) throw new Malformed(place, "is not base64url");
  return bytes;
}

/** From base64 (RFC 4648 section 4), as certificates in `x5c` and PEM are written. */
export function fromBase64(encoded: string, place: string): Bytes {
  const bytes = bytesOfBase64(encoded);
  if (bytes === undefined) throw new Malformed(place, "is not base64");
  return bytes;
}

/** SHA-256. */
export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** A fresh random text of so many bytes. */
export function randomText(bytes: number): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(bytes)));
}
