/** @sd-jwt/sd-jwt-vc: issue, present, verify; and what only a bad issuer or holder would make with the same classes. */
import { Jwt, KBJwt } from "@sd-jwt/core";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";

import { b64u, hasher, random, signer, verifier } from "./keys.mjs";

const none = () => "AA"; // the library will not write an empty signature

function instance({ key, holder, issuerKey, alg = "ES256", kbAlg = "ES256" }) {
  return new SDJwtVcInstance({
    hasher,
    hashAlg: "sha-256",
    saltGenerator: (length) => b64u(random(length)),
    signAlg: alg,
    signer: key && (alg === "none" ? none : signer(key, alg)),
    verifier: issuerKey && verifier(issuerKey),
    kbSignAlg: kbAlg,
    kbSigner: holder && signer(holder, kbAlg),
    kbVerifier: (data, signature, payload) => verifier(payload.cnf.jwk)(data, signature),
  });
}

export function issue({ claims, frame, header, key, alg }) {
  return instance({ key, alg }).issue(claims, frame, { header });
}

export function present({ card, frame, holder, kb, kbAlg }) {
  return instance({ holder, kbAlg }).present(card, frame, kb && { kb: { payload: kb } });
}

/** A key binding with exactly these claims and header, appended to what is shown. */
export async function bind({ shown, holder, header, payload, alg = "ES256" }) {
  const jwt = new KBJwt({ header: { typ: "kb+jwt", alg, ...header }, payload });
  return shown + (await jwt.sign(alg === "none" ? none : signer(holder, alg)));
}

/** The reference token's own signature again, over a payload that was changed by `change`: what an issuer's bug would make. */
export async function reissue({ card, change, header = {}, key }) {
  const [jwt, ...rest] = card.split("~");
  const [head, body] = jwt.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url").toString()));
  const made = new Jwt({ header: { ...head, ...header }, payload: { ...body, ...change } });
  return [await made.sign(signer(key)), ...rest].join("~");
}

export const hash = ({ text }) => b64u(hasher(text, "sha-256"));

/** `statusToken` is what the status list's address answers, `statusKey` whose word it is. */
export async function verify({ card, issuerKey, nonce, now, required, statusToken, statusKey }) {
  const options = { currentDate: now, keyBindingNonce: nonce, requiredClaimKeys: required, skewSeconds: 60 };
  const sdjwt = instance({ issuerKey });
  sdjwt.config({ statusListFetcher: async () => statusToken, statusVerifier: statusKey && verifier(statusKey) });
  const { payload, header, kb } = await sdjwt.verify(card, options);
  return { payload, header, kb: kb?.payload ?? null };
}
