// SD-JWT VC (RFC 9901; SD-JWT VC draft 13 as HAIP 1.0 pins it): checked as issued, and presented with the chosen claims.

import { type Bytes, Malformed, fromBase64Url, sha256, text, toBase64Url, utf8 } from "./bytes.ts";
import { object } from "./http.ts";
import { certificates, signJwt, verifyJwt } from "./jwt.ts";
import { type OwnKey, type PublicJwk, isSameKey } from "./keys.ts";
import type { StatusReference } from "./statuslist.ts";
import type { Anchors } from "./trust.ts";

const PLACE = "SD-JWT card";
/** `typ` of the issuer's token, and the format's name. */
export const TYPE = "dc+sd-jwt";
/** How far two clocks may differ, in seconds. */
const SKEW = 60;
/** The most disclosures that are looked at, and how deep. */
const MAX_DISCLOSURES = 200;
const MAX_DEPTH = 16;
/** Claims that may not be disclosed selectively (SD-JWT VC section 2.2.2.2). */
const ALWAYS_PLAIN = ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"];

/** A value of the card, with the disclosures that show it: those on the way to it, and those below it. */
export interface Node {
  readonly value: unknown;
  readonly disclosures: readonly string[];
  readonly children: ReadonlyMap<string | number, Node>;
}

/** A card that was checked. */
export interface SdJwtCard {
  readonly issuerJwt: string;
  /** The disclosures in the issuer's order. */
  readonly disclosures: readonly string[];
  /** All claims. */
  readonly root: Node;
  readonly vct: string;
  readonly expiresAt: number;
  readonly status: StatusReference;
  /** The issuer's certificates. */
  readonly chain: readonly Bytes[];
}

/** Checks a card as issued: certificates, signature, disclosures, dates, and that it is bound to this key. */
export async function checkSdJwt(
  credential: string,
  anchors: Anchors,
  holder: PublicJwk,
  now: number,
): Promise<SdJwtCard> {
  const [issuerJwt = "", ...rest] = credential.split("~");
  // RFC 9901 section 4: as issued it ends with a tilde.
  if (rest.pop() !== "" || rest.length > MAX_DISCLOSURES) throw new Malformed(PLACE, "is not a card as issued");
  const chain = certificates(PLACE, issuerJwt);
  const { key } = await anchors.check(chain, "cards", now);
  const payload = await verifyJwt(PLACE, issuerJwt, TYPE, key);
  if ((payload["_sd_alg"] ?? "sha-256") !== "sha-256") throw new Malformed(PLACE, "uses another digest");
  const opener = await Opener.of(rest);
  const root = opener.open(payload, [], 0);
  if (opener.isWaiting) throw new Malformed(PLACE, "carries a disclosure of something else");
  const { vct, exp, nbf, iat, cnf, status } = object(PLACE, root.value);
  if (typeof exp !== "number" || now >= exp + SKEW) throw new Malformed(PLACE, "has expired");
  for (const start of [nbf, iat]) {
    if (typeof start === "number" && now + SKEW < start) throw new Malformed(PLACE, "is not valid yet");
  }
  if (typeof vct !== "string") throw new Malformed(PLACE, "has no type");
  if (!isSameKey(object(PLACE, cnf)["jwk"], holder)) throw new Malformed(PLACE, "is bound to another key");
  const { idx: index, uri } = object(PLACE, object(PLACE, status)["status_list"]);
  if (typeof index !== "number" || typeof uri !== "string") throw new Malformed(PLACE, "has no status");
  return { issuerJwt, disclosures: rest, root, vct, expiresAt: exp, status: { index, uri }, chain };
}

/** The card with these disclosures only, bound by its key to one verifier and one question (RFC 9901 section 4.3). */
export async function present(
  card: SdJwtCard,
  shown: ReadonlySet<string>,
  key: OwnKey,
  audience: string,
  nonce: string,
  now: number,
): Promise<string> {
  const chosen = card.disclosures.filter((disclosure) => shown.has(disclosure));
  const bound = [card.issuerJwt, ...chosen, ""].join("~");
  const claims = { iat: now, aud: audience, nonce, sd_hash: toBase64Url(await sha256(utf8(bound))) };
  return bound + (await signJwt(key, "kb+jwt", claims));
}

/** Puts disclosures in the place of their digests (RFC 9901 section 7.1). */
class Opener {
  private constructor(private readonly waiting: Map<string, string>) {}

  /** By their digests, which are over the text as it stands. */
  static async of(disclosures: readonly string[]): Promise<Opener> {
    const waiting = new Map<string, string>();
    for (const disclosure of disclosures) {
      const digest = toBase64Url(await sha256(utf8(disclosure)));
      if (waiting.has(digest)) throw new Malformed(PLACE, "repeats a disclosure");
      waiting.set(digest, disclosure);
    }
    return new Opener(waiting);
  }

  get isWaiting(): boolean {
    return this.waiting.size > 0;
  }

  /** `way` are the disclosures on the way to `value`. */
  open(value: unknown, way: readonly string[], depth: number): Node {
    if (depth > MAX_DEPTH) throw new Malformed(PLACE, "is nested too deep");
    if (Array.isArray(value)) return this.openArray(value, way, depth);
    if (typeof value === "object" && value !== null) return this.openObject(object(PLACE, value), way, depth);
    return { value, disclosures: way, children: new Map() };
  }

  private openObject(value: Record<string, unknown>, way: readonly string[], depth: number): Node {
    const children = new Map<string, Node>();
    for (const [name, member] of Object.entries(value)) {
      if (name !== "_sd" && name !== "_sd_alg") children.set(name, this.open(member, way, depth + 1));
    }
    for (const digest of Array.isArray(value["_sd"]) ? value["_sd"] : []) {
      const disclosure = this.take(digest);
      if (disclosure === undefined) continue;
      const [name, member] = read(disclosure, 3);
      const isMisplaced = depth === 0 && ALWAYS_PLAIN.includes(String(name));
      if (typeof name !== "string" || name === "_sd" || name === "..." || children.has(name) || isMisplaced) {
        throw new Malformed(PLACE, "discloses what may not be disclosed");
      }
      children.set(name, this.open(member, [...way, disclosure], depth + 1));
    }
    const values = Object.fromEntries([...children].map(([name, node]) => [name, node.value]));
    return { value: values, disclosures: below(way, children), children };
  }

  private openArray(value: readonly unknown[], way: readonly string[], depth: number): Node {
    const nodes: Node[] = [];
    for (const element of value) {
      const digest = typeof element === "object" && element !== null && "..." in element ? element["..."] : undefined;
      if (digest === undefined) {
        nodes.push(this.open(element, way, depth + 1));
        continue;
      }
      const disclosure = this.take(digest);
      if (disclosure !== undefined) nodes.push(this.open(read(disclosure, 2)[0], [...way, disclosure], depth + 1));
    }
    const children = new Map(nodes.map((node, position) => [position, node]));
    return { value: nodes.map((node) => node.value), disclosures: below(way, children), children };
  }

  private take(digest: unknown): string | undefined {
    const disclosure = this.waiting.get(String(digest));
    this.waiting.delete(String(digest));
    return disclosure;
  }
}

/** What stands in a disclosure after its salt. */
function read(disclosure: string, length: 2 | 3): unknown[] {
  let parts: unknown;
  try {
    parts = JSON.parse(text(fromBase64Url(disclosure, PLACE)));
  } catch {
    throw new Malformed(PLACE, "has a malformed disclosure");
  }
  if (!Array.isArray(parts) || parts.length !== length) throw new Malformed(PLACE, "has a malformed disclosure");
  return parts.slice(1);
}

function below(way: readonly string[], children: ReadonlyMap<string | number, Node>): string[] {
  return [...new Set([...way, ...[...children.values()].flatMap((node) => node.disclosures)])];
}
