/**
 * A credential offer and what it asks of the holder (OpenID4VCI 1.0 section 4.1), and what an issuance waits for.
 * Promises: what comes out has the shape of the text. Trusts nothing in the offer. Keeps nothing.
 * Refuses: an offer of nothing, of the same thing twice, with members of the wrong kind.
 */
import type { Format } from "./formats/held.ts";
import { strictJson } from "./json.ts";
import type { Look } from "./look.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import type { Pending } from "./records.ts";
import type { Words } from "./trust.ts";
import type { Signer } from "./x509.ts";

export const PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code";

export interface CredentialOffer {
  readonly credential_issuer: string;
  readonly credential_configuration_ids: readonly string[];
  readonly grants: Grants;
}
interface Grants {
  readonly authorization_code?: { readonly issuer_state?: string; readonly authorization_server?: string };
  readonly [PRE_AUTHORIZED]?: {
    readonly "pre-authorized_code": string;
    readonly authorization_server?: string;
    readonly tx_code?: Readonly<Record<string, unknown>>;
  };
}

/** The text of a link (links.ts), by value or by reference. */
export async function readOffer(text: string, net: Net): Promise<CredentialOffer> {
  const query = new URLSearchParams(text.slice(text.indexOf("?") + 1));
  const reference = query.get("credential_offer_uri");
  return parseOffer(strictJson(reference === null ? (query.get("credential_offer") ?? "") : await net.text(reference, "application/json")));
}

/** Of an offer of the issuer of our own base address: the id its reference ends in. Others have no such doors. */
export function subjectOf(text: string, base: string): string | null {
  const reference = new URLSearchParams(text.slice(text.indexOf("?") + 1)).get("credential_offer_uri");
  const home = `${base}/issuer/offers/`;
  const id = reference?.startsWith(home) ? reference.slice(home.length) : "";
  return /^[A-Za-z0-9_-]{1,128}$/.test(id) ? `offer:${id}` : null;
}

function parseOffer(said: Record<string, unknown>): CredentialOffer {
  const { credential_issuer: issuer, credential_configuration_ids: ids, grants = {} } = said;
  const bad = (detail: string): never => {
    throw new Problem("bad_link", detail);
  };
  const object = (value: unknown): Record<string, unknown> | undefined => {
    if (value !== undefined && (typeof value !== "object" || value === null || Array.isArray(value))) bad("a grant of the wrong kind");
    return value as Record<string, unknown> | undefined;
  };
  const words = (grant: Record<string, unknown> | undefined, ...names: string[]): void => {
    if (grant && names.some((name) => grant[name] !== undefined && typeof grant[name] !== "string")) bad("a grant of the wrong kind");
  };
  if (typeof issuer !== "string") return bad("no credential_issuer");
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > 16 || !ids.every((id) => typeof id === "string")) return bad("no credential_configuration_ids");
  if (new Set(ids).size !== ids.length) bad("the same configuration twice");
  const given = object(grants) ?? {};
  const [code, pre] = [object(given["authorization_code"]), object(given[PRE_AUTHORIZED])];
  words(code, "issuer_state", "authorization_server");
  words(pre, "authorization_server");
  if (pre && typeof pre["pre-authorized_code"] !== "string") bad("no pre-authorized_code");
  object(pre?.["tx_code"]);
  return { credential_issuer: issuer, credential_configuration_ids: ids as string[], grants: given as Grants };
}

/** What the holder has to type besides scanning (OpenID4VCI 1.0 section 4.1.1). */
export interface TxCode {
  readonly numeric: boolean;
  readonly length: number | null;
  readonly description: string;
}
export interface Offered {
  readonly offer: CredentialOffer;
  readonly issuer: Words;
  readonly host: string;
  /** Set when the issuer is on no list: whose certificate signed its metadata, if any did. */
  readonly stranger: { readonly signer: Signer | null } | null;
  readonly look: Look;
  readonly formats: readonly Format[];
  readonly labels: readonly Words[];
  readonly copies: number;
  readonly txCode: TxCode | null;
  /** Where the holder will sign in, for the authorization code flow. */
  readonly signInHost: string | null;
  /** What our own issuer's doors for identity proofing call it. */
  readonly subject: string | null;
}

/** What an issuance waits for that the wallet cannot bring about by itself: the holder, or the hour. */
export function waitsFor(pending: Pending, now: number): "sign_in" | "tx_code" | "issuer" | null {
  if (pending.failed || pending.access || pending.refresh) return !pending.failed && deferredUntil(pending) > now ? "issuer" : null;
  if (pending.grant === "code") return pending.code ? null : "sign_in";
  return txCodeOf(pending.offer) && !pending.txCode ? "tx_code" : null;
}

/** When the issuer may be asked again for what it put off; 0 when nothing is. */
export function deferredUntil({ deferred, stored }: Pending): number {
  const next = Object.entries(deferred ?? {}).filter(([id]) => !stored.includes(id)).map(([, one]) => one.next);
  return next.length > 0 ? Math.min(...next) : 0;
}

/** By its code, which is for one issuance only; else member by member. */
export function sameOffer(one: CredentialOffer, other: CredentialOffer): boolean {
  const code = (offer: CredentialOffer): string => offer.grants[PRE_AUTHORIZED]?.["pre-authorized_code"] ?? JSON.stringify(offer);
  return code(one) === code(other);
}

export function serverOf({ grants }: CredentialOffer): string | null {
  const { [PRE_AUTHORIZED]: pre, authorization_code: code } = grants;
  return (pre ?? code)?.authorization_server ?? null;
}

export function txCodeOf(offer: CredentialOffer | null | undefined): TxCode | null {
  const asked = offer?.grants[PRE_AUTHORIZED]?.tx_code;
  if (!asked) return null;
  const { input_mode: mode, length, description } = asked;
  return {
    numeric: mode !== "text",
    length: typeof length === "number" && length > 0 && length <= 64 ? length : null,
    description: typeof description === "string" ? description.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ").slice(0, 300) : "",
  };
}
