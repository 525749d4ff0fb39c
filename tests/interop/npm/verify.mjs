// What the wallet makes of the cards: @sd-jwt/sd-jwt-vc and @owf/mdoc judge them.

import assert from "node:assert/strict";
import {X509Certificate} from "node:crypto";

import {CoseKey, IssuerSigned} from "@owf/mdoc";
import {SDJwtVcInstance} from "@sd-jwt/sd-jwt-vc";

import {demo, read} from "./demo.mjs";
import {digest, leafOf, random, verify} from "./keys.mjs";

const root = () => new X509Certificate(read(demo.trust_anchor_pem_file)).raw;
const iaca = () => new X509Certificate(read(demo.iaca_pem_file)).raw;

/** Checks a signature of a JWT by its `x5c`, which has to lead to the root. */
async function verifyByChain(message, signature, header) {
  const chain = header.x5c.map(certificate => Buffer.from(certificate, "base64"));
  const jwk = leafOf(chain, [root()]).publicKey.export({format: "jwk"});
  return verify(jwk, Buffer.from(message), Buffer.from(signature, "base64url"));
}

/** The header of a compact JWT. */
export const headerOf = jwt => JSON.parse(Buffer.from(jwt.split(".")[0], "base64url"));

/** The claims of an SD-JWT VC, also those that are disclosed; its status must be 0. */
export async function sdJwt(credential, holder) {
  const header = headerOf(credential);
  const instance = new SDJwtVcInstance({
    hasher: (data, algorithm) => digest(typeof data === "string" ? Buffer.from(data) : data, algorithm),
    hashAlg: "sha-256",
    saltGenerator: length => Buffer.from(random(length)).toString("base64url"),
    verifier: (message, signature) => verifyByChain(message, signature, header),
    statusVerifier: async (message, signature) => {
      // The library shows the signed part of the status list token, whose header names its own signer.
      const listHeader = headerOf(message);
      return verifyByChain(message, signature, listHeader);
    },
  });
  const {payload} = await instance.verify(credential);
  assert.ok(holder.is(payload.cnf.jwk), "the card is bound to the wallet's key");
  return instance.getClaims(credential);
}

export const NAMESPACE = "vn.gov.moha.officials-card.1";

export const context = {
  crypto: {digest: ({digestAlgorithm, bytes}) => digest(bytes, digestAlgorithm), random},
  cose: {sign1: {verify: ({sign1, key}) => verify(key.jwk, sign1.toBeSigned, sign1.signature)}},
  x509: {
    getIssuerNameField: ({certificate, field}) =>
      new X509Certificate(certificate).issuer
        .split("\n")
        .filter(line => line.startsWith(`${field}=`))
        .map(line => line.slice(field.length + 1)),
    getPublicKey: ({certificate}) =>
      CoseKey.fromJwk(new X509Certificate(certificate).publicKey.export({format: "jwk"})),
    verifyCertificateChain: ({trustedCertificates, x5chain, now}) => {
      leafOf(x5chain, trustedCertificates, now);
    },
    getCertificateData: ({certificate}) => {
      const {issuer, subject, serialNumber, fingerprint256, validFrom, validTo} = new X509Certificate(certificate);
      return {
        issuerName: issuer,
        subjectName: subject,
        serialNumber,
        thumbprint: fingerprint256,
        notBefore: new Date(validFrom),
        notAfter: new Date(validTo),
      };
    },
  },
};

/** The elements of an mdoc. */
export async function mdoc(credential, holder) {
  const card = IssuerSigned.fromEncodedForOid4Vci(credential);
  await card.verify({trustedCertificates: [iaca()]}, context);
  const {deviceKeyInfo, docType} = card.issuerAuth.mobileSecurityObject;
  assert.equal(docType, NAMESPACE);
  assert.ok(holder.is(deviceKeyInfo.deviceKey.jwk), "the card is bound to the wallet's key");
  return card.getPrettyClaims(NAMESPACE);
}
