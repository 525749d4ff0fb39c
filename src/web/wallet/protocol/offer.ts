// Credential offers (OpenID4VCI 1.0 section 4.1): what an issuer would give, and by which code.

import { Malformed } from "./bytes.ts";
import { getJson, member, object, parseObject } from "./http.ts";

const PLACE = "credential offer";
/** The grant of section 3.5. */
export const PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code";

/** An offer that can be taken by its code. */
export interface Offer {
  readonly issuer: string;
  readonly configurations: readonly string[];
  readonly code: string;
  /** Present when a transaction code goes with it, which came on another channel. */
  readonly transactionCode: { readonly length: number | undefined; readonly isNumeric: boolean } | undefined;
}

/** Takes an offer from its link: `openid-credential-offer://`, this page with the same parameters, or the offer's own
 * address. */
export async function fetchOffer(link: string): Promise<Offer> {
  const trimmed = link.trim();
  if (!URL.canParse(trimmed)) throw new Malformed("link", "is no offer");
  const url = new URL(trimmed);
  const [values, references] = ["credential_offer", "credential_offer_uri"].map((name) => url.searchParams.getAll(name));
  const given = [...(values ?? []), ...(references ?? [])];
  if (given.length === 0 && /^https?:$/.test(url.protocol)) return parseOffer(await getJson(PLACE, trimmed));
  // Section 4.1: by value or by reference, never both.
  if (given.length !== 1) throw new Malformed("link", "must carry one offer");
  const [value, reference] = [values?.[0], references?.[0]];
  return parseOffer(value === undefined ? await getJson(PLACE, String(reference)) : parseObject(PLACE, value));
}

/** Section 4.1.1. */
export function parseOffer(offer: Record<string, unknown>): Offer {
  const configurations = offer["credential_configuration_ids"];
  if (!Array.isArray(configurations) || configurations.length === 0) throw new Malformed(PLACE, "offers nothing");
  const grant = object(PLACE, offer["grants"] ?? {})[PRE_AUTHORIZED];
  if (grant === undefined) throw new Malformed(PLACE, "cannot be taken by a code");
  const { tx_code: asked, ...rest } = object(PLACE, grant);
  const { length, input_mode: mode } = object(PLACE, asked ?? {});
  return {
    issuer: member(PLACE, offer, "credential_issuer"),
    configurations: configurations.map(String),
    code: member(PLACE, rest, "pre-authorized_code"),
    transactionCode:
      asked === undefined
        ? undefined
        : { length: typeof length === "number" ? length : undefined, isNumeric: mode !== "text" },
  };
}
