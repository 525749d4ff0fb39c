// Answers to requests (OpenID4VP 1.0 section 8): the presentations, or that the person said no.

import { CompactEncrypt, type CompactJWEHeaderParameters, importJWK } from "jose";

import { Malformed, utf8 } from "./bytes.ts";
import type { Match } from "./dcql.ts";
import { ask, object, protectedUrl } from "./http.ts";
import type { OwnKey } from "./keys.ts";
import type { PresentationRequest } from "./request.ts";
import { type SdJwtCard, present } from "./sdjwt.ts";

const PLACE = "verifier";
/** The ways to encrypt an answer, the better one first. */
const ENCRYPTIONS = ["A256GCM", "A128GCM"];

/** Sends the presentations. Returns where the person goes on, when the verifier says so. */
export async function sendPresentations(
  request: PresentationRequest,
  matches: readonly Match[],
  card: SdJwtCard,
  key: OwnKey,
  now: number,
): Promise<string | undefined> {
  const presentations: Record<string, string[]> = {};
  for (const { id, disclosures } of matches) {
    presentations[id] = [await present(card, disclosures, key, request.clientId, request.nonce, now)];
  }
  return post(request, await form(request, presentations));
}

/** Tells the verifier that the person does not agree (section 8.5). It does not learn whether there is a card. */
export async function sendRefusal(request: PresentationRequest): Promise<string | undefined> {
  return post(request, { error: "access_denied", ...stateOf(request) });
}

/** Section 8.2: plain members; section 8.3.1: one encrypted one. */
export async function form(
  request: PresentationRequest,
  presentations: Record<string, string[]>,
): Promise<Record<string, string>> {
  const state = stateOf(request);
  if (!request.encrypted) return { vp_token: JSON.stringify(presentations), ...state };
  const { jwks, encrypted_response_enc_values_supported: offered } = request.metadata;
  const keys = object(PLACE, jwks ?? {})["keys"];
  const usable = (Array.isArray(keys) ? keys : []).map((jwk) => object(PLACE, jwk)).find((jwk) => {
    const isForUs = jwk["use"] === undefined || jwk["use"] === "enc";
    return jwk["kty"] === "EC" && jwk["crv"] === "P-256" && jwk["alg"] === "ECDH-ES" && isForUs;
  });
  // Section 5.1: A128GCM when nothing is said.
  const encryption = ENCRYPTIONS.find((one) => (Array.isArray(offered) ? offered : ["A128GCM"]).includes(one));
  if (!usable || !encryption) throw new Malformed(PLACE, "offers no encryption that this wallet knows");
  const { kty, crv, x, y } = usable as { kty: string; crv: string; x: string; y: string };
  const headers: CompactJWEHeaderParameters = { alg: "ECDH-ES", enc: encryption };
  // Section 8.3: the wallet names the key that it used.
  if (typeof usable["kid"] === "string") headers.kid = usable["kid"];
  const plain = utf8(JSON.stringify({ vp_token: presentations, ...state }));
  const recipient = await importJWK({ kty, crv, x, y }, "ECDH-ES");
  return { response: await new CompactEncrypt(plain).setProtectedHeader(headers).encrypt(recipient) };
}

async function post(request: PresentationRequest, members: Record<string, string>): Promise<string | undefined> {
  const body = new URLSearchParams(members);
  const answer = (await ask(PLACE, request.responseUri, { method: "POST", body })).json();
  const redirect = answer["redirect_uri"];
  if (redirect === undefined) return undefined;
  if (typeof redirect !== "string") throw new Malformed(PLACE, "sends the person nowhere");
  return protectedUrl(PLACE, redirect).href;
}

function stateOf({ state }: PresentationRequest): { state?: string } {
  return state === undefined ? {} : { state };
}
