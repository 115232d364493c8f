/** The browser's checker, held to what the Python checker does (vectors/qr.json, vectors/till.json), and to bad input of every step. */
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { b64u, type Bytes, unb45, unb64u } from "../src/bytes.ts";
import { type Cbor, decode, encode, type Key, Tagged } from "../src/cbor.ts";
import { decodeMdoc } from "../src/checker/cbor.ts";
import { check, type Verdict } from "../src/checker/check.ts";
import { type Ask, ASK, ASK_LIFE, askAnonymously, askSigned, Collector, readShow, type Show } from "../src/checker/codes.ts";
import { ageOf, clock, Known, light, mustBeYoung, readPack, reach, type TillPack, type TillPurpose, tierOf } from "../src/checker/pack.ts";
import { TillStore } from "../src/checker/store.ts";
import { Sync, unpack } from "../src/checker/sync.ts";
import { Problem } from "../src/problem.ts";

type Json = Record<string, unknown>;
interface Case {
  readonly name: string;
  readonly input: Json;
  readonly expected?: Json;
  readonly refused?: { readonly code: string; readonly step: string };
}
const load = (name: string): Json & { readonly cases: readonly Case[] } => JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8"));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const raw = (text: string): Bytes => Uint8Array.from(Buffer.from(text, "hex"));

// --- the codes of the Python side ----------------------------------------------------------------------------------------------------------

const CODES = load("qr");
const NOW = CODES["now"] as number;
const LISTS = CODES["lists"] as Record<string, { bits: number; lst: string }>;

/** The vectors' trust list and purposes as a till pack would have them. */
function pack(change: Partial<TillPack> = {}): TillPack {
  const issuers = (CODES["trust_list"] as { issuers: (Json & { status_prefix: string })[] }).issuers;
  return {
    version: 1,
    as_of: NOW,
    newest: NOW,
    registry: {},
    epochs: [],
    issuers: issuers.map((one) => ({ ...one, signers: null })) as unknown as TillPack["issuers"],
    publishers: issuers.map(({ status_prefix: prefix }) => ({
      prefix,
      as_of: NOW,
      late: false,
      lists: Object.entries(LISTS).map(([uri, { bits }]) => ({ uri, bits, digest: uri })),
    })),
    purposes: (CODES["purposes"] as (Json & { document: Json; items: string[]; kinds: Record<string, string>; labels: Record<string, unknown> })[]).map((one) => ({
      ...one,
      ...one.document,
      id: one["id"],
      items: one.items.map((name) => ({ name, kind: one.kinds[name], label: one.labels[name] })),
      offline: { full: 24, marked: 168, last: 720 },
    })) as unknown as TillPurpose[],
    ...change,
  };
}
const known = (change: Partial<TillPack> = {}): Known => new Known(pack(change), (uri) => unpack(unb64u(LISTS[uri]?.lst ?? "")));

/** The payload of an ask, signed or not. */
function asked(text: string): Promise<Ask> {
  const value = decode(unb45(text.slice(ASK.length)));
  if (value instanceof Tagged) return askSigned(text);
  const parts = value as Map<Key, Cbor>;
  return askAnonymously(String(parts.get(3)), parts.get(4) as string[], String(parts.get(5)), parts.get(2) as Bytes);
}

async function shown(texts: readonly string[]): Promise<Show> {
  const collector = new Collector();
  let whole: Show | null = null;
  for (const text of texts) whole = (await collector.add(text)) ?? whole;
  if (!whole) throw new Problem("malformed", "a frame is missing");
  return whole;
}

let stores = 0;
async function judge(input: Json, with_: Known = known()): Promise<Verdict & { readonly show: Show }> {
  const store = await TillStore.open(`judge-${stores++}`);
  const at = input["now"] as number;
  try {
    const show = await shown(input["show"] as string[]);
    for (const nonce of input["spent"] as string[]) await store.spend(raw(nonce), at + 60, at);
    const purpose = with_.purpose(input["purpose"] as string);
    if (!purpose) throw new Error("no such purpose in the vectors");
    const ask = input["asked"] === null ? null : { ...(await asked(input["asked"] as string)), at: input["asked_at"] as number };
    return { ...(await check(show, { purpose, ask }, with_, at, (nonce, until) => store.spend(nonce, until, at))), show };
  } finally {
    store.close();
  }
}

const SHOWN = CODES.cases.filter(({ input }) => "show" in input);
const READ = SHOWN.filter(({ refused }) => refused?.step !== "code");

/** `join` in Python has all codes of one picture before it; a camera has them one after the other, and is content with the first whole one. */
const ONE_PICTURE = "code: two frames in one place";
const UNREAD = SHOWN.filter(({ name, refused }) => refused?.step === "code" && name !== ONE_PICTURE);

test.each(UNREAD.map((one) => [one.name, one] as const))("unread: %s", async (_name, { input, refused }) => {
  await expect(shown(input["show"] as string[])).rejects.toMatchObject({ name: "Problem", code: refused?.code });
});

test.each(READ.map((one) => [one.name, one] as const))("%s", async (_name, { input, expected, refused }) => {
  const verdict = await judge(input);
  if (refused) {
    expect(verdict).toMatchObject({ outcome: "refused", ...refused });
    expect(verdict.claims.size).toBe(0);
    return;
  }
  const no = Object.values(expected?.["claims"] as Json).includes(false);
  expect([verdict.outcome, verdict.step, verdict.code]).toEqual([no ? "no" : "accepted", null, null]);
  expect(Object.fromEntries(verdict.claims)).toEqual(expected?.["claims"]);
  expect([verdict.show.made, hex(verdict.show.nonce)]).toEqual([expected?.["made"], expected?.["nonce"]]);
  const { presentation } = verdict.show;
  expect(typeof presentation === "string" ? presentation : b64u(presentation)).toBe(expected?.["presentation"]);
});

test("an ask of ours is the ask the wallets' vectors have, byte for byte", async () => {
  for (const { input, expected } of CODES.cases.filter((one) => "ask" in one.input && one.expected)) {
    const ask = await asked(input["ask"] as string);
    expect([ask.text, hex(ask.nonce), ask.audience]).toEqual([input["ask"], expected?.["nonce"], expected?.["audience"]]);
  }
});

// --- what a till may believe, and for how long ---------------------------------------------------------------------------------------------

const RULES = load("till").cases;

test.each(RULES.map((one) => [one.name, one] as const))("till: %s", (_name, { input, expected, refused }) => {
  const work = (): unknown => {
    const { tier, light: lit, reach: far, clock: moments, young } = input as Record<string, never> & { tier?: { risk: "low"; offline: TillPurpose["offline"]; age: number } };
    if (tier) return tierOf(tier, tier.age);
    if (lit !== undefined) return light(lit);
    if (far) return reach(far);
    if (moments) return clock(...(moments as [number, number, number]));
    const copy = young as unknown as { starts: number | null; ends: number | null; signed: number | null; signed_before: number };
    mustBeYoung({ signedBefore: copy.signed_before, longest: 31 * 86_400 }, copy.starts, copy.ends, copy.signed);
    return true;
  };
  if (refused) expect(work).toThrow(refused.code);
  else expect(work()).toEqual(expected);
});

test("an age is never made younger by rounding", () => {
  expect([0, 61, 7199, 7201, 172_799, 172_801].map(ageOf)).toEqual([["minutes", 1], ["minutes", 2], ["minutes", 120], ["hours", 3], ["hours", 48], ["days", 3]]);
});

// --- the same codes on other packs ---------------------------------------------------------------------------------------------------------

const DAY = 86_400;

const good = (format: string): Json => READ.find(({ name }) => name === `${format}: an adult, unasked`)?.input ?? {};
const FORMATS = ["dc+sd-jwt", "mso_mdoc"];

describe.each(FORMATS)("%s on another pack", (format) => {
  const on = async (change: Partial<TillPack>): Promise<readonly unknown[]> => {
    const { outcome, step, code, grounds } = await judge(good(format), known(change));
    return [outcome, step, code, grounds?.tier ?? null];
  };
  const aged = (seconds: number, change: Partial<TillPack> = {}): Partial<TillPack> => {
    const { publishers } = pack();
    return { as_of: NOW - seconds, publishers: publishers.map((one) => ({ ...one, as_of: NOW - seconds })), ...change };
  };

  test("says on what it stands", async () => {
    expect(await on({})).toEqual(["accepted", null, null, "full"]);
    expect(await on(aged(2 * DAY))).toEqual(["accepted", null, null, "marked"]);
    expect(await on(aged(31 * DAY))).toEqual(["refused", "issuer", "stale_pack", null]);
  });

  test("on a pack of a week ago a card that was issued later is too young to be known", async () => {
    expect(await on(aged(8 * DAY))).toEqual(["refused", "dates", "stale_pack", null]);
  });

  test("a publisher the pack does not have leaves the standing unknown", async () => {
    expect(await on({ publishers: [] })).toEqual(["refused", "standing", "status_unknown", null]);
  });

  test("where the issuer enters its signers in the log, another does not count", async () => {
    const issuers = pack().issuers.map((one) => ({ ...one, signers: [] }));
    expect(await on({ issuers })).toEqual(["refused", "issuer", "signer_revoked", null]);
  });

  test("nobody on the list may issue this", async () => {
    const issuers = pack().issuers.map((one) => ({ ...one, vcts: ["other"], doctypes: ["other"] }));
    expect(await on({ issuers })).toEqual(["refused", "issuer", "untrusted_issuer", null]);
  });
});

test("of a purpose that names a person a no among its items is no refusal", async () => {
  const { input } = SHOWN.find(({ name }) => name === "mso_mdoc: no adult") ?? {};
  const plain = await judge(input ?? {});
  expect(plain.outcome).toBe("no");
  const purposes = pack().purposes.map((one) => (one.id === "adult" ? { ...one, items: [{ ...one.items[0], kind: "text" as const }] } : one)) as TillPurpose[];
  expect(await judge(input ?? {}, known({ purposes }))).toMatchObject({ outcome: "refused", step: "request", code: "not_what_was_asked" });
});

test("no flipped bit of a code is accepted as another", async () => {
  // Every 41st bit, of both formats: 1.5 s. The mark of the frames would catch nearly all, so it is made anew here.
  for (const format of FORMATS) {
    const whole = await shown(good(format)["show"] as string[]);
    const parts = new Map<Key, Cbor>([[1, 1], [2, format === "mso_mdoc" ? 1 : 0], [3, whole.made], [4, whole.nonce], [5, whole.purpose], [6, apart(whole)]]);
    const bytes = encode(parts);
    expect(readShow(bytes)).toEqual(whole);
    const purpose = known().purpose("adult");
    const sound = await check(whole, { purpose: purpose as TillPurpose, ask: null }, known(), NOW + 8, async () => undefined);
    expect(sound.outcome).toBe("accepted");
    for (let bit = 3; bit < bytes.length * 8; bit += 41) {
      const bent = bytes.slice();
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const outcome = await Promise.resolve()
        .then(async () => check(readShow(bent), { purpose: purpose as TillPurpose, ask: null }, known(), NOW + 8, async () => undefined))
        .then((verdict) => verdict.outcome, (thrown) => (thrown instanceof Problem ? "unread" : String(thrown)));
      expect([bit, ["unread", "refused"].includes(outcome) ? "no" : outcome]).toEqual([bit, "no"]);
    }
  }
});

function apart(show: Show): Cbor {
  if (show.format === "mdoc") return show.presentation;
  const [jws = "", ...rest] = show.presentation.split("~");
  const parts = (text: string): Cbor[] => text.split(".").map(unb64u);
  return [...parts(jws), rest.slice(0, -1).map(unb64u), ...parts(rest.at(-1) ?? "")];
}

// --- its own small readers -----------------------------------------------------------------------------------------------------------------

test("CBOR has one reading, and for a code one spelling", () => {
  const value = new Map<Key, Cbor>([[1, "한"], [-7, [true, false, null, Uint8Array.of(1, 2)]], ["x", new Tagged(24, Uint8Array.of(0xa0))], [24, 2 ** 33]]);
  expect(decodeMdoc(encode(value))).toEqual(value);
  for (const spoiled of ["a201010102", "9f01ff", "1801ff", "5f4101ff", "f97e00", "1bffffffffffffffff", "62c328", "a1f501", "8201", "7fff"]) expect(() => decodeMdoc(raw(spoiled)), spoiled).toThrow(Problem);
  expect(decodeMdoc(raw("1801"))).toBe(1);
  expect(() => decode(raw("1801"))).toThrow(Problem);
  expect(() => decode(raw("a202010101"))).toThrow(Problem);
  expect(() => decodeMdoc(raw("81".repeat(40) + "00"))).toThrow(Problem);
});

test("a pack without any list is told from one where an issuer was late", () => {
  expect([known().begun, known({ publishers: [] }).begun]).toEqual(["ready", "collecting"]);
});

test("a till pack of another version is not half read", () => {
  for (const odd of [null, {}, { ...pack(), version: 2 }, { ...pack(), issuers: {} }]) expect(() => readPack(odd)).toThrow(Problem);
  expect(readPack(pack())).toEqual(pack());
});

// --- what is kept --------------------------------------------------------------------------------------------------------------------------

test("a nonce is spent once, whichever of two tabs is first, also after a restart, also when the clock goes back", async () => {
  const [left, right] = await Promise.all([TillStore.open("tabs"), TillStore.open("tabs")]);
  const nonce = raw("11".repeat(16));
  const both = await Promise.allSettled([left.spend(nonce, NOW + 35, NOW), right.spend(nonce, NOW + 35, NOW)]);
  expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  left.close();
  right.close();
  const later = await TillStore.open("tabs");
  await expect(later.spend(nonce, NOW + 35, NOW + 1)).rejects.toMatchObject({ code: "presentation_spent" });
  await later.spend(raw("22".repeat(16)), NOW + 500, NOW + 400); // sweeps the first
  await expect(later.spend(nonce, NOW + 35, NOW + 1)).rejects.toMatchObject({ code: "presentation_stale" });
  later.close();
});

test("a signed question is handed out once", async () => {
  const store = await TillStore.open("asks");
  await store.putAsks(["a", "b"].map((text) => ({ text, purpose: "adult", until: NOW + 3600 })));
  const taken = await Promise.all(["adult", "adult", "adult", "other"].map((one) => store.takeAsk(one, NOW)));
  expect(taken.toSorted()).toEqual(["a", "b", undefined, undefined]);
  await store.putAsks([{ text: "c", purpose: "adult", until: NOW + 3600 }]);
  await store.setTill(null);
  expect(await store.asksLeft("adult", NOW)).toBe(0);
  store.close();
});

test("a signed question that would be over before it is answered is thrown away, and so is one that never ends", async () => {
  const store = await TillStore.open("old asks");
  const endless = { text: "a", purpose: "adult" } as { text: string; purpose: string; until: number }; // an earlier page kept it
  await store.putAsks([endless, { text: "b", purpose: "adult", until: NOW + ASK_LIFE - 1 }, { text: "c", purpose: "adult", until: NOW + ASK_LIFE }]);
  expect([await store.asksLeft("adult", NOW), await store.asksLeft("adult", NOW + ASK_LIFE)]).toEqual([2, 1]);
  expect(await store.takeAsk("adult", NOW)).toBe("c");
  expect(await store.takeAsk("adult", NOW)).toBeUndefined();
  expect(await store.asksLeft("adult", 0)).toBe(0);
  store.close();
});

test("a clock goes back to no moment before the last one, and no further ahead than a pack is good for", async () => {
  const store = await TillStore.open("clock");
  expect(await store.noteTime(NOW, NOW - 100)).toBe(NOW);
  expect(await store.noteTime(NOW - 9999, NOW - 100)).toBe(NOW);
  expect(await store.noteTime(NOW + 10 * 365 * DAY, NOW)).toBe(NOW + 31 * DAY);
  store.close();
});

test("after checks of named people nothing of them is in the store", async () => {
  const store = await TillStore.open("nobody");
  const named = SHOWN.filter(({ name, refused }) => name.includes("name and birth date") && !refused);
  expect(named.length).toBeGreaterThan(2);
  for (const { input, expected } of named) {
    const purpose = known().purpose(input["purpose"] as string) as TillPurpose;
    const ask = input["asked"] === null ? null : { ...(await asked(input["asked"] as string)), at: input["asked_at"] as number };
    const verdict = await check(await shown(input["show"] as string[]), { purpose, ask }, known(), input["now"] as number, (nonce, until) => store.spend(nonce, until, NOW).catch(() => undefined));
    expect(Object.fromEntries(verdict.claims)).toEqual(expected?.["claims"]);
    await store.count("2026-11-26", purpose.id, verdict.outcome);
  }
  expect(await store.counts()).toEqual([{ day: "2026-11-26", purpose: "name_birth", outcome: "accepted", count: named.length }]);
  store.close();
  const db = await new Promise<IDBDatabase>((resolve, reject) => {
    const open = indexedDB.open("nobody");
    open.onsuccess = () => resolve(open.result);
    open.onerror = () => reject(open.error);
  });
  const kept: unknown[] = [];
  for (const name of db.objectStoreNames) {
    const rows = db.transaction(name).objectStore(name).openCursor();
    await new Promise<void>((resolve) => {
      rows.onsuccess = () => {
        if (!rows.result) return resolve();
        kept.push(name, rows.result.key, rows.result.value);
        rows.result.continue();
      };
    });
  }
  db.close();
  expect(kept.length).toBeGreaterThan(3);
  expect(JSON.stringify(kept)).not.toMatch(/한지수|2001-03-09|status\/1|eyJ/);
});

// --- the minute on the network -------------------------------------------------------------------------------------------------------------

/** The till's server, as far as it is looked at. */
class Server {
  readonly asked: string[] = [];
  till: Json | null = null;
  broken: string | null = null;
  list: Bytes = unb64u(Object.values(LISTS)[0]?.lst ?? "");
  pack = pack();

  constructor(public now = NOW) {
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => this.answer(path.replace("/x/", ""), init));
  }

  async named(): Promise<this> {
    const digest = b64u(new Uint8Array(await crypto.subtle.digest("SHA-256", await unpack(this.list))));
    const publishers = this.pack.publishers.map((one) => ({ ...one, lists: one.lists.map((list) => ({ ...list, digest })) }));
    this.pack = { ...this.pack, publishers };
    return this;
  }

  private async answer(path: string, init: RequestInit): Promise<Response> {
    this.asked.push(path.split("/")[0] ?? "");
    if (this.broken && path.startsWith(this.broken)) throw new TypeError("no network");
    if (path === "till") return Response.json({ now: this.now, csrf: "token", till: this.till });
    const etag = JSON.stringify(String(this.pack.as_of));
    if (path === "pack") return new Headers(init.headers).get("If-None-Match") === etag ? new Response(null, { status: 304 }) : Response.json(this.pack, { headers: { ETag: etag } });
    if (path.startsWith("lists/")) return new Response(this.list);
    const said = JSON.parse(String(init.body)) as { purpose: string; count: number; receipts: { id: string }[] };
    expect(new Headers(init.headers).get("X-CSRF-Token")).toBe("token");
    if (path === "asks") return Response.json({ asks: Array.from({ length: said.count }, (_one, at) => `${said.purpose} ${this.asked.length} ${at}`), until: this.now + 2 * 86_400 });
    return Response.json({ receipts: said.receipts.map(({ id }) => (id === "odd" ? null : `signed ${id}`)) });
  }
}

describe("the minute on the network", () => {
  afterEach(() => vi.unstubAllGlobals());
  let names = 0;
  const begin = async (): Promise<[TillStore, Sync]> => {
    const store = await TillStore.open(`sync-${names++}`);
    return [store, new Sync(store, "/x/")];
  };
  const SHOP = { party: "mart", shop: { ko: "마트", en: "Mart" }, purposes: ["adult"], until: NOW + DAY };

  test("the pack and its lists are here, and the next look fetches neither", async () => {
    const server = await new Server().named();
    const [store, sync] = await begin();
    expect((await sync.run()).taken).toBe(true);
    expect((await store.pack())?.pack).toEqual(server.pack);
    expect((await sync.run()).taken).toBe(false);
    expect(server.asked).toEqual(["till", "pack", "lists", "till", "pack"]);
  });

  test.each(["pack", "lists"])("a line that breaks at the %s leaves the pack before in force", async (where) => {
    const server = await new Server().named();
    const [store, sync] = await begin();
    await sync.run();
    const before = await store.pack();
    server.pack = { ...pack({ as_of: NOW + 300 }) };
    server.list = new Uint8Array(Buffer.from("789c63000000010001", "hex"));
    await server.named();
    server.broken = where;
    await expect(sync.run()).rejects.toMatchObject({ code: "offline" });
    expect(await store.pack()).toEqual(before);
    server.broken = null;
    expect((await sync.run()).taken).toBe(true);
  });

  test("a list that is not what the pack says is not taken, nor is its pack", async () => {
    const server = await new Server().named();
    server.list = new Uint8Array(Buffer.from("789c63000000010001", "hex"));
    const [store, sync] = await begin();
    await expect(sync.run()).rejects.toMatchObject({ code: "bad_pack" });
    expect(await store.pack()).toBeUndefined();
  });

  test("an older pack takes nobody's place", async () => {
    const server = await new Server().named();
    const [store, sync] = await begin();
    await sync.run();
    server.pack = { ...server.pack, as_of: NOW - 1 };
    expect((await sync.run()).taken).toBe(false);
    expect((await store.pack())?.pack.as_of).toBe(NOW);
  });

  test("an enrolled till fetches questions until it has enough, and loses them with its enrolment", async () => {
    const server = await new Server().named();
    server.till = SHOP;
    const [store, sync] = await begin();
    await sync.run();
    expect(await store.asksLeft("adult", server.now)).toBe(24);
    await sync.run();
    expect(await store.asksLeft("adult", server.now)).toBe(24);
    server.till = null;
    await sync.run();
    expect([await store.asksLeft("adult", server.now), await store.till()]).toEqual([0, null]);
  });

  test("a till that was on the network has questions for the next day at the least, and no more of them than enough", async () => {
    const server = await new Server().named();
    server.till = SHOP;
    const [store, sync] = await begin();
    await sync.run();
    server.now += 86_401;
    await sync.run();
    expect(await store.asksLeft("adult", server.now + 86_400)).toBe(24);
    expect(await store.asksLeft("adult", 0)).toBe(24);
  });

  test("receipts are reported, and the signed ones take their place", async () => {
    const server = await new Server().named();
    server.till = SHOP;
    const [store, sync] = await begin();
    for (const id of ["one", "odd"]) await store.putFacts({ id, purpose: "adult", outcome: "accepted", step: "", code: "", tier: "full", at: NOW, registry: {}, status: [] });
    server.broken = "receipts";
    await expect(sync.run()).rejects.toMatchObject({ code: "offline" });
    expect((await store.facts()).length).toBe(2);
    server.broken = null;
    await sync.run();
    expect([await store.facts(), await store.signed()]).toEqual([[], ["signed one"]]);
  });

  test("a wrong clock is told, and the server's time is not forgotten", async () => {
    await new Server(NOW).named();
    const [store, sync] = await begin();
    const { ahead } = await sync.run();
    expect(Math.abs(ahead - (Date.now() / 1000 - NOW))).toBeLessThan(2);
    expect(await store.noteTime(0, NOW)).toBe(NOW);
  });
});
