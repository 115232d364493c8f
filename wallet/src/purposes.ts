/**
 * The purposes of the country: what may be asked at all, of which document, with the words for it.
 * Promises: a document is used only when the pinned key of the trust list signed it; of two the later one is kept; a purpose for anyone
 * asks for yes or no only, whatever the document says. Trusts: the pinned key. Keeps: the last good document, so that a code can be
 * shown and answered without a network, for as long as the trust list (`LATE_MS` after its end). Refuses: anything it cannot read whole.
 */
import { type Claims, openByKey } from "./jws.ts";
import type { Net } from "./net.ts";
import { asProblem, Problem } from "./problem.ts";
import type { Store } from "./store.ts";
import { LATE_MS, type Purpose, soonOr, type Trust, type Words, wordsOf } from "./trust.ts";

/** What every phone may know of a purpose. */
export interface Listed extends Purpose {
  readonly document: { readonly id: string; readonly name: Words; readonly vct: string; readonly doctype: string; readonly namespace: string };
  readonly kinds: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, Words>>;
  /** Whoever wants may ask: yes or no only. */
  readonly anyone: boolean;
  /** A holder may show it unasked. */
  readonly by_holder: boolean;
  readonly risk: string;
}
export interface PurposesDocument {
  readonly iat: number;
  readonly exp: number;
  readonly purposes: readonly Listed[];
}
interface Kept {
  readonly document: PurposesDocument;
  readonly fetched: number;
}

const KEPT = "purposes";
const DAY_MS = 86_400_000;
const FRESH_MS = 3_600_000;

export class Purposes {
  constructor(
    private readonly store: Store,
    private readonly net: Net,
    private readonly trust: Trust,
    private readonly base: string,
    private readonly now: () => number,
  ) {}

  /** As good as we have it now: no older than an hour with a network, else what was kept. Throws `no_purposes` where nothing is. */
  async list(): Promise<PurposesDocument> {
    const kept = await this.kept();
    if (kept && this.now() - kept.fetched < FRESH_MS && this.now() >= kept.fetched) return kept.document;
    const answer = this.fetch(kept?.document).catch((thrown: unknown) => {
      const problem = asProblem(thrown);
      if (!kept) throw problem.code === "offline" ? new Problem("no_purposes") : problem;
      return kept.document;
    });
    return kept ? soonOr(answer, kept.document) : answer;
  }

  /** Keeps the newest while there is a network, so that it is there when there is none. */
  async keep(): Promise<void> {
    const kept = await this.kept();
    if (!kept || Math.abs(this.now() - kept.fetched) >= DAY_MS / 4) await this.fetch(kept?.document);
  }

  /** Whether a purpose of this party is its own. Where the country's are not known, its id says so: that is how the registry forms it. */
  async own(party: string, id: string): Promise<boolean> {
    const kept = await this.kept();
    return kept ? !kept.document.purposes.some((one) => one.id === id) : id.startsWith(`own_${party}_`);
  }

  private async kept(): Promise<Kept | undefined> {
    const kept = await this.store.meta<Kept>(KEPT);
    return kept && this.now() < kept.document.exp * 1000 + LATE_MS ? kept : undefined;
  }

  private async fetch(known: PurposesDocument | undefined): Promise<PurposesDocument> {
    const raw = await this.net.text(`${this.base}/trust/purposes`, "application/jwt");
    const { claims } = await openByKey(raw, "mapae-purposes+jwt", await this.trust.key(), this.now());
    const read = parsePurposes(claims);
    const document = known && known.iat > read.iat ? known : read;
    await this.store.setMeta(KEPT, { document, fetched: this.now() } satisfies Kept);
    return document;
  }
}

const bad = (what: string): never => {
  throw new Problem("untrusted_list", what);
};
const NAME = /^[a-z][a-z0-9_]{0,63}$/;

export function parsePurposes({ iat, exp, purposes }: Claims): PurposesDocument {
  if (typeof iat !== "number" || typeof exp !== "number" || !Array.isArray(purposes)) return bad("purposes");
  const read = (purposes as Claims[]).map(listed);
  if (new Set(read.map(({ id }) => id)).size !== read.length) bad("a purpose twice");
  return { iat, exp, purposes: read };
}

function listed(raw: Claims): Listed {
  const named = (value: unknown): string => (typeof value === "string" && NAME.test(value) ? value : bad("a purpose or an item has no name"));
  const record = (value: unknown): Claims => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Claims) : bad("a purpose"));
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const { document, kinds, labels, items } = record(raw);
  if (!Array.isArray(items) || items.length === 0) return bad("a purpose asks for nothing");
  const names = items.map(named);
  const about = record(document);
  const kindOf = record(kinds);
  const yesOrNo = names.every((name) => kindOf[name] === "yes_no");
  if (raw["anyone"] === true && !yesOrNo) bad("a purpose for anyone asks for more than yes or no");
  if (raw["by_holder"] === true && raw["risk"] === "high") bad("a purpose of high risk is shown unasked");
  const [vct, doctype, namespace] = [text(about["vct"]), text(about["doctype"]), text(about["namespace"])];
  if (!vct && !doctype) bad("a purpose is about a document of no format");
  return {
    id: named(raw["id"]),
    document: { id: text(about["id"]), name: wordsOf(about["name"]), vct, doctype, namespace },
    name: wordsOf(raw["name"]),
    why: wordsOf(raw["why"]),
    legal_basis: wordsOf(raw["legal_basis"]),
    retention: wordsOf(raw["retention"]),
    items: names,
    kinds: Object.fromEntries(names.map((name) => [name, text(kindOf[name])])),
    labels: Object.fromEntries(names.map((name) => [name, wordsOf(record(labels)[name])])),
    anyone: raw["anyone"] === true,
    by_holder: raw["by_holder"] === true,
    risk: text(raw["risk"]),
  };
}
