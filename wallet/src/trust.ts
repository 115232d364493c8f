/**
 * The trust list: who may issue what, and who may ask for what.
 * Promises: a list is used only when it was signed by the pinned trust key and is in date. Trusts: the key served beside the wallet's
 * own code at first start (whoever could change it could change the code), never replaced silently afterwards.
 * Keeps: the key and the last good list, so that both work offline. Refuses: an unsigned, expired or older list; but cards can be shown
 * to whom an expired one names while nobody answers, for `LATE_MS`, and the holder is told.
 */
import { b64u, type Bytes, sha256, unb64 } from "./bytes.ts";
import { type Claims, openByKey } from "./jws.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import { type Entered, parseSigners } from "./signers.ts";
import type { PublicJwk, Store } from "./store.ts";

export interface Words {
  readonly ko: string;
  readonly en: string;
}
export interface Purpose {
  readonly id: string;
  readonly name: Words;
  readonly why: Words;
  readonly legal_basis: Words;
  readonly items: readonly string[];
  readonly retention: Words;
}
/** A purpose as a party registered it: one of the country's, or its own. */
export interface Registered extends Purpose {
  /** Of which document; missing: registered before registrations said so. */
  readonly document?: { readonly vct?: string; readonly doctype?: string; readonly namespace?: string };
  /** Of a purpose of its own. */
  readonly risk?: string;
}
export interface RelyingParty {
  readonly id: string;
  readonly name: Words;
  readonly x509_hash: string;
  readonly purposes: readonly Registered[];
  /** Where complaints and requests to erase go; empty or missing: none was registered. */
  readonly contact?: string;
}
export interface TrustedIssuer {
  readonly id: string;
  readonly name: Words;
  readonly ca: readonly string[];
  readonly vcts: readonly string[];
  readonly doctypes: readonly string[];
  readonly status_prefix: string;
  /** The certificates it entered in the trust log, and no other counts; null: it enters none. */
  readonly signers: Entered;
}
/** A registration that was taken back. */
export interface RevokedReader {
  readonly reader: string;
  readonly x509_hash: string | null;
}
export interface TrustList {
  readonly iat: number;
  readonly exp: number;
  /** It grows with every change: a list with a lower one is older, whatever its date says. Missing: kept before it was read. */
  readonly seq?: number;
  readonly issuers: readonly TrustedIssuer[];
  readonly access_ca: readonly string[];
  readonly relying_parties: readonly RelyingParty[];
  readonly revoked_readers: readonly RevokedReader[];
}

interface Kept {
  readonly list: TrustList;
  readonly fetched: number;
}
const FRESH_MS = 60_000;
/** Seconds two clocks may differ. */
const AHEAD_S = 60;
/** Who asks is looked up in a list this old at the most, so that a shop struck off gets no answer within seconds. */
export const ASKED_MS = 5_000;
/** As long as a copy may live. A shop struck off meanwhile could still ask a phone that cannot reach the registry. */
export const LATE_MS = 30 * 86_400_000;

/** How long somebody at a till waits for the registry: a phone may believe it has a network where there is none. */
export const SOON_MS = 2_500;

/** The answer if it comes soon, else what was kept. An answer that is a refusal counts as well. */
export function soonOr<T>(answer: Promise<T>, kept: T, patience = SOON_MS): Promise<T> {
  return Promise.race([answer, new Promise<T>((resume) => setTimeout(() => resume(kept), patience))]);
}

/** Names come as {ko, en}; a plain string counts for both languages. */
export function wordsOf(value: unknown): Words {
  if (typeof value === "string") return { ko: value, en: value };
  const named = (value ?? {}) as Partial<Words>;
  return { ko: named.ko ?? named.en ?? "", en: named.en ?? named.ko ?? "" };
}

export const anchors = (raw: readonly string[]): Bytes[] => raw.map((item) => unb64(item));

export class Trust {
  constructor(
    private readonly store: Store,
    private readonly net: Net,
    private readonly base: string,
    private readonly now: () => number,
  ) {}

  /** A list no older than this (a minute) when there is a network, the last good one when there is none. */
  async list(atMost = FRESH_MS): Promise<TrustList> {
    const kept = await this.store.meta<Kept>("trust-list");
    const good = kept && kept.list.exp * 1000 > this.now() ? kept : undefined;
    const age = good ? this.now() - good.fetched : -1; // below zero: fetched while this phone's clock was ahead
    if (good && age >= 0 && age < atMost) return good.list;
    try {
      return await this.fetchList(good?.list);
    } catch (thrown) {
      if (good && thrown instanceof Problem && thrown.code === "offline") return good.list;
      throw thrown;
    }
  }

  /** The same; where the registry does not answer at all and no list is in date, the last one for a while after its end. */
  async forShowing(atMost: number): Promise<TrustList> {
    try {
      return await this.list(atMost);
    } catch (thrown) {
      const kept = await this.store.meta<Kept>("trust-list");
      const silent = thrown instanceof Problem && ["offline", "unavailable"].includes(thrown.code);
      if (kept && silent && this.now() < kept.list.exp * 1000 + LATE_MS) return kept.list;
      throw thrown;
    }
  }

  /** The same for somebody who stands at a till: what was kept counts when no answer comes in a moment. */
  async atTill(): Promise<TrustList> {
    const kept = await this.store.meta<Kept>("trust-list");
    const answer = this.forShowing(ASKED_MS);
    return kept && this.now() < kept.list.exp * 1000 + LATE_MS ? soonOr(answer, kept.list) : answer;
  }

  /** When the list we have was signed, in milliseconds: it cannot be earlier now. 0: we have none. */
  async signedAt(): Promise<number> {
    return ((await this.store.meta<Kept>("trust-list"))?.list.iat ?? 0) * 1000;
  }

  private async fetchList(known: TrustList | undefined): Promise<TrustList> {
    const raw = await this.net.text(`${this.base}/trust/list`, "application/jwt");
    const { claims } = await openByKey(raw, "mapae-trust-list+jwt", await this.key(), this.now());
    const list = parseList(claims);
    if (known && isOlder(list, known, this.now())) throw new Problem("untrusted_list", "older than the one we have");
    await this.store.setMeta("trust-list", { list, fetched: this.now() } satisfies Kept);
    return list;
  }

  /** The key of the registry, pinned since the first start. */
  async key(): Promise<PublicJwk> {
    const pinned = await this.store.meta<PublicJwk>("trust-key");
    if (pinned) return pinned;
    const answer = await this.net.json<Claims>("GET", `${this.base}/trust/key`);
    const jwk = (Array.isArray(answer["keys"]) ? answer["keys"][0] : (answer["key"] ?? answer)) as Claims;
    const { kty, crv, x, y } = jwk;
    if (kty !== "EC" || crv !== "P-256" || typeof x !== "string" || typeof y !== "string") {
      throw new Problem("untrusted_list", "the trust key is not P-256");
    }
    const key: PublicJwk = { kty, crv, x, y };
    await this.store.setMeta("trust-key", key);
    return key;
  }
}

/** By its number, or of one number by its date; but the date of a list that a clock made which was ahead says nothing. */
function isOlder(list: TrustList, known: TrustList, now: number): boolean {
  const [seq, held] = [list.seq ?? 0, known.seq ?? list.seq ?? 0]; // one kept before numbers were read has none
  return seq < held || (seq === held && list.iat < known.iat && known.iat <= now / 1000 + AHEAD_S);
}

function parseList(claims: Claims): TrustList {
  const { iat, exp, seq = 0, issuers, access_ca, relying_parties, signers, revoked_readers = [] } = claims;
  if (typeof iat !== "number" || typeof exp !== "number") throw new Problem("untrusted_list", "no dates");
  if (!Number.isSafeInteger(seq)) throw new Problem("untrusted_list", "no number");
  if (![issuers, access_ca, relying_parties, revoked_readers].every(Array.isArray)) throw new Problem("untrusted_list", "members missing");
  const named = (entries: unknown): Claims[] => entries as Claims[];
  const logged = parseSigners(signers);
  const enteredBy = (issuer: Claims): Entered => (issuer["logged"] === true ? logged.filter((one) => one.issuer === `issuer:${String(issuer["id"])}`) : null);
  return {
    iat,
    exp,
    seq: seq as number,
    access_ca: access_ca as string[],
    revoked_readers: revoked_readers as RevokedReader[],
    issuers: named(issuers).map((issuer) => ({ ...issuer, name: wordsOf(issuer["name"]), signers: enteredBy(issuer) }) as unknown as TrustedIssuer),
    relying_parties: named(relying_parties).map((party) => ({
      ...(party as unknown as RelyingParty),
      name: wordsOf(party["name"]),
      purposes: named(party["purposes"] ?? []).map((purpose) => ({
        ...(purpose as unknown as Registered),
        name: wordsOf(purpose["name"]),
        why: wordsOf(purpose["why"]),
        legal_basis: wordsOf(purpose["legal_basis"]),
        retention: wordsOf(purpose["retention"]),
      })),
    })),
  };
}

interface Issued {
  readonly format: "dc+sd-jwt" | "mso_mdoc";
  readonly type: string;
}

/**
 * Whom the list names as the issuer at this address: its id, or where its status lists live. Null: nobody, a stranger. A listed issuer
 * may issue its own types only, and nobody else may issue those.
 */
export function issuerOf(list: TrustList, credentialIssuer: string, what: readonly Issued[]): TrustedIssuer | null {
  const mayIssue = (issuer: TrustedIssuer, { format, type }: Issued): boolean => (format === "dc+sd-jwt" ? issuer.vcts : issuer.doctypes).includes(type);
  const at = list.issuers.filter((issuer) => issuer.id === credentialIssuer || issuer.status_prefix.startsWith(`${credentialIssuer}/`));
  const found = at.find((issuer) => what.every((one) => mayIssue(issuer, one)));
  if (found) return found;
  if (at.length > 0) throw new Problem("untrusted_issuer", "not a type of this issuer");
  if (list.issuers.some((issuer) => what.some((one) => mayIssue(issuer, one)))) throw new Problem("untrusted_issuer", "a type that is another's");
  return null;
}

/** The relying party whose registered certificate this is. */
export async function partyOf(list: Pick<TrustList, "relying_parties" | "revoked_readers">, leaf: Bytes): Promise<RelyingParty> {
  const hash = b64u(await sha256(leaf));
  const found = list.relying_parties.find((party) => party.x509_hash === hash);
  if (found) return found;
  throw new Problem(list.revoked_readers.some((one) => one.x509_hash === hash) ? "signer_revoked" : "unknown_relying_party");
}
