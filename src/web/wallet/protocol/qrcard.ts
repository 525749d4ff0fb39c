// The card of the QR code as issued (format `cwt`): a CBOR Web Token (RFC 8392) that a wallet checks before it keeps it.

import { type Bytes, Malformed, fromBase64Url } from "./bytes.ts";
import { type Item, decode } from "./cbor.ts";
import { mapOf, parseSign1 } from "./cose.ts";
import { type PublicJwk, coseKeyToJwk, isSameKey } from "./keys.ts";
import type { StatusReference } from "./statuslist.ts";
import { type TrustList, signerOf } from "./trustlist.ts";

const PLACE = "QR card";
/** Claims (RFC 8392 section 4, RFC 8747 section 3, Token Status List section 6.3). */
const CLAIM = { issuer: 1, expiresAt: 4, issuedAt: 6, confirmation: 8, status: 65535 } as const;

/** A card that was checked. */
export interface QrCard {
  /** The COSE_Sign1 as issued. */
  readonly cose: Bytes;
  readonly expiresAt: number;
  readonly status: StatusReference;
}

/** Checks a card: signed by a key of the trust list in its time, in force, bound to this key of the wallet. Without a list
 * the signature is passed over: a wallet has checked it when the card came. */
export async function checkQrCard(
  credential: string,
  issuer: string,
  holder: PublicJwk,
  list: TrustList | undefined,
  now: number,
): Promise<QrCard> {
  const cose = fromBase64Url(credential, PLACE);
  const message = parseSign1(cose);
  const signer = list && (await signerOf(list, message));
  const claims = mapOf(decode(message.payload), PLACE);
  const [issuedAt, expiresAt] = [claims.get(CLAIM.issuedAt), claims.get(CLAIM.expiresAt)];
  if (typeof issuedAt !== "number" || typeof expiresAt !== "number" || now >= expiresAt) {
    throw new Malformed(PLACE, "is not in its time");
  }
  const maySign = !signer || (signer.issuer === issuer && signer.from <= issuedAt && issuedAt < signer.until);
  if (claims.get(CLAIM.issuer) !== issuer || !maySign) {
    throw new Malformed(PLACE, "is signed by a key that may not sign it");
  }
  // RFC 8747 section 3.2: member 1 of the confirmation is a COSE_Key.
  const confirmation = mapOf(mapOf(claims.get(CLAIM.confirmation), PLACE).get(1), PLACE);
  if (!isSameKey(coseKeyToJwk(confirmation), holder)) throw new Malformed(PLACE, "is bound to another key");
  return { cose, expiresAt, status: statusOf(claims.get(CLAIM.status)) };
}

function statusOf(item: Item | undefined): StatusReference {
  const reference = mapOf(mapOf(item, PLACE).get("status_list"), PLACE);
  const [index, uri] = [reference.get("idx"), reference.get("uri")];
  if (typeof index !== "number" || typeof uri !== "string") throw new Malformed(PLACE, "has no status");
  return { index, uri };
}
