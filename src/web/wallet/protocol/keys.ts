// Keys: the wallet's own, which never leave the browser, and those of others, to verify with.

import { type Bytes, Malformed, fromBase64Url, toBase64Url } from "./bytes.ts";
import type { Item } from "./cbor.ts";

/** The public half of a P-256 key, as JOSE writes it (RFC 7518 section 6.2.1). */
export interface PublicJwk {
  readonly kty: "EC";
  readonly crv: "P-256";
  readonly x: string;
  readonly y: string;
}

/** A key of this wallet. */
export interface OwnKey {
  /** Not extractable: WebCrypto signs with it and gives it to nobody. */
  readonly privateKey: CryptoKey;
  readonly jwk: PublicJwk;
}

/** A key of somebody else. */
export interface VerifyingKey {
  readonly key: CryptoKey;
  readonly algorithm: "ES256" | "EdDSA";
  readonly coseAlgorithm: number;
}

const P256 = { name: "ECDSA", namedCurve: "P-256" } as const;
const ES256 = { name: "ECDSA", hash: "SHA-256" } as const;

/** Makes a key. A phone makes it in its secure hardware. */
export async function makeKey(): Promise<OwnKey> {
  const pair = await crypto.subtle.generateKey(P256, false, ["sign", "verify"]);
  const { x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  if (x === undefined || y === undefined) throw new Malformed("key", "has no coordinates");
  return { privateKey: pair.privateKey, jwk: { kty: "EC", crv: "P-256", x, y } };
}

/** Signs with ES256: r and s, 32 bytes each. */
export async function sign(key: OwnKey, message: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.sign(ES256, key.privateKey, message));
}

/** Whether the key made the signature. */
export async function verify(key: VerifyingKey, signature: Bytes, message: Bytes): Promise<boolean> {
  const algorithm = key.algorithm === "ES256" ? ES256 : { name: "Ed25519" };
  return crypto.subtle.verify(algorithm, key.key, signature, message);
}

/** A public key from JOSE's form; only P-256 and Ed25519. */
export async function fromJwk(jwk: unknown): Promise<VerifyingKey> {
  const { kty, crv, x, y } = (jwk ?? {}) as Record<string, unknown>;
  try {
    if (kty === "EC" && crv === "P-256" && typeof x === "string" && typeof y === "string") {
      return es256(await crypto.subtle.importKey("jwk", { kty, crv, x, y }, P256, true, ["verify"]));
    }
    if (kty === "OKP" && crv === "Ed25519" && typeof x === "string") {
      return ed25519(await crypto.subtle.importKey("jwk", { kty, crv, x }, { name: "Ed25519" }, true, ["verify"]));
    }
  } catch {
    // Told below.
  }
  throw new Malformed("key", "is of no kind that is understood");
}

/** A public key of P-256 that WebCrypto has already. */
export function es256(key: CryptoKey): VerifyingKey {
  return { key, algorithm: "ES256", coseAlgorithm: -7 };
}

/** A public key of Ed25519 that WebCrypto has already. */
export function ed25519(key: CryptoKey): VerifyingKey {
  return { key, algorithm: "EdDSA", coseAlgorithm: -8 };
}

/** A public key as COSE writes it (RFC 9053 section 7), in JOSE's form. */
export function coseKeyToJwk(key: Map<Item, Item>): Record<string, string> {
  const [kty, crv, x, y] = [key.get(1), key.get(-1), key.get(-2), key.get(-3)];
  if (kty === 1 && crv === 6 && x instanceof Uint8Array) return { kty: "OKP", crv: "Ed25519", x: toBase64Url(x) };
  if (kty === 2 && crv === 1 && x instanceof Uint8Array && x.length === 32) {
    const whole = y instanceof Uint8Array ? y : typeof y === "boolean" ? decompress(x, y) : undefined;
    if (whole) return { kty: "EC", crv: "P-256", x: toBase64Url(x), y: toBase64Url(whole) };
  }
  throw new Malformed("COSE key", "is of no kind that is understood");
}

/** y of a P-256 point from x and its sign (SEC 1 section 2.3.4): y² = x³ − 3x + b. */
function decompress(x: Uint8Array, isOdd: boolean): Bytes {
  const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
  const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
  const number = [...x].reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  const square = (((number ** 3n - 3n * number + b) % p) + p) % p;
  // p ≡ 3 (mod 4), so a root is a power.
  let root = 1n;
  for (let exponent = (p + 1n) / 4n, power = square; exponent > 0n; exponent /= 2n, power = (power * power) % p) {
    if (exponent % 2n === 1n) root = (root * power) % p;
  }
  if ((root * root) % p !== square) throw new Malformed("COSE key", "is no point of its curve");
  if ((root % 2n === 1n) !== isOdd) root = p - root;
  return Uint8Array.from({ length: 32 }, (_, at) => Number((root >> BigInt(8 * (31 - at))) & 0xffn));
}

/** Whether two public keys in JOSE's form are the same key. */
export function isSameKey(one: unknown, two: PublicJwk): boolean {
  const { kty, crv, x, y } = (one ?? {}) as Record<string, unknown>;
  return kty === two.kty && crv === two.crv && sameNumber(x, two.x) && sameNumber(y, two.y);
}

function sameNumber(one: unknown, two: string): boolean {
  return typeof one === "string" && toBase64Url(fromBase64Url(one, "key")) === toBase64Url(fromBase64Url(two, "key"));
}
