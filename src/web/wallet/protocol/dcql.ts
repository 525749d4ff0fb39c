// What a verifier asks for (OpenID4VP 1.0 section 6, DCQL), and which of it the wallet's one card answers with the least
// disclosed. What is not well formed is refused; members that are not known are passed over (section 6).

import { Malformed, toBase64Url } from "./bytes.ts";
import { object } from "./http.ts";
import { type Node, type SdJwtCard, TYPE } from "./sdjwt.ts";
import { authorityKeyIds } from "./trust.ts";

const PLACE = "query";
/** The most that is looked at of each list. */
const MAX_ENTRIES = 100;

/** A claim that would be shown. */
export interface Shown {
  readonly path: readonly (string | number | null)[];
  readonly values: readonly unknown[];
}

/** How the card answers one credential query. */
export interface Match {
  /** The query's `id`, under which the presentation goes. */
  readonly id: string;
  readonly shown: readonly Shown[];
  readonly disclosures: ReadonlySet<string>;
}

/** How the card answers the whole; empty when it cannot. */
export function answer(query: unknown, card: SdJwtCard): Match[] {
  const { credentials, credential_sets: sets } = object(PLACE, query);
  const matches = new Map<string, Match | undefined>();
  for (const entry of list(credentials)) {
    const asked = object(PLACE, entry);
    const id = identifier(asked["id"]);
    if (matches.has(id)) throw new Malformed(PLACE, "names two credentials the same");
    matches.set(id, matchOf(id, asked, card));
  }
  const wanted = sets === undefined ? [...matches.keys()] : chosen(list(sets), matches);
  const found = wanted?.map((id) => matches.get(id)) ?? [undefined];
  return found.every((match) => match !== undefined) ? found : [];
}

/** Section 6.4.2: of every required set the first option that the wallet has; optional sets are left out. */
function chosen(sets: readonly unknown[], matches: ReadonlyMap<string, Match | undefined>): string[] | undefined {
  const wanted = new Set<string>();
  for (const entry of sets) {
    const { options, required } = object(PLACE, entry);
    const named = list(options).map((option) => list(option).map(identifier));
    if (named.flat().some((id) => !matches.has(id))) throw new Malformed(PLACE, "names a credential that it has not");
    if (required === false) continue;
    const option = named.find((ids) => ids.every((id) => matches.get(id)));
    if (option === undefined) return undefined;
    for (const id of option) wanted.add(id);
  }
  return wanted.size > 0 ? [...wanted] : undefined;
}

function matchOf(id: string, asked: Record<string, unknown>, card: SdJwtCard): Match | undefined {
  const { vct_values: types } = object(PLACE, asked["meta"] ?? {});
  const isOfType = types === undefined || list(types).includes(card.vct);
  if (asked["format"] !== TYPE || !isOfType || !isTrusted(asked["trusted_authorities"], card)) return undefined;
  if (asked["claims"] === undefined) return { id, shown: [], disclosures: new Set() };
  const claims = list(asked["claims"]).map((claim) => object(PLACE, claim));
  const sets = asked["claim_sets"] === undefined ? [claims] : list(asked["claim_sets"]).map((set) => named(set, claims));
  // Section 6.4.1: the verifier prefers the first of the sets that there is.
  for (const set of sets) {
    const found = set.map((claim) => ({ claim, nodes: select(card.root, path(claim)) }));
    if (!found.every(({ claim, nodes }) => nodes.length > 0 && hasValue(claim["values"], nodes))) continue;
    return {
      id,
      shown: found.map(({ claim, nodes }) => ({ path: path(claim), values: nodes.map((node) => node.value) })),
      disclosures: new Set(found.flatMap(({ nodes }) => nodes.flatMap((node) => node.disclosures))),
    };
  }
  return undefined;
}

/** Section 7.1: from the claims, along the path. What does not fit is not there. */
export function select(root: Node, along: readonly (string | number | null)[]): Node[] {
  let current = [root];
  for (const step of along) {
    const isArray = (node: Node) => Array.isArray(node.value);
    const fits = current.filter((node) => isArray(node) === (typeof step !== "string"));
    current = fits.flatMap((node) => {
      if (step === null) return [...node.children.values()];
      const child = node.children.get(step);
      return child ? [child] : [];
    });
  }
  return current;
}

/** Section 6.3: with `values` only what equals one of them is asked for, in value and type. */
function hasValue(values: unknown, nodes: readonly Node[]): boolean {
  return values === undefined || nodes.some((node) => list(values).includes(node.value));
}

/** Section 6.1.1: one authority of one entry is enough. Of the kinds only `aki` can be told from the card. */
function isTrusted(authorities: unknown, card: SdJwtCard): boolean {
  if (authorities === undefined) return true;
  const own = authorityKeyIds(card.chain).map(toBase64Url);
  return list(authorities).some((entry) => {
    const { type, values } = object(PLACE, entry);
    return type === "aki" && list(values).some((value) => own.includes(String(value)));
  });
}

function named(set: unknown, claims: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  return list(set).map((id) => {
    const claim = claims.find((claim) => claim["id"] === identifier(id));
    if (!claim) throw new Malformed(PLACE, "names a claim that it has not");
    return claim;
  });
}

function path(claim: Record<string, unknown>): (string | number | null)[] {
  return list(claim["path"]).map((step) => {
    const isIndex = typeof step === "number" && Number.isInteger(step) && step >= 0;
    if (typeof step === "string" || step === null || isIndex) return step;
    throw new Malformed(PLACE, "has a malformed path");
  });
}

function identifier(value: unknown): string {
  if (typeof value !== "string" || !/^[A-Za-z0-9_-]+$/.test(value)) throw new Malformed(PLACE, "has a malformed id");
  return value;
}

function list(value: unknown): unknown[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_ENTRIES) {
    throw new Malformed(PLACE, "has a list that is missing, empty or too long");
  }
  return value;
}
