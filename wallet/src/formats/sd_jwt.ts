/**
 * SD-JWT VC: check one that arrived, show parts of one.
 * Promises: a checked credential is signed by a trusted issuer, of the type asked for, bound to our key and in date; a presentation
 * holds the asked disclosures and no others. Trusts: @sd-jwt/sd-jwt-vc to put a presentation together. Keeps nothing.
 * Refuses: other types, other keys, untrusted chains.
 */
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { b64u, type Bytes, random, sha256, utf8 } from "../bytes.ts";
import { openByChain } from "../jws.ts";
import { signJwt, thumbprint } from "../keys.ts";
import { Problem } from "../problem.ts";
import type { KeyRow, PublicJwk } from "../store.ts";
import { disclosed } from "./disclosures.ts";
import type { Held } from "./held.ts";

const ENVELOPE = new Set(["iss", "iat", "nbf", "exp", "cnf", "vct", "vct#integrity", "status", "sub", "_sd", "_sd_alg"]);

const hasher = async (data: string | ArrayBuffer, alg: string): Promise<Bytes> => {
  if (alg.toLowerCase() !== "sha-256") throw new Problem("unsupported", "digest algorithm");
  return sha256(typeof data === "string" ? utf8(data) : new Uint8Array(data));
};

/** 1 issuer's chain and signature  2 type  3 disclosures  4 our key  5 in date. */
export async function checkSdJwt(
  raw: string,
  vct: string,
  key: PublicJwk,
  anchors: readonly Bytes[],
  now: number,
): Promise<Held> {
  const jwt = raw.split("~")[0] ?? "";
  const { claims: signed } = await openByChain(jwt, "dc+sd-jwt", anchors, "document", now);
  if (signed["vct"] !== vct) throw new Problem("not_what_was_asked", "another vct");
  const payload = await disclosed(raw, signed);
  const bound = (payload["cnf"] as { jwk?: PublicJwk } | undefined)?.jwk;
  if (!bound || (await thumbprint(bound)) !== (await thumbprint(key))) {
    throw new Problem("bad_holder_proof", "bound to another key");
  }
  if (typeof payload["exp"] !== "number") throw new Problem("not_what_was_asked", "no exp");
  const claims = Object.fromEntries(Object.entries(payload).filter(([name]) => !ENVELOPE.has(name)));
  return { claims, validUntil: payload["exp"], ...statusOf(payload["status"]) };
}

export function statusOf(status: unknown): { status?: { uri: string; idx: number } } {
  const list = (status as { status_list?: { uri?: unknown; idx?: unknown } } | undefined)?.status_list;
  if (!list || typeof list.uri !== "string" || typeof list.idx !== "number") return {};
  return { status: { uri: list.uri, idx: list.idx } };
}

/** The credential with only `names` disclosed, and a key binding JWT over exactly that. */
export async function presentSdJwt(
  raw: string,
  names: readonly string[],
  key: KeyRow,
  audience: string,
  nonce: string,
  now: number,
): Promise<string> {
  const vc = new SDJwtVcInstance({
    hasher,
    hashAlg: "sha-256",
    saltGenerator: (length) => b64u(random(length)),
    kbSignAlg: "ES256",
  });
  const frame = Object.fromEntries(names.map((name) => [name, true]));
  const shown = await vc.present(raw, frame as never);
  const proof = await signJwt(
    key.key,
    { typ: "kb+jwt" },
    { iat: Math.floor(now / 1000), aud: audience, nonce, sd_hash: b64u(await sha256(utf8(shown))) },
  );
  return shown + proof;
}
