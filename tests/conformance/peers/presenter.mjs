/**
 * A wallet's showing side of @openid4vc/openid4vp, with cards held for it: the first option of a DCQL query it can answer,
 * by @sd-jwt/sd-jwt-vc and @owf/mdoc. `spoil` names what to answer otherwise.
 */
import { Openid4vpClient } from "@openid4vc/openid4vp";
import { calculateJwkThumbprint } from "jose";

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
  const client = new Openid4vpClient({ callbacks: callbacks(new Keyring()) });
  const asked = spoil.state ? { ...request, state: spoil.state } : request;
  const created = await client.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: asked, authorizationResponsePayload: payload,
    jarm: payload.error || spoil.plain ? undefined : { encryption: { nonce: spoil.apu ?? "" }, serverMetadata: { ...SERVER, ...spoil.server } },
  });
  const { response } = await client.submitOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: request, authorizationResponsePayload: created.authorizationResponsePayload, jarm: created.jarm,
  });
  return { status: response.status, type: response.headers.get("content-type"), body: await response.text() };
}

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

async function sd(request, clientId, query, card, { nonce, aud, iat, more, holder }) {
  const frame = {};
  for (const { path } of query.claims ?? []) nest(frame, path);
  for (const name of more ?? []) frame[name] = true;
  const kb = { iat: iat ?? Math.floor(Date.now() / 1000), aud: aud ?? clientId, nonce: nonce ?? request.nonce };
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
