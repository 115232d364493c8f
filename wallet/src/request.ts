/**
 * A presentation request (OpenID4VP 1.0, HAIP 1.0): fetched, verified, understood.
 * Promises: what reaches the consent screen was signed by a relying party on the trust list, for a purpose it is registered for,
 * and asks no item beyond that purpose. Trusts: the trust list. Keeps nothing.
 * Refuses: unsigned, expired, wrong audience, unknown party, over-asking, anything but an encrypted direct_post answer.
 */
import { b64u, type Bytes, random, sha256 } from "./bytes.ts";
import { choose, everyName, type Holding, parseQuery, type Pick } from "./dcql.ts";
import { type Claims, openByChain } from "./jws.ts";
import { allowedUrl, type Link } from "./links.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import { anchors, partyOf, type Purpose, type RelyingParty, type TrustList } from "./trust.ts";

export interface EncryptTo {
  readonly jwk: Record<string, unknown>;
  readonly enc: "A256GCM" | "A128GCM";
}
export interface Asked {
  readonly clientId: string;
  readonly nonce: string;
  readonly state: string | null;
  readonly responseUri: string;
  readonly encryptTo: EncryptTo;
  readonly party: RelyingParty;
  readonly purpose: Purpose;
  readonly expires: number | null;
  readonly query: ReturnType<typeof parseQuery>;
}

type RequestLink = Extract<Link, { kind: "request" }>;

/**
 * 1 fetched by request_uri  2 typ, signature and chain to the access CA  3 x509_hash is the leaf's, client_id the same
 * 4 audience, expiry, nonce  5 response by encrypted direct_post  6 party registered  7 purpose registered  8 no over-asking.
 */
export async function openRequest(link: RequestLink, net: Net, list: TrustList, base: string, now: number): Promise<Asked> {
  const walletNonce = b64u(random(16));
  const raw = await fetchObject(link, net, walletNonce);
  const { claims, leaf } = await openByChain(raw, "oauth-authz-req+jwt", anchors(list.access_ca), "access", now);
  if (!leaf) throw new Problem("unsigned_request");
  const clientId = word(claims, "client_id");
  // OpenID4VP 1.0 section 5.9.3: x509_hash is the base64url SHA-256 of the DER leaf certificate.
  if (clientId !== link.clientId || clientId !== `x509_hash:${b64u(await sha256(leaf))}`) {
    throw new Problem("bad_request", "client_id is not the signer's");
  }
  const audience = [claims["aud"]].flat();
  if (!audience.includes("https://self-issued.me/v2")) throw new Problem("bad_request", "aud");
  if (link.method === "post" && claims["wallet_nonce"] !== walletNonce) throw new Problem("bad_request", "wallet_nonce");
  const nonce = word(claims, "nonce");
  if (nonce.length < 22) throw new Problem("bad_request", "nonce under 128 bits");
  const query = parseQuery(claims["dcql_query"]);
  if (claims["transaction_data"] !== undefined) throw new Problem("unsupported", "transaction_data");
  const party = await partyOf(list, leaf);
  const purpose = purposeOf(party, claims["mapae_purpose"], everyName(query));
  return {
    clientId,
    nonce,
    state: typeof claims["state"] === "string" ? claims["state"] : null,
    responseUri: respondTo(claims, base),
    encryptTo: encryptionOf(claims["client_metadata"]),
    party,
    purpose,
    expires: typeof claims["exp"] === "number" ? claims["exp"] : null,
    query,
  };
}

async function fetchObject(link: RequestLink, net: Net, walletNonce: string): Promise<string> {
  const type = "application/oauth-authz-req+jwt";
  if (link.method === "get") return net.text(link.requestUri, type);
  const response = await net.fetch(link.requestUri, {
    method: "POST",
    headers: { Accept: type, "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ wallet_nonce: walletNonce }).toString(),
  });
  if (!response.ok) throw new Problem("bad_request", `HTTP ${response.status}`);
  return response.text();
}

function word(claims: Claims, name: string): string {
  const value = claims[name];
  if (typeof value !== "string" || value === "") throw new Problem("bad_request", `${name} is missing`);
  return value;
}

function respondTo(claims: Claims, base: string): string {
  if (claims["response_type"] !== "vp_token") throw new Problem("unsupported", "response_type");
  // HAIP 1.0 section 5.1: direct_post.jwt; an answer in the clear is never sent.
  if (claims["response_mode"] !== "direct_post.jwt") throw new Problem("unsupported", "response_mode");
  if (claims["redirect_uri"] !== undefined) throw new Problem("bad_request", "redirect_uri with response_uri");
  return allowedUrl(word(claims, "response_uri"), base).href;
}

function encryptionOf(metadata: unknown): EncryptTo {
  const { jwks, encrypted_response_enc_values_supported: offered } = (metadata ?? {}) as {
    jwks?: { keys?: Record<string, unknown>[] };
    encrypted_response_enc_values_supported?: string[];
  };
  const jwk = jwks?.keys?.find(
    (key) =>
      key["kty"] === "EC" &&
      key["crv"] === "P-256" &&
      key["alg"] === "ECDH-ES" &&
      (key["use"] === undefined || key["use"] === "enc"), // errata: a key without `use` counts
  );
  if (!jwk) throw new Problem("unsupported", "no P-256 ECDH-ES key to answer to");
  const values = offered ?? ["A128GCM"]; // OpenID4VP 1.0 section 5.1: the default
  const enc = values.includes("A256GCM") ? "A256GCM" : values.includes("A128GCM") ? "A128GCM" : null;
  if (!enc) throw new Problem("unsupported", "content encryption");
  return { jwk, enc };
}

/** The purpose named, or the smallest registered purpose that covers what is asked. */
export function purposeOf(party: RelyingParty, named: unknown, names: readonly string[]): Purpose {
  const covers = (purpose: Purpose): boolean => names.every((name) => purpose.items.includes(name));
  if (typeof named === "string") {
    const purpose = party.purposes.find((item) => item.id === named);
    if (!purpose) throw new Problem("over_asking", "a purpose it is not registered for", { party: party.name });
    if (!covers(purpose)) throw over(party, purpose.items, names);
    return purpose;
  }
  const fitting = party.purposes.filter(covers).toSorted((a, b) => a.items.length - b.items.length);
  return fitting[0] ?? raise(over(party, party.purposes.flatMap((item) => item.items), names));
}

function over(party: RelyingParty, allowed: readonly string[], names: readonly string[]): Problem {
  return new Problem("over_asking", "", { party: party.name, items: names.filter((name) => !allowed.includes(name)) });
}

function raise(problem: Problem): never {
  throw problem;
}

export function pick(asked: Asked, holdings: readonly Holding[]): Pick[] {
  const picks = choose(asked.query, holdings);
  if (picks.length === 0) throw new Problem("not_held");
  return picks;
}

export async function encryptionThumbprint(encryptTo: EncryptTo): Promise<Bytes> {
  const { kty, crv, x, y } = encryptTo.jwk;
  // RFC 7638: the required members in lexical order.
  return sha256(new TextEncoder().encode(JSON.stringify({ crv, kty, x, y })));
}
