/**
 * Signed tokens from others.
 * Promises: what comes out was signed with ES256 by the key named. Trusts: jose. Keeps: nothing.
 * Refuses: any other algorithm, another `typ`, an `exp` that has passed, an `iat` in the future, JSON with two readings.
 */
import { compactVerify, importJWK } from "jose";
import { type Bytes, text, unb64, unb64u } from "./bytes.ts";
import { strictJson } from "./json.ts";
import { Problem } from "./problem.ts";
import type { PublicJwk } from "./store.ts";
import { type Certificate, checkChain, checkStrangersChain, publicKey, type Purpose } from "./x509.ts";

export const SKEW_S = 60;
export type Claims = Record<string, unknown>;

export interface Opened {
  readonly header: Claims;
  readonly claims: Claims;
}
/** Opened by its chain: with the signer's certificate, and the chain as it came. */
export interface OpenedByChain extends Opened {
  readonly leaf: Certificate;
  readonly chain: readonly Bytes[];
}

function header(jwt: string): Claims {
  const parts = jwt.split(".").map(unb64u); // jose would take spare bits and padding
  if (parts.length !== 3) throw new Problem("malformed", "not a signed token");
  const head = strictJson(words(parts[0] ?? new Uint8Array()));
  // RFC 7515 4.1.11 and RFC 7797: we know no extension, and a payload that is not encoded is one.
  if ("crit" in head || "b64" in head) throw new Problem("unsupported", "an extension");
  return head;
}

function words(bytes: Uint8Array): string {
  try {
    return text(bytes);
  } catch {
    throw new Problem("malformed", "not UTF-8");
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
  const claims = strictJson(words(payload));
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
export function openByChain(jwt: string, typ: string, anchors: readonly Bytes[], purpose: Purpose, now: number): Promise<OpenedByChain> {
  return byChain(jwt, typ, now, (chain) => checkChain(chain, anchors, purpose, new Date(now)));
}

/** The same from somebody on no list: the chain holds together, and no more. */
export function openByStranger(jwt: string, typ: string, now: number): Promise<OpenedByChain> {
  return byChain(jwt, typ, now, (chain) => checkStrangersChain(chain, new Date(now)));
}

async function byChain(jwt: string, typ: string, now: number, check: (chain: readonly Bytes[]) => Promise<Certificate>): Promise<OpenedByChain> {
  const x5c = header(jwt)["x5c"];
  if (!Array.isArray(x5c) || !x5c.every((item) => typeof item === "string")) {
    throw new Problem("bad_certificate", "no certificate chain");
  }
  const chain = x5c.map(unb64);
  const leaf = await check(chain);
  return { ...(await open(jwt, typ, await publicKey(leaf), now)), leaf, chain };
}
