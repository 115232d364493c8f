/**
 * What this till may believe with no network, and for how long: mapae.verifier.till.till_pack read, mapae.verifier.checking.offline again.
 * Promises: the tiers, lights and limits of the Python checker, held to the same vectors (vectors/till.json). Pure: pack, purpose and time are
 * arguments. Trusts: the pack, which came from the server that the code came from. Keeps: status lists once unfolded. Refuses: a pack
 * too old for the purpose (stale_pack), a list the pack does not have (status_unknown).
 */
import { type Bytes, unb64 } from "../bytes.ts";
import { Problem } from "../problem.ts";
import { type Entered, parseSigners } from "../signers.ts";
import type { Words } from "../trust.ts";

export type Kind = "text" | "date" | "image" | "yes_no" | "code";

export interface TillPurpose {
  readonly id: string;
  readonly name: Words;
  readonly why: Words;
  readonly legal_basis: Words;
  readonly retention: Words;
  readonly document: Words;
  readonly items: readonly { readonly name: string; readonly kind: Kind; readonly label: Words }[];
  readonly vct: string | null;
  readonly doctype: string | null;
  readonly namespace: string | null;
  readonly risk: "low" | "medium" | "high";
  readonly offline: { readonly full: number; readonly marked: number; readonly last: number };
  readonly anyone: boolean;
  readonly by_holder: boolean;
}
interface TillIssuer {
  readonly id: string;
  readonly ca: readonly string[];
  readonly vcts: readonly string[];
  readonly doctypes: readonly string[];
  readonly status_prefix: string;
  readonly signers: readonly unknown[] | null;
}
export interface TillList {
  readonly uri: string;
  readonly bits: number;
  readonly digest: string;
}
export interface TillPack {
  readonly version: number;
  readonly as_of: number;
  readonly newest: number;
  readonly issuers: readonly TillIssuer[];
  readonly publishers: readonly { readonly prefix: string; readonly as_of: number; readonly late: boolean; readonly lists: readonly TillList[] }[];
  readonly purposes: readonly TillPurpose[];
  /** The heads that a receipt names; passed on as they came. */
  readonly registry: unknown;
  readonly epochs: unknown;
}

export type Tier = "full" | "marked" | "young";
export type Light = "fresh" | "hours" | "days" | "too_old";
/** On what a verdict stands: the tier, and both ages in seconds. */
export interface Grounds {
  readonly tier: Tier;
  readonly trust: number;
  readonly status: number;
}
/** What copies have to be where knowledge of their issuer is old. */
export interface Young {
  readonly signedBefore: number;
  readonly longest: number;
}
export interface Issuer {
  readonly id: string;
  readonly anchors: readonly Bytes[];
  readonly types: { readonly sd_jwt: readonly string[]; readonly mdoc: readonly string[] };
  readonly prefix: string;
  readonly signers: Entered;
  readonly young: Young | null;
}

const HOUR = 3600;
const DAY = 86_400;
/** Seconds a copy may live to count as young. */
const LONGEST = 31 * DAY;
/** Bytes of unfolded lists. */
export const HELD = 16 * 1024 * 1024;
/** Copies round their dates to whole days. */
export const ROUNDING = DAY;

export function tierOf(purpose: Pick<TillPurpose, "risk" | "offline">, age: number): Tier {
  const hours = age / HOUR;
  if (hours <= purpose.offline.full) return "full";
  if (hours <= purpose.offline.marked && purpose.risk !== "high") return "marked";
  if (hours <= purpose.offline.last && purpose.risk === "low") return "young";
  throw new Problem("stale_pack", "what this till knows is too old for this question");
}

export function light(age: number): Light {
  if (age <= HOUR) return "fresh";
  if (age <= 24 * HOUR) return "hours";
  return age <= 720 * HOUR ? "days" : "too_old";
}

/** Hours that anything may be old for this purpose at the most. */
export function reach({ risk, offline }: Pick<TillPurpose, "risk" | "offline">): number {
  return HOUR * (risk === "low" ? offline.last : risk === "medium" ? offline.marked : offline.full);
}

/** The device's time, or the newest moment it has already heard of. In seconds. */
export const clock = (device: number, newest: number, highWater: number): number => Math.max(device, newest, highWater);

/**
 * Whether cards can be judged at all. `collecting`: an issuer's lists have not come yet, so every card would be red. `nobody`: each issuer has
 * answered, and no list of it exists: it has issued no card.
 */
export type Begun = "collecting" | "nobody" | "ready";

/** A unit (`checker.age.<unit>`) and how many of it, never made younger by rounding. */
export function ageOf(seconds: number): readonly ["minutes" | "hours" | "days", number] {
  if (seconds < 2 * HOUR) return ["minutes", Math.max(1, Math.ceil(seconds / 60))];
  return seconds < 2 * DAY ? ["hours", Math.ceil(seconds / HOUR)] : ["days", Math.ceil(seconds / DAY)];
}

export function mustBeYoung(young: Young, starts: number | null, ends: number | null, signed: number | null): void {
  const since = signed ?? starts;
  if (since === null || since + ROUNDING > young.signedBefore) throw new Problem("stale_pack", "issued after what this till knows of its issuer");
  if (ends === null || ends - since > young.longest + ROUNDING) throw new Problem("stale_pack", "lives too long to be accepted on what this till knows");
}

export class Known {
  /** The one used last at the end. */
  private readonly unfolded = new Map<string, Bytes>();

  /** `list`: a status list by its digest, unfolded. */
  constructor(
    readonly pack: TillPack,
    private readonly list: (digest: string) => Promise<Bytes>,
  ) {}

  /** An issuer that was late is said to be so, and holds up no other. */
  get begun(): Begun {
    const { issuers, publishers } = this.pack;
    if (publishers.some(({ lists }) => lists.length > 0)) return "ready";
    const answered = issuers.every(({ status_prefix }) => publishers.some(({ prefix, late }) => prefix === status_prefix && !late));
    return issuers.length > 0 && answered ? "nobody" : "collecting";
  }

  purpose(id: string): TillPurpose | undefined {
    return this.pack.purposes.find((one) => one.id === id);
  }

  private publisher(uri: string): TillPack["publishers"][number] | undefined {
    return this.pack.publishers.find(({ prefix }) => uri.startsWith(prefix));
  }

  /** Both ages at this moment: since witnesses vouched for the registry, and of the oldest lists. */
  ages(now: number): { readonly trust: number; readonly status: number; readonly late: number } {
    const since = (moment: number): number => Math.max(0, Math.floor(now - moment));
    const trust = since(this.pack.as_of);
    const status = Math.max(0, ...this.pack.publishers.map(({ as_of }) => since(as_of)));
    return { trust, status: this.pack.publishers.length > 0 ? status : trust, late: this.pack.publishers.filter(({ late }) => late).length };
  }

  /** Throws stale_pack. */
  issuers(purpose: TillPurpose, now: number): Issuer[] {
    tierOf(purpose, now - this.pack.as_of);
    return this.pack.issuers.map((one) => {
      const asOf = Math.min(this.pack.as_of, this.publisher(one.status_prefix)?.as_of ?? this.pack.as_of);
      return {
        id: one.id,
        anchors: one.ca.map(unb64),
        types: { sd_jwt: one.vcts, mdoc: one.doctypes },
        prefix: one.status_prefix,
        signers: one.signers === null ? null : parseSigners(one.signers),
        young: young(asOf, purpose, now),
      };
    });
  }

  /** On what a verdict about a copy with its status at `uri` stands. Throws stale_pack, status_unknown. */
  grounds(uri: string, purpose: TillPurpose, now: number): Grounds {
    const publisher = this.publisher(uri);
    if (!publisher) throw new Problem("status_unknown", "no such status list in the pack");
    const [trust, status] = [this.pack.as_of, publisher.as_of].map((moment) => Math.max(0, Math.floor(now - moment))) as [number, number];
    return { tier: tierOf(purpose, Math.max(trust, status)), trust, status };
  }

  /** What the list at `uri` says of one place. */
  async standing(uri: string, index: number, purpose: TillPurpose, now: number): Promise<number> {
    const publisher = this.publisher(uri);
    const found = publisher?.lists.find((one) => one.uri === uri);
    if (!publisher || !found || now > publisher.as_of + reach(purpose)) throw new Problem("status_unknown", "no status list fresh enough");
    const byte = (await this.unfold(found.digest))[Math.floor((index * found.bits) / 8)];
    if (byte === undefined) throw new Problem("status_unknown", "an index outside the list");
    return (byte >> ((index * found.bits) % 8)) & (2 ** found.bits - 1);
  }

  /** A nation has hundreds of megabytes of them: a tablet that has met a thousand customers holds no more than one that has met a hundred. */
  private async unfold(digest: string): Promise<Bytes> {
    const bytes = this.unfolded.get(digest) ?? (await this.list(digest));
    this.unfolded.delete(digest);
    this.unfolded.set(digest, bytes);
    let size = [...this.unfolded.values()].reduce((sum, { length }) => sum + length, 0);
    for (const [old, { length }] of this.unfolded) {
      if (size <= HELD || old === digest) break;
      this.unfolded.delete(old);
      size -= length;
    }
    return bytes;
  }
}

const NOTHING: Young = { signedBefore: 0, longest: 0 };

function young(asOf: number, purpose: TillPurpose, now: number): Young | null {
  try {
    return tierOf(purpose, now - asOf) === "young" ? { signedBefore: asOf, longest: LONGEST } : null;
  } catch {
    return NOTHING; // no copy is that young
  }
}

const isText = (value: unknown): boolean => typeof value === "string";
const isMoment = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const textOrNull = (value: unknown): boolean => value === null || isText(value);
const flag = (value: unknown): boolean => typeof value === "boolean";
type Shape = Readonly<Record<string, (value: unknown) => boolean>>;
const all = (shape: (value: unknown) => boolean) => (value: unknown): boolean => Array.isArray(value) && value.every(shape);
const has = (shape: Shape) => (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.entries(shape).every(([name, fits]) => fits((value as Record<string, unknown>)[name]));

const WORDS = has({ ko: isText, en: isText });
/** Whether these are purposes that a check can go by; a shop's own come with the till. */
export const arePurposes = all(has({
  id: isText, name: WORDS, legal_basis: WORDS, vct: textOrNull, doctype: textOrNull, namespace: textOrNull, anyone: flag, by_holder: flag,
  items: all(has({ name: isText, kind: isText, label: WORDS })),
  risk: (value) => ["low", "medium", "high"].includes(value as string),
  offline: has({ full: isMoment, marked: isMoment, last: isMoment }),
}));
const PACK = has({
  as_of: isMoment,
  newest: isMoment,
  issuers: all(has({ ca: all(isText), vcts: all(isText), doctypes: all(isText), status_prefix: isText, signers: (value) => value === null || Array.isArray(value) })),
  publishers: all(has({ prefix: isText, as_of: isMoment, late: flag, lists: all(has({ uri: isText, digest: isText, bits: (value) => [1, 2, 4, 8].includes(value as number) })) })),
  purposes: arePurposes,
});

/** What came as a till pack, or was kept by a page of another version. The server is believed; but half a pack would half-work, and for good. */
export function readPack(raw: unknown): TillPack {
  if ((raw as Partial<TillPack> | null)?.version !== 1) throw new Problem("unsupported", "a till pack of another version");
  if (!PACK(raw)) throw new Problem("bad_pack", "a till pack of another shape");
  return raw as TillPack;
}
