/**
 * What the till keeps in the browser (IndexedDB). No person, no card, no place in a status list: a test reads every entry after checks.
 * Promises: a till pack takes the place of the one before whole, with its lists, or not at all; a nonce is spent once, whatever tabs and
 * reloads; a signed question is handed out once, and none that is over. Trusts: the browser's storage for this origin. Keeps: pack and lists, settings, unused
 * questions, nonces for a minute beyond their life, a number a day, purpose and outcome, facts of receipts until they are reported, and
 * receipts until the shop has them. A connection that the browser closed (storage cleared or evicted) is opened anew.
 * Refuses: what the browser cannot write down, as `storage`: the disk is full, or storage is closed to us.
 */
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { b64u, type Bytes } from "../bytes.ts";
import { Problem } from "../problem.ts";
import { ASK_LIFE } from "./codes.ts";
import { readPack, type TillPack, type TillPurpose } from "./pack.ts";

/** Who this browser asks for, as its server said last. */
export interface Till {
  readonly party: string;
  readonly shop: { readonly ko: string; readonly en: string };
  readonly purposes: readonly string[];
  /** Purposes that are not in the pack, which is everybody's, or not as the shop has registered them. A server of before says none. */
  readonly own?: readonly TillPurpose[];
  readonly until: number;
}
export interface Settings {
  readonly voice: boolean;
  readonly vibration: boolean;
  readonly receipts: boolean;
  /** What a shop without an account calls itself. */
  readonly name: string;
  /** Which camera, as this browser calls it here; "": the rear one. */
  readonly camera: string;
}
export const SETTINGS: Settings = { voice: true, vibration: true, receipts: false, name: "", camera: "" };

/** What a receipt is made of at the next sync: what was asked, on which heads, how it ended; never of whom. */
export interface Facts {
  readonly id: string;
  readonly purpose: string;
  readonly outcome: string;
  readonly step: string;
  readonly code: string;
  readonly tier: string | null;
  readonly at: number;
  readonly registry: unknown;
  readonly status: unknown;
}
export interface Counted {
  readonly day: string;
  readonly purpose: string;
  readonly outcome: string;
  readonly count: number;
}
interface Kept {
  readonly id: string;
  readonly pack: TillPack;
}
interface Schema extends DBSchema {
  meta: { key: string; value: unknown };
  lists: { key: string; value: Bytes };
  asks: { key: string; value: { readonly text: string; readonly purpose: string; readonly until: number }; indexes: { purpose: string } };
  spent: { key: string; value: number };
  counts: { key: string; value: Counted };
  receipts: { key: string; value: Facts };
  signed: { key: string; value: string };
}

const MINUTE = 60;
const DAYS_COUNTED = 92;
/** No further ahead of the witnesses than any pack is good for: a device that once took it to be 2100 is right again a month after. */
const FURTHEST = 31 * 86_400;

function opened(name: string): Promise<IDBPDatabase<Schema>> {
  return openDB<Schema>(name, 1, {
    upgrade(fresh) {
      for (const plain of ["meta", "lists", "spent", "counts", "receipts", "signed"] as const) fresh.createObjectStore(plain);
      fresh.createObjectStore("asks", { keyPath: "text" }).createIndex("purpose", "purpose");
    },
    blocking(_old, _new, event) {
      (event.target as IDBDatabase).close(); // another tab wants a newer layout
    },
  });
}

/** No transaction can be begun: the connection was closed behind our back. */
const isClosed = (thrown: unknown): boolean => thrown instanceof Error && thrown.name === "InvalidStateError";

export class TillStore {
  private constructor(
    private readonly name: string,
    private db: IDBPDatabase<Schema>,
  ) {}

  static async open(name = "mapae-checker"): Promise<TillStore> {
    return new TillStore(name, await opened(name).catch(noted));
  }

  /** Where nothing was begun, it is begun again, once. Throws storage, and the problems of `work`. */
  private async run<T>(work: (db: IDBPDatabase<Schema>) => Promise<T>): Promise<T> {
    try {
      return await work(this.db);
    } catch (thrown) {
      if (!isClosed(thrown)) return noted(thrown);
    }
    try {
      this.db = await opened(this.name);
      return await work(this.db);
    } catch (thrown) {
      return noted(thrown);
    }
  }

  close(): void {
    this.db.close();
  }

  // --- the pack ---------------------------------------------------------------------------------------------------------------------------

  /** Undefined also where a page of another version kept one that this page cannot read: it is fetched anew. */
  async pack(): Promise<Kept | undefined> {
    const kept = (await this.run((db) => db.get("meta", "pack"))) as Kept | undefined;
    try {
      return kept && { id: kept.id, pack: readPack(kept.pack) };
    } catch {
      return undefined;
    }
  }

  list(digest: string): Promise<Bytes | undefined> {
    return this.run((db) => db.get("lists", digest));
  }

  /** Which of these are not here yet. */
  async missing(digests: readonly string[]): Promise<string[]> {
    const here = new Set(await this.run((db) => db.getAllKeys("lists")));
    return [...new Set(digests)].filter((digest) => !here.has(digest));
  }

  /** By its digest, so it may come before the pack that names it: a line that breaks loses no more than one list. */
  async putList(digest: string, bytes: Bytes): Promise<void> {
    await this.run((db) => db.put("lists", bytes, digest));
  }

  /** The pack takes the place of the one before, once its lists are here; those it does not name go. */
  take(kept: Kept): Promise<void> {
    return this.run(async (db) => {
      const named = new Set(kept.pack.publishers.flatMap(({ lists }) => lists.map(({ digest }) => digest)));
      const tx = db.transaction(["meta", "lists"], "readwrite");
      const lists = tx.objectStore("lists");
      for (const digest of await lists.getAllKeys()) if (!named.delete(digest)) void lists.delete(digest);
      if (named.size > 0) {
        tx.abort();
        await tx.done.catch(() => undefined);
        throw new Problem("bad_pack", "a list is missing");
      }
      void tx.objectStore("meta").put(kept, "pack");
      await tx.done;
    });
  }

  // --- time -------------------------------------------------------------------------------------------------------------------------------

  /** A moment that has been reached, in seconds: this till's clock does not go behind it, also over a restart. */
  noteTime(seconds: number, asOf: number): Promise<number> {
    return this.setTime((noted) => Math.max(Math.min(noted, asOf + FURTHEST), Math.min(seconds, asOf + FURTHEST)));
  }

  /**
   * What our server says the time is takes the place of whatever was noted. Else a device that once woke with its clock a year ahead would
   * refuse every code as old, for a month after it was set right. The floor of the used codes stays.
   */
  hearTime(seconds: number, asOf: number): Promise<number> {
    return this.setTime(() => Math.min(seconds, asOf + FURTHEST));
  }

  private setTime(to: (noted: number) => number): Promise<number> {
    return this.run(async (db) => {
      const tx = db.transaction("meta", "readwrite");
      const high = to(((await tx.store.get("high-water")) as number | undefined) ?? 0);
      void tx.store.put(high, "high-water");
      await tx.done;
      return high;
    });
  }

  // --- single use -------------------------------------------------------------------------------------------------------------------------

  /**
   * This nonce counts here no more, in no tab. IndexedDB runs one such transaction after the other. What is over is forgotten, and the floor
   * remembers how far, so that a clock that steps back brings no old code to life. Throws presentation_spent, presentation_stale.
   */
  spend(nonce: Bytes, until: number, now: number): Promise<void> {
    return this.run(async (db) => {
      const tx = db.transaction(["spent", "meta"], "readwrite");
      const [spent, meta] = [tx.objectStore("spent"), tx.objectStore("meta")];
      const key = b64u(nonce);
      const floor = ((await meta.get("floor")) as number | undefined) ?? 0;
      const known = (await spent.getKey(key)) !== undefined;
      let forgotten = floor;
      for (let at = await spent.openCursor(); at; at = await at.continue()) {
        if (at.value + MINUTE >= now) continue;
        forgotten = Math.max(forgotten, at.value);
        void at.delete();
      }
      if (forgotten > floor) void meta.put(forgotten, "floor");
      if (!known && until > floor) void spent.put(until, key);
      await tx.done;
      if (known) throw new Problem("presentation_spent", "accepted here before");
      if (until <= floor) throw new Problem("presentation_stale", "older than what this till remembers");
    });
  }

  // --- questions signed beforehand --------------------------------------------------------------------------------------------------------

  putAsks(asks: readonly Schema["asks"]["value"][]): Promise<void> {
    return this.run(async (db) => {
      const tx = db.transaction("asks", "readwrite");
      for (const ask of asks) void tx.store.put(ask);
      await tx.done;
    });
  }

  /** One of them, which is gone from here with this call. None that wallets would call over before it could be answered. */
  async takeAsk(purpose: string, now: number): Promise<string | undefined> {
    await this.dropAsks(now + ASK_LIFE);
    return this.run(async (db) => {
      const tx = db.transaction("asks", "readwrite");
      const key = await tx.store.index("purpose").getKey(purpose);
      if (key !== undefined) void tx.store.delete(key);
      await tx.done;
      return key;
    });
  }

  /** How many of them live until `then`. */
  async asksLeft(purpose: string, then: number): Promise<number> {
    return (await this.run((db) => db.getAllFromIndex("asks", "purpose", purpose))).filter(({ until }) => until >= then).length;
  }

  /** Those that end before `then`, and those that never do: a page before this one kept such. */
  dropAsks(then = Infinity): Promise<void> {
    return this.run(async (db) => {
      const tx = db.transaction("asks", "readwrite");
      for (const { text, until } of await tx.store.getAll()) if (!(until >= then)) void tx.store.delete(text);
      await tx.done;
    });
  }

  // --- who and how ------------------------------------------------------------------------------------------------------------------------

  async till(): Promise<Till | null> {
    return ((await this.run((db) => db.get("meta", "till"))) as Till | null | undefined) ?? null;
  }

  async setTill(till: Till | null): Promise<void> {
    await this.run((db) => db.put("meta", till, "till"));
    if (!till) await this.dropAsks();
  }

  async settings(): Promise<Settings> {
    return { ...SETTINGS, ...((await this.run((db) => db.get("meta", "settings"))) as Partial<Settings> | undefined) };
  }

  async setSettings(settings: Settings): Promise<void> {
    await this.run((db) => db.put("meta", settings, "settings"));
  }

  // --- the counter ------------------------------------------------------------------------------------------------------------------------

  count(day: string, purpose: string, outcome: string): Promise<void> {
    const key = `${day} ${purpose} ${outcome}`;
    return this.run(async (db) => {
      const tx = db.transaction("counts", "readwrite");
      const before = (await tx.store.get(key))?.count ?? 0;
      void tx.store.put({ day, purpose, outcome, count: before + 1 }, key);
      const days = [...new Set((await tx.store.getAll()).map((one) => one.day))].sort().slice(0, -DAYS_COUNTED);
      for (const old of days) void tx.store.delete(IDBKeyRange.bound(`${old} `, `${old} \uffff`));
      await tx.done;
    });
  }

  counts(): Promise<Counted[]> {
    return this.run((db) => db.getAll("counts"));
  }

  clearCounts(): Promise<void> {
    return this.run((db) => db.clear("counts"));
  }

  // --- receipts ---------------------------------------------------------------------------------------------------------------------------

  async putFacts(facts: Facts): Promise<void> {
    await this.run((db) => db.put("receipts", facts, facts.id));
  }

  facts(): Promise<Facts[]> {
    return this.run((db) => db.getAll("receipts"));
  }

  /** Reported: the facts go, and what the server signed of them takes their place. */
  putSigned(answers: ReadonlyMap<string, string | null>): Promise<void> {
    return this.run(async (db) => {
      const tx = db.transaction(["receipts", "signed"], "readwrite");
      for (const [id, receipt] of answers) {
        void tx.objectStore("receipts").delete(id);
        if (receipt) void tx.objectStore("signed").put(receipt, id);
      }
      await tx.done;
    });
  }

  signed(): Promise<string[]> {
    return this.run((db) => db.getAll("signed"));
  }

  clearSigned(): Promise<void> {
    return this.run((db) => db.clear("signed"));
  }
}

/** What the browser's storage throws, as ours: never the fault of the card before us. */
function noted(thrown: unknown): never {
  throw thrown instanceof Problem ? thrown : new Problem("storage", thrown instanceof Error ? thrown.name : "");
}
