/**
 * An issuer and authorization server of @openid4vc: every message is read, checked and made by the library; what is here
 * is the HTTP around it, a memory of codes and tokens, and cards by @sd-jwt/sd-jwt-vc and @owf/mdoc.
 */
import { Oauth2AuthorizationServer, Oauth2ResourceServer } from "@openid4vc/oauth2";
import { Openid4vciIssuer } from "@openid4vc/openid4vci";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { randomBytes } from "node:crypto";

import { callbacks, Keyring, signedBy } from "./callbacks.mjs";
import { form, json, listen } from "./http.mjs";
import { b64u } from "./keys.mjs";
import * as owf from "./owf.mjs";
import * as sdJwt from "./sd_jwt.mjs";

const PRE = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
const token = () => b64u(randomBytes(24));
const refuse = (error, status = 400, headers) => json({ error }, status, headers);
const issuers = new Map();
let serial = 0;

class Issuer {
  /**
   * `anchors`: of wallet providers. `spoil`: what this issuer does wrongly, by name. `popEnds`: whether client attestations
   * are left to the library, which wants an `exp` in the proof of possession (draft-07 5.2 has none).
   */
  constructor({ key, x5c, anchors, vct, doctype, namespace, claims, validity, dpopNonce = false, deferred = false, popEnds = true, spoil = {} }) {
    Object.assign(this, { key, x5c, vct, doctype, namespace, claims, validity, dpopNonce, deferred, popEnds, spoil, seen: [], events: [] });
    const { d, ...publicJwk } = key;
    this.publicJwk = publicJwk;
    const given = callbacks(new Keyring(key), { trusts: signedBy(anchors) });
    this.vci = new Openid4vciIssuer({ callbacks: given });
    this.as = new Oauth2AuthorizationServer({ callbacks: given });
    this.given = given;
    this.resource = new Oauth2ResourceServer({ callbacks: given });
    for (const name of ["offers", "codes", "pushed", "refreshes", "transactions", "nonces"]) this[name] = new Map();
    this.dpopNonces = new Set();
  }

  async start() {
    const routes = {
      "GET /.well-known/openid-credential-issuer": (request) => this.issuerMetadata(request),
      "GET /.well-known/oauth-authorization-server": () => json(this.server),
      "GET /jwks": () => json({ keys: [this.publicJwk] }),
      "GET /offer": (_, url) => json(this.offers.get(url.searchParams.get("id"))),
      "POST /par": (request) => this.push(request),
      "GET /authorize": (_, url) => this.authorize(url),
      "POST /token": (request) => this.redeem(request),
      "POST /nonce": () => this.nonce(),
      "POST /credential": (request) => this.credential(request),
      "POST /deferred": (request) => this.later(request),
      "POST /notification": async (request) => {
        await this.admit(request);
        this.events.push(await request.json());
        return new Response(null, { status: 204 });
      },
    };
    this.http = await listen(routes, this.seen);
    const { base } = this.http;
    const proofs = { proof_signing_alg_values_supported: ["ES256"], key_attestations_required: {} };
    const common = {
      cryptographic_binding_methods_supported: ["jwk"], proof_types_supported: { jwt: proofs, attestation: proofs },
      credential_metadata: { display: [{ name: "A card from elsewhere", locale: "en" }] },
    };
    this.metadata = this.vci.createCredentialIssuerMetadata({
      credential_issuer: base, authorization_servers: [base], credential_endpoint: `${base}/credential`, nonce_endpoint: `${base}/nonce`,
      deferred_credential_endpoint: `${base}/deferred`, notification_endpoint: `${base}/notification`,
      batch_credential_issuance: { batch_size: 5 }, display: [{ name: "Elsewhere", locale: "en" }],
      credential_configurations_supported: {
        sd_jwt: { format: "dc+sd-jwt", vct: this.vct, scope: "sd_jwt", credential_signing_alg_values_supported: ["ES256"], ...common },
        mdoc: { format: "mso_mdoc", doctype: this.doctype, scope: "mdoc", credential_signing_alg_values_supported: [-7], ...common, cryptographic_binding_methods_supported: ["cose_key"] },
      },
      ...this.spoil.metadata,
    });
    this.server = this.as.createAuthorizationServerMetadata({
      issuer: base, token_endpoint: `${base}/token`, authorization_endpoint: `${base}/authorize`, jwks_uri: `${base}/jwks`,
      pushed_authorization_request_endpoint: `${base}/par`, require_pushed_authorization_requests: true,
      code_challenge_methods_supported: ["S256"], dpop_signing_alg_values_supported: ["ES256"],
      token_endpoint_auth_methods_supported: ["attest_jwt_client_auth"], authorization_response_iss_parameter_supported: true,
      client_attestation_signing_alg_values_supported: ["ES256"], client_attestation_pop_signing_alg_values_supported: ["ES256"],
      grant_types_supported: ["authorization_code", "refresh_token", PRE], response_types_supported: ["code"],
      ...this.spoil.server,
    });
    this.known = { credentialIssuer: this.metadata, authorizationServers: [this.server], knownCredentialConfigurations: this.vci.getKnownCredentialConfigurationsSupported(this.metadata) };
    return base;
  }

  async issuerMetadata(request) {
    if (!(request.headers.get("accept") ?? "").includes("application/jwt")) return json(this.metadata);
    const signed = await this.vci.createSignedCredentialIssuerMetadataJwt({
      credentialIssuerMetadata: this.metadata, signer: { method: "x5c", x5c: this.x5c, alg: "ES256" },
    });
    return new Response(signed, { headers: { "Content-Type": "application/jwt" } });
  }

  async offer({ configurations = ["sd_jwt", "mdoc"], grant = "pre", txCode, reference = true }) {
    const id = token();
    const grants = grant === "pre" ? { [PRE]: { "pre-authorized_code": token(), tx_code: txCode && { input_mode: "numeric", length: txCode.length } } } : { authorization_code: { issuer_state: token() } };
    const { credentialOffer, credentialOfferObject } = await this.vci.createCredentialOffer({
      credentialConfigurationIds: configurations, issuerMetadata: this.known, grants,
      credentialOfferUri: reference ? `${this.http.base}/offer?id=${id}` : undefined,
    });
    this.offers.set(id, credentialOfferObject);
    const code = credentialOfferObject.grants[PRE]?.["pre-authorized_code"];
    if (code) this.codes.set(code, { configurations, txCode });
    return credentialOffer;
  }

  /** DPoP nonces are the server's own affair (RFC 9449 section 8); the library checks the rest of the proof. */
  nonceWanted(request) {
    if (!this.dpopNonce) return null;
    const proof = request.headers.get("dpop");
    const { nonce } = proof ? decodeJwt(proof) : {};
    if (nonce && this.dpopNonces.has(nonce)) return null;
    const next = token();
    this.dpopNonces.add(next);
    return { "DPoP-Nonce": next };
  }

  /** Client authentication for the library to do, or nothing left to do once it is done here. */
  async client({ clientAttestationJwt, clientAttestationPopJwt } = {}) {
    if (this.popEnds) return { required: true, clientAttestationJwt, clientAttestationPopJwt };
    const [attestation, proof] = [clientAttestationJwt, clientAttestationPopJwt].map((compact) => ({
      compact, header: decodeProtectedHeader(compact), payload: decodeJwt(compact),
    }));
    const { jwk: publicJwk } = attestation.payload.cnf;
    const vouched = await this.given.verifyJwt({ method: "x5c", x5c: attestation.header.x5c, alg: "ES256" }, attestation);
    const possessed = await this.given.verifyJwt({ method: "jwk", publicJwk, alg: "ES256" }, proof);
    const fits = proof.payload.aud === this.http.base && proof.payload.iss === attestation.payload.sub && proof.payload.jti;
    const types = `${attestation.header.typ} ${proof.header.typ}`;
    if (vouched.verified && possessed.verified && fits && types === "oauth-client-attestation+jwt oauth-client-attestation-pop+jwt") return undefined;
    throw Object.assign(new Error("client attestation"), { errorResponse: { error: "invalid_client" } });
  }

  async push(request) {
    const wanted = this.nonceWanted(request);
    if (wanted) return refuse("use_dpop_nonce", 400, wanted);
    const parsed = await this.as.parsePushedAuthorizationRequest({ authorizationRequest: await form(request.clone()), request });
    const { authorizationRequest: asked, dpop, clientAttestation } = parsed;
    await this.as.verifyPushedAuthorizationRequest({
      authorizationRequest: asked, authorizationServerMetadata: this.server, request, dpop: { required: false, ...dpop },
      clientAttestation: await this.client(clientAttestation),
    });
    const uri = `urn:ietf:params:oauth:request_uri:${token()}`;
    this.pushed.set(uri, asked);
    const { pushedAuthorizationResponse } = this.as.createPushedAuthorizationResponse({ requestUri: uri, expiresInSeconds: 60 });
    return json(pushedAuthorizationResponse, 201);
  }

  /** Whoever comes is signed in already. */
  authorize(url) {
    const asked = this.pushed.get(url.searchParams.get("request_uri"));
    if (!asked || asked.client_id !== url.searchParams.get("client_id")) return refuse("invalid_request");
    this.pushed.delete(url.searchParams.get("request_uri"));
    const code = token();
    const configurations = (asked.scope ?? "").split(" ").filter((scope) => scope in this.metadata.credential_configurations_supported);
    this.codes.set(code, { asked, configurations });
    const back = new URL(asked.redirect_uri);
    back.searchParams.set("code", code);
    if (asked.state) back.searchParams.set("state", this.spoil.state ?? asked.state);
    if (this.spoil.iss !== null) back.searchParams.set("iss", this.spoil.iss ?? this.http.base);
    return new Response(null, { status: 302, headers: { Location: back.toString() } });
  }

  async redeem(request) {
    const wanted = this.nonceWanted(request);
    if (wanted) return refuse("use_dpop_nonce", 400, wanted);
    const parsed = this.as.parseAccessTokenRequest({ accessTokenRequest: await form(request.clone()), request });
    const { grant, accessTokenRequest, pkceCodeVerifier } = parsed;
    const common = {
      authorizationServerMetadata: this.server, request, grant, accessTokenRequest, dpop: { required: true, ...parsed.dpop },
      clientAttestation: await this.client(parsed.clientAttestation),
    };
    let kept;
    let checked;
    if (grant.grantType === PRE) {
      kept = this.codes.get(grant.preAuthorizedCode) ?? {};
      const expected = kept.configurations ? grant.preAuthorizedCode : "none";
      checked = await this.as.verifyPreAuthorizedCodeAccessTokenRequest({ ...common, expectedPreAuthorizedCode: expected, expectedTxCode: kept.txCode });
      this.codes.delete(grant.preAuthorizedCode);
    } else if (grant.grantType === "authorization_code") {
      kept = this.codes.get(grant.code) ?? {};
      const { asked } = kept;
      checked = await this.as.verifyAuthorizationCodeAccessTokenRequest({
        ...common, expectedCode: asked ? grant.code : "none",
        pkce: asked && { codeChallenge: asked.code_challenge, codeChallengeMethod: asked.code_challenge_method, codeVerifier: pkceCodeVerifier },
      });
      if (accessTokenRequest.redirect_uri !== asked.redirect_uri) return refuse("invalid_grant");
      this.codes.delete(grant.code);
    } else {
      kept = this.refreshes.get(grant.refreshToken) ?? {};
      checked = await this.as.verifyRefreshTokenAccessTokenRequest({ ...common, expectedRefreshToken: kept.configurations ? grant.refreshToken : "none" });
      this.refreshes.delete(grant.refreshToken);
    }
    const refreshToken = token();
    this.refreshes.set(refreshToken, { configurations: kept.configurations });
    const answer = await this.as.createAccessTokenResponse({
      audience: this.http.base, authorizationServer: this.http.base, subject: "somebody", expiresInSeconds: 300, dpop: checked.dpop,
      signer: { method: "jwk", alg: "ES256", publicJwk: this.publicJwk }, scope: kept.configurations.join(" "), refreshToken,
      clientId: accessTokenRequest.client_id, additionalAccessTokenResponsePayload: { scope: kept.configurations.join(" ") },
    });
    return json(answer);
  }

  nonce() {
    const made = token();
    this.nonces.set(made, true);
    return json(this.vci.createNonceResponse({ cNonce: made }));
  }

  admit(request) {
    return this.resource.verifyResourceRequest({
      authorizationServers: [this.server], request, resourceServer: this.http.base, allowedAuthenticationSchemes: ["DPoP"],
    });
  }

  async credential(request) {
    const { tokenPayload } = await this.admit(request);
    const parsed = this.vci.parseCredentialRequest({ issuerMetadata: this.known, credentialRequest: await request.json() });
    const configuration = parsed.credentialConfigurationId;
    if (!tokenPayload.scope.split(" ").includes(configuration)) return refuse("unknown_credential_configuration");
    const keys = await this.proven(parsed.proofs ?? {});
    const cards = { credentials: await Promise.all(keys.map(async (jwk) => ({ credential: await this.card(configuration, jwk) }))), notificationId: token() };
    if (!this.deferred) return json(this.vci.createCredentialResponse({ credentialRequest: parsed, ...cards, ...this.spoil.response }));
    const transactionId = token();
    this.transactions.set(transactionId, { cards, waits: 1 });
    return json(this.vci.createCredentialResponse({ credentialRequest: parsed, transactionId, interval: 1 }), 202);
  }

  /** The keys that proved themselves for a nonce of ours. */
  async proven({ jwt, attestation }) {
    const nonceOf = (proof) => {
      const { nonce } = decodeJwt(proof);
      if (!this.nonces.has(nonce)) throw Object.assign(new Error("nonce"), { errorResponse: { error: "invalid_nonce" } });
      return nonce;
    };
    if (attestation) {
      const [keyAttestationJwt] = attestation;
      const { payload } = await this.vci.verifyCredentialRequestAttestationProof({ keyAttestationJwt, expectedNonce: nonceOf(keyAttestationJwt) });
      return payload.attested_keys;
    }
    const results = await Promise.all(
      (jwt ?? []).map((one) => this.vci.verifyCredentialRequestJwtProof({ jwt: one, issuerMetadata: this.known, expectedNonce: nonceOf(one) })),
    );
    if (results.length === 0) throw Object.assign(new Error("no proof"), { errorResponse: { error: "invalid_proof" } });
    if (results.length === 1 && results[0].keyAttestation) return results[0].keyAttestation.payload.attested_keys;
    return results.map(({ signer }) => signer.publicJwk);
  }

  async card(configuration, { kty, crv, x, y }) {
    const deviceKey = { kty, crv, x, y, ...this.spoil.deviceKey };
    if (configuration === "mdoc") {
      return owf.issue({
        doctype: this.doctype, namespaces: { [this.namespace]: this.claims }, key: this.key, chain: this.x5c.map((text) => b64u(Buffer.from(text, "base64"))),
        deviceKey, validity: this.validity, ...this.spoil.mdoc,
      });
    }
    const seconds = (text) => Math.floor(Date.parse(text) / 1000);
    const claims = {
      iss: this.http.base, vct: this.vct, iat: seconds(this.validity.signed), exp: seconds(this.validity.validUntil), cnf: { jwk: deviceKey },
      ...this.claims, ...this.spoil.claims,
    };
    return sdJwt.issue({ claims, frame: { _sd: Object.keys(this.claims) }, header: { x5c: this.x5c }, key: this.spoil.key ?? this.key });
  }

  async later(request) {
    await this.admit(request);
    const { deferredCredentialRequest } = this.vci.parseDeferredCredentialRequest({ deferredCredentialRequest: await request.json() });
    const { transaction_id: transactionId } = deferredCredentialRequest;
    const kept = this.transactions.get(transactionId);
    if (!kept) return refuse("invalid_transaction_id");
    if (kept.waits-- > 0) return json(this.vci.createDeferredCredentialResponse({ transactionId, interval: 1 }), 202);
    this.transactions.delete(transactionId);
    const { notificationId, ...cards } = kept.cards; // the library refuses a notification_id here: a bug of its own
    return json(this.vci.createDeferredCredentialResponse(this.spoil.notified ? kept.cards : cards));
  }
}

export async function start(args) {
  const id = `issuer-${++serial}`;
  const issuer = new Issuer(args);
  issuers.set(id, issuer);
  return { id, base: await issuer.start() };
}

export const offer = ({ id, ...args }) => issuers.get(id).offer(args);
export const seen = ({ id }) => issuers.get(id).seen;
export const events = ({ id }) => issuers.get(id).events;
export const stop = ({ id }) => issuers.get(id).http.close();
