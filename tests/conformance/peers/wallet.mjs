/**
 * A wallet of @openid4vc/openid4vci and openid4vp with a wallet provider of its own: what HAIP 1.0 asks of a wallet, by
 * calls of the library's public API only; `tries` goes past what the library would refuse to send.
 */
import {
  clientAuthenticationClientAttestationJwt,
  getAuthorizationServerMetadataFromList,
  Oauth2Client,
  resourceRequest,
} from "@openid4vc/oauth2";
import { Openid4vciClient, Openid4vciWalletProvider } from "@openid4vc/openid4vci";
import { CompactEncrypt, compactDecrypt, exportJWK, generateKeyPair, importJWK } from "jose";

import { callbacks, Keyring } from "./callbacks.mjs";

const fresh = async () => exportJWK((await generateKeyPair("ES256", { extractable: true })).privateKey);
const publicOf = ({ d, ...rest }) => rest;
/** Without the members that are null. */
const present = (value) => Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null));
const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
const inSeconds = (seconds) => new Date(Date.now() + seconds * 1000);

const wallets = new Map();
let serial = 0;

class Wallet {
  /** `provider`: {key, x5c, issuer, clientId} of whoever vouches for this wallet. */
  static async make({ provider }) {
    const wallet = new Wallet();
    Object.assign(wallet, { provider, keyring: new Keyring(provider.key), keys: [], seen: [] });
    [wallet.client, wallet.dpop] = await Promise.all([fresh(), fresh()]);
    await Promise.all([wallet.keyring.ready, wallet.keyring.add(wallet.client), wallet.keyring.add(wallet.dpop)]);
    wallet.attester = new Openid4vciWalletProvider({ callbacks: callbacks(wallet.keyring) });
    wallet.attestation = await wallet.attester.createWalletAttestationJwt({
      issuer: provider.issuer, clientId: provider.clientId, signer: wallet.signer(), expiresAt: inSeconds(3600),
      confirmation: { jwk: publicOf(wallet.client) },
    });
    const own = callbacks(wallet.keyring, { fetch: (...request) => wallet.fetch(...request) });
    own.clientAuthentication = clientAuthenticationClientAttestationJwt({ clientAttestationJwt: wallet.attestation, callbacks: own });
    wallet.callbacks = own;
    wallet.vci = new Openid4vciClient({ callbacks: own });
    return wallet;
  }

  signer() {
    return { method: "x5c", x5c: this.provider.x5c, alg: "ES256" };
  }

  async fetch(url, init) {
    const headers = { ...init?.headers, ...(this.accept && String(url).includes("/openid-credential-issuer") ? { Accept: this.accept } : {}) };
    const answer = await fetch(url, { redirect: "manual", ...init, headers: init?.headers instanceof Headers ? init.headers : headers });
    this.seen.push({ method: init?.method ?? "GET", path: new URL(url).pathname, status: answer.status });
    return answer;
  }

  get dpopSigner() {
    return { method: "jwk", alg: "ES256", publicJwk: publicOf(this.dpop) };
  }

  /** `accept`: what metadata is asked for as; the library itself sends no Accept header. */
  async open({ offer, accept }) {
    this.accept = accept;
    this.offer = await this.vci.resolveCredentialOffer(offer);
    this.metadata = await this.vci.resolveIssuerMetadata(this.offer.credential_issuer);
    const { credentialIssuer: issuer, authorizationServers: servers, signedCredentialIssuer: signed } = this.metadata;
    return { offer: this.offer, issuer, servers, signed: signed?.jwt.compact };
  }

  async redeem({ txCode } = {}) {
    const answer = await this.vci.retrievePreAuthorizedCodeAccessTokenFromOffer({
      credentialOffer: this.offer, issuerMetadata: this.metadata, txCode, dpop: { signer: this.dpopSigner },
    });
    return this.token(answer);
  }

  /** Where the browser goes; PAR when the server asks for it, PKCE always. */
  async authorize({ redirectUri, scope, state }) {
    // The convenience functions for offers drop `state`.
    const grant = this.offer.grants?.authorization_code ?? {};
    const { credential_issuer: resource, authorization_servers: [first] = [resource] } = this.metadata.credentialIssuer;
    this.server = grant.authorization_server ?? first;
    const made = await new Oauth2Client({ callbacks: this.callbacks }).createAuthorizationRequestUrl({
      authorizationServerMetadata: getAuthorizationServerMetadataFromList(this.metadata.authorizationServers, this.server),
      clientId: this.provider.clientId, redirectUri, scope, state, resource, dpop: { signer: this.dpopSigner },
      additionalRequestPayload: { issuer_state: grant.issuer_state },
    });
    Object.assign(this, { pkce: made.pkce, redirectUri });
    return { url: made.authorizationRequestUrl, server: this.server };
  }

  async returned({ url }) {
    const server = getAuthorizationServerMetadataFromList(this.metadata.authorizationServers, this.server);
    const back = this.vci.parseAndVerifyAuthorizationResponseRedirectUrl({ url, authorizationServerMetadata: server });
    if (back.error) throw new Error(`${back.error}: ${back.error_description ?? ""}`);
    const answer = await this.vci.retrieveAuthorizationCodeAccessTokenFromOffer({
      credentialOffer: this.offer, issuerMetadata: this.metadata, authorizationCode: back.code,
      pkceCodeVerifier: this.pkce?.codeVerifier, redirectUri: this.redirectUri, dpop: { signer: this.dpopSigner },
    });
    return this.token(answer);
  }

  token({ accessTokenResponse, dpop, authorizationServer }) {
    this.access = accessTokenResponse.access_token;
    this.refresh = accessTokenResponse.refresh_token;
    this.dpopNonce = dpop?.nonce;
    this.server = authorizationServer ?? this.server;
    return accessTokenResponse;
  }

  async renew() {
    const oauth = new Oauth2Client({ callbacks: this.callbacks });
    const server = getAuthorizationServerMetadataFromList(this.metadata.authorizationServers, this.server);
    const answer = await oauth.retrieveRefreshTokenAccessToken({
      authorizationServerMetadata: server, refreshToken: this.refresh, dpop: { signer: this.dpopSigner, nonce: this.dpopNonce },
    });
    return this.token(answer);
  }

  /** The library's own statement has the type of an early draft; without `spoil.library` ours has the final one. */
  async attest(attestedKeys, nonce, proof, { library, attestation }) {
    const levels = ["iso_18045_basic"];
    if (library) {
      return this.attester.createKeyAttestationJwt({
        attestedKeys, nonce, signer: this.signer(), expiresAt: inSeconds(300), keyStorage: levels, userAuthentication: levels, use: `proof_type.${proof}`,
      });
    }
    const now = Math.floor(Date.now() / 1000);
    const payload = { iat: now, exp: now + 300, nonce, attested_keys: attestedKeys, key_storage: levels, user_authentication: levels, ...attestation };
    const header = { alg: "ES256", typ: "key-attestation+jwt", x5c: this.provider.x5c };
    return (await this.callbacks.signJwt(this.signer(), { header, payload: present(payload) })).jwt;
  }

  /** One request: `count` keys, proven by `proof`. */
  async credentials({ configuration, count = 1, proof = "jwt", library = false }) {
    const { c_nonce: nonce } = await this.vci.requestNonce({ issuerMetadata: this.metadata });
    const keys = await Promise.all(Array.from({ length: count }, fresh));
    await Promise.all(keys.map((key) => this.keyring.add(key)));
    const attestation = await this.attest(keys.map(publicOf), nonce, proof, { library });
    const jwt = async () => {
      const made = await this.vci.createCredentialRequestJwtProof({
        issuerMetadata: this.metadata, credentialConfigurationId: configuration, nonce, clientId: this.provider.clientId,
        signer: { method: "jwk", alg: "ES256", publicJwk: publicOf(keys[0]) }, keyAttestationJwt: attestation,
      });
      return made.jwt;
    };
    const proofs = proof === "attestation" ? { attestation: [attestation] } : { jwt: [await jwt()] };
    const dpop = { signer: this.dpopSigner, nonce: this.dpopNonce };
    const answer = await this.vci.retrieveCredentials({
      accessToken: this.access, credentialConfigurationId: configuration, issuerMetadata: this.metadata, proofs, dpop,
    });
    this.dpopNonce = answer.dpop?.nonce ?? this.dpopNonce;
    return { keys, response: answer.credentialResponse };
  }

  /**
   * The same with whatever `spoil` says, past the library's own checks; what the issuer answered. Proofs are signed and the
   * request is sent by the library all the same.
   */
  async tries({ configuration, spoil = {} }) {
    const { c_nonce: nonce } = await this.vci.requestNonce({ issuerMetadata: this.metadata });
    const key = await fresh();
    const other = await fresh();
    await Promise.all([key, other].map((one) => this.keyring.add(one)));
    const attestation = await this.attest([publicOf(key)], spoil.attestationNonce ?? nonce, "jwt", spoil);
    const issuer = this.metadata.credentialIssuer;
    const signWith = publicOf(spoil.otherKey ? other : key);
    const header = { alg: "ES256", typ: "openid4vci-proof+jwt", jwk: signWith, key_attestation: attestation, ...spoil.header };
    const payload = { iss: this.provider.clientId, aud: issuer.credential_issuer, iat: Math.floor(Date.now() / 1000), nonce, ...spoil.proof };
    const proof = spoil.text ?? (await this.callbacks.signJwt({ method: "jwk", alg: "ES256", publicJwk: signWith }, { header: present(header), payload: present(payload) })).jwt;
    const body = present({ credential_configuration_id: configuration, proofs: { jwt: [proof] }, ...spoil.members });
    const answer = await resourceRequest({
      accessToken: spoil.accessToken ?? this.access, callbacks: this.callbacks, dpop: { signer: this.dpopSigner, nonce: this.dpopNonce },
      url: issuer.credential_endpoint + (spoil.query ?? ""),
      requestOptions: { method: "POST", headers: { "Content-Type": spoil.type ?? "application/json" }, body: spoil.body ?? (spoil.seal ? await spoil.seal(JSON.stringify(body)) : JSON.stringify(body)) },
    });
    const { response } = answer;
    this.dpopNonce = answer.dpop?.nonce ?? this.dpopNonce;
    const text = await response.clone().text();
    return { status: response.status, headers: Object.fromEntries(response.headers), text, body: parsed(text) };
  }

  /**
   * A request under encryption and its answer, by `jose` (the library knows neither yet): to the issuer's key, and back to a
   * key of ours. OpenID4VCI 1.0 section 10.
   */
  async sealed({ configuration, enc = "A256GCM", zip, spoil = {} }) {
    const { jwks } = this.metadata.credentialIssuer.credential_request_encryption;
    const [to] = jwks.keys;
    const pair = await generateKeyPair("ECDH-ES", { crv: "P-256", extractable: true });
    const back = { ...(await exportJWK(pair.publicKey)), alg: "ECDH-ES", kid: "ours", use: "enc" };
    const wanted = { credential_response_encryption: { jwk: back, enc, ...(zip ? { zip } : {}), ...spoil.wanted } };
    const seal = (body) =>
      importJWK({ ...to, ...spoil.to }, to.alg).then((key) =>
        new CompactEncrypt(Buffer.from(body)).setProtectedHeader({ alg: to.alg, enc, kid: to.kid, ...spoil.jwe }).encrypt(key),
      );
    const answer = await this.tries({ configuration, spoil: { members: wanted, seal: spoil.open ? undefined : seal, type: spoil.open ? undefined : "application/jwt" } });
    if (answer.status !== 200) return answer;
    const { plaintext, protectedHeader } = await compactDecrypt(answer.text, pair.privateKey);
    return { ...answer, header: protectedHeader, response: JSON.parse(Buffer.from(plaintext).toString()) };
  }

  async deferred({ transactionId }) {
    const answer = await this.vci.retrieveDeferredCredentials({
      accessToken: this.access, issuerMetadata: this.metadata, transactionId, dpop: { signer: this.dpopSigner, nonce: this.dpopNonce },
    });
    return answer.deferredCredentialResponse;
  }

  async notify({ notificationId, event = "credential_accepted" }) {
    await this.vci.sendNotification({
      accessToken: this.access, issuerMetadata: this.metadata, notification: { notificationId, event },
      dpop: { signer: this.dpopSigner, nonce: this.dpopNonce },
    });
  }
}

export async function make(args) {
  const id = `wallet-${++serial}`;
  wallets.set(id, await Wallet.make(args));
  return id;
}

/** `step`: a method above, of the wallet `id`. */
export async function step({ id, name, args = {} }) {
  try {
    return await wallets.get(id)[name](args);
  } catch (error) {
    throw Object.assign(error, { message: `${error.message} ${await said(error)}` });
  }
}

/** What the other side answered, when the library knows. */
async function said(error) {
  const response = error.response?.response ?? error.response ?? error.resourceResponse?.response;
  if (error.errorResponse) return JSON.stringify(error.errorResponse);
  if (typeof response?.clone !== "function") return error.cause ? String(error.cause.message ?? error.cause) : "";
  return `${response.status} ${await response.clone().text().catch(() => "")}`;
}

export const seen = ({ id }) => wallets.get(id).seen;
