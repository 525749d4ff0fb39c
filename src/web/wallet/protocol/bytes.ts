// Bytes and the texts that carry them.

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
export function toBase64Url(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** From base64url; padding and the other alphabet are refused. */
export function fromBase64Url(encoded: string, place: string): Bytes {
  if (!/^[A-Za-z0-9_-]*$/.test(encoded) || encoded.length % 4 === 1) throw new Malformed(place, "is not base64url");
  return fromBase64(encoded.replaceAll("-", "+").replaceAll("_", "/"), place);
}

/** From base64 (RFC 4648 section 4), as certificates in `x5c` and PEM are written. */
export function fromBase64(encoded: string, place: string): Bytes {
  try {
    return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  } catch {
    throw new Malformed(place, "is not base64");
  }
}

/** SHA-256. */
export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** A fresh random text of so many bytes. */
export function randomText(bytes: number): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(bytes)));
}
