// The trust list: which keys may sign QR cards. It is signed by a key whose certificates lead to the pinned root.

import { type Bytes, Malformed, equal } from "./bytes.ts";
import { type Item, decode } from "./cbor.ts";
import { LABEL, type Sign1, bytesOf, header, mapOf, parseSign1, verifySign1 } from "./cose.ts";
import { type VerifyingKey, coseKeyToJwk, fromJwk } from "./keys.ts";
import type { Anchors } from "./trust.ts";

const PLACE = "trust list";
const MEDIA_TYPE = "application/vnd.vn-officials-card.trust-list+cbor";
/** Keys of the list and of each of its keys, and the purpose that means cards. */
const MEMBER = { version: 1, expiresAt: 3, keys: 4 } as const;
const KEY = { id: 1, key: 2, issuer: 3, from: 4, until: 5, purposes: 6 } as const;
const PURPOSE_CARDS = 1;
/** How long an expired list still serves, in seconds. */
const GRACE = 72 * 3600;

/** A list that was led back to the root. */
export interface TrustList {
  readonly version: number;
  readonly keys: readonly TrustedKey[];
}

/** A key that may sign cards of one issuer, from one instant until another (Unix seconds). */
export interface TrustedKey {
  readonly id: Bytes;
  readonly key: VerifyingKey;
  readonly issuer: string;
  readonly from: number;
  readonly until: number;
}

/** Reads a list, once its signature is led back to the root. */
export async function openTrustList(bytes: Bytes, anchors: Anchors, now: number): Promise<TrustList> {
  const message = parseSign1(bytes);
  if (header(message, LABEL.type) !== MEDIA_TYPE) throw new Malformed(PLACE, "is of another type");
  const chain = header(message, LABEL.certificates);
  const certificates = (Array.isArray(chain) ? chain : [chain]).map((one) => bytesOf(one, PLACE));
  const { key } = await anchors.check(certificates, "trust-list", now);
  await verifySign1(message, key);
  const list = mapOf(decode(message.payload), PLACE);
  if (now >= number(list.get(MEMBER.expiresAt)) + GRACE) throw new Malformed(PLACE, "has expired");
  const keys = list.get(MEMBER.keys);
  if (!Array.isArray(keys)) throw new Malformed(PLACE, "holds no keys");
  const forCards = keys.map((entry) => mapOf(entry, PLACE)).filter((entry) => {
    const purposes = entry.get(KEY.purposes);
    return Array.isArray(purposes) && purposes.includes(PURPOSE_CARDS);
  });
  return { version: number(list.get(MEMBER.version)), keys: await Promise.all(forCards.map(trustedKey)) };
}

/** The key of the list that signed a card: all that share its `kid` are tried. */
export async function signerOf(list: TrustList, card: Sign1): Promise<TrustedKey> {
  const id = bytesOf(header(card, LABEL.keyId), "kid");
  for (const candidate of list.keys.filter((key) => equal(key.id, id))) {
    try {
      await verifySign1(card, candidate.key);
      return candidate;
    } catch {
      // Another key may share the kid.
    }
  }
  throw new Malformed("QR card", "is signed by no key of the trust list");
}

async function trustedKey(entry: Map<Item, Item>): Promise<TrustedKey> {
  const issuer = entry.get(KEY.issuer);
  if (typeof issuer !== "string") throw new Malformed(PLACE, "holds a key of nobody");
  return {
    id: bytesOf(entry.get(KEY.id), PLACE),
    key: await fromJwk(coseKeyToJwk(mapOf(entry.get(KEY.key), PLACE))),
    issuer,
    from: number(entry.get(KEY.from)),
    until: number(entry.get(KEY.until)),
  };
}

function number(item: Item | undefined): number {
  if (typeof item !== "number") throw new Malformed(PLACE, "lacks a number");
  return item;
}
