// Status lists (Token Status List, draft 14 as HAIP 1.0 pins it): what the issuer says of a card now.

import { Malformed, fromBase64Url, text } from "./bytes.ts";
import { ask, object } from "./http.ts";
import { certificates, verifyJwt } from "./jwt.ts";
import type { Anchors } from "./trust.ts";
import { inflate } from "./zlib.ts";

const PLACE = "status list";
const TYPE = "statuslist+jwt";
/** The largest list that is inflated, in bytes: two bits for four million cards. */
const MAX_BYTES = 1 << 20;

/** Where a status stands. */
export interface StatusReference {
  readonly index: number;
  readonly uri: string;
}

/** What a value means (section 7.1); 3 is ours: there is a newer card. */
export const STATUS = { valid: 0, withdrawn: 1, locked: 2, replaced: 3 } as const;

/** Fetches the list and reads the status (section 8.3). */
export async function statusOf(reference: StatusReference, anchors: Anchors, now: number): Promise<number> {
  const answer = await ask(PLACE, reference.uri, { headers: { Accept: "application/statuslist+jwt" } });
  return readStatus(text(answer.body()), reference, anchors, now);
}

/** Reads the status from a list token. */
export async function readStatus(
  token: string,
  { index, uri }: StatusReference,
  anchors: Anchors,
  now: number,
): Promise<number> {
  const { key } = await anchors.check(certificates(PLACE, token), "status-lists", now);
  const claims = await verifyJwt(PLACE, token, TYPE, key);
  if (claims["sub"] !== uri) throw new Malformed(PLACE, "is another list");
  if (typeof claims["exp"] === "number" && now >= claims["exp"]) throw new Malformed(PLACE, "has expired");
  const { bits, lst } = object(PLACE, claims["status_list"]);
  if (typeof lst !== "string" || (bits !== 1 && bits !== 2 && bits !== 4 && bits !== 8)) {
    throw new Malformed(PLACE, "is malformed");
  }
  const list = await inflate(fromBase64Url(lst, PLACE), MAX_BYTES);
  // Section 4.1: the least significant bits of a byte come first.
  const byte = list[Math.floor((index * bits) / 8)];
  if (byte === undefined) throw new Malformed(PLACE, "has no such index");
  return (byte >> ((index * bits) % 8)) & ((1 << bits) - 1);
}
