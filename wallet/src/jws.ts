/**
 * Signed tokens from others.
 * Promises: what comes out was signed with ES256 by the key named. Trusts: jose. Keeps: nothing.
 * Refuses: any other algorithm, another `typ`, an `exp` that has passed, an `iat` in the future.
 */
import { compactVerify, decodeProtectedHeader, importJWK } from "jose";
import { type Bytes, text, unb64 } from "./bytes.ts";
import { Problem } from "./problem.ts";
import type { PublicJwk } from "./store.ts";
import { checkChain, publicKey } from "./x509.ts";

export const SKEW_S = 60;
export type Claims = Record<string, unknown>;

export interface Opened {
  readonly header: Claims;
  readonly claims: Claims;
  /** The signing certificate, when the token was opened by its chain. */
  readonly leaf?: Bytes;
}

function header(jwt: string): Claims {
  try {
    return decodeProtectedHeader(jwt) as Claims;
  } catch {
    throw new Problem("malformed", "not a signed token");
  }
}

async function open(jwt: string, typ: string, key: CryptoKey, now: number): Promise<Opened> {
  const head = header(jwt);
  if (head["typ"] !== typ) throw new Problem("malformed", `typ is not ${typ}`);
  let payload: Uint8Array;
  try {
    payload = (await compactVerify(jwt, key, { algorithms: ["ES256"] })).payload;
  } catch {
    throw new Problem("bad_signature", typ);
  }
  const claims = JSON.parse(text(payload)) as Claims;
  const seconds = now / 1000;
  if (typeof claims["exp"] === "number" && claims["exp"] <= seconds - SKEW_S) throw new Problem("expired", typ);
  if (typeof claims["nbf"] === "number" && claims["nbf"] > seconds + SKEW_S) throw new Problem("not_yet_valid", typ);
  if (typeof claims["iat"] === "number" && claims["iat"] > seconds + SKEW_S) throw new Problem("not_yet_valid", typ);
  return { header: head, claims };
}

export async function openByKey(jwt: string, typ: string, jwk: PublicJwk, now: number): Promise<Opened> {
  const key = await importJWK({ ...jwk, alg: "ES256" }, "ES256");
  return open(jwt, typ, key as CryptoKey, now);
}

/** `x5c` chain to one of the anchors, then the signature by the leaf. */
export async function openByChain(jwt: string, typ: string, anchors: readonly Bytes[], now: number): Promise<Opened> {
  const x5c = header(jwt)["x5c"];
  if (!Array.isArray(x5c) || !x5c.every((item) => typeof item === "string")) {
    throw new Problem("bad_certificate", "no certificate chain");
  }
  const leaf = await checkChain(x5c.map(unb64), anchors, new Date(now));
  return { ...(await open(jwt, typ, await publicKey(leaf), now)), leaf: leaf.der };
}
