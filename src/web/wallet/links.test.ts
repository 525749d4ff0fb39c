import { expect, test } from "vitest";

import { brought, pasted } from "./links.ts";

const PAGE = "http://127.0.0.1:8080/demo/wallet";
const OFFER = "openid-credential-offer://?credential_offer_uri=http%3A%2F%2F127.0.0.1%3A8080%2Foffers%2F1";
const REQUEST = "openid4vp://?client_id=x509_hash%3Aabc&request_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fr%2F1";

test("offers and requests come in the query and after the hash", () => {
  const offer = OFFER.split("?")[1];
  const request = REQUEST.split("?")[1];
  for (const sign of ["?", "#"]) {
    expect(brought(`${PAGE}${sign}${offer}`)).toEqual({ kind: "offer", link: OFFER });
    expect(brought(`${PAGE}${sign}${request}`)).toEqual({ kind: "request", link: REQUEST });
  }
  expect(brought(`${PAGE}#openid4vp=${encodeURIComponent(REQUEST)}`)).toEqual({ kind: "request", link: REQUEST });
  for (const address of [PAGE, `${PAGE}/`, `${PAGE}?utm=1`, `${PAGE}#top`]) expect(brought(address)).toBeUndefined();
});

test("pasted links are told apart by what they are", () => {
  expect(pasted(` ${OFFER}\n`)).toEqual({ kind: "offer", link: OFFER });
  expect(pasted(REQUEST.replace("openid4vp", "haip-vp"))?.kind).toBe("request");
  expect(pasted("https://issuer.example/offers/1")?.kind).toBe("offer");
  expect(pasted(`${PAGE}?${REQUEST.split("?")[1]}`)?.kind).toBe("request");
  for (const text of ["", "hello", "javascript:alert(1)", "mailto:a@example.com"]) expect(pasted(text)).toBeUndefined();
});
