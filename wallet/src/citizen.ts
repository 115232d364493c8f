/**
 * What a person may know and ask about the looks of others: officers' acts, requests to relying parties, reports of over-asking.
 * Promises: nothing leaves the phone but what the screen showed: of an entry the moment, the purpose and the names of items, never a value;
 * a request's token is written down before it is sent, so that an answer that was lost can be asked for again. Trusts: the trust list for
 * a party's contact. Keeps: the officers' acts as they were heard last; requests and reports with their entry of the history.
 * Refuses: to send anything to a contact that takes no such requests; the person is shown a text to send by other means.
 */
import { token } from "./bytes.ts";
import type { Issuance } from "./issue.ts";
import type { Net } from "./net.ts";
import { asProblem, Problem } from "./problem.ts";
import { type Request, type Shown, writeOne } from "./records.ts";
import type { Store } from "./store.ts";
import { type Trust, type Words, wordsOf } from "./trust.ts";
import type { Vault } from "./vault.ts";

/** One act of an officer; `office` is null where an institution acted (a carrier). Both words are of closed lists. */
export interface Look {
  readonly at: number;
  readonly act: string;
  readonly why: string;
  readonly office: Words | null;
}
export interface Looks {
  readonly list: readonly Look[];
  /** When they were heard (milliseconds); 0: never. */
  readonly heard: number;
}
export type RequestKind = Request["kind"];

const LOOKS = "looks";
export const MOST_WORDS = 1000;

/** Whether a party's contact is a door that takes requests as they are written here, and not a page for people. */
export function takesRequests(who: Shown["who"]): boolean {
  return who !== undefined && URL.canParse(who.contact) && new URL(who.contact).pathname === `/privacy/${who.id}/requests`;
}

/** Where its contact is a page for people: what a browser may be led to, and nothing that it would run. */
export function pageOf(who: Shown["who"]): URL | null {
  if (!who || !URL.canParse(who.contact)) return null;
  const url = new URL(who.contact);
  return url.protocol === "https:" || (url.protocol === "http:" && url.hostname === "localhost") ? url : null;
}

/** Exactly what is sent. The moment is rounded to the minute: enough to find what was kept, no more. */
export function wishOf(entry: Shown, kind: RequestKind, words: string): Readonly<Record<string, unknown>> {
  const shownAt = Math.floor(entry.at / 60_000) * 60;
  return { kind, purpose: entry.purposeId ?? "", items: entry.items.map(({ name }) => name), shown_at: shownAt, words: words.trim() };
}

export class Citizen {
  constructor(
    private readonly store: Store,
    private readonly vault: Vault,
    private readonly net: Net,
    private readonly issuance: Issuance,
    private readonly trust: Trust,
    private readonly base: string,
    private readonly now: () => number,
  ) {}

  /** As they were heard last. */
  async kept(): Promise<Looks> {
    const row = await this.store.row(LOOKS);
    if (!row || !this.vault.open) return { list: [], heard: 0 };
    return this.vault.unseal<Looks>(row).catch(() => ({ list: [], heard: 0 })); // a damaged list is asked for again
  }

  /** Asks anew; raises what the issuer or the network said. */
  async hear(): Promise<Looks> {
    const line = await this.issuance.line(`${this.base}/issuer`);
    const answer = await this.net.json<{ looks?: unknown }>("GET", `${this.base}/issuer/looks`, undefined, await line.attestationHeaders());
    if (!Array.isArray(answer.looks)) throw new Problem("malformed", "looks");
    const kept = { id: LOOKS, list: answer.looks.map(lookOf), heard: this.now() };
    if (this.vault.open) await writeOne(this.store, this.vault, "person", "", kept);
    return kept;
  }

  /** Where the party takes requests now; what the entry has is what the list said then. */
  async contact(entry: Shown): Promise<Shown["who"]> {
    const { who } = entry;
    if (!who) return undefined;
    const list = await this.trust.list().catch(() => null);
    const listed = list?.relying_parties.find(({ id }) => id === who.id);
    return { id: who.id, contact: listed?.contact || who.contact };
  }

  async send(entry: Shown, kind: RequestKind, words: string): Promise<Shown> {
    const who = await this.contact(entry);
    if (!who || !takesRequests(who)) throw new Problem("unsupported", "the contact takes no requests");
    const before = entry.request;
    // The very same again under the same token: it may have arrived before.
    const again = before && before.standing === null && before.kind === kind && before.words === words.trim() ? before : null;
    const request: Request = again ?? { kind, contact: who.contact, token: token(), words: words.trim(), sent: this.now(), standing: null };
    const asked: Shown = before?.standing && !again ? { ...entry, request, earlier: [before, ...(entry.earlier ?? [])] } : { ...entry, request };
    await this.write(asked);
    const answer = await this.net.json("POST", request.contact, wishOf(entry, kind, request.words), { Authorization: `Bearer ${request.token}` });
    return this.write({ ...asked, request: { ...request, standing: standingOf(answer) } });
  }

  /** How a request stands; the entry as it was when nobody answers. */
  async follow(entry: Shown): Promise<Shown> {
    const { request } = entry;
    if (!request) return entry;
    const answer = await this.net.json("GET", request.contact, undefined, { Authorization: `Bearer ${request.token}` }).catch((thrown: unknown) => {
      const problem = asProblem(thrown);
      if (problem.code === "offline" || problem.code === "unavailable") return null;
      throw problem;
    });
    return answer === null ? entry : this.write({ ...entry, request: { ...request, standing: standingOf(answer) } });
  }

  /** Hands the request a party signed to whoever watches over relying parties; nothing else goes with it. */
  async report(entry: Shown): Promise<Shown> {
    if (!entry.evidence) throw new Problem("not_found");
    await this.net.json("POST", `${this.base}/trust/complaints`, { evidence: entry.evidence });
    return this.write({ ...entry, reported: this.now() });
  }

  private async write(entry: Shown): Promise<Shown> {
    await writeOne(this.store, this.vault, "history", "", entry);
    return entry;
  }
}

const VISIT = 3600; // seconds

/** The same act of the same office within one visit is one line, at its last time. */
export function oncePerVisit(looks: readonly Look[]): { readonly look: Look; readonly times: number }[] {
  const lines: { look: Look; times: number }[] = [];
  const same = (a: Look, b: Look): boolean => a.act === b.act && a.why === b.why && a.office?.ko === b.office?.ko && Math.abs(a.at - b.at) < VISIT;
  for (const look of looks.toSorted((a, b) => b.at - a.at)) {
    const line = lines.find((one) => same(one.look, look));
    if (line) line.times += 1;
    else lines.push({ look, times: 1 });
  }
  return lines;
}

function lookOf(raw: unknown): Look {
  const { at, act, why, office } = (raw ?? {}) as Record<string, unknown>;
  if (typeof at !== "number" || typeof act !== "string" || typeof why !== "string") throw new Problem("malformed", "look");
  return { at, act, why, office: office === null ? null : wordsOf(office) };
}

function standingOf(raw: unknown): NonNullable<Request["standing"]> {
  const { number, state, outcome, reply, overdue, due_at: due } = (raw ?? {}) as Record<string, unknown>;
  if ([number, state, outcome, reply].some((one) => typeof one !== "string") || typeof due !== "number") throw new Problem("malformed", "standing");
  return { number: number as string, state: state as string, outcome: outcome as string, reply: (reply as string).slice(0, MOST_WORDS), due, overdue: overdue === true };
}
