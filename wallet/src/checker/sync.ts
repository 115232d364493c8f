/**
 * The till's minute on the network: the newest pack and its lists, who this browser is, questions for the next hours, receipts to report.
 * Promises: a pack is taken whole, each of its lists compared with its digest first; whatever fails leaves what there was. Trusts: the
 * page's own origin. Keeps: through `TillStore`. Refuses: a list that is not what the pack says, a pack of another version.
 */
import { b64u, type Bytes, join, sha256, unb64u } from "../bytes.ts";
import { Problem } from "../problem.ts";
import { readPack } from "./pack.ts";
import type { Facts, Till, TillStore } from "./store.ts";

/** Questions kept for each purpose. */
const ENOUGH = 24;
/** Seconds: a till that was on the network has questions for this long at the least. They live for two days. */
const AHEAD = 86_400;
const REPORTED = 50; // receipts at once
const LARGEST = 16 * 1024 * 1024;

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

export async function unpack(packed: Bytes): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return join(...parts);
    parts.push(value);
    size += value.length;
    if (size > LARGEST) throw new Problem("too_large", "status list");
  }
}

export class Sync {
  constructor(
    private readonly store: TillStore,
    private readonly base: string,
  ) {}

  private async ask(path: string, init: RequestInit = {}): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(this.base + path, { cache: "no-store", credentials: "same-origin", redirect: "error", ...init });
    } catch {
      throw new Problem("offline");
    }
    if (!answer.ok && answer.status !== 304) throw new Problem("unavailable", `${path}: ${answer.status}`);
    return answer;
  }

  private async post<T>(path: string, csrf: string, body: unknown): Promise<T> {
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
    return (await (await this.ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json()) as T;
  }

  /** Throws offline or unavailable; what came before that stays. */
  async run(): Promise<Synced> {
    const began = Date.now();
    const said = (await (await this.ask("till")).json()) as Said;
    const ahead = Math.round((began + Date.now()) / 2000 - said.now);
    await this.store.setTill(said.till);
    const taken = await this.takePack();
    const kept = await this.store.pack();
    if (kept) await this.store.noteTime(said.now, kept.pack.as_of);
    if (said.till) {
      await this.topUp(said.till, said.csrf, said.now);
      await this.report(said.csrf);
    }
    return { ahead, taken };
  }

  private async takePack(): Promise<boolean> {
    const before = await this.store.pack();
    const answer = await this.ask("pack", before ? { headers: { "If-None-Match": `"${before.id}"` } } : {});
    if (answer.status === 304) return false;
    const id = (answer.headers.get("ETag") ?? "").replaceAll('"', "");
    const pack = readPack(await answer.json());
    if (before && pack.as_of < before.pack.as_of) return false;
    const digests = pack.publishers.flatMap(({ lists }) => lists.map(({ digest }) => digest));
    for (const digest of await this.store.missing(digests)) await this.store.putList(digest, await this.list(digest));
    await this.store.take({ id, pack });
    return true;
  }

  private async list(digest: string): Promise<Bytes> {
    const hex = [...unb64u(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const packed = new Uint8Array(await (await this.ask(`lists/${hex}`)).arrayBuffer());
    if (b64u(await sha256(await unpack(packed))) !== digest) throw new Problem("bad_pack", "a list is not what the pack says");
    return packed;
  }

  private async topUp(till: Till, csrf: string, now: number): Promise<void> {
    for (const purpose of till.purposes) {
      const left = await this.store.asksLeft(purpose, now + AHEAD);
      if (left > ENOUGH / 2) continue;
      const { asks, until } = await this.post<{ asks: string[]; until: number }>("asks", csrf, { purpose, count: ENOUGH - left });
      await this.store.putAsks(asks.map((text) => ({ text, purpose, until })));
    }
    await this.store.dropAsks(now + AHEAD); // no more than enough of them lie on a tablet that may be stolen
  }

  private async report(csrf: string): Promise<void> {
    const facts: Facts[] = (await this.store.facts()).slice(0, REPORTED);
    if (facts.length === 0) return;
    const { receipts } = await this.post<{ receipts: (string | null)[] }>("receipts", csrf, { receipts: facts });
    await this.store.putSigned(new Map(facts.map(({ id }, at) => [id, receipts[at] ?? null])));
  }
}
