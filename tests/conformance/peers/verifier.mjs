/**
 * A verifier of @openid4vc/openid4vp: signed request by reference, encrypted response by direct_post.jwt, presentations
 * checked by @sd-jwt/sd-jwt-vc and @owf/mdoc.
 */
import { Openid4vpVerifier } from "@openid4vc/openid4vp";
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair } from "jose";
import { createHash, randomBytes } from "node:crypto";

import { callbacks, Keyring } from "./callbacks.mjs";
import { form, json, listen } from "./http.mjs";
import { b64u } from "./keys.mjs";
import * as owf from "./owf.mjs";
import * as sdJwt from "./sd_jwt.mjs";

const token = () => b64u(randomBytes(24));
const verifiers = new Map();
let serial = 0;

class Verifier {
  /** `issuers`: {key, chain anchors} whose cards count. `spoil`: what this verifier does wrongly. */
  constructor({ key, x5c, issuerKey, anchors, spoil = {} }) {
    const keyring = new Keyring(key);
    Object.assign(this, { key, x5c, issuerKey, anchors, spoil, keyring, seen: [], asked: new Map() });
    this.vp = new Openid4vpVerifier({ callbacks: callbacks(keyring) });
    this.clientId = spoil.clientId ?? `x509_hash:${createHash("sha256").update(Buffer.from(x5c[0], "base64")).digest("base64url")}`;
  }

  async start() {
    this.routes = {
      "POST /checks": async (request) => json(await this.ask(await request.json()), 201),
      "POST /redeem": async (request) => json(this.redeem(await request.json())),
    };
    this.http = await listen(this.routes, this.seen);
    return this.http.base;
  }

  async ask({ query, method, transactionData, changes = {} }) {
    const id = token();
    const responseUri = `${this.http.base}/response/${id}`;
    const pair = await generateKeyPair("ECDH-ES", { crv: "P-256", extractable: true });
    const encryption = { ...(await exportJWK(pair.privateKey)), kid: `key-${id}`, alg: "ECDH-ES", use: "enc" };
    await this.keyring.add(encryption);
    const { d, ...publicJwk } = encryption;
    const formats = { "sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"] };
    const created = await this.vp.createOpenId4vpAuthorizationRequest({
      scheme: "openid4vp://",
      authorizationRequestPayload: {
        response_type: "vp_token", client_id: this.clientId, response_uri: responseUri, response_mode: "direct_post.jwt",
        nonce: token(), state: token(), dcql_query: query, transaction_data: transactionData,
        client_metadata: {
          jwks: { keys: [publicJwk] }, encrypted_response_enc_values_supported: ["A128GCM", "A256GCM"],
          vp_formats_supported: { "dc+sd-jwt": formats, mso_mdoc: { issuerauth_alg_values: [-7], deviceauth_alg_values: [-7] } },
        },
        ...changes,
      },
      jar: {
        jwtSigner: { method: "x5c", x5c: this.x5c, alg: "ES256" }, requestUri: `${this.http.base}/request/${id}`, expiresInSeconds: 300,
        additionalJwtPayload: { aud: "https://self-issued.me/v2" },
      },
    });
    const request = await this.bent(created.jar.authorizationRequestJwt);
    const text = this.spoil.signature ? request.slice(0, -4) + (request.endsWith("AAAA") ? "BBBB" : "AAAA") : request;
    const answer = () => new Response(text, { headers: { "Content-Type": "application/oauth-authz-req+jwt" } });
    this.routes[`GET /request/${id}`] = answer;
    this.routes[`POST /request/${id}`] = answer;
    this.routes[`POST /response/${id}`] = (posted) => this.answered(id, posted);
    const thumbprint = await calculateJwkThumbprint(publicJwk);
    this.asked.set(id, { payload: created.authorizationRequestPayload, thumbprint, outcome: null });
    const uri = method ? `${created.authorizationRequest}&request_uri_method=${method}` : created.authorizationRequest;
    return { id, uri, clientId: this.clientId };
  }

  /** The outcome, once. */
  redeem({ id }) {
    const { outcome } = this.asked.get(id);
    this.asked.delete(id);
    return outcome;
  }

  /** The request object with other claims and header than the library would write; null leaves one out. */
  async bent(request) {
    const { claims, header } = this.spoil;
    if (!claims && !header) return request;
    const without = (value) => Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null));
    const jwt = { header: without({ ...decodeProtectedHeader(request), ...header }), payload: without({ ...decodeJwt(request), ...claims }) };
    const { signJwt } = callbacks(this.keyring);
    return (await signJwt({ method: "x5c", x5c: this.x5c, alg: "ES256" }, jwt)).jwt;
  }

  async answered(id, posted) {
    const kept = this.asked.get(id);
    try {
      kept.outcome = await this.judge(kept, await form(posted));
    } catch (error) {
      kept.outcome = { refused: String(error.message) };
    }
    return json({});
  }

  async judge({ payload, thumbprint }, authorizationResponse) {
    if (authorizationResponse.error) return { error: authorizationResponse.error };
    const parsed = await this.vp.parseOpenid4vpAuthorizationResponse({ authorizationResponse, authorizationRequestPayload: payload, callbacks: callbacks(this.keyring) });
    const shown = {};
    for (const [query, presentations] of Object.entries(parsed.dcql.presentations)) {
      const { format } = payload.dcql_query.credentials.find((one) => one.id === query);
      shown[query] = await Promise.all(presentations.map((one) => (format === "mso_mdoc" ? this.mdoc(one, payload, thumbprint) : this.sdJwt(one, payload))));
    }
    const transactions = payload.transaction_data && this.vp.parseTransactionData({ transactionData: payload.transaction_data }).length;
    return { shown, jwe: parsed.jarm && { type: parsed.jarm.type }, transactions };
  }

  async sdJwt(card, { nonce, client_id }) {
    const { payload, kb } = await sdJwt.verify({ card, issuerKey: this.issuerKey, nonce, now: Math.floor(Date.now() / 1000) });
    if (kb.aud !== client_id) throw new Error("the audience is another's");
    return payload;
  }

  mdoc(response, { client_id, nonce, response_uri }, thumbprint) {
    const transcript = { kind: "openid4vp", clientId: client_id, nonce, responseUri: response_uri, thumbprint };
    return owf.verify({ response, transcript, trusted: this.anchors, now: new Date().toISOString() });
  }
}

export async function start(args) {
  const id = `verifier-${++serial}`;
  const verifier = new Verifier(args);
  verifiers.set(id, verifier);
  return { id, base: await verifier.start(), clientId: verifier.clientId };
}

export const ask = ({ id, ...args }) => verifiers.get(id).ask(args);
export const outcome = ({ id, asked }) => verifiers.get(id).asked.get(asked).outcome;
export const seen = ({ id }) => verifiers.get(id).seen;
