/**
 * A wallet's showing side of @openid4vc/openid4vp, with cards held for it: the first option of a DCQL query it can answer,
 * by @sd-jwt/sd-jwt-vc and @owf/mdoc. `spoil` names what to answer otherwise.
 */
import { Openid4vpClient } from "@openid4vc/openid4vp";
import { calculateJwkThumbprint } from "jose";
import { createHash } from "node:crypto";

import { callbacks, Keyring, signedBy } from "./callbacks.mjs";
import * as owf from "./owf.mjs";
import * as sdJwt from "./sd_jwt.mjs";

const SERVER = {
  authorization_signing_alg_values_supported: [], authorization_encryption_alg_values_supported: ["ECDH-ES"],
  authorization_encryption_enc_values_supported: ["A256GCM", "A128GCM"],
};

/** Reads a request as far as the library does; `anchors` say whose requests count. */
export async function resolve({ uri, anchors }) {
  const client = new Openid4vpClient({ callbacks: callbacks(new Keyring(), { trusts: anchors && signedBy(anchors) }) });
  const parsed = client.parseOpenid4vpAuthorizationRequest({ authorizationRequest: uri });
  const resolved = await client.resolveOpenId4vpAuthorizationRequest({ authorizationRequestPayload: parsed.params });
  const { authorizationRequestPayload: request, client: who, transactionData } = resolved;
  return { request, prefix: who.prefix, clientId: who.effective, transactions: transactionData?.length ?? 0 };
}

/** `cards`: [{format, type, credential, key}]. */
export async function present({ uri, anchors, cards, spoil = {} }) {
  const { request, clientId } = await resolve({ uri, anchors });
  const vpToken = await answer(request, clientId, cards, spoil);
  return send(request, { vp_token: vpToken }, spoil);
}

export async function decline({ uri, anchors, error = "access_denied" }) {
  const { request } = await resolve({ uri, anchors });
  return send(request, { error }, {});
}

async function send(request, payload, spoil) {
  const client = new Openid4vpClient({ callbacks: callbacks(new Keyring(), { jweHeader: spoil.jwe }) });
  const asked = { ...request, ...(spoil.state ? { state: spoil.state } : {}) };
  if (spoil.key) asked.client_metadata = { ...request.client_metadata, jwks: { keys: [{ ...request.client_metadata.jwks.keys[0], ...spoil.key }] } };
  if (spoil.plain) return post(request.response_uri, { vp_token: JSON.stringify(payload.vp_token), state: request.state });
  const created = await client.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: asked, authorizationResponsePayload: { ...payload, ...spoil.claims },
    jarm: { encryption: { nonce: spoil.apu ?? "" }, serverMetadata: { ...SERVER, ...spoil.server } },
  });
  if (spoil.fields) return post(request.response_uri, { response: created.jarm.responseJwt, ...spoil.fields });
  const { response } = await client.submitOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: request, authorizationResponsePayload: created.authorizationResponsePayload, jarm: created.jarm,
  });
  return { ...(await said(response)), sent: created.jarm.responseJwt, to: request.response_uri };
}

async function post(uri, fields) {
  return said(await fetch(uri, { method: "POST", body: new URLSearchParams(fields) }));
}

const said = async (response) => ({ status: response.status, type: response.headers.get("content-type"), body: await response.text() });

const typesOf = (query) => query.meta?.vct_values ?? [query.meta?.doctype_value];

async function answer(request, clientId, cards, spoil) {
  const queries = Object.fromEntries(request.dcql_query.credentials.map((query) => [query.id, query]));
  const held = (id) => cards.find((card) => card.format === queries[id].format && typesOf(queries[id]).includes(card.type));
  const sets = (request.dcql_query.credential_sets ?? [{ options: [Object.keys(queries)] }]).filter((set) => set.required !== false);
  const chosen = sets.flatMap((set) => set.options.find((option) => option.every(held)) ?? []);
  if (chosen.length === 0) throw new Error("no card answers this request");
  const token = {};
  for (const id of spoil.both ? Object.keys(queries) : chosen) {
    token[id] = [await (queries[id].format === "mso_mdoc" ? mdoc : sd)(request, clientId, queries[id], held(id), spoil)];
  }
  return token;
}

async function sd(request, clientId, query, card, { nonce, aud, iat, more, holder, transactions }) {
  const frame = {};
  for (const { path } of query.claims ?? []) nest(frame, path);
  for (const name of more ?? []) frame[name] = true;
  const hashes = (request.transaction_data ?? [])
    .filter((text) => JSON.parse(Buffer.from(text, "base64url")).credential_ids.includes(query.id))
    .map((text) => createHash("sha256").update(text).digest("base64url"));
  const kb = { iat: iat ?? Math.floor(Date.now() / 1000), aud: aud ?? clientId, nonce: nonce ?? request.nonce };
  if (hashes.length > 0) Object.assign(kb, { transaction_data_hashes: transactions ?? hashes, transaction_data_hashes_alg: "sha-256" });
  return sdJwt.present({ card: card.credential, frame, holder: holder ?? card.key, kb });
}

function nest(frame, [name, ...rest]) {
  if (rest.length === 0) frame[name] = true;
  else nest((frame[name] = frame[name] === true ? {} : (frame[name] ?? {})), rest);
}

async function mdoc(request, clientId, query, card, { nonce, aud, more, holder, responseUri }) {
  const wanted = {};
  for (const { path } of query.claims ?? []) (wanted[path[0]] ??= []).push(path[1]);
  for (const name of more ?? []) wanted[Object.keys(wanted)[0]].push(name);
  const encryption = request.client_metadata.jwks.keys.find((key) => key.use === "enc" || !key.use);
  const transcript = {
    kind: "openid4vp", clientId: aud ?? clientId, nonce: nonce ?? request.nonce, responseUri: responseUri ?? request.response_uri,
    thumbprint: request.response_mode.endsWith(".jwt") ? await calculateJwkThumbprint(encryption) : undefined,
  };
  return owf.present({ card: card.credential, doctype: card.type, wanted, transcript, holder: holder ?? card.key });
}
