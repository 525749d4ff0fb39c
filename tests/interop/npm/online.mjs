// A wallet's part in presentations, made of @openid4vc/openid4vp (request and answer), @owf/mdoc and @sd-jwt/sd-jwt-vc
// (what is presented) and jose (encryption).

import assert from "node:assert/strict";
import {X509Certificate} from "node:crypto";

import {Openid4vpClient} from "@openid4vc/openid4vp";
import {CoseKey, DeviceRequest, DeviceResponse, DocRequest, IssuerSigned, ItemsRequest, SessionTranscript} from "@owf/mdoc";
import {SDJwtVcInstance} from "@sd-jwt/sd-jwt-vc";
import {CompactEncrypt, calculateJwkThumbprint, importJWK} from "jose";

import {demo, read} from "./demo.mjs";
import {base64url, digest, leafOf, random, verify} from "./keys.mjs";
import {NAMESPACE, context} from "./verify.mjs";

const callbacks = {
  fetch,
  hash: (data, algorithm) => digest(data, algorithm),
  generateRandom: random,
  getX509CertificateMetadata: certificate => {
    const {subjectAltName = ""} = new X509Certificate(Buffer.from(certificate, "base64"));
    const of = kind => subjectAltName.split(", ").filter(name => name.startsWith(kind)).map(name => name.slice(kind.length));
    return {sanDnsNames: of("DNS:"), sanUriNames: of("URI:")};
  },
  // The verifier is believed when its chain leads to the root.
  verifyJwt: async (signer, {compact}) => {
    assert.equal(signer.method, "x5c");
    const root = new X509Certificate(read(demo.trust_anchor_pem_file)).raw;
    const chain = signer.x5c.map(certificate => Buffer.from(certificate, "base64"));
    const jwk = leafOf(chain, [root]).publicKey.export({format: "jwk"});
    const [header, payload, signature] = compact.split(".");
    const verified = await verify(jwk, Buffer.from(`${header}.${payload}`), Buffer.from(signature, "base64url"));
    return verified ? {verified, signerJwk: jwk} : {verified};
  },
  encryptJwe: async ({publicJwk, alg, enc, apu, apv}, data) => {
    const header = {alg, enc, kid: publicJwk.kid, ...(apu && {apu}), ...(apv && {apv})};
    const encrypt = new CompactEncrypt(Buffer.from(data)).setProtectedHeader(header);
    return {encryptionJwk: publicJwk, jwe: await encrypt.encrypt(await importJWK(publicJwk, alg))};
  },
};

const client = new Openid4vpClient({callbacks});

/** Follows a link: the request, believed. */
export async function resolve(link, wallet) {
  const {params} = client.parseOpenid4vpAuthorizationRequest({authorizationRequest: link});
  return client.resolveOpenId4vpAuthorizationRequest({authorizationRequestPayload: params, wallet});
}

/** Sends presentations by the identifiers of their queries, encrypted with the first of `encs` that the verifier takes. */
export async function answer({authorizationRequestPayload}, presentations, encs = ["A256GCM"]) {
  const made = await client.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload,
    authorizationResponsePayload: {vp_token: presentations},
    jarm: {
      encryption: {nonce: base64url(random(16))},
      serverMetadata: {
        authorization_encryption_alg_values_supported: ["ECDH-ES"],
        authorization_encryption_enc_values_supported: encs,
        authorization_signing_alg_values_supported: [],
      },
    },
  });
  const {response} = await client.submitOpenid4vpAuthorizationResponse({authorizationRequestPayload, ...made});
  return response;
}

const queryOf = ({dcql}, format) => dcql.query.credentials.find(query => query.format === format);

/** The SD-JWT with what the query asks for, bound by the key; `changes` are what the proof says instead. */
export async function sdJwtFor(request, card, key, names, changes = {}) {
  const query = queryOf(request, "dc+sd-jwt");
  const instance = new SDJwtVcInstance({
    hasher: (data, algorithm) => digest(typeof data === "string" ? Buffer.from(data) : data, algorithm),
    hashAlg: "sha-256",
    kbSigner: async text => base64url(await key.sign(text)),
    kbSignAlg: "ES256",
  });
  const {client_id: aud, nonce} = request.authorizationRequestPayload;
  const payload = {iat: Math.floor(Date.now() / 1000), aud, nonce, ...changes};
  const frame = Object.fromEntries(names.map(name => [name, true]));
  return {[query.id]: [await instance.present(card, frame, {kb: {payload}})]};
}

/** The same of the mdoc, signed for the session. */
export async function mdocFor(request, card, key, names, changes = {}) {
  const query = queryOf(request, "mso_mdoc");
  const payload = request.authorizationRequestPayload;
  const [jwk] = payload.client_metadata.jwks.keys;
  const sessionTranscript = await SessionTranscript.forOid4Vp(
    {
      clientId: payload.client_id,
      nonce: payload.nonce,
      jwkThumbprint: Buffer.from(await calculateJwkThumbprint(jwk), "base64url"),
      responseUri: payload.response_uri,
      ...changes,
    },
    context,
  );
  const elements = new Map(names.map(name => [name, false]));
  const itemsRequest = ItemsRequest.create({docType: query.meta.doctype_value, namespaces: new Map([[NAMESPACE, elements]])});
  const deviceRequest = DeviceRequest.create({docRequests: [DocRequest.create({itemsRequest})]});
  const response = await DeviceResponse.createWithDeviceRequest(
    {
      deviceRequest,
      sessionTranscript,
      issuerSigned: [IssuerSigned.fromEncodedForOid4Vci(card)],
      signature: {signingKey: CoseKey.fromJwk({...key.publicJwk, alg: "ES256"})},
    },
    {...context, cose: {sign1: {...context.cose.sign1, sign: ({toBeSigned}) => key.sign(toBeSigned)}}},
  );
  return {[query.id]: [response.encodedForOid4Vp]};
}
