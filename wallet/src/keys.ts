/**
 * Signing keys that never leave the phone.
 * Promises: ES256 over WebCrypto keys made non-extractable; nothing here can read a private key back.
 * Trusts: WebCrypto. Keeps: nothing (the store keeps the handles). Refuses: other curves and algorithms.
 */
import { CompactSign, calculateJwkThumbprint } from "jose";
import { type Bytes, token, utf8 } from "./bytes.ts";
import type { KeyRow, PublicJwk, Store } from "./store.ts";

export async function makeKey(owner: string, id: string = token()): Promise<KeyRow> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
  const { x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  return { id, owner, key: pair.privateKey, jwk: { kty: "EC", crv: "P-256", x: x ?? "", y: y ?? "" } };
}

/** The key with this id, made at the first call. Two tabs that race end with the same key. */
export async function keepKey(store: Store, owner: string, id: string): Promise<KeyRow> {
  const known = await store.key(id);
  if (known) return known;
  const fresh = await makeKey(owner, id);
  return store.write(async (tx) => {
    const first = await tx.objectStore("keys").get(id);
    if (first) return first;
    await tx.objectStore("keys").put(fresh);
    return fresh;
  });
}

export async function signBytes(key: CryptoKey, message: Uint8Array): Promise<Bytes> {
  const signed = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, message as Bytes);
  return new Uint8Array(signed);
}

export function signJwt(key: CryptoKey, header: Record<string, unknown>, claims: Record<string, unknown>): Promise<string> {
  return new CompactSign(utf8(JSON.stringify(claims))).setProtectedHeader({ ...header, alg: "ES256" }).sign(key);
}

export const thumbprint = (jwk: PublicJwk): Promise<string> => calculateJwkThumbprint(jwk, "sha256");
