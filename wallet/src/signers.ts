/**
 * Certificates the trust log names, and when a signature made with one still counts.
 * Promises: the rule of mapae.trust.signers, held to the same vectors. Trusts: the trust list they came with. Keeps nothing.
 * Refuses: a certificate that was never entered, one entered for another purpose, one out of its time, one revoked. What is signed anew
 * whenever it is asked for ends with its signer. Of a stolen signer no card counts, whatever date it names: the date was written by the
 * stolen key. Of a signer revoked for another reason, cards count that say they were signed before.
 */
import { b64u, type Bytes, sha256 } from "./bytes.ts";
import { Problem } from "./problem.ts";

export interface ListedSigner {
  readonly issuer: string;
  readonly "x5t#S256": string;
  readonly purpose: string;
  readonly from: number;
  readonly until: number;
  readonly revoked_at: number | null;
  readonly since: number | null;
  readonly reason: string | null;
}
/** Null: of a party that enters none in the log. */
export type Entered = readonly ListedSigner[] | null;

/** Seconds the log's clock and ours may differ, for the first moments of a certificate. */
const TOLERANCE = 60;

/** 1 entered, for this purpose  2 in its time  3 not compromised. `leaf` is DER, `now` milliseconds. */
export async function entered(signers: readonly ListedSigner[], leaf: Bytes, purpose: "document_signer" | "status_signer", now: number): Promise<ListedSigner> {
  const hash = b64u(await sha256(leaf));
  const found = signers.find((one) => one["x5t#S256"] === hash);
  if (found?.purpose !== purpose) throw new Problem("signer_revoked", "never entered in the trust log");
  const at = now / 1000;
  if (at + TOLERANCE < found.from) throw new Problem("not_yet_valid", "the trust log lets the signer begin later");
  if (at >= found.until) throw new Problem("expired", "the trust log let the signer end");
  if (found.reason === "compromised") throw new Problem("signer_revoked", "its key was reported stolen");
  return found;
}

/** The same for what is signed anew whenever it is asked for: any revocation ends it. */
export async function standing(signers: readonly ListedSigner[], leaf: Bytes, purpose: "document_signer" | "status_signer", now: number): Promise<void> {
  const found = await entered(signers, leaf, purpose, now);
  if (found.revoked_at !== null) throw new Problem("signer_revoked", "revoked");
}

/** A card of a signer revoked for another reason than theft: by the date it names, in seconds. */
export function mustBeSignedBeforeItsEnd({ since }: ListedSigner, signed: number | null): void {
  if (since === null) return;
  if (signed === null || signed >= since) throw new Problem("signer_revoked", "signed after its certificate was revoked");
}

export function parseSigners(raw: unknown): ListedSigner[] {
  if (raw === undefined) return []; // a list from before the log
  if (!Array.isArray(raw)) throw new Problem("untrusted_list", "signers");
  return raw.map((one: Record<string, unknown>): ListedSigner => {
    const optional = (name: string): unknown => one[name] ?? null;
    const said = { ...one, revoked_at: optional("revoked_at"), since: optional("since"), reason: optional("reason") } as unknown as ListedSigner;
    const texts = [said.issuer, said["x5t#S256"], said.purpose].every((value) => typeof value === "string");
    const revoked = [said.revoked_at, said.since, said.reason].filter((value) => value !== null).length;
    if (!texts || typeof said.from !== "number" || typeof said.until !== "number" || ![0, 3].includes(revoked)) throw new Problem("untrusted_list", "a signer");
    return said;
  });
}
