/**
 * SD-JWT VC: check one that arrived, show parts of one.
 * Promises: a checked credential is signed by a trusted issuer (or, asked for, by a stranger whose chain holds together), of the type
 * asked for, bound to our key and in date; a presentation holds the disclosures of what was asked and no others, and `openIn` says what
 * its issuer left open besides.
 * Keeps nothing. Refuses: other types, other keys, untrusted chains.
 */
import { b64u, type Bytes, sha256, text, unb64u, utf8 } from "../bytes.ts";
import type { Open, Path } from "../dcql.ts";
import { strictJson } from "../json.ts";
import { type Claims, openByChain, openByStranger } from "../jws.ts";
import { signJwt, thumbprint } from "../keys.ts";
import { Problem } from "../problem.ts";
import type { KeyRow, PublicJwk } from "../store.ts";
import { signerOf } from "../x509.ts";
import { childrenOf, disclosed, disclosuresFor } from "./disclosures.ts";
import type { Held } from "./held.ts";

/** Of the card itself. `sub` is not: it names the holder. */
const ENVELOPE: ReadonlySet<string | number> = new Set(["iss", "iat", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status", "_sd", "_sd_alg"]);

/** 1 issuer's chain and signature  2 type  3 disclosures  4 our key  5 in date. `trusted` null: the issuer is a stranger. */
export async function checkSdJwt(
  raw: string,
  vct: string,
  key: PublicJwk,
  trusted: readonly Bytes[] | null,
  now: number,
): Promise<Held> {
  const jwt = raw.split("~")[0] ?? "";
  const opened = await (trusted ? openByChain(jwt, "dc+sd-jwt", trusted, "document", now) : openByStranger(jwt, "dc+sd-jwt", now));
  if (opened.claims["vct"] !== vct) throw new Problem("not_what_was_asked", "another vct");
  const payload = await disclosed(raw, opened.claims);
  const bound = (payload["cnf"] as { jwk?: PublicJwk } | undefined)?.jwk;
  if (!bound || (await thumbprint(bound)) !== (await thumbprint(key))) {
    throw new Problem("bad_holder_proof", "bound to another key");
  }
  const { exp, iat } = payload;
  if (trusted && typeof exp !== "number") throw new Problem("not_what_was_asked", "no exp");
  return {
    claims: ofTheHolder(payload),
    open: await openIn(raw),
    // HAIP 1.0 6.1 leaves exp to a foreign issuer; its signer's certificate bounds it then.
    validUntil: typeof exp === "number" ? exp : Math.floor(opened.leaf.notAfter.getTime() / 1000),
    signer: signerOf(opened.chain),
    leaf: opened.leaf.der,
    signed: typeof iat === "number" ? iat : null,
    ...statusOf(payload["status"]),
  };
}

const ofTheHolder = (payload: Claims): Claims => Object.fromEntries(Object.entries(payload).filter(([name]) => !ENVELOPE.has(name)));

/** What a copy that was checked when it arrived says. */
export const claimsIn = async (raw: string): Promise<Claims> => ofTheHolder(await disclosed(raw, signedIn(raw)));

export function statusOf(status: unknown): { status?: { uri: string; idx: number } } {
  const list = (status as { status_list?: { uri?: unknown; idx?: unknown } } | undefined)?.status_list;
  if (!list || typeof list.uri !== "string" || typeof list.idx !== "number") return {};
  return { status: { uri: list.uri, idx: list.idx } };
}

/** What the issuer left open, in the whole or inside of something hidden, each of it once; sorted, so that copies can be compared. */
export async function openIn(raw: string): Promise<Open[]> {
  const children = await childrenOf(raw);
  const hides = (node: unknown): boolean => children(node).some(({ by, inner }) => by !== undefined || hides(inner));
  const open: Open[] = [];
  const walk = (node: unknown, path: Path, under: number): void => {
    for (const { at, inner, by } of children(node)) {
      if (path.length === 0 && ENVELOPE.has(at)) continue;
      const here = [...path, at];
      const divided = typeof inner === "object" && inner !== null && (!Array.isArray(inner) || hides(inner));
      if (by !== undefined || divided) walk(inner, here, by === undefined ? under : here.length);
      else open.push({ path: here, under });
    }
  };
  walk(signedIn(raw), [], 0);
  return open.map((one) => [JSON.stringify(one.path), one] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

function signedIn(raw: string): Claims {
  return strictJson(text(unb64u((raw.split("~")[0] ?? "").split(".")[1] ?? "")));
}

/** What the holder's signature is to cover. */
export interface KeyBinding {
  readonly audience: string;
  readonly nonce: string;
  /** Further members: the hashes of transaction data (OpenID4VP 1.0 B.3.3.1). */
  readonly more: Readonly<Record<string, unknown>>;
}

/** The credential with what the paths point at disclosed, and a key binding JWT over exactly that (RFC 9901 section 4.3). */
export async function presentSdJwt(raw: string, paths: readonly Path[], key: KeyRow, binding: KeyBinding, now: number): Promise<string> {
  const jwt = raw.split("~")[0] ?? "";
  const shown = [jwt, ...(await disclosuresFor(raw, signedIn(raw), paths)), ""].join("~");
  const { audience: aud, nonce, more } = binding;
  const claims = { iat: Math.floor(now / 1000), aud, nonce, sd_hash: b64u(await sha256(utf8(shown))), ...more };
  return shown + (await signJwt(key.key, { typ: "kb+jwt" }, claims));
}
