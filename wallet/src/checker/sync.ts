/**
 * The till's minute on the network: the newest pack and its lists, who this browser is, questions for the next hours, receipts to report.
 * Promises: a pack is taken whole, each of its lists compared with its digest first; whatever fails leaves what there was, and holds up
 * nothing else; a line that hangs is let go. Trusts: the page's own origin. Keeps: through `TillStore`. Refuses: a list that is not what
 * the pack says, a pack of another version, answers that are not what was asked for (a hotel's sign-in page, a proxy's error).
 */
import { b64u, type Bytes, hex, sha256, text, unb64u } from "../bytes.ts";
import { inflated } from "../inflate.ts";
import { asProblem, Problem } from "../problem.ts";
import { arePurposes, readPack } from "./pack.ts";
import type { Facts, Till, TillStore } from "./store.ts";

/** Questions kept for each purpose. */
const ENOUGH = 24;
/** Seconds: a till that was on the network has questions for this long at the least. They live for two days. */
const AHEAD = 86_400;
const REPORTED = 50; // receipts at once
const LARGEST = 16 * 1024 * 1024;
const PATIENCE_MS = 20_000;
const LIST_PATIENCE_MS = 120_000; // a megabyte over a bad line

/** Until the next look: usually; where an issuer's lists are awaited; where there is no pack at all. The last two ever less often. */
const EVERY_MS = 5 * 60_000;
const FIRST_MS = { lists: 5_000, pack: 5_000 } as const;
/** Looks in vain until it is no more a matter of a moment: two minutes. */
export const PATIENT = 24;

export type Wants = "nothing" | keyof typeof FIRST_MS;

/** `looks`: how often it was looked for already in vain. An issuer that is away for days must not cost a tablet its battery. */
export function untilNext(wants: Wants, looks: number): number {
  return wants === "nothing" ? EVERY_MS : Math.min(EVERY_MS, FIRST_MS[wants] * 2 ** Math.max(0, looks - PATIENT));
}

interface Said {
  readonly now: number;
  readonly csrf: string;
  readonly till: Till | null;
}
export interface Synced {
  /** How far this device's clock is ahead of its server's, in seconds. */
  readonly ahead: number;
  readonly taken: boolean;
}

export const unpack = (packed: Bytes): Promise<Bytes> => inflated(packed, "deflate", LARGEST);

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Bytes;
}

const odd = (what: string): never => {
  throw new Problem("malformed", what);
};

function json(body: Bytes): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text(body));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : odd("the answer");
  } catch {
    return odd("the answer is not JSON");
  }
}

const strings = (value: unknown): value is string[] => Array.isArray(value) && value.every((one) => typeof one === "string");

/** Half an answer would sign an enrolled till off, or stop its clock. */
function saidOf(raw: Record<string, unknown>): Said {
  const { now, csrf, till } = raw;
  if (!Number.isSafeInteger(now) || (now as number) <= 0 || typeof csrf !== "string" || till === undefined) return odd("the till");
  if (till === null) return { now: now as number, csrf, till };
  const { party, shop, purposes, own = [], until } = till as Partial<Till>;
  const { ko, en } = (shop ?? {}) as Partial<Till["shop"]>;
  if (typeof party !== "string" || typeof ko !== "string" || typeof en !== "string" || !strings(purposes) || !arePurposes(own) || !Number.isSafeInteger(until)) return odd("the till");
  return { now: now as number, csrf, till: { party, shop: { ko, en }, purposes, own, until: until as number } };
}

/** One that fails holds up no other, unless it is by `stop`. Throws the first problem. */
async function eachOf(deeds: readonly (() => Promise<void>)[], stop?: string): Promise<void> {
  let first: Problem | null = null;
  for (const deed of deeds) {
    const problem = await deed().then(() => null, asProblem);
    first ??= problem;
    if (problem && problem.code === stop) break;
  }
  if (first) throw first;
}

export class Sync {
  constructor(
    private readonly store: TillStore,
    private readonly base: string,
  ) {}

  private async ask(path: string, init: RequestInit = {}, patience = PATIENCE_MS): Promise<Answer> {
    let answer: Answer;
    try {
      const signal = AbortSignal.timeout(patience); // also of the body
      const given = await fetch(this.base + path, { cache: "no-store", credentials: "same-origin", redirect: "error", signal, ...init });
      answer = { status: given.status, headers: given.headers, body: new Uint8Array(await given.arrayBuffer()) };
    } catch {
      throw new Problem("offline");
    }
    if (answer.status !== 200 && answer.status !== 304) throw new Problem("unavailable", `${path}: ${answer.status}`, { status: answer.status });
    return answer;
  }

  private async post(path: string, csrf: string, body: unknown): Promise<Record<string, unknown>> {
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
    return json((await this.ask(path, { method: "POST", headers, body: JSON.stringify(body) })).body);
  }

  /** Throws offline, unavailable, malformed, storage, what a pack is refused for, and beginning: the server has no pack yet, nor has this
   * device. What came before and after that stays: a list that cannot be had, or hangs, holds up neither the clock nor the shop. */
  async run(): Promise<Synced> {
    const began = Date.now();
    const said = saidOf(json((await this.ask("till")).body));
    const ahead = Math.round((began + Date.now()) / 2000 - said.now);
    await this.store.setTill(said.till);
    const { till } = said;
    let taken = false;
    await eachOf([
      async () => void (taken = await this.takePack()),
      () => this.hear(said.now),
      async () => void (till && (await this.asShop(till, said))),
    ]);
    return { ahead, taken };
  }

  private async hear(now: number): Promise<void> {
    const kept = await this.store.pack();
    if (kept) await this.store.hearTime(now, kept.pack.as_of);
  }

  /** A purpose that is refused holds up no other, nor the receipts. */
  private async asShop(till: Till, { csrf, now }: Said): Promise<void> {
    const deeds = [...till.purposes.map((purpose) => () => this.topUp(purpose, csrf, now)), () => this.store.dropAsks(now + AHEAD), () => this.report(csrf)];
    await eachOf(deeds, "offline");
  }

  private async takePack(): Promise<boolean> {
    const before = await this.store.pack();
    const answer = await this.ask("pack", before ? { headers: { "If-None-Match": `"${before.id}"` } } : {}).catch((thrown: unknown) => {
      const problem = asProblem(thrown);
      // It has just told us of the till, so it is there.
      throw !before && problem.facts["status"] === 503 ? new Problem("beginning") : problem;
    });
    if (answer.status === 304) return false;
    // A proxy that compresses makes the tag a weak one, or leaves it out.
    const id = /^(?:W\/)?"([^"]+)"$/.exec(answer.headers.get("ETag") ?? "")?.[1] ?? b64u(await sha256(answer.body));
    const pack = readPack(json(answer.body));
    if (before && pack.as_of < before.pack.as_of) return false;
    const digests = pack.publishers.flatMap(({ lists }) => lists.map(({ digest }) => digest));
    for (const digest of await this.store.missing(digests)) await this.store.putList(digest, await this.list(digest));
    await this.store.take({ id, pack });
    return true;
  }

  private async list(digest: string): Promise<Bytes> {
    const { body } = await this.ask(`lists/${hex(unb64u(digest))}`, {}, LIST_PATIENCE_MS);
    const whole = await unpack(body).catch(() => null);
    if (whole === null || b64u(await sha256(whole)) !== digest) throw new Problem("bad_pack", "a list is not what the pack says");
    return body;
  }

  /** No more than enough of them lie on a tablet that may be stolen. */
  private async topUp(purpose: string, csrf: string, now: number): Promise<void> {
    const left = await this.store.asksLeft(purpose, now + AHEAD);
    if (left > ENOUGH / 2) return;
    const { asks, until } = await this.post("asks", csrf, { purpose, count: ENOUGH - left });
    if (!strings(asks) || !Number.isSafeInteger(until)) return odd("questions");
    await this.store.putAsks(asks.slice(0, ENOUGH - left).map((text) => ({ text, purpose, until: until as number })));
  }

  private async report(csrf: string): Promise<void> {
    const facts: Facts[] = (await this.store.facts()).slice(0, REPORTED);
    if (facts.length === 0) return;
    const { receipts } = await this.post("receipts", csrf, { receipts: facts });
    // One answer for each, or they are reported again.
    if (!Array.isArray(receipts) || receipts.length !== facts.length || !receipts.every((one) => one === null || typeof one === "string")) return odd("receipts");
    await this.store.putSigned(new Map(facts.map(({ id }, at) => [id, receipts[at] as string | null])));
  }
}
