/** @sd-jwt/sd-jwt-vc, given node:crypto: 2 to 3 times as fast for it as WebCrypto, its documented way. */
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, verify as check } from "node:crypto";

import { b64u, load } from "./libraries.mjs";

const { SDJwtVcInstance } = load("@sd-jwt/sd-jwt-vc");
const ieee = "ieee-p1363";

export const hasher = (data, alg) => new Uint8Array(createHash(alg.replace("-", "")).update(data).digest());
export const signer = (jwk) => {
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return (data) => b64u(sign("sha256", Buffer.from(data), { key, dsaEncoding: ieee }));
};
export const verifier = (jwk) => {
  const key = createPublicKey({ key: jwk, format: "jwk" });
  return (data, signature) => check("sha256", Buffer.from(data), { key, dsaEncoding: ieee }, Buffer.from(signature, "base64url"));
};

/** The issuer's key is given, so no chain; dates and nonce are checked by the library, the audience and the status by nobody. */
export function verify({ cards, issuerKey, nonce, now, audience, expect }) {
  const instance = new SDJwtVcInstance({
    hasher,
    hashAlg: "sha-256",
    verifier: verifier(issuerKey),
    kbVerifier: (data, signature, payload) => verifier(payload.cnf.jwk)(data, signature),
  });
  let turn = 0;
  return async () => {
    const { payload, kb } = await instance.verify(cards[turn++ % cards.length], { currentDate: now, keyBindingNonce: nonce });
    if (payload.name !== expect || kb.payload.aud !== audience) throw new Error("let something else through");
  };
}

export function issue({ claims, hidden, header, key }) {
  const instance = new SDJwtVcInstance({
    hasher,
    hashAlg: "sha-256",
    saltGenerator: (length) => b64u(randomBytes(length)),
    signAlg: "ES256",
    signer: signer(key),
  });
  return () => instance.issue({ ...claims, ...hidden }, { _sd: Object.keys(hidden) }, { header });
}
