/**
 * A credential offer and what it asks of the holder (OpenID4VCI 1.0 section 4.1), and what an issuance waits for.
 * Promises: pure. Trusts nothing in the offer. Keeps nothing. Refuses nothing: the libraries parsed it.
 */
import type { CredentialOfferObject } from "@openid4vc/openid4vci";
import type { Format, Signer } from "./formats/held.ts";
import type { Look } from "./look.ts";
import type { Pending } from "./records.ts";
import type { Words } from "./trust.ts";

/** What the holder has to type besides scanning (OpenID4VCI 1.0 section 4.1.1). */
export interface TxCode {
  readonly numeric: boolean;
  readonly length: number | null;
  readonly description: string;
}
export interface Offered {
  readonly offer: CredentialOfferObject;
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

const PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
interface Grants {
  readonly authorization_code?: { readonly authorization_server?: string };
  readonly [PRE_AUTHORIZED]?: { readonly "pre-authorized_code"?: string; readonly authorization_server?: string; readonly tx_code?: Record<string, unknown> };
}
const grantsOf = (offer: unknown): Grants => (offer as { grants?: Grants } | null)?.grants ?? {};

/** By its code, which is for one issuance only; else member by member. */
export function sameOffer(one: unknown, other: unknown): boolean {
  const code = (offer: unknown): string => grantsOf(offer)[PRE_AUTHORIZED]?.["pre-authorized_code"] ?? JSON.stringify(offer);
  return code(one) === code(other);
}

export function serverOf(offer: unknown): string | null {
  const { [PRE_AUTHORIZED]: pre, authorization_code: code } = grantsOf(offer);
  return (pre ?? code)?.authorization_server ?? null;
}

export function txCodeOf(offer: unknown): TxCode | null {
  const asked = grantsOf(offer)[PRE_AUTHORIZED]?.tx_code;
  if (!asked) return null;
  const { input_mode: mode, length, description } = asked;
  return {
    numeric: mode !== "text",
    length: typeof length === "number" && length > 0 && length <= 64 ? length : null,
    description: typeof description === "string" ? description.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ").slice(0, 300) : "",
  };
}
