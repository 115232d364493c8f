/** The callbacks @openid4vc asks its host for, by `jose`: one keyring signs whatever public key the library names. */
import { createHash, randomBytes, X509Certificate } from "node:crypto";
import { calculateJwkThumbprint, CompactEncrypt, compactDecrypt, compactVerify, decodeProtectedHeader, importJWK, SignJWT } from "jose";

const publicOf = ({ d, ...rest }) => rest;
const der = (x5c) => new X509Certificate(Buffer.from(x5c, "base64"));

export class Keyring {
  #keys = new Map();

  constructor(...privateJwks) {
    this.ready = Promise.all(privateJwks.map((jwk) => this.add(jwk)));
  }

  async add(jwk) {
    this.#keys.set(await calculateJwkThumbprint(jwk), jwk);
    return publicOf(jwk);
  }

  async private(publicJwk) {
    await this.ready;
    const found = this.#keys.get(await calculateJwkThumbprint(publicJwk));
    if (!found) throw new Error("no private key for this public key");
    return found;
  }

  all() {
    return [...this.#keys.values()];
  }
}

const jwkOf = (signer) => {
  if (signer.method === "jwk") return signer.publicJwk;
  if (signer.method === "x5c") return der(signer.x5c[0]).publicKey.export({ format: "jwk" });
  throw new Error(`a signer by ${signer.method}`);
};

/** `trusts(x5c)`: whether a chain counts; without it every chain does, and only signatures are looked at. */
export function callbacks(keyring, { clientAuthentication, trusts, jweHeader, fetch = globalThis.fetch } = {}) {
  return {
    fetch,
    hash: (data, alg) => new Uint8Array(createHash(alg.replace("-", "").toLowerCase()).update(data).digest()),
    generateRandom: (length) => new Uint8Array(randomBytes(length)),
    clientAuthentication: clientAuthentication ?? (() => {}),
    signJwt: async (signer, { header, payload }) => {
      const jwk = jwkOf(signer);
      const key = await importJWK(await keyring.private(jwk), signer.alg);
      return { jwt: await new SignJWT(payload).setProtectedHeader(header).sign(key), signerJwk: jwk };
    },
    verifyJwt: async (signer, { compact }) => {
      const jwk = jwkOf(signer);
      if (signer.method === "x5c" && trusts && !trusts(signer.x5c)) return { verified: false };
      try {
        await compactVerify(compact, await importJWK(jwk, signer.alg), { algorithms: ["ES256"] });
        return { verified: true, signerJwk: jwk };
      } catch {
        return { verified: false };
      }
    },
    encryptJwe: async ({ publicJwk, alg, enc, apu, apv }, data) => {
      const header = { alg, enc, kid: publicJwk.kid, ...jweHeader };
      const jwe = new CompactEncrypt(Buffer.from(data)).setProtectedHeader(header);
      if (apu || apv) jwe.setKeyManagementParameters({ apu: apu && Buffer.from(apu, "base64url"), apv: apv && Buffer.from(apv, "base64url") });
      return { encryptionJwk: publicJwk, jwe: await jwe.encrypt(await importJWK(publicJwk, alg)) };
    },
    decryptJwe: async (jwe, options) => {
      const { kid, alg } = decodeProtectedHeader(jwe);
      const jwk = options?.jwk ? await keyring.private(options.jwk) : keyring.all().find((one) => one.kid === kid);
      if (!jwk) return { decrypted: false };
      try {
        const { plaintext } = await compactDecrypt(jwe, await importJWK(jwk, alg));
        return { decrypted: true, decryptionJwk: publicOf(jwk), payload: Buffer.from(plaintext).toString() };
      } catch {
        return { decrypted: false };
      }
    },
    getX509CertificateMetadata: (x5c) => {
      const names = (der(x5c).subjectAltName ?? "").split(", ");
      const of = (kind) => names.filter((name) => name.startsWith(`${kind}:`)).map((name) => name.slice(kind.length + 1));
      return { sanDnsNames: of("DNS"), sanUriNames: of("URI") };
    },
  };
}

/** Whether a chain without its anchor (HAIP 1.0 section 6.1.1) was signed by one of these anchors. */
export function signedBy(anchors) {
  const roots = anchors.map((text) => new X509Certificate(Buffer.from(text, "base64url")));
  return (x5c) => {
    const chain = x5c.map(der);
    const linked = chain.every((one, at) => at + 1 === chain.length || one.verify(chain[at + 1].publicKey));
    return linked && roots.some((root) => chain.at(-1).verify(root.publicKey));
  };
}

