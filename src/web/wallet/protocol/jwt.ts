// Signed tokens (RFC 7515, RFC 7519), by the library `jose`.

import { CompactSign, compactVerify, decodeProtectedHeader } from "jose";

import { type Bytes, Malformed, fromBase64, text, utf8 } from "./bytes.ts";
import { parseObject } from "./http.ts";
import type { OwnKey, VerifyingKey } from "./keys.ts";

/** Signs claims with a key of this wallet. `header` may hold more than `alg` and `typ`. */
export async function signJwt(key: OwnKey, type: string, claims: object, header: object = {}): Promise<string> {
  const signer = new CompactSign(utf8(JSON.stringify(claims)));
  return signer.setProtectedHeader({ alg: "ES256", typ: type, ...header }).sign(key.privateKey);
}

/** The claims of a token of this type that the key signed with ES256. No header is critical (RFC 7515 section 4.1.11). */
export async function verifyJwt(
  place: string,
  token: string,
  type: string,
  key: VerifyingKey,
): Promise<Record<string, unknown>> {
  try {
    const { payload, protectedHeader } = await compactVerify(token, key.key, { algorithms: ["ES256"] });
    if (protectedHeader.typ === type) return parseObject(place, text(payload));
  } catch (error) {
    if (error instanceof Malformed) throw error;
    throw new Malformed(place, "has a wrong signature");
  }
  throw new Malformed(place, `is not of the type ${type}`);
}

/** The certificates in `x5c`, the signer's own first (RFC 7515 section 4.1.6). Nothing is proved yet. */
export function certificates(place: string, token: string): Bytes[] {
  let chain: unknown;
  try {
    chain = decodeProtectedHeader(token).x5c;
  } catch {
    throw new Malformed(place, "is not a signed token");
  }
  if (!Array.isArray(chain) || chain.length === 0) throw new Malformed(place, "carries no certificates");
  return chain.map((certificate) => fromBase64(String(certificate), place));
}
