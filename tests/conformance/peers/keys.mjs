/** The cryptography the libraries ask their host for, by node's own. */
import { createHash, createPrivateKey, createPublicKey, hkdfSync, createHmac, diffieHellman, randomBytes, sign, verify } from "node:crypto";

export const b64u = (bytes) => Buffer.from(bytes).toString("base64url");
export const unb64u = (text) => new Uint8Array(Buffer.from(text, "base64url"));
export const random = (length) => new Uint8Array(randomBytes(length));

const HASH = { ES256: "sha256", ES384: "sha384", ES512: "sha512" };

export function signer(jwk, alg = "ES256") {
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return (data) => b64u(sign(HASH[alg], Buffer.from(data), { key, dsaEncoding: "ieee-p1363" }));
}

export function verifier(jwk, alg = "ES256") {
  const key = createPublicKey({ key: jwk, format: "jwk" });
  return (data, signature) =>
    verify(HASH[alg], Buffer.from(data), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));
}

export function hasher(data, alg) {
  return new Uint8Array(createHash(alg.replace("-", "")).update(Buffer.from(data)).digest());
}

/** ISO/IEC 18013-5 9.1.3.5: the key of a device MAC. */
export function macKey({ privateJwk, publicJwk, transcriptBytes, info }) {
  const shared = diffieHellman({
    privateKey: createPrivateKey({ key: privateJwk, format: "jwk" }),
    publicKey: createPublicKey({ key: publicJwk, format: "jwk" }),
  });
  const salt = createHash("sha256").update(transcriptBytes).digest();
  return new Uint8Array(hkdfSync("sha256", shared, salt, Buffer.from(info), 32));
}

export const hmac = (key, data) => new Uint8Array(createHmac("sha256", key).update(data).digest());
