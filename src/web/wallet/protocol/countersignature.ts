// How a wallet proves the moment: the countersignature of a live card. This file is the reference for wallet developers;
// every sentence of it can be tried with `tests/vectors/qr/countersignature.json`, and `../README.md` tells the way there
// in ten steps.
//
// The card that the issuer gave is a COSE_Sign1 (RFC 9052 section 4.2) and never changes. It names the wallet's key in its
// claim `cnf` (RFC 8747 section 3), and a checkpoint turns away a card with `cnf` that carries no proof younger than 60
// seconds. So a screenshot is worth nothing a minute later.
//
// The proof is a full countersignature (RFC 9338 section 3.1). It stands in the unprotected header of the card, under label
// 11, so that a reader who knows nothing of it can still verify the issuer's signature.

import { type Bytes, Malformed, utf8 } from "./bytes.ts";
import { array, byteString, decode, integer, map, tagged, textString } from "./cbor.ts";
import { type Sign1, TAG_SIGN1, parseSign1 } from "./cose.ts";

/** What the proof is for. The wallet's key signs nothing else with these words in it, so no other signature of the key can
 * be passed off as a proof, nor the other way round. */
export const PROFILE = "vn-officials-card/qr/1";

/** RFC 9338 section 2: "Countersignature version 2". */
const LABEL_COUNTERSIGNATURE = 11;
/** RFC 9052 section 3.1: `alg`. */
const LABEL_ALGORITHM = 1;
/** RFC 9597 section 2: `CWT Claims`, a map of claims in a header. */
const LABEL_CWT_CLAIMS = 15;
/** RFC 8392 section 3.1.6: `iat`, the time. */
const CLAIM_ISSUED_AT = 6;

/** The algorithms that a wallet may sign with (RFC 9053 section 2): phones have P-256 in hardware. */
export const ALGORITHM = { ES256: -7, EdDSA: -8 } as const;

/** Signs with the private key of `cnf`. ES256 signs with SHA-256 and gives r and s, 32 bytes each (RFC 9053 section 2.1);
 * EdDSA gives the 64 bytes of RFC 8032. WebCrypto returns both in just this form. */
export type Sign = (toBeSigned: Bytes) => Promise<Bytes>;

/** What a proof is made of. */
export interface Proof {
  /** Unix seconds, by the clock of the phone; a checkpoint allows it to be 60 seconds off. */
  readonly time: number;
  readonly algorithm: keyof typeof ALGORITHM;
  /** The four to six digits that the checkpoint shows, when it shows any. */
  readonly challenge?: string | undefined;
}

/** Puts the proof of this moment into a card as issued, in the place of any older one. */
export async function countersign(card: Uint8Array, proof: Proof, sign: Sign): Promise<Bytes> {
  const message = parseSign1(card);
  const holderProtected = protectedHeader(proof);
  const signature = await sign(toBeSigned(message, holderProtected, externalData(proof.challenge)));
  return withCountersignature(message, holderProtected, signature);
}

/** The protected header of the proof, written deterministically (RFC 8949 section 4.2.1): `{1: alg, 15: {6: time}}`. The
 * time stands inside it and is thereby signed. */
export function protectedHeader({ time, algorithm }: Proof): Bytes {
  return map(
    [integer(LABEL_ALGORITHM), integer(ALGORITHM[algorithm])],
    [integer(LABEL_CWT_CLAIMS), map([integer(CLAIM_ISSUED_AT), integer(time)])],
  );
}

/** `external_aad` (RFC 9338 section 3.3): signed, but not carried. The digits of a challenge follow the profile after a
 * `#`; they cost no byte in the code, and a code that was made beforehand does not fit them. */
export function externalData(challenge?: string): Bytes {
  if (challenge === undefined) return utf8(PROFILE);
  if (!isChallenge(challenge)) throw new Malformed("challenge", "is not four to six digits");
  return utf8(`${PROFILE}#${challenge}`);
}

/** Whether these are digits that a checkpoint shows. */
export function isChallenge(digits: string): boolean {
  return /^[0-9]{4,6}$/.test(digits);
}

/** What the wallet's key signs: `Countersign_structure` of RFC 9338 section 3.3.
 *
 * Its members are: the words "CounterSignatureV2"; the protected header of the issuer; the protected header of the proof;
 * the external data; the payload; and an array with the issuer's signature. That last member is an array of its own
 * (`other_fields`); a library that writes the signature directly in its place makes proofs that no checkpoint accepts.
 *
 * The issuer's three byte strings go in exactly as they were received. Decoding and encoding them again may change them. */
export function toBeSigned(message: Sign1, holderProtected: Bytes, externalData: Bytes): Bytes {
  return array(
    textString("CounterSignatureV2"),
    byteString(message.protectedBytes),
    byteString(holderProtected),
    byteString(externalData),
    byteString(message.payload),
    array(byteString(message.signature)),
  );
}

/** The card with its proof: label 11 of the unprotected header is `[protected, {}, signature]` (RFC 9338 section 3.1). All
 * else stays as the issuer wrote it. */
export function withCountersignature(message: Sign1, holderProtected: Bytes, signature: Bytes): Bytes {
  const countersignature = array(byteString(holderProtected), map(), byteString(signature));
  const others = message.unprotected.filter(([key]) => decode(key) !== LABEL_COUNTERSIGNATURE);
  return tagged(
    TAG_SIGN1,
    array(
      byteString(message.protectedBytes),
      map(...others, [integer(LABEL_COUNTERSIGNATURE), countersignature]),
      byteString(message.payload),
      byteString(message.signature),
    ),
  );
}
