// Links that open this page: offers and requests, in the query or, where a server should not see them, after the `#`.

/** What a link brings. */
export type Brought = { readonly kind: "offer" | "request"; readonly link: string } | undefined;

/** Reads an address of this page. */
export function brought(address: string): Brought {
  const url = new URL(address);
  const after = new URLSearchParams(url.hash.slice(1));
  const request = after.get("openid4vp");
  if (request !== null) return { kind: "request", link: request };
  for (const parameters of [url.searchParams, after]) {
    const link = `openid4vp://?${parameters.toString()}`;
    if (parameters.has("credential_offer") || parameters.has("credential_offer_uri")) {
      return { kind: "offer", link: link.replace("openid4vp", "openid-credential-offer") };
    }
    if (parameters.has("client_id") && parameters.has("request_uri")) return { kind: "request", link };
  }
  return undefined;
}

/** Reads a link that was pasted. */
export function pasted(text: string): Brought {
  const link = text.trim();
  if (!URL.canParse(link)) return undefined;
  if (/^(openid4vp|haip-vp):/.test(link)) return { kind: "request", link };
  if (/^openid-credential-offer:/.test(link)) return { kind: "offer", link };
  // An address: of a page of a wallet with something in it, or of the offer itself.
  return /^https?:/.test(link) ? (brought(link) ?? { kind: "offer", link }) : undefined;
}
