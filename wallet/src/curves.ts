/**
 * The curves a browser verifies on, and the one algorithm of each (RFC 7518 3.4, RFC 9053 2.1, RFC 9864 2.1).
 * Promises: a signature counts only under the algorithm of its key's curve: nothing that came with it chooses. Trusts: WebCrypto.
 * Keeps: nothing. Refuses: Brainpool and Edwards curves, which not every browser has (mapae.formats.curves.NIST has the same three).
 */
import { type Bytes, hex, unb64u } from "./bytes.ts";
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
  /** FIPS 186-5, SP 800-186 3.2.1: y² = x³ - 3x + b modulo p. */
  readonly p: bigint;
  readonly b: bigint;
}

export const P256: Curve = { crv: "P-256", oid: "2a8648ce3d030107", size: 32, hash: "SHA-256", alg: "ES256", labels: [-7, -9], number: 1,
  p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n, b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn };
const P384: Curve = { crv: "P-384", oid: "2b81040022", size: 48, hash: "SHA-384", alg: "ES384", labels: [-35, -51], number: 2,
  p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n, b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn };
const P521: Curve = { crv: "P-521", oid: "2b81040023", size: 66, hash: "SHA-512", alg: "ES512", labels: [-36, -52], number: 3,
  p: 2n ** 521n - 1n, b: 0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n };
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

/** The y of a point by its sign (RFC 9053 7.1.1, SEC 1 2.3.4). Each p leaves 3 when divided by 4; whether there is a root the import tells. */
export function lifted({ p, b, size }: Curve, x: Bytes, odd: boolean): Bytes {
  const at = BigInt(`0x${hex(x) || "0"}`);
  let [root, base] = [1n, (at * at * at - 3n * at + b) % p];
  for (let power = (p + 1n) / 4n; power > 0n; power >>= 1n) {
    if (power & 1n) root = (root * base) % p;
    base = (base * base) % p;
  }
  root = (root + p) % p;
  const y = (root & 1n) === (odd ? 1n : 0n) ? root : p - root;
  return unhex(y.toString(16).padStart(2 * size, "0"));
}

const unhex = (digits: string): Bytes => Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));

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
