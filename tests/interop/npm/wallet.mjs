// A wallet made of @openid4vc/openid4vci and @openid4vc/oauth2. Only keys are its own.

import assert from "node:assert/strict";

import {
  Oauth2Client,
  clientAuthenticationAnonymous,
  clientAuthenticationClientAttestationJwt,
  createClientAttestationJwt,
  setGlobalConfig,
} from "@openid4vc/oauth2";
import {Openid4vciClient, createKeyAttestationJwt} from "@openid4vc/openid4vci";

import {demo, read} from "./demo.mjs";
import {Key, base64url, digest, random} from "./keys.mjs";

// The demo speaks http on loopback.
setGlobalConfig({allowInsecureUrls: true});

const POP_TYPE = "oauth-client-attestation-pop+jwt";

export class Wallet {
  /** A wallet of the product `clientId`, or of none, with a fresh DPoP key. */
  static async open(product) {
    const wallet = new Wallet();
    wallet.keys = [];
    wallet.dpopKey = await wallet.newKey();
    wallet.callbacks = {
      fetch: (url, options) => wallet.fetch(url, options),
      hash: (data, algorithm) => digest(data, algorithm),
      generateRandom: random,
      signJwt: (signer, jwt) => wallet.signJwt(signer, jwt),
      clientAuthentication: clientAuthenticationAnonymous(),
    };
    if (product) await wallet.register(product);
    wallet.client = new Openid4vciClient({callbacks: wallet.callbacks});
    wallet.oauth2 = new Oauth2Client({callbacks: wallet.callbacks});
    wallet.dpop = {signer: wallet.dpopKey.signer};
    return wallet;
  }

  /**
   * What the library would not take: its version 0.4.6 refuses the notification_id beside deferred credentials (it checks
   * the opposite of what OpenID4VCI 1.0 section 9.2 says), so that the wallet takes it out of the answer and keeps it.
   */
  async fetch(url, options) {
    const answer = await fetch(url, options);
    if (url !== this.metadata?.credentialIssuer.deferred_credential_endpoint || answer.status !== 200) return answer;
    const {notification_id: notificationId, ...rest} = await answer.json();
    this.deferredNotificationId = notificationId;
    return new Response(JSON.stringify(rest), answer);
  }

  async newKey(key) {
    this.keys.push((key ??= await Key.fresh()));
    return key;
  }

  async signJwt(signer, {header, payload}) {
    const key = this.keys.find(key => (signer.x5c ? key.x5c === signer.x5c : key.is(signer.publicJwk)));
    return {jwt: await key.jwt(header, payload), signerJwk: key.publicJwk};
  }

  /** Attested by the provider where the product names one, otherwise by `private_key_jwt`, which the library leaves out. */
  async register(product) {
    this.clientId = product.client_id;
    this.redirectUri = product.redirect_uri;
    if (product.client_key_file) {
      const key = await Key.read(JSON.parse(read(product.client_key_file)));
      this.callbacks.clientAuthentication = async ({body, authorizationServerMetadata}) => {
        const now = Math.floor(Date.now() / 1000);
        const [iss, aud, jti] = [this.clientId, authorizationServerMetadata.issuer, base64url(random(16))];
        const claims = {iss, sub: iss, aud, jti, iat: now, exp: now + 60};
        body.client_id = this.clientId;
        body.client_assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        body.client_assertion = await key.jwt({alg: "ES256", typ: "JWT"}, claims);
      };
      return;
    }
    this.provider = await this.newKey(await Key.read(JSON.parse(read(product.attester_key_file))));
    this.instance = await this.newKey();
    const clientAttestationJwt = await createClientAttestationJwt({
      callbacks: this.callbacks,
      clientId: this.clientId,
      issuer: "https://wallet-provider.example",
      confirmation: {jwk: this.instance.publicJwk},
      expiresAt: new Date(Date.now() + 3600_000),
      signer: this.provider.signer,
    });
    // The library does not fetch challenges; draft -07 section 8 puts them into the proof of possession.
    const signJwt = async (signer, {header, payload}) => {
      assert.equal(header.typ, POP_TYPE);
      return this.signJwt(signer, {header, payload: {...payload, challenge: await this.challenge()}});
    };
    this.callbacks.clientAuthentication = clientAuthenticationClientAttestationJwt({
      clientAttestationJwt,
      callbacks: {...this.callbacks, signJwt},
    });
  }

  async challenge() {
    const answer = await fetch(this.server.challenge_endpoint, {method: "POST"});
    return (await answer.json()).attestation_challenge;
  }

  get server() {
    return this.metadata.authorizationServers[0];
  }

  /** Takes in an offer's link, or an issuer without one. */
  async meet(link) {
    this.offer = link?.startsWith("openid-credential-offer:") ? await this.client.resolveCredentialOffer(link) : undefined;
    this.metadata = await this.client.resolveIssuerMetadata(this.offer?.credential_issuer ?? link ?? demo.url);
  }

  /** The pre-authorized code flow. */
  async redeem(txCode) {
    const {accessTokenResponse, dpop} = await this.client.retrievePreAuthorizedCodeAccessTokenFromOffer({
      credentialOffer: this.offer,
      issuerMetadata: this.metadata,
      txCode,
      dpop: this.dpop,
    });
    this.holds(accessTokenResponse, dpop);
  }

  /** The authorization code flow until the browser is needed. Returns what it has to open. */
  async begin(scope) {
    this.state = base64url(random(16));
    const {authorizationRequestUrl, pkce, dpop} = await this.oauth2.createAuthorizationRequestUrl({
      authorizationServerMetadata: this.server,
      clientId: this.clientId,
      redirectUri: this.redirectUri,
      scope,
      state: this.state,
      additionalRequestPayload: {issuer_state: this.offer?.grants?.authorization_code?.issuer_state},
      dpop: this.dpop,
    });
    Object.assign(this, {pkce, dpop: dpop ?? this.dpop});
    return authorizationRequestUrl;
  }

  /** What the browser brought back, believed by the library (`iss`) and by us (`state`). */
  answer(url) {
    assert.ok(url.startsWith(this.redirectUri), url);
    const answer = this.client.parseAndVerifyAuthorizationResponseRedirectUrl({
      url,
      authorizationServerMetadata: this.server,
    });
    assert.equal(answer.state, this.state);
    return answer;
  }

  /** The rest of the authorization code flow. */
  async finish(url) {
    const {accessTokenResponse, dpop} = await this.oauth2.retrieveAuthorizationCodeAccessToken({
      authorizationServerMetadata: this.server,
      authorizationCode: this.answer(url).code,
      pkceCodeVerifier: this.pkce.codeVerifier,
      redirectUri: this.redirectUri,
      dpop: this.dpop,
    });
    this.holds(accessTokenResponse, dpop);
  }

  async refresh() {
    const {accessTokenResponse, dpop} = await this.oauth2.retrieveRefreshTokenAccessToken({
      authorizationServerMetadata: this.server,
      refreshToken: this.token.refresh_token,
      dpop: this.dpop,
    });
    this.holds(accessTokenResponse, dpop);
  }

  holds(token, dpop) {
    assert.equal(token.token_type, "DPoP");
    this.token = {...this.token, ...token};
    this.dpop = dpop;
  }

  /** Asks for a card for each of these keys; `attested` keys are vouched for by the wallet provider. */
  async request(credentialConfigurationId, keys, attested = false) {
    const {c_nonce: nonce} = await this.client.requestNonce({issuerMetadata: this.metadata});
    const keyAttestationJwt = attested ? await this.attestKeys(keys, nonce) : undefined;
    const proof = ({signer}) =>
      this.client.createCredentialRequestJwtProof({
        issuerMetadata: this.metadata,
        credentialConfigurationId,
        clientId: this.clientId,
        nonce,
        signer,
        keyAttestationJwt,
      });
    const jwt = (await Promise.all(keys.map(proof))).map(proof => proof.jwt);
    const answer = await this.client.retrieveCredentials({
      issuerMetadata: this.metadata,
      credentialConfigurationId,
      accessToken: this.token.access_token,
      proofs: {jwt},
      dpop: this.dpop,
    });
    return answer.credentialResponse;
  }

  attestKeys(keys, nonce) {
    // The library's version 0.4.6 still has the typ of a draft.
    const signJwt = (signer, {header, payload}) =>
      this.signJwt(signer, {header: {...header, typ: "key-attestation+jwt"}, payload});
    return createKeyAttestationJwt({
      callbacks: {...this.callbacks, signJwt},
      use: "proof_type.jwt",
      attestedKeys: keys.map(key => key.publicJwk),
      keyStorage: ["iso_18045_high"],
      userAuthentication: ["iso_18045_high"],
      nonce,
      expiresAt: new Date(Date.now() + 300_000),
      signer: this.provider.signer,
    });
  }

  async askAgain(transactionId) {
    const answer = await this.client.retrieveDeferredCredentials({
      issuerMetadata: this.metadata,
      accessToken: this.token.access_token,
      transactionId,
      dpop: this.dpop,
    });
    return answer.deferredCredentialResponse;
  }

  async notify(notificationId, event) {
    await this.client.sendNotification({
      issuerMetadata: this.metadata,
      accessToken: this.token.access_token,
      notification: {notificationId, event},
      dpop: this.dpop,
    });
  }
}
