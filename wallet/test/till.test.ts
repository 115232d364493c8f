/** The till of the offline checker where something goes wrong around it: the network, the disk, the camera, the keyboard, a hostile code. */
import { deflateSync } from "node:zlib";
import { afterEach, describe, expect, test, vi } from "vitest";
import { b64u, type Bytes, sha256 } from "../src/bytes.ts";
import { Awake } from "../src/checker/awake.ts";
import { Eyes, REST_MS } from "../src/checker/camera.ts";
import { ASK, askAnonymously, plainName, SHOW, unfold } from "../src/checker/codes.ts";
import { HELD, Known, readPack, type TillPack, type TillPurpose } from "../src/checker/pack.ts";
import { type Till, TillStore } from "../src/checker/store.ts";
import { Sync, untilNext } from "../src/checker/sync.ts";
import { Wedge } from "../src/checker/wedge.ts";

vi.mock("zxing-wasm/reader", () => ({ prepareZXingModule: () => undefined, readBarcodes: () => Promise.resolve([]) }));

const NOW = 1_800_000_000;
const DAY = 86_400;
const words = (text: string): { ko: string; en: string } => ({ ko: text, en: text });
const PURPOSE: TillPurpose = {
  id: "adult", name: words("adult"), why: words(""), legal_basis: words(""), retention: words(""), document: words(""), vct: "card", doctype: null, namespace: null,
  items: [{ name: "age_over_19", kind: "yes_no", label: words("adult") }], risk: "low", offline: { full: 24, marked: 168, last: 720 }, anyone: true, by_holder: true,
};
const LIST = new Uint8Array(deflateSync(new Uint8Array(64)));
const DIGEST = b64u(await sha256(new Uint8Array(64)));
function pack(change: Partial<TillPack> = {}): TillPack {
  const issuer = { id: "i", ca: [], vcts: ["card"], doctypes: [], status_prefix: "https://i/", signers: null };
  const publisher = { prefix: "https://i/", as_of: NOW, late: false, lists: [{ uri: "https://i/1", bits: 2, digest: DIGEST }] };
  return { version: 1, as_of: NOW, newest: NOW, issuers: [issuer], publishers: [publisher], purposes: [PURPOSE], registry: {}, epochs: [], ...change };
}
const PACK_ID = b64u(await sha256(new TextEncoder().encode(JSON.stringify(pack()))));
const SHOP: Till = { party: "mart", shop: words("Mart"), purposes: ["adult", "name"], until: NOW + DAY };
const facts = (id: string): Parameters<TillStore["putFacts"]>[0] => ({ id, purpose: "adult", outcome: "accepted", step: "", code: "", tier: "full", at: NOW, registry: {}, status: [] });

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

let stores = 0;
const opened = (): Promise<TillStore> => TillStore.open(`till-${stores++}`);

// --- a hostile code ------------------------------------------------------------------------------------------------------------------------

test("of a code that unfolds a thousandfold hardly anything is unfolded", async () => {
  let unfolded = 0;
  vi.stubGlobal("DecompressionStream", class extends TransformStream<Bytes, Bytes> {
    constructor() {
      // As browsers do it: all that a piece unfolds to, before anybody can say stop.
      super({ transform: (chunk, to) => ((unfolded += chunk.length * 1_000), to.enqueue(new Uint8Array(chunk.length * 1_000))) });
    }
  });
  await expect(unfold(new Uint8Array(58_000))).rejects.toMatchObject({ code: "too_large" }); // what 32 codes hold
  expect(unfolded).toBeLessThan(2_000_000);
});

// --- the keyboard --------------------------------------------------------------------------------------------------------------------------

describe("a scanner that types", () => {
  let at = 0;
  const codes: Readonly<Record<string, string>> = { "-": "Minus", ":": "Semicolon", $: "Digit4", " ": "Space", "+": "Equal", "/": "Slash", ".": "Period", "*": "Digit8", "%": "Digit5" };
  const codeOf = (one: string): string => codes[one] ?? (/\d/.test(one) ? `Digit${one}` : `Key${one}`);
  const type = (wedge: Wedge, text: string, key: (one: string) => string): void => {
    for (const one of text) wedge.press({ key: key(one), code: codeOf(one), shiftKey: /[A-Z:$%*+]/.test(one), timeStamp: at++ });
    wedge.press({ key: "Enter", code: "Enter", shiftKey: false, timeStamp: at++ });
  };
  const CODE = `${SHOW}AB 9$%*+-./:Z`;

  test.each([
    ["an American layout", (one: string) => one],
    ["Caps Lock", (one: string) => one.toLowerCase()],
    ["a Korean layout", (one: string) => (/[A-Z]/.test(one) ? "ㅁ" : one)],
    ["a Korean input method", () => "Process"],
  ])("is understood under %s", (_name, key) => {
    const typed: string[] = [];
    type(new Wedge((text) => typed.push(text)), CODE, key);
    expect(typed).toEqual([CODE]);
  });

  test("leaves Enter and Space to whoever works by keys alone, and keeps no more than a code", () => {
    const typed: string[] = [];
    const wedge = new Wedge((text) => typed.push(text));
    const press = (key: string): boolean => wedge.press({ key, code: key === " " ? "Space" : key, shiftKey: false, timeStamp: (at += 3_000) });
    expect([press(" "), press("Enter"), press("Tab"), press("ArrowDown"), press("Shift")]).toEqual([false, false, false, false, false]);
    type(wedge, `${"X".repeat(100_000)}${SHOW}A`, (one) => one);
    expect([typed.length, typed[0]]).toEqual([1, `${SHOW}A`]);
  });
});

test.each(["  과일​가게\t ", "A shop", "👩‍👩‍👧 bakery", "x".repeat(99), "🍎".repeat(61)])("a name as people paste it does not stop the shop's question: %j", async (typed) => {
  const name = plainName(typed);
  expect([...name].length).toBeLessThanOrEqual(60);
  expect((await askAnonymously("adult", ["age_over_19"], name)).text.startsWith(ASK)).toBe(true);
  expect(plainName(name)).toBe(name);
});

// --- the camera ----------------------------------------------------------------------------------------------------------------------------

describe("the camera", () => {
  class Track extends EventTarget {
    on = true;
    readonly stop = (): void => void (this.on = false);
    readonly getSettings = (): object => ({ deviceId: "one" });
  }
  const tracks: Track[] = [];
  const streamOf = (track: Track): object => ({ getTracks: () => [track], getVideoTracks: () => [track] });
  const given = (): object => streamOf(tracks[tracks.push(new Track()) - 1] as Track);
  const eyes = (get: () => Promise<object>, lost: (why: string) => void = () => undefined): Eyes => {
    tracks.length = 0;
    vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: get } });
    vi.stubGlobal("document", { createElement: () => ({ getContext: () => ({}) }) });
    vi.stubGlobal("HTMLMediaElement", { HAVE_CURRENT_DATA: 2 });
    return new Eyes({ srcObject: null, readyState: 0, play: () => Promise.resolve() } as unknown as HTMLVideoElement, () => undefined, lost);
  };

  test("a permission that comes late leaves no second camera on", async () => {
    const allow: (() => void)[] = [];
    const two = eyes(() => new Promise((done) => allow.push(() => done(given()))));
    const first = two.start();
    two.stop(); // back to the start
    const second = two.start();
    for (const one of allow) one();
    expect([await first, await second]).toEqual(["left", "seeing"]);
    two.stop();
    expect(tracks.map(({ on }) => on)).toEqual([false, false]);
  });

  test.each([["NotAllowedError", "denied"], ["NotFoundError", "none"], ["NotReadableError", "none"]])("%s is %s", async (name, said) => {
    expect(await eyes(() => Promise.reject(new DOMException("", name))).start()).toBe(said);
  });

  test("one that is unplugged is said to be gone", async () => {
    const lost = vi.fn();
    await eyes(() => Promise.resolve(given()), lost).start();
    tracks[0]?.dispatchEvent(new Event("ended"));
    expect(lost.mock.calls).toEqual([["gone"]]);
  });

  test("one that sees nothing for minutes rests", async () => {
    vi.useFakeTimers();
    const lost = vi.fn();
    await eyes(() => Promise.resolve(given()), lost).start();
    await vi.advanceTimersByTimeAsync(REST_MS - 1_000);
    expect(tracks[0]?.on).toBe(true);
    await vi.advanceTimersByTimeAsync(2_000);
    expect([tracks[0]?.on, lost.mock.calls]).toEqual([false, [["rest"]]]);
  });
});

test("the screen stays on while it is looked at, and no longer, however late the browser answers", async () => {
  const locks: { released: boolean; release: () => Promise<void> }[] = [];
  let slow: Promise<void> = Promise.resolve();
  const request = async (): Promise<object> => {
    await slow;
    const lock = { released: false, release: async () => void (lock.released = true) };
    return locks[locks.push(lock) - 1] as object;
  };
  vi.stubGlobal("navigator", { wakeLock: { request } });
  const awake = new Awake();
  await awake.want(true);
  await awake.again();
  expect(locks.map(({ released }) => released)).toEqual([false]);
  (locks[0] as { released: boolean }).released = true; // the page was hidden
  await awake.again();
  await awake.want(false);
  await awake.again();
  expect(locks.map(({ released }) => released)).toEqual([true, true]);
  let answer = (): void => undefined;
  slow = new Promise((done) => (answer = done));
  const late = awake.want(true);
  await awake.want(false);
  answer();
  await late;
  expect(locks.map(({ released }) => released)).toEqual([true, true, true]);
  vi.stubGlobal("navigator", {});
  await awake.want(true); // a browser that cannot
});

// --- what it knows -------------------------------------------------------------------------------------------------------------------------

test("a country where nobody holds a card is told from one whose issuer has not answered", () => {
  const known = (publishers: TillPack["publishers"]): string => new Known(pack({ publishers }), () => Promise.reject(new Error())).begun;
  const [publisher] = pack().publishers as [TillPack["publishers"][number]];
  expect(known([publisher])).toBe("ready");
  expect(known([{ ...publisher, lists: [] }])).toBe("nobody");
  expect(known([{ ...publisher, lists: [], late: true }])).toBe("collecting");
  expect(known([{ ...publisher, prefix: "https://another/", lists: [] }])).toBe("collecting");
  expect(known([])).toBe("collecting");
});

test("a thousand customers of a thousand lists do not fill the memory", async () => {
  const size = 1024 * 1024;
  const lists = Array.from({ length: 100 }, (_one, at) => ({ uri: `https://i/${at}`, bits: 2, digest: String(at) }));
  let read = 0;
  const known = new Known(pack({ publishers: [{ prefix: "https://i/", as_of: NOW, late: false, lists }] }), () => Promise.resolve(new Uint8Array((read++, size))));
  for (const { uri } of lists) await known.standing(uri, 0, PURPOSE, NOW);
  expect(read).toBe(100);
  for (const { uri } of lists.slice(-HELD / size)) await known.standing(uri, 0, PURPOSE, NOW);
  expect(read).toBe(100); // the last ones are here
  await known.standing("https://i/0", 0, PURPOSE, NOW);
  expect(read).toBe(101); // the first are not
});

test.each([
  { purposes: [{ ...PURPOSE, name: "adult" }] }, { purposes: [{ ...PURPOSE, items: null }] }, { issuers: [{}] }, { publishers: [{ ...pack().publishers[0], lists: [{ uri: 1 }] }] }, { as_of: 1.5 }, { newest: -1 },
])("half a pack is none: %j", (change) => {
  expect(() => readPack({ ...pack(), ...change })).toThrow("bad_pack");
});

test("what is awaited is looked for soon, and ever less often where it does not come", () => {
  expect([untilNext("nothing", 99), untilNext("pack", 0), untilNext("lists", 24)]).toEqual([300_000, 5_000, 5_000]);
  const waits = [25, 27, 30, 99].map((looks) => untilNext("lists", looks));
  expect(waits).toEqual([10_000, 40_000, 300_000, 300_000]);
});

// --- the disk ------------------------------------------------------------------------------------------------------------------------------

test("a full disk is named, and no code counts that could not be written down", async () => {
  const store = await opened();
  vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  await expect(store.spend(new Uint8Array(16), NOW + 60, NOW)).rejects.toMatchObject({ name: "Problem", code: "storage" });
  await expect(store.noteTime(NOW, NOW)).rejects.toMatchObject({ code: "storage" });
});

test("a connection that the browser closed is opened anew", async () => {
  const store = await opened();
  await store.spend(new Uint8Array(16), NOW + 60, NOW);
  store.close(); // as when storage is cleared, or another tab asks for it
  await expect(store.spend(new Uint8Array(16), NOW + 60, NOW)).rejects.toMatchObject({ code: "presentation_spent" });
  expect(await store.pack()).toBeUndefined();
});

// --- the network ---------------------------------------------------------------------------------------------------------------------------

describe("the minute on the network", () => {
  let purposes: (purpose: string) => Response;
  let receipts: (ids: readonly string[]) => unknown;
  let etag: string | null;
  let said: unknown;
  let none: number | null; // in place of a pack
  let asked: string[];
  const serve = async (path: string, init: RequestInit): Promise<Response> => {
    asked.push(path);
    if (path === "/x/till") return said instanceof Response ? said.clone() : Response.json(said);
    if (path === "/x/pack" && none) return Response.json({ error: "unavailable" }, { status: none });
    if (path === "/x/pack") return new Headers(init.headers).get("If-None-Match") === '"abc"' ? new Response(null, { status: 304 }) : Response.json(pack(), etag ? { headers: { ETag: etag } } : {});
    if (path.startsWith("/x/lists/")) return new Response(LIST);
    const body = JSON.parse(String(init.body)) as { purpose: string; receipts: { id: string }[] };
    return path === "/x/asks" ? purposes(body.purpose) : Response.json({ receipts: receipts(body.receipts.map(({ id }) => id)) });
  };
  const begin = async (): Promise<[TillStore, Sync]> => {
    [etag, said, asked, none] = ['"abc"', { now: NOW, csrf: "t", till: SHOP }, [], null];
    purposes = (purpose) => Response.json({ asks: [`${purpose} 1`, `${purpose} 2`], until: NOW + 2 * DAY });
    receipts = (ids) => ids.map((id) => `signed ${id}`);
    vi.stubGlobal("fetch", serve);
    const store = await opened();
    return [store, new Sync(store, "/x/")];
  };

  test("a line that hangs is let go", async () => {
    const [, sync] = await begin();
    vi.spyOn(AbortSignal, "timeout").mockReturnValue(AbortSignal.abort());
    vi.stubGlobal("fetch", (_path: string, { signal }: RequestInit) => new Promise((_done, no) => signal && no(signal.reason)));
    await expect(sync.run()).rejects.toMatchObject({ code: "offline" });
  });

  test.each([
    ["a sign-in page", new Response("<html>Welcome to the hotel</html>")], ["nothing", {}], ["no time", { csrf: "t", till: null }], ["no word about the till", { now: NOW, csrf: "t" }],
    ["half a till", { now: NOW, csrf: "t", till: { party: "mart" } }], ["a list", []], ["no object", new Response("null")], ["nothing at all", new Response(null, { status: 204 })],
  ])("%s in place of the till signs nobody off and stops no clock", async (_name, answer) => {
    const [store, sync] = await begin();
    await sync.run();
    said = answer;
    await expect(sync.run()).rejects.toMatchObject({ name: "Problem" });
    expect([(await store.till())?.party, await store.asksLeft("adult", NOW), await store.noteTime(0, NOW)]).toEqual(["mart", 2, NOW]);
  });

  test.each([['W/"abc"', "abc"], [null, PACK_ID]])("a pack behind a proxy that makes its tag %s is known by name", async (tag, id) => {
    const [store, sync] = await begin();
    etag = tag;
    await sync.run();
    expect((await store.pack())?.id).toBe(id);
  });

  test("a server that has no pack yet has just begun, for a device that has none; any other error is one", async () => {
    const [, sync] = await begin();
    none = 503;
    await expect(sync.run()).rejects.toMatchObject({ code: "beginning" });
    none = 500;
    await expect(sync.run()).rejects.toMatchObject({ code: "unavailable" });
    none = null;
    await sync.run();
    none = 503;
    await expect(sync.run()).rejects.toMatchObject({ code: "unavailable" });
    const [, elsewhere] = await begin();
    said = new Response(null, { status: 503 });
    await expect(elsewhere.run()).rejects.toMatchObject({ code: "unavailable" });
  });

  test("a pack that a page of another version kept is fetched anew, and does not stand in the way", async () => {
    const [store, sync] = await begin();
    await sync.run();
    await store.take({ id: "abc", pack: { ...pack(), version: 0 } });
    expect(await store.pack()).toBeUndefined();
    expect((await sync.run()).taken).toBe(true);
    expect((await store.pack())?.pack).toEqual(pack());
  });

  test.each([["missing", (): Response => new Response(null, { status: 404 })], ["another", (): Response => new Response("x")], ["hanging", (): Promise<Response> => Promise.reject(new DOMException("", "TimeoutError"))]])("a list that is %s holds up neither the clock, nor the questions, nor the receipts", async (_how, list) => {
    const [store, sync] = await begin();
    await store.take({ id: "old", pack: pack({ publishers: [] }) });
    await store.noteTime(NOW + 20 * DAY, NOW); // this device woke with its clock ahead, without a network
    await store.putFacts(facts("one"));
    const rest = fetch;
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => (path.startsWith("/x/lists/") ? list() : rest(path, init)));
    await expect(sync.run()).rejects.toMatchObject({ name: "Problem" });
    expect(await store.noteTime(NOW, NOW)).toBe(NOW);
    expect([(await store.pack())?.id, await store.asksLeft("adult", NOW), await store.signed()]).toEqual(["old", 2, ["signed one"]]);
  });

  test("a purpose that is refused holds up no other, nor the receipts", async () => {
    const [store, sync] = await begin();
    await store.putFacts(facts("one"));
    const right = purposes;
    purposes = (purpose) => (purpose === "adult" ? Response.json({ code: "over_asking" }, { status: 403 }) : right(purpose));
    await expect(sync.run()).rejects.toMatchObject({ code: "unavailable" });
    expect([await store.asksLeft("name", NOW), await store.facts(), await store.signed()]).toEqual([2, [], ["signed one"]]);
  });

  test.each([[[]], [["signed one", "signed two", "signed three"]], ["signed"], [[1, 2]]])("receipts answered with %j are reported again", async (answer) => {
    const [store, sync] = await begin();
    for (const id of ["one", "two"]) await store.putFacts(facts(id));
    receipts = () => answer;
    await expect(sync.run()).rejects.toMatchObject({ code: "malformed" });
    expect([(await store.facts()).length, await store.signed()]).toEqual([2, []]);
  });

  test("a device that once took it to be years later is right again with its server's word", async () => {
    const [store, sync] = await begin();
    await sync.run();
    expect(await store.noteTime(NOW + 900 * DAY, NOW)).toBe(NOW + 31 * DAY);
    await sync.run();
    expect(await store.noteTime(NOW, NOW)).toBe(NOW);
  });
});
