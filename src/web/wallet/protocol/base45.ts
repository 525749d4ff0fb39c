// Base45 (RFC 9285): the alphabet of the alphanumeric mode of QR codes. The space is one of its characters: a text is
// never trimmed, collapsed or decoded as part of an address.

import { type Bytes, Malformed } from "./bytes.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/** Section 4: two bytes are a number of three digits, the lowest first; a single last byte is one of two. */
export function encodeBase45(bytes: Uint8Array): string {
  let out = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const [high, low] = [bytes[at] ?? 0, bytes[at + 1]];
    let number = low === undefined ? high : high * 256 + low;
    for (let digits = low === undefined ? 2 : 3; digits > 0; digits--) {
      out += ALPHABET[number % 45];
      number = Math.floor(number / 45);
    }
  }
  return out;
}

/** The bytes of a text; numbers beyond their bytes are refused (section 6). */
export function decodeBase45(encoded: string): Bytes {
  const bytes: number[] = [];
  for (let at = 0; at < encoded.length; at += 3) {
    const group = [...encoded.slice(at, at + 3)].map((character) => ALPHABET.indexOf(character));
    const number = group.reduceRight((sum, digit) => sum * 45 + digit, 0);
    const isWhole = group.length === 3;
    if (group.length === 1 || group.includes(-1) || number > (isWhole ? 0xffff : 0xff)) {
      throw new Malformed("text", "is not Base45");
    }
    if (isWhole) bytes.push(number >> 8);
    bytes.push(number & 0xff);
  }
  return Uint8Array.from(bytes);
}
