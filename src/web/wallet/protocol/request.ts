// Requests for presentations (OpenID4VP 1.0 sections 5 and 8; HAIP 1.0 section 5): fetched by reference, signed, and only
// shown to the person when they are in order.

import { Malformed, randomText, sha256, text, toBase64Url } from "./bytes.ts";
import { ask, member, object, protectedUrl } from "./http.ts";
import { certificates, verifyJwt } from "./jwt.ts";
import type { Anchors } from "./trust.ts";

const PLACE = "presentation request";
const TYPE = "oauth-authz-req+jwt";
/** How far two clocks may differ, in seconds. */
const SKEW = 300;

/** Where a request is. */
export interface RequestLink {
  readonly clientId: string;
  readonly requestUri: string;
  readonly method: "get" | "post";
}

/** A request in order. */
export interface PresentationRequest {
  /** The whole identifier of the verifier, which the holder's proof is for. */
  readonly clientId: string;
  /** Who asks, by the certificate. */
  readonly verifierName: string;
  readonly responseUri: string;
  readonly encrypted: boolean;
  readonly nonce: string;
  readonly state: string | undefined;
  readonly query: unknown;
  readonly metadata: Record<string, unknown>;
  /** What the verifier says of itself and its purpose, unproved (section 5.1, `verifier_info`). */
  readonly verifierInfo: unknown;
}

/** Reads a link: `openid4vp://`, `haip-vp://`, or an address of this wallet with the same parameters. */
export function parseLink(link: string): RequestLink {
  const trimmed = link.trim();
  const url = URL.canParse(trimmed) ? new URL(trimmed) : undefined;
  if (!url || !["openid4vp:", "haip-vp:", "https:", "http:"].includes(url.protocol)) {
    throw new Malformed("link", "is no presentation request");
  }
  const one = (name: string) => {
    const values = url.searchParams.getAll(name);
    if (values.length > 1) throw new Malformed("link", `repeats ${name}`);
    return values[0];
  };
  const [clientId, requestUri, method = "get"] = [one("client_id"), one("request_uri"), one("request_uri_method")];
  if (!clientId || !requestUri) throw new Malformed("link", "names no signed request");
  // Section 5.1: case matters, and nothing else is known.
  if (method !== "get" && method !== "post") throw new Malformed("link", "wants an unknown method");
  protectedUrl("link", requestUri);
  return { clientId, requestUri, method };
}

/** Fetches the request (section 5.10): plainly, or with a nonce of the wallet's that it must then carry. */
export async function fetchRequest(link: RequestLink, anchors: Anchors, now: number): Promise<PresentationRequest> {
  const walletNonce = link.method === "post" ? randomText(16) : undefined;
  const headers = { Accept: "application/oauth-authz-req+jwt" };
  const answer =
    walletNonce === undefined
      ? await ask(PLACE, link.requestUri, { headers })
      : await ask(PLACE, link.requestUri, {
          method: "POST",
          headers,
          body: new URLSearchParams({ wallet_nonce: walletNonce }),
        });
  return openRequest(text(answer.body()).trim(), link.clientId, walletNonce, anchors, now);
}

/** Checks a signed request and takes it apart. */
export async function openRequest(
  token: string,
  clientId: string,
  walletNonce: string | undefined,
  anchors: Anchors,
  now: number,
): Promise<PresentationRequest> {
  const chain = certificates(PLACE, token);
  const signer = await anchors.check(chain, "requests", now);
  const claims = await verifyJwt(PLACE, token, TYPE, signer.key);
  const responseUri = member(PLACE, claims, "response_uri");
  // Section 5.9.3: the identifier is what the certificate says.
  const [prefix, value] = split(clientId);
  const host = protectedUrl(PLACE, responseUri).hostname;
  const isOwn =
    (prefix === "x509_hash" && chain[0] !== undefined && value === toBase64Url(await sha256(chain[0]))) ||
    (prefix === "x509_san_dns" && signer.dnsNames.includes(value) && host === value);
  if (!isOwn || claims["client_id"] !== clientId) throw new Malformed(PLACE, "is signed by another verifier");
  const mode = member(PLACE, claims, "response_mode");
  const refusals: [boolean, string][] = [
    [claims["response_type"] !== "vp_token", "asks for something else than a presentation"],
    [mode !== "direct_post" && mode !== "direct_post.jwt", "wants its answer in an unknown way"],
    [claims["redirect_uri"] !== undefined, "has both response_uri and redirect_uri"],
    [claims["aud"] !== "https://self-issued.me/v2", "is not for a wallet"],
    [walletNonce !== undefined && claims["wallet_nonce"] !== walletNonce, "is not the answer to this wallet"],
    [typeof claims["iat"] === "number" && claims["iat"] > now + SKEW, "comes from the future"],
    [typeof claims["exp"] === "number" && claims["exp"] + SKEW < now, "has expired"],
    // Section 8.4: a wallet that does not know the type of transaction data refuses.
    [claims["transaction_data"] !== undefined, "wants data signed that this wallet does not understand"],
  ];
  for (const [isWrong, rule] of refusals) if (isWrong) throw new Malformed(PLACE, rule);
  return {
    clientId,
    verifierName: signer.name,
    responseUri,
    encrypted: mode === "direct_post.jwt",
    nonce: member(PLACE, claims, "nonce"),
    state: claims["state"] === undefined ? undefined : member(PLACE, claims, "state"),
    query: claims["dcql_query"],
    metadata: object(PLACE, claims["client_metadata"] ?? {}),
    verifierInfo: claims["verifier_info"],
  };
}

function split(clientId: string): [prefix: string, value: string] {
  const at = clientId.indexOf(":");
  return [clientId.slice(0, at), clientId.slice(at + 1)];
}
