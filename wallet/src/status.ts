/**
 * How a copy stands now, by the issuer's Token Status List.
 * Promises: the list was signed by a trusted issuer for the address the copy names. The whole list is fetched, so nobody learns which
 * copy was asked about. Trusts: the trust list. Keeps nothing (the wallet keeps the last answer). Refuses: an index out of bounds.
 */
import { type Bytes, unb64u } from "./bytes.ts";
import { inflated } from "./inflate.ts";
import { type Claims, openByChain, openByStranger } from "./jws.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import { type Entered, standing } from "./signers.ts";
import { sameSigner, type Signer, signerOf } from "./x509.ts";

const TYPE = "application/statuslist+jwt";
export type Standing = "valid" | "revoked" | "suspended" | "renew";

/** Who may sign the list: a listed issuer by its authority, a stranger by the key of its card, or by the key that signed it before. */
export type Signers =
  | { readonly prefix: string; readonly anchors: readonly Bytes[]; readonly entered: Entered }
  | { readonly card: readonly Signer[]; readonly before: Signer | null };

export async function standingOf(status: { uri: string; idx: number }, by: Signers, net: Net, now: number): Promise<{ standing: Standing; signer: Signer }> {
  if ("prefix" in by && !status.uri.startsWith(by.prefix)) throw new Problem("status_unknown", "not this issuer's list");
  const raw = await net.text(status.uri, TYPE);
  const { claims, chain, leaf } = await ("prefix" in by ? openByChain(raw, "statuslist+jwt", by.anchors, "status", now) : openByStranger(raw, "statuslist+jwt", now));
  if ("prefix" in by && by.entered) await standing(by.entered, leaf.der, "status_signer", now);
  const signer = signerOf(chain);
  if ("card" in by && !mayPublish(by, signer)) throw new Problem("status_unknown", "another's list");
  const value = (await readList(claims, status.uri))(status.idx);
  return { standing: (["valid", "revoked", "suspended", "renew"] as const)[value] ?? "revoked", signer };
}

/** Chains of a leaf alone show no key of their authority. Then the first list is taken by its name, and its key holds for the next. */
function mayPublish({ card, before }: Extract<Signers, { card: unknown }>, signer: Signer): boolean {
  if (card.some(({ key }) => key !== undefined && key === signer.key)) return true;
  if (before) return sameSigner(before, signer);
  return card.some(({ key, alone = false, certifiedBy }) => (key === undefined || (alone && signer.alone)) && certifiedBy === signer.certifiedBy);
}

const LARGEST = 1 << 22;

/**
 * The list inside a checked token (draft-21 sections 4.1, 4.2, 5.1, 8.3), as a function of the index. Unpacked by the browser itself and
 * no further than the largest list of ours, so that a small answer cannot fill the phone.
 */
export async function readList(claims: Claims, uri: string): Promise<(index: number) => number> {
  if (claims["sub"] !== uri) throw new Problem("status_unknown", "another list");
  if (typeof claims["iat"] !== "number") throw new Problem("status_unknown", "no iat");
  const { bits, lst } = (claims["status_list"] ?? {}) as { bits?: unknown; lst?: unknown };
  if (typeof bits !== "number" || ![1, 2, 4, 8].includes(bits) || typeof lst !== "string") throw new Problem("status_unknown", "not a list");
  const bytes = await unpack(unb64u(lst));
  const each = 8 / bits;
  return (index) => {
    const byte = Number.isSafeInteger(index) && index >= 0 ? bytes[Math.floor(index / each)] : undefined;
    if (byte === undefined) throw new Problem("status_unknown", "index out of bounds");
    return (byte >> ((index % each) * bits)) & (2 ** bits - 1);
  };
}

async function unpack(packed: Bytes): Promise<Bytes> {
  try {
    return await inflated(packed, "deflate", LARGEST);
  } catch (thrown) {
    throw thrown instanceof Problem ? thrown : new Problem("status_unknown", "not compressed as it should be");
  }
}
