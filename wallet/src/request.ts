/**
 * A presentation request (OpenID4VP 1.0, HAIP 1.0): fetched, verified, understood.
 * Promises: what reaches the consent screen was signed by the party it names. A party of the trust list asks for a purpose it is
 * registered for, and no item beyond it; anybody else is a stranger, and said to be one. Trusts: the trust list. Keeps nothing.
 * Refuses: unsigned, expired, wrong audience, a party our own authority certified that is not on the list, over-asking, anything but an
 * encrypted direct_post answer. What it refuses once it knows who asks, it tells the response_uri (section 8.5).
 */
import { CompactEncrypt, importJWK } from "jose";
import { b64u, type Bytes, random, sha256, utf8 } from "./bytes.ts";
import { choices, type Choices, everyName, type Holding, itemsOf, parseQuery, type Pick as Picked, type Query } from "./dcql.ts";
import { type Family, familyRequest, type FamilyWay, sayNo } from "./family.ts";
import { type Claims, openByChain, type OpenedByChain, openByStranger } from "./jws.ts";
import { allowedUrl, type Link } from "./links.ts";
import type { Net } from "./net.ts";
import { asProblem, Problem } from "./problem.ts";
import { parseTransactions, type Payment } from "./transaction.ts";
import { anchors, ASKED_MS, partyOf, type Purpose, type Registered, type RelyingParty, type Trust, type Words } from "./trust.ts";
import { signerOf } from "./x509.ts";

export interface EncryptTo {
  readonly jwk: Record<string, unknown>;
  readonly enc: "A256GCM" | "A128GCM";
}
/** Where an answer goes, be it a yes or an error. */
export interface AnswerTo {
  /** As it was written: an mdoc's signature covers these characters (appendix B.2.6.1). */
  readonly responseUri: string;
  readonly state: string | null;
  /** Through somebody who carries it and is to learn nothing, not even that it is a no. */
  readonly sealedTo?: EncryptTo;
  /** In other messages, to another address. */
  readonly family?: FamilyWay;
}
/** All that is known of a party on no list: its certificate, which nobody vouches for, and the host its answer goes to. */
export interface Stranger {
  readonly subject: string;
  readonly certifiedBy: string;
  readonly host: string;
}
/** What the holder is asked, whichever way it came. */
export interface Question {
  readonly party: { readonly id: string; readonly name: Words; readonly contact?: string };
  /** Null for a stranger: nobody registered what it may ask. */
  readonly purpose: Purpose | null;
  readonly stranger: Stranger | null;
  /** When the list that names the party was signed (seconds), where that list is over: the registry has been silent since. */
  readonly knownAt: number | null;
  readonly expires: number | null;
  readonly transactions: readonly Payment[];
  /** Asked by whoever wanted to, for a purpose that lets anyone ask: the party's name is what it calls itself. */
  readonly anyone?: boolean;
  /** The purpose is the party's own, not one of the country's. */
  readonly own?: boolean;
}
export interface Asked extends AnswerTo, Question {
  readonly clientId: string;
  readonly nonce: string;
  readonly encryptTo: EncryptTo;
  readonly query: Query;
}

type RequestLink = Extract<Link, { kind: "request" }>;
const TYPE = "oauth-authz-req+jwt";
const LONGEST = 262_144;
/** The item only the country's log-in bridge may have. */
export const LOGIN_ID = "login_id";

/**
 * 1 fetched by request_uri  2 typ, signature and chain  3 client_id is the signer's, in the link as well  4 audience, wallet_nonce
 * 5 party registered, or a stranger  6 nonce, state, response by encrypted direct_post  7 query, transactions  8 no over-asking.
 */
export async function openRequest(link: RequestLink, net: Net, trust: Trust, base: string, now: number): Promise<Asked> {
  const walletNonce = b64u(random(16));
  const raw = await fetchObject(link, net, walletNonce);
  return checked(raw, { clientId: link.clientId, walletNonce: link.method === "post" ? walletNonce : null }, net, trust, base, now);
}

/** A request that came over a relay (meet.ts): no link says who asks, so it says it itself; `nonce` is that of the code it was signed for. */
export async function openRelayed(raw: string, nonce: string, net: Net, trust: Trust, base: string, now: number): Promise<Asked> {
  const asked = await checked(raw, { clientId: null, walletNonce: nonce }, net, trust, base, now);
  return { ...asked, sealedTo: asked.encryptTo };
}

/** A request in the Korean message family: its profile's proof. */
export async function openFamily(of: Family, net: Net, trust: Trust, base: string, now: number): Promise<Asked> {
  const { request, nonce, clientId } = await familyRequest(net, of);
  const asked = await checked(request, { clientId: null, walletNonce: null }, net, trust, base, now);
  if (nonce !== asked.nonce || clientId !== asked.clientId) throw new Problem("bad_request", "the profile is not its proof's");
  // Who asks signed where the answer goes: a code by somebody else leads it nowhere else. The bridge uses no such codes.
  if (new URL(of.host).origin !== new URL(asked.responseUri).origin) throw new Problem("bad_request", "the code leads to another server than its proof");
  mustHaveNoNumber(asked.party, asked.query);
  return { ...asked, family: { host: of.host, trxcode: of.trxcode } };
}

interface Expected {
  readonly clientId: string | null;
  readonly walletNonce: string | null;
}

/** The steps from 2 on. */
async function checked(raw: string, expected: Expected, net: Net, trust: Trust, base: string, now: number): Promise<Asked> {
  if (raw.length > LONGEST) throw new Problem("too_large", "request");
  const { opened, party, knownAt } = await signedBy(raw, trust, now);
  const { claims } = opened;
  const clientId = word(claims, "client_id");
  if (expected.clientId !== null && clientId !== expected.clientId) throw new Problem("bad_request", "client_id is not the one in the link");
  const name = await provenName(clientId, opened);
  const audience = [claims["aud"]].flat();
  if (!audience.includes("https://self-issued.me/v2")) throw new Problem("bad_request", "aud");
  if (expected.walletNonce !== null && claims["wallet_nonce"] !== expected.walletNonce) throw new Problem("bad_request", "wallet_nonce");
  const address = word(claims, "response_uri");
  if (/[\s\\]/.test(address)) throw new Problem("bad_request", "response_uri"); // what a browser would mend is not the same text
  const responseUri = allowedUrl(address, base);
  // Section 5.9.3: a name nobody vouches for may only have the answer sent to itself.
  if (!party && name !== null && responseUri.hostname !== name) throw new Problem("bad_request", "response_uri of another host");
  const to: AnswerTo = { responseUri: address, state: plainWord(claims["state"]) };
  try {
    const said = await understood(claims);
    return { ...to, clientId, ...said, knownAt, ...whoAsks(party, opened, responseUri, said.query, claims["mapae_purpose"], base) };
  } catch (thrown) {
    const problem = asProblem(thrown);
    const error = ERRORS[problem.code];
    if (error) await sendError(net, to, error);
    // What it signed is the evidence, should the holder report it.
    throw problem.code === "over_asking" ? new Problem(problem.code, problem.detail, { ...problem.facts, evidence: raw }) : problem;
  }
}

/** Section 8.5: what the wallet found wrong, in the words of the text. */
const ERRORS: Readonly<Record<string, string>> = {
  bad_request: "invalid_request",
  bad_query: "invalid_request",
  unsupported: "invalid_request",
  vp_formats_not_supported: "vp_formats_not_supported",
  invalid_transaction_data: "invalid_transaction_data",
};

/** Not reaching the verifier changes nothing for the holder. */
export async function sendError(net: Net, { responseUri, state, sealedTo, family }: AnswerTo, error: string): Promise<void> {
  if (family) return sayNo(net, family, error);
  const said = { error, ...(state ? { state } : {}) };
  // Section 8.3: an error may be encrypted as an answer is.
  const body = new URLSearchParams(sealedTo ? { response: await encrypted(said, sealedTo) } : said);
  const headers = { "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json" };
  await net.fetch(responseUri, { method: "POST", headers, body: body.toString() }).catch(() => undefined);
}

/** Section 8.3: unsigned, encrypted. */
export async function encrypted(payload: unknown, { jwk, enc }: EncryptTo): Promise<string> {
  return new CompactEncrypt(utf8(JSON.stringify(payload)))
    .setProtectedHeader({ alg: "ECDH-ES", enc, ...(typeof jwk["kid"] === "string" ? { kid: jwk["kid"] } : {}) })
    .encrypt(await importJWK(jwk as never, "ECDH-ES"));
}

/** By our access authority, and on the list (the newest, before we say no); or by a stranger. */
async function signedBy(raw: string, trust: Trust, now: number): Promise<{ opened: OpenedByChain; party: RelyingParty | null; knownAt: number | null }> {
  let unknown: Problem | null = null;
  for (const atMost of [ASKED_MS, 0]) {
    const list = await trust.forShowing(atMost);
    try {
      const opened = await openByChain(raw, TYPE, anchors(list.access_ca), "access", now);
      return { opened, party: await partyOf(list, opened.leaf.der), knownAt: list.exp * 1000 <= now ? list.iat : null };
    } catch (thrown) {
      unknown = asProblem(thrown);
      if (!["unknown_relying_party", "signer_revoked", "bad_certificate"].includes(unknown.code)) throw unknown;
    }
  }
  // Our own authority certified it and the list does not name it: its registration ended.
  if (unknown && unknown.code !== "bad_certificate") throw unknown;
  return { opened: await openByStranger(raw, TYPE, now), party: null, knownAt: null };
}

/** Section 5.9.3: the client_id says whose certificate it is. Returns the DNS name it proves, if it is one. */
async function provenName(clientId: string, { leaf }: OpenedByChain): Promise<string | null> {
  if (clientId === `x509_hash:${b64u(await sha256(leaf.der))}`) return null;
  const [prefix, name = ""] = clientId.split(/:(.*)/s);
  if (prefix !== "x509_san_dns" || !leaf.dnsNames.includes(name.toLowerCase())) throw new Problem("bad_request", "client_id is not the signer's");
  return name.toLowerCase();
}

function whoAsks(
  party: RelyingParty | null,
  { chain }: OpenedByChain,
  answered: URL,
  query: Query,
  named: unknown,
  base: string,
): Pick<Asked, "party" | "purpose" | "stranger"> {
  const { host } = answered;
  // The bridge of our own country knows somebody by it; a site that had it could compare notes with every other one.
  // One plain segment: `..` and %2f lead from that address to another door of the same country, which may be anybody's mailbox.
  const bridge = `${base.replace(/\/$/, "")}/verifier/responses/`;
  if (!answered.href.startsWith(bridge) || !/^[A-Za-z0-9_-]+$/.test(answered.href.slice(bridge.length))) {
    mustHaveNoNumber(party ?? { id: host, name: { ko: host, en: host } }, query, party ? { who: whoOf(party) } : {});
  }
  if (party) return { party, purpose: purposeOf(party, named, everyName(query), query.credentials), stranger: null };
  const { subject, certifiedBy } = signerOf(chain);
  return { party: { id: host, name: { ko: host, en: host } }, purpose: null, stranger: { subject, certifiedBy, host } };
}

function mustHaveNoNumber({ name }: Asked["party"], query: Query, more: Record<string, unknown> = {}): void {
  const numbers = everyName(query).filter((one) => covered(one, [LOGIN_ID]));
  if (numbers.length > 0) throw new Problem("over_asking", "the log-in number", { party: name, ...more, items: numbers });
}

export async function understood(claims: Claims): Promise<Pick<Asked, "nonce" | "encryptTo" | "expires" | "query" | "transactions">> {
  const nonce = plainWord(word(claims, "nonce")) ?? "";
  if (nonce.length < 22) throw new Problem("bad_request", "nonce under 128 bits");
  if (claims["response_type"] !== "vp_token") throw new Problem("unsupported", "response_type");
  // HAIP 1.0 section 5.1: direct_post.jwt; an answer in the clear is never sent.
  if (claims["response_mode"] !== "direct_post.jwt") throw new Problem("unsupported", "response_mode");
  if (claims["redirect_uri"] !== undefined) throw new Problem("bad_request", "redirect_uri with response_uri");
  if (claims["scope"] !== undefined) throw new Problem("unsupported", "scope");
  const query = parseQuery(claims["dcql_query"]);
  if (!query.credentials.some(({ format }) => format === "dc+sd-jwt" || format === "mso_mdoc")) throw new Problem("vp_formats_not_supported");
  return {
    nonce,
    encryptTo: await encryptionOf(claims["client_metadata"]),
    expires: typeof claims["exp"] === "number" ? claims["exp"] : null,
    query,
    transactions: parseTransactions(claims["transaction_data"], query),
  };
}

/** What this wallet can do (sections 5.10 and 10); the same for every verifier, so that it tells nobody apart. */
const METADATA = JSON.stringify({
  vp_formats_supported: {
    "dc+sd-jwt": { "sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"] },
    mso_mdoc: { issuerauth_alg_values: [-7], deviceauth_alg_values: [-7] },
  },
  client_id_prefixes_supported: ["x509_hash", "x509_san_dns"],
  request_object_signing_alg_values_supported: ["ES256"],
  response_types_supported: ["vp_token"],
  response_modes_supported: ["direct_post.jwt"],
  authorization_encryption_alg_values_supported: ["ECDH-ES"],
  authorization_encryption_enc_values_supported: ["A256GCM", "A128GCM"],
});

async function fetchObject(link: RequestLink, net: Net, walletNonce: string): Promise<string> {
  const type = `application/${TYPE}`;
  if (link.method === "get") return net.text(link.requestUri, type);
  return net.text(link.requestUri, type, new URLSearchParams({ wallet_metadata: METADATA, wallet_nonce: walletNonce }));
}

function word(claims: Claims, name: string): string {
  const value = claims[name];
  if (typeof value !== "string" || value === "") throw new Problem("bad_request", `${name} is missing`);
  return value;
}

/** Section 5.2: nonce and state are ASCII that needs no escape in an address. */
function plainWord(value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value !== "string" || !/^[A-Za-z0-9._~-]+$/.test(value)) throw new Problem("bad_request", "nonce or state");
  return value;
}

/** Section 8.3: the first key we can use; keys of other kinds, for other uses or off the curve are passed over. */
async function encryptionOf(metadata: unknown): Promise<EncryptTo> {
  const { jwks, encrypted_response_enc_values_supported: offered } = (metadata ?? {}) as {
    jwks?: { keys?: unknown };
    encrypted_response_enc_values_supported?: unknown;
  };
  const values: unknown[] = Array.isArray(offered) ? offered : ["A128GCM"]; // section 5.1: the default
  const enc = values.includes("A256GCM") ? "A256GCM" : values.includes("A128GCM") ? "A128GCM" : null;
  if (!enc) throw new Problem("unsupported", "content encryption");
  for (const key of Array.isArray(jwks?.keys) ? (jwks.keys as unknown[]) : []) {
    const jwk = key as Record<string, unknown> | null;
    const fits = jwk?.["kty"] === "EC" && jwk["crv"] === "P-256" && jwk["alg"] === "ECDH-ES" && [undefined, "enc"].includes(jwk["use"] as string | undefined);
    if (fits && (await importJWK({ kty: "EC", crv: "P-256", x: jwk["x"], y: jwk["y"] } as never, "ECDH-ES").catch(() => null))) return { jwk, enc };
  }
  throw new Problem("unsupported", "no P-256 ECDH-ES key to answer to");
}

/** The purpose named, or the smallest registered purpose that covers what is asked: the items, and the document they are of. */
export function purposeOf(party: RelyingParty, named: unknown, names: readonly string[], credentials: Query["credentials"] = []): Purpose {
  const about = (purpose: Registered): boolean => credentials.every((one) => isOf(purpose, one));
  const covers = (purpose: Purpose): boolean => names.every((name) => covered(name, purpose.items));
  if (typeof named === "string") {
    const purpose = party.purposes.find((item) => item.id === named);
    if (!purpose) throw new Problem("over_asking", "a purpose it is not registered for", { party: party.name, who: whoOf(party) });
    if (!covers(purpose)) throw over(party, purpose.items, names);
    if (!about(purpose)) throw over(party, [], names);
    return purpose;
  }
  const fitting = party.purposes.filter((purpose) => covers(purpose) && about(purpose)).toSorted((a, b) => a.items.length - b.items.length);
  return fitting[0] ?? raise(over(party, party.purposes.flatMap((item) => item.items), names));
}

function isOf({ document }: Registered, { format, type, claims }: Query["credentials"][number]): boolean {
  if (!document || (format !== "mso_mdoc" && format !== "dc+sd-jwt")) return true;
  if (format === "dc+sd-jwt") return type.every((one) => one === document.vct);
  return type.every((one) => one === document.doctype) && (claims ?? []).every(({ path }) => path[0] === document.namespace);
}

function over(party: RelyingParty, allowed: readonly string[], names: readonly string[]): Problem {
  return new Problem("over_asking", "", { party: party.name, who: whoOf(party), items: names.filter((name) => !covered(name, allowed)) });
}

const whoOf = ({ id, contact = "" }: RelyingParty): { id: string; contact: string } => ({ id, contact });

/** Registered as a whole, or the very part asked for. */
function covered(name: string, items: readonly string[]): boolean {
  const steps = name.split(".");
  return steps.some((_step, at) => items.includes(steps.slice(0, at + 1).join(".")));
}

function raise(problem: Problem): never {
  throw problem;
}

/** What the holder may choose between; `card_not_valid` and the like are the caller's to say. */
export function choicesFor(asked: Pick<Asked, "query" | "transactions" | "purpose">, holdings: readonly Holding[]): Choices {
  const { query, purpose } = asked;
  const among = asked.transactions.map(({ credentialIds }) => credentialIds);
  const more = new Set<string>();
  /** A card that says more to everybody than the purpose covers is not for it. */
  const may = (pick: Picked): boolean => {
    const beyond = purpose ? itemsOf(pick).filter(({ name }) => !covered(name, purpose.items)) : [];
    for (const { name } of beyond) more.add(name);
    return beyond.length === 0;
  };
  try {
    return choices(query, holdings, among, may);
  } catch (thrown) {
    if (more.size === 0 || asProblem(thrown).code !== "not_held") throw thrown;
    throw new Problem("card_tells_more", "what a card says in the open", { items: [...more] });
  }
}

export async function encryptionThumbprint(encryptTo: EncryptTo): Promise<Bytes> {
  const { kty, crv, x, y } = encryptTo.jwk;
  // RFC 7638: the required members in lexical order.
  return sha256(new TextEncoder().encode(JSON.stringify({ crv, kty, x, y })));
}
