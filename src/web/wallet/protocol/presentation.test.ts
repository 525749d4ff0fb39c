// A presentation from the signed request to the answer, against a verifier of the test's own.
import { compactDecrypt, compactVerify, decodeJwt, exportJWK, generateKeyPair } from "jose";
import { afterEach, beforeAll, expect, test, vi } from "vitest";

import { type Certified, NOW, card, digest, disclosure, signed, world } from "../testing/pki.ts";
import { sha256, toBase64Url, utf8 } from "./bytes.ts";
import { answer, select } from "./dcql.ts";
import { type OwnKey, makeKey } from "./keys.ts";
import { type PresentationRequest, fetchRequest, openRequest, parseLink } from "./request.ts";
import { form, sendPresentations, sendRefusal } from "./response.ts";
import { type SdJwtCard, checkSdJwt } from "./sdjwt.ts";
import { Anchors } from "./trust.ts";

const VCT = "https://issuer.example/types/official-card/1";
const CLAIMS = {
  full_name: "Nguyễn Thị Hồng Mẫu",
  employing_agency: { code: "H26.05", name: "Sở Nội vụ" },
  languages: ["vi", "en"],
  gender: "female",
};

let verifier: Certified, issuer: Certified, anchors: Anchors, key: OwnKey, own: SdJwtCard, clientId: string;

beforeAll(async () => {
  const ours = await world("requests", { dnsNames: ["verifier.example"] });
  const theirs = await world("cards");
  [verifier, issuer] = [ours.leaf, theirs.leaf];
  anchors = new Anchors([ours.root.der]);
  key = await makeKey();
  own = await checkSdJwt(await card(issuer, key.jwk, CLAIMS), new Anchors([theirs.root.der]), key.jwk, NOW);
  clientId = `x509_hash:${toBase64Url(await sha256(verifier.der))}`;
});

afterEach(() => vi.unstubAllGlobals());

const query = (claims?: unknown, more = {}) => ({
  credentials: [{ id: "card", format: "dc+sd-jwt", meta: { vct_values: [VCT] }, ...(claims ? { claims } : {}), ...more }],
});

const claims = (more = {}) => ({
  client_id: clientId,
  response_type: "vp_token",
  response_mode: "direct_post",
  response_uri: "https://verifier.example/answer/1",
  nonce: "a-nonce",
  state: "a-state",
  aud: "https://self-issued.me/v2",
  dcql_query: query([{ path: ["full_name"] }]),
  ...more,
});

const open = async (more = {}, id = clientId, nonce?: string) =>
  openRequest(await signed(verifier, "oauth-authz-req+jwt", claims(more)), id, nonce, anchors, NOW);

const names = (asked: unknown) => answer(asked, own).map(({ id, shown }) => [id, shown.map(({ path }) => path.join("."))]);

test("links of every scheme are read, and nothing else", () => {
  const parameters = "client_id=x509_hash%3Aabc&request_uri=https%3A%2F%2Fverifier.example%2Fr%2F1";
  for (const start of ["openid4vp://?", "haip-vp://?", "https://wallet.example/demo/wallet?"]) {
    const link = { clientId: "x509_hash:abc", requestUri: "https://verifier.example/r/1" };
    expect(parseLink(start + parameters)).toEqual({ ...link, method: "get" });
    expect(parseLink(`${start}${parameters}&request_uri_method=post`).method).toBe("post");
  }
  const wrong = ["", "hello", "mailto:a@b", "openid4vp://?client_id=a", `openid4vp://?${parameters}&client_id=b`];
  wrong.push(`openid4vp://?${parameters}&request_uri_method=POST`, "openid4vp://?client_id=a&request_uri=http://verifier.example/");
  for (const link of wrong) expect(() => parseLink(link), link).toThrow();
});

test("a signed request is opened, by hash and by DNS name", async () => {
  expect(await open()).toMatchObject({ clientId, nonce: "a-nonce", state: "a-state", encrypted: false });
  const byName = "x509_san_dns:verifier.example";
  expect((await open({ client_id: byName }, byName)).verifierName).toBe("Test leaf");
});

test("a request that is not in order is refused", async () => {
  const elsewhere = { client_id: "x509_san_dns:verifier.example", response_uri: "https://other.example/answer" };
  const refused: [object, string?, string?][] = [
    [{ client_id: "x509_hash:other" }],
    [{}, "x509_hash:other"],
    [{ client_id: "redirect_uri:https://verifier.example" }, "redirect_uri:https://verifier.example"],
    [elsewhere, elsewhere.client_id],
    [{ response_type: "code" }],
    [{ response_mode: "fragment" }],
    [{ redirect_uri: "https://verifier.example" }],
    [{ aud: "https://somebody.example" }],
    [{ nonce: undefined }],
    [{ response_uri: "http://verifier.example/answer" }],
    [{ exp: NOW - 3600 }],
    [{ iat: NOW + 3600 }],
    [{ transaction_data: ["e30"] }],
    [{}, clientId, "the wallet's nonce"],
  ];
  for (const [more, id, nonce] of refused) await expect(open(more, id, nonce), JSON.stringify(more)).rejects.toThrow();
  await open({ wallet_nonce: "the wallet's nonce" }, clientId, "the wallet's nonce");
  const otherType = await signed(verifier, "JWT", claims());
  await expect(openRequest(otherType, clientId, undefined, anchors, NOW)).rejects.toThrow("type");
  const stranger = await world("requests");
  await expect(
    openRequest(await signed(stranger.leaf, "oauth-authz-req+jwt", claims()), clientId, undefined, anchors, NOW),
  ).rejects.toThrow("certificate chain");
});

test("the wallet's nonce is posted and must come back", async () => {
  vi.stubGlobal("fetch", async (_url: URL, init: RequestInit) => {
    const posted = new URLSearchParams(String(init.body)).get("wallet_nonce");
    return new Response(await signed(verifier, "oauth-authz-req+jwt", claims({ wallet_nonce: posted })));
  });
  const link = { clientId, requestUri: "https://verifier.example/r/1", method: "post" } as const;
  expect((await fetchRequest(link, anchors, NOW)).nonce).toBe("a-nonce");
});

test("a query is answered with what it asks for and no more", () => {
  expect(names(query())).toEqual([["card", []]]);
  expect(names(query([{ path: ["full_name"] }, { path: ["employing_agency", "code"] }]))).toEqual([
    ["card", ["full_name", "employing_agency.code"]],
  ]);
  const [match] = answer(query([{ path: ["full_name"] }]), own);
  expect(match?.disclosures.size).toBe(1);
  expect(answer(query(), own)[0]?.disclosures.size).toBe(0);
});

test("the first claim set that fits is taken", () => {
  const all = [
    { id: "a", path: ["rank"] },
    { id: "b", path: ["full_name"] },
    { id: "c", path: ["gender"] },
  ];
  const sets = (claim_sets: unknown) => names(query(all, { claim_sets }));
  expect(sets([["a", "b"], ["b", "c"], ["b"]])).toEqual([["card", ["full_name", "gender"]]]);
  expect(sets([["b"], ["b", "c"]])).toEqual([["card", ["full_name"]]]);
  expect(sets([["a"]])).toEqual([]);
  expect(() => sets([["d"]])).toThrow("query");
});

test("values, types, formats and authorities limit the answer", () => {
  const withValues = (path: unknown, values: unknown) => names(query([{ path, values }])).length;
  expect(withValues(["employing_agency", "code"], ["H26", "H26.05"])).toBe(1);
  expect(withValues(["employing_agency", "code"], ["H26"])).toBe(0);
  expect(withValues(["languages", null], ["en"])).toBe(1);
  expect(names(query(undefined, { meta: { vct_values: ["urn:eudi:pid:1"] } }))).toEqual([]);
  expect(names(query(undefined, { format: "mso_mdoc", meta: { doctype_value: "x" } }))).toEqual([]);
  expect(names(query(undefined, { trusted_authorities: [{ type: "aki", values: ["AAAA"] }] }))).toEqual([]);
});

test("of credential sets the first option that there is answers", () => {
  const two = [
    { id: "mdoc", format: "mso_mdoc", meta: { doctype_value: "x" } },
    { id: "card", format: "dc+sd-jwt", meta: { vct_values: [VCT] } },
  ];
  const sets = (credential_sets?: unknown) => names({ credentials: two, ...(credential_sets ? { credential_sets } : {}) });
  expect(sets()).toEqual([]);
  expect(sets([{ options: [["mdoc"], ["card"]] }])).toEqual([["card", []]]);
  expect(sets([{ options: [["mdoc"]] }])).toEqual([]);
  expect(sets([{ options: [["card"]] }, { options: [["mdoc"]], required: false }])).toEqual([["card", []]]);
  expect(() => sets([{ options: [["other"]] }])).toThrow("query");
});

test("a malformed query is refused", () => {
  const wrong = [undefined, {}, { credentials: [] }, query([]), query([{ path: [] }]), query([{ path: [-1] }]), query([{ path: [{}] }])];
  wrong.push({ credentials: [...query().credentials, ...query().credentials] }, query(undefined, { id: "a b" }));
  for (const asked of wrong) expect(() => answer(asked, own), JSON.stringify(asked)).toThrow("query");
});

test("paths go through objects and arrays", () => {
  const values = (...path: (string | number | null)[]) => select(own.root, path).map((node) => node.value);
  expect(values("languages", 1)).toEqual(["en"]);
  expect(values("languages", null)).toEqual(["vi", "en"]);
  expect(values("languages", 2)).toEqual([]);
  expect(values("languages", "0")).toEqual([]);
  expect(values("employing_agency", null)).toEqual([]);
});

async function presented(request: PresentationRequest): Promise<URLSearchParams> {
  let sent = new URLSearchParams();
  vi.stubGlobal("fetch", async (url: URL, init: RequestInit) => {
    expect(url.href).toBe(request.responseUri);
    sent = new URLSearchParams(String(init.body));
    return Response.json({ redirect_uri: "https://verifier.example/done#response_code=1" });
  });
  const matches = answer(request.query, own);
  expect(await sendPresentations(request, matches, own, key, NOW)).toBe("https://verifier.example/done#response_code=1");
  return sent;
}

async function checkToken(token: string): Promise<void> {
  const [presentation] = (JSON.parse(token) as { card: string[] }).card;
  const parts = (presentation as string).split("~");
  const binding = parts.pop() as string;
  expect(parts.slice(1).map((part) => JSON.parse(Buffer.from(part, "base64url").toString())[1])).toEqual(["full_name"]);
  await compactVerify(binding, await crypto.subtle.importKey("jwk", { ...key.jwk }, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]));
  const sd_hash = toBase64Url(await sha256(utf8(`${parts.join("~")}~`)));
  expect(decodeJwt(binding)).toEqual({ iat: NOW, aud: clientId, nonce: "a-nonce", sd_hash });
}

test("an answer is posted, bound to verifier and nonce", async () => {
  const sent = await presented(await open());
  expect(sent.get("state")).toBe("a-state");
  await checkToken(sent.get("vp_token") ?? "");
});

test("an answer is encrypted to the key of the request", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ECDH-ES", { crv: "P-256" });
  const jwk = { ...(await exportJWK(publicKey)), kid: "1", alg: "ECDH-ES", use: "enc" };
  const metadata = { jwks: { keys: [{ kty: "RSA", kid: "0" }, jwk] }, encrypted_response_enc_values_supported: ["A128GCM", "A256GCM"] };
  const request = await open({ response_mode: "direct_post.jwt", client_metadata: metadata });
  const sent = await presented(request);
  expect([...sent.keys()]).toEqual(["response"]);
  const { plaintext, protectedHeader } = await compactDecrypt(sent.get("response") ?? "", privateKey);
  expect(protectedHeader).toMatchObject({ alg: "ECDH-ES", enc: "A256GCM", kid: "1" });
  const { vp_token, state } = JSON.parse(new TextDecoder().decode(plaintext)) as Record<string, unknown>;
  expect(state).toBe("a-state");
  await checkToken(JSON.stringify(vp_token));
  const without = await open({ response_mode: "direct_post.jwt", client_metadata: { jwks: { keys: [] } } });
  await expect(form(without, {})).rejects.toThrow("encryption");
});

test("a refusal says access_denied and nothing of the card", async () => {
  const request = await open();
  let sent = "";
  vi.stubGlobal("fetch", async (_url: URL, init: RequestInit) => {
    sent = String(init.body);
    return Response.json({});
  });
  expect(await sendRefusal(request)).toBeUndefined();
  expect(sent).toBe("error=access_denied&state=a-state");
});

test("a card that is not as issued is not kept", async () => {
  const { root, leaf } = await world("cards");
  const anchors = new Anchors([root.der]);
  const good = await card(leaf, key.jwk, CLAIMS);
  await checkSdJwt(good, anchors, key.jwk, NOW);
  const stray = disclosure(["salt", "rank", "minister"]);
  const misplaced = disclosure(["salt", "exp", NOW + 1]);
  const refused: [string, string, number?][] = [
    ["not as issued", good.slice(0, -1)],
    ["a stray disclosure", `${good}${stray}~`],
    ["a repeated disclosure", `${good}${good.split("~")[1]}~`],
    ["exp by disclosure", `${await card(leaf, key.jwk, {}, { exp: undefined, _sd: [await digest(misplaced)] })}${misplaced}~`],
    ["another key", await card(leaf, (await makeKey()).jwk, CLAIMS)],
    ["another digest", await card(leaf, key.jwk, CLAIMS, { _sd_alg: "sha-512" })],
    ["no status", await card(leaf, key.jwk, CLAIMS, { status: undefined })],
    ["over", good, NOW + 7200],
  ];
  for (const [name, credential, now = NOW] of refused) {
    await expect(checkSdJwt(credential, anchors, key.jwk, now), name).rejects.toThrow();
  }
});
