/**
 * The curves a browser verifies on, and the one algorithm of each (RFC 7518 3.4, RFC 9053 2.1, RFC 9864 2.1).
 * Promises: a signature counts only under the algorithm of its key's curve: nothing that came with it chooses. Trusts: WebCrypto.
 * Keeps: nothing. Refuses: Brainpool and Edwards curves, which not every browser has (mapae.formats.curves.NIST has the same three).
 */
import { type Bytes, unb64u } from "./bytes.ts";
import { Problem } from "./problem.ts";

export interface Curve {
  readonly crv: "P-256" | "P-384" | "P-521";
  /** Of a named curve in a certificate, in hexadecimal (RFC 5480 2.1.1.1). */
  readonly oid: string;
  /** Bytes of a coordinate, and of half a signature. */
  readonly size: number;
  readonly hash: "SHA-256" | "SHA-384" | "SHA-512";
  readonly alg: "ES256" | "ES384" | "ES512";
  /** The same in COSE, and by the name that names the curve. */
  readonly labels: readonly number[];
  /** In a COSE key (RFC 9053 7.1). */
  readonly number: number;
}

export const P256: Curve = { crv: "P-256", oid: "2a8648ce3d030107", size: 32, hash: "SHA-256", alg: "ES256", labels: [-7, -9], number: 1 };
const P384: Curve = { crv: "P-384", oid: "2b81040022", size: 48, hash: "SHA-384", alg: "ES384", labels: [-35, -51], number: 2 };
const P521: Curve = { crv: "P-521", oid: "2b81040023", size: 66, hash: "SHA-512", alg: "ES512", labels: [-36, -52], number: 3 };
export const CURVES: readonly Curve[] = [P256, P384, P521];
/** HAIP 1.0 7: what a wallet of this country reads. */
export const USUAL: readonly Curve[] = [P256];

export interface CurveKey {
  readonly curve: Curve;
  readonly key: CryptoKey;
}

/** `said`: the name in the protected header, as JOSE (ES384) or as COSE (-35) has it. A signature of another length fits nothing. */
export async function fits({ curve, key }: CurveKey, said: unknown, signature: Bytes, message: Bytes): Promise<boolean> {
  if (said !== curve.alg && !curve.labels.includes(said as number)) return false;
  return signature.length === 2 * curve.size && crypto.subtle.verify({ name: "ECDSA", hash: curve.hash }, key, signature, message);
}

const malformed = (detail: string): never => {
  throw new Problem("malformed", detail);
};

/** RFC 7518 6.2.1. Throws unsupported (another curve, or for another algorithm), malformed. */
export async function keyOfJwk(jwk: unknown): Promise<CurveKey> {
  if (typeof jwk !== "object" || jwk === null) return malformed("not bound to a key");
  const { kty, crv, x, y, d, alg } = jwk as Record<string, unknown>;
  const curve = CURVES.find((one) => one.crv === crv);
  if (kty !== "EC" || !curve) throw new Problem("unsupported", "not bound to a key on a curve we know");
  if (d !== undefined) return malformed("bound to a private key");
  if (alg !== undefined && alg !== curve.alg && alg !== "ECDH-ES") throw new Problem("unsupported", "bound to a key for another algorithm");
  if (typeof x !== "string" || typeof y !== "string" || [x, y].some((at) => unb64u(at).length !== curve.size)) return malformed("a coordinate of another length");
  try {
    const key = await crypto.subtle.importKey("jwk", { kty, crv: curve.crv, x, y }, { name: "ECDSA", namedCurve: curve.crv }, false, ["verify"]);
    return { curve, key };
  } catch {
    return malformed("not a point on its curve");
  }
}
