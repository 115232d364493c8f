/**
 * What a QR code or a link can ask of the wallet.
 * Promises: one text becomes one `Link` or a Problem. Trusts nothing. Keeps nothing.
 * Refuses: other schemes, both or neither of value and reference, unsigned requests but of a client that is an address, addresses without TLS.
 */
import { type Family, looksLikeFamily, parseM200 } from "./family.ts";
import { mayAsk } from "./net.ts";
import { Problem } from "./problem.ts";

export type Link =
  | { readonly kind: "offer"; readonly text: string }
  /** A shop's offline code (offline_qr.ts reads it). */
  | { readonly kind: "code"; readonly text: string }
  /** A whole request by somebody who names no one but the address of the answer (unsigned.ts). */
  | { readonly kind: "unsigned"; readonly parameters: Readonly<Record<string, string>> }
  | { readonly kind: "request"; readonly clientId: string; readonly requestUri: string; readonly method: "get" | "post" }
  /** An M200 of the Korean message family. */
  | { readonly kind: "family"; readonly of: Family };

const OFFER = ["openid-credential-offer:", "haip-vci:"];
const REQUEST = ["openid4vp:", "haip-vp:"];
const MAX = 16_384;

function once(query: URLSearchParams, name: string): string | null {
  const all = query.getAll(name);
  if (all.length > 1) throw new Problem("bad_link", `${name} is there twice`);
  return all[0] ?? null;
}

/** https everywhere; http only on the wallet's own machine (`mayAsk`). */
export function allowedUrl(raw: string, base: string): URL {
  let url: URL;
  try {
    url = new URL(raw);
  } catch {
    throw new Problem("bad_link", "not an address");
  }
  if (!mayAsk(url.href, base)) throw new Problem("insecure_address", url.origin);
  if (url.username || url.password || url.hash) throw new Problem("bad_link", "address with sign-in or fragment");
  return url;
}

export function parseLink(raw: string, base: string): Link {
  const text = raw.trim();
  if (text.length === 0 || text.length > MAX) throw new Problem("bad_link", "empty or too long");
  // A space at the end may belong to it: it is one of base45's characters.
  if (text.startsWith("MAPAE-ASK:")) return { kind: "code", text: raw.trimStart().replace(/[\r\n\t]+$/, "") };
  // What a wallet shows is for a checker to read: another phone's, or its own in a mirror.
  if (/^MAPAE-(SHOW|MEET):/.test(text)) throw new Problem("others_code");
  const scheme = /^([a-z][a-z0-9+.-]*:)/i.exec(text)?.[1]?.toLowerCase() ?? "";
  if (scheme === "http:" || scheme === "https:") return wrapped(text, base);
  if (looksLikeFamily(text)) return { kind: "family", of: parseM200(text, (host) => allowedUrl(host, base)) };
  const at = text.indexOf("?");
  const query = new URLSearchParams(at < 0 ? "" : text.slice(at + 1));
  if (OFFER.includes(scheme)) return offer(query, base);
  if (REQUEST.includes(scheme)) return request(query, base);
  throw new Problem("bad_link", "not a code for this wallet");
}

/** A link to this wallet: <base>/wallet/#offer=... or #request=... holding the text of the code. */
function wrapped(text: string, base: string): Link {
  const url = new URL(text);
  const home = new URL("/wallet/", base);
  if (url.origin !== home.origin || url.pathname !== home.pathname) throw new Problem("bad_link", "not a code for this wallet");
  const inner = fromHash(url.hash);
  if (!inner) throw new Problem("bad_link", "nothing in the link");
  return parseLink(inner, base);
}

/** The code held in a fragment, or null. */
export function fromHash(hash: string): string | null {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const found = query.get("offer") ?? query.get("request");
  return found && (looksLikeFamily(found) || /^(openid-credential-offer|haip-vci|openid4vp|haip-vp):/i.test(found)) ? found : null;
}

function offer(query: URLSearchParams, base: string): Link {
  const value = once(query, "credential_offer");
  const reference = once(query, "credential_offer_uri");
  // OpenID4VCI 1.0 section 4.1: exactly one of the two.
  if ((value === null) === (reference === null)) throw new Problem("bad_link", "one of credential_offer and credential_offer_uri");
  if (reference !== null) allowedUrl(reference, base);
  return { kind: "offer", text: `openid-credential-offer://?${query.toString()}` };
}

function request(query: URLSearchParams, base: string): Link {
  const clientId = once(query, "client_id");
  const requestUri = once(query, "request_uri");
  // Section 5.9.3: a client that is an address must not sign, so it asks in the link itself.
  if (requestUri === null && clientId?.startsWith("redirect_uri:") && !query.has("request")) return unsigned(query);
  // HAIP 1.0 section 5.1: otherwise signed requests by request_uri only.
  if (requestUri === null) throw new Problem("unsigned_request", "no request_uri");
  if (clientId === null) throw new Problem("bad_link", "no client_id");
  // Section 5.9.3: names that a certificate proves. `redirect_uri:` cannot be signed, `origin:` is never accepted.
  if (!/^x509_(hash|san_dns):/.test(clientId)) throw new Problem("unsupported", "client_id prefix");
  allowedUrl(requestUri, base);
  const method = once(query, "request_uri_method") ?? "get";
  if (method !== "get" && method !== "post") throw new Problem("bad_link", "request_uri_method");
  return { kind: "request", clientId, requestUri, method };
}

function unsigned(query: URLSearchParams): Link {
  const names = [...new Set(query.keys())];
  if (names.length > 40) throw new Problem("bad_link", "too many parameters");
  return { kind: "unsigned", parameters: Object.fromEntries(names.map((name) => [name, once(query, name) ?? ""])) };
}
