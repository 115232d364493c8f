/** Proving who one is, from the phone's side: the face check's doors, the officer's confirmation, the IC card, and the phone left behind. */
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { calculateJwkThumbprint, decodeProtectedHeader } from "jose";
import { noticesOf } from "../src/notices.ts";
import { waitsFor } from "../src/offer.ts";
import { Problem } from "../src/problem.ts";
import { parseChallenge, parseResult, parseStanding } from "../src/proofing.ts";
import { Follower, parseSession, parseTap, stepsOf, type Tap, TAP_STATES, type TapState } from "../src/tap.ts";
import { Wallet } from "../src/wallet.ts";
import { problemWords } from "../src/words.ts";
import { checksEn, checksKo, failureWords } from "../src/words/checks.ts";
import { en } from "../src/words/en.ts";
import { ko } from "../src/words/ko.ts";
import { BASE, Country, json, NOW, OFFER } from "./country.ts";

const PIN = "274913";
const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 };
let names = 0;
let land: Country;
let wallet: Wallet;
let clock = NOW;

const open = (database: string): Promise<Wallet> => Wallet.open({ base: BASE, fetch: land.fetch, now: () => clock, cost: CHEAP, database });

beforeEach(async () => {
  clock = NOW;
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  wallet = await open(`proofing-${++names}`);
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.store.setMeta("device", wallet.device);
  await wallet.vault.create(PIN);
});

async function restart(): Promise<void> {
  wallet.store.close();
  wallet = await open(`proofing-${names}`);
  await wallet.unlock(PIN);
}

async function begin(text: string): Promise<string> {
  const meant = await wallet.understand(text);
  if (!("offered" in meant)) throw new Error("not an offer");
  const id = await wallet.issuance.accept(meant.offered);
  await wallet.read();
  return id;
}

/** What came to a door, in order. */
function door(path: string, ...answers: Response[]): { body: unknown; headers: Headers }[] {
  const seen: { body: unknown; headers: Headers }[] = [];
  land.doors.set(`POST ${path}`, (init) => {
    seen.push({ body: typeof init.body === "string" ? JSON.parse(init.body) : init.body, headers: new Headers(init.headers) });
    const answer = answers[Math.min(seen.length, answers.length) - 1];
    if (!answer) throw new Error(`no answer left for ${path}`);
    return answer.clone();
  });
  return seen;
}

const MODEL = { name: "dlib", version: "20.0.1", accredited: false };
const STANDING = { needs: ["face", "officer"], route: "face", tries_left: 5, model: MODEL };
const CHALLENGE = { challenge_id: "ch-1", nonce: "n", blinks: 1, prompts_ms: [900], length_ms: 4200, expires_in: 60, tries_left: 5, model: MODEL };

describe("at the counter", () => {
  test("an offer of our own issuer is asked about by the id in its address, another's is not", async () => {
    const id = await begin(OFFER);
    expect(wallet.pending.find((item) => item.id === id)?.subject).toBe("offer:code-1");
    const seen = door("/issuer/face/standing", json(STANDING));
    expect(await wallet.proofing.standing("offer:code-1")).toEqual({ needs: ["face", "officer"], route: "face", triesLeft: 5, model: MODEL });
    expect(seen[0]?.body).toEqual({ subject: "offer:code-1" });
    expect(seen[0]?.headers.get("OAuth-Client-Attestation-PoP")).toBeTruthy();
    const { subjectOf } = await import("../src/offer.ts");
    for (const reference of ["https://elsewhere.test/issuer/offers/a", `${BASE}/issuer/offers/a/b`, `${BASE}/issuer/offers/`, `${BASE}.evil.test/issuer/offers/a`]) {
      expect(subjectOf(`openid-credential-offer://?credential_offer_uri=${encodeURIComponent(reference)}`, BASE)).toBeNull();
    }
  });

  test("an issuer without such doors asks for nothing", async () => {
    expect(await wallet.proofing.standing("offer:code-1")).toBeNull();
  });

  test("the card arrives by itself when the officer has confirmed, asked for every three seconds and nothing else with it", async () => {
    land.puttingOff = 3;
    land.interval = 3;
    const id = await begin(OFFER);
    await expect(wallet.finish(id, () => undefined)).rejects.toMatchObject({ code: "deferred" });
    expect(wallet.nextDeferred).toBe(NOW + 3000);
    await wallet.collect();
    expect(land.calls.filter((call) => call.endsWith("/deferred"))).toEqual([]);
    while (wallet.pending.length > 0) {
      clock += 3001;
      land.calls = [];
      await wallet.collect();
      expect(land.calls.filter((call) => call.includes("devices/me") || call.includes("/status/"))).toEqual([]);
    }
    expect(wallet.orders.map((order) => order.parts.length)).toEqual([2]);
  });

  test("what an officer ended is not asked for any more, and says so", async () => {
    land.puttingOff = 9;
    const id = await begin(OFFER);
    await wallet.finish(id, () => undefined).catch(() => undefined);
    land.doors.set("POST /issuer/deferred", () => json({ error: "credential_request_denied" }, 400));
    clock += 31_000;
    await wallet.collect();
    expect(wallet.pending.map((item) => item.failed)).toEqual(["credential_request_denied"]);
    expect(waitsFor(wallet.pending[0]!, clock)).toBeNull();
    expect(wallet.nextDeferred).toBe(0);
  });

  test("the pictures go out once, as bytes, to the challenge they are for", async () => {
    const challenges = door("/issuer/face/challenges", json(CHALLENGE, 201));
    const bursts = door("/issuer/face/challenges/ch-1/burst", json({ ok: false, reason: "not-live", tries_left: 4 }));
    const challenge = await wallet.proofing.challenge("offer:code-1");
    const frames = [{ atMs: 0, jpeg: new Uint8Array([1]) }];
    expect(await wallet.proofing.answer(challenge, frames, new AbortController().signal)).toEqual({ ok: false, reason: "not-live", triesLeft: 4 });
    expect(challenges[0]?.body).toEqual({ subject: "offer:code-1" });
    expect(bursts[0]?.headers.get("Content-Type")).toBe("application/octet-stream");
    expect(Buffer.from(bursts[0]?.body as Uint8Array).subarray(0, 9).toString("latin1")).toBe("MFB1\u0004ch-1");
    const kept = JSON.stringify([...(await Promise.all((["order", "copy", "history", "pending", "person"] as const).map((kind) => wallet.store.rows(kind))))].flat());
    expect(kept).not.toContain("MFB1");
  });

  test("a holder who changes her mind stops the upload", async () => {
    door("/issuer/face/challenges", json(CHALLENGE, 201));
    const challenge = await wallet.proofing.challenge("offer:code-1");
    const leaving = new AbortController();
    const hanging = Wallet.open({
      base: BASE, now: () => clock, cost: CHEAP, database: `proofing-${names}`,
      fetch: (url, init) => url.endsWith("/burst") ? new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("aborted")))) : land.fetch(url, init),
    });
    const sending = (await hanging).proofing.answer(challenge, [], leaving.signal);
    setTimeout(() => leaving.abort(), 20);
    await expect(sending).rejects.toMatchObject({ code: "cancelled" });
  });

  test.each<[string, (raw: unknown) => unknown, unknown]>([
    ["no list of needs", parseStanding, { ...STANDING, needs: "face" }],
    ["tries that are no number", parseStanding, { ...STANDING, tries_left: "5" }],
    ["no object", parseStanding, []],
    ["no challenge id", parseChallenge, { ...CHALLENGE, challenge_id: "" }],
    ["prompts that do not rise", parseChallenge, { ...CHALLENGE, prompts_ms: [900, 900] }],
    ["a prompt after the end", parseChallenge, { ...CHALLENGE, prompts_ms: [4300] }],
    ["a length of minutes", parseChallenge, { ...CHALLENGE, length_ms: 90_000 }],
    ["a length below nothing", parseChallenge, { ...CHALLENGE, length_ms: -1 }],
    ["a result that is neither yes nor no", parseResult, { ok: "true", reason: "match", tries_left: 1 }],
  ])("an answer with %s is refused", (_what, parse, raw) => {
    expect(() => parse(raw)).toThrow(expect.objectContaining({ code: "malformed" }));
  });

  test("a route nobody has heard of leaves it to the officers", () => {
    expect(parseStanding({ ...STANDING, route: "iris" }).route).toBe("officers");
  });
});

const SESSION = { session: "s-1", link: `${BASE}/tap#secret`, code: "4071", expires_in: 600, simulated: `${BASE}/demo/card/s-1` };

describe("by IC card", () => {
  test("the session is bound to the very key the card's tokens will be bound to", async () => {
    const seen = door("/issuer/tap/sessions", json(SESSION, 201));
    await wallet.proofing.beginTap("resident_card");
    const dpop: string[] = [];
    const honest = land.fetch;
    Object.assign(land, { fetch: (url: string, init: RequestInit = {}) => {
      const proof = new Headers(init.headers).get("DPoP");
      if (proof) dpop.push(proof);
      return honest(url, init);
    } });
    await restart();
    await wallet.finish(await begin(OFFER), () => undefined);
    const { jwk } = decodeProtectedHeader(dpop[0] ?? "");
    expect(seen[0]?.body).toEqual({ dpop_jkt: await calculateJwkThumbprint(jwk as never), document: "resident_card" });
  });

  test("a wallet that was killed goes on with the session, and with its offer to the card", async () => {
    door("/issuer/tap/sessions", json(SESSION, 201));
    const begun = await wallet.proofing.beginTap("resident_card");
    expect(begun).toEqual({ session: "s-1", link: SESSION.link, code: "4071", ends: NOW + 600_000, simulated: SESSION.simulated, document: "resident_card" });
    await restart();
    const session = await wallet.proofing.tapUnderWay();
    expect(session).toMatchObject(begun);
    door("/issuer/tap/sessions/s-1/state", json({ state: "offered", code: "4071", offer: OFFER, needs: [] }));
    const tap = await wallet.proofing.tap(session!);
    const order = await wallet.finish(await begin(tap.offer!), () => undefined);
    await wallet.proofing.forgetTap();
    expect(wallet.orders.map(({ id }) => id)).toEqual([order]);
    await restart();
    expect(await wallet.proofing.tapUnderWay()).toBeNull();
  });

  test("a locked wallet shows nobody the link", async () => {
    door("/issuer/tap/sessions", json(SESSION, 201));
    await wallet.proofing.beginTap("resident_card");
    const rows = JSON.stringify(await wallet.store.rows("person"), (_key, value: unknown) => value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value);
    expect(rows).not.toContain("secret");
    wallet.lock();
    expect(await wallet.proofing.tapUnderWay()).toBeNull();
  });

  test("a session that was stopped is told to the issuer and forgotten", async () => {
    door("/issuer/tap/sessions", json(SESSION, 201));
    const cancelled = door("/issuer/tap/sessions/s-1/cancel", json({}));
    await wallet.proofing.cancelTap(await wallet.proofing.beginTap("resident_card"));
    expect(cancelled).toHaveLength(1);
    expect(await wallet.proofing.tapUnderWay()).toBeNull();
  });

  test.each<[string, unknown]>([
    ["a code of letters", { ...SESSION, code: "40a1" }],
    ["a link that is a script", { ...SESSION, link: "javascript:alert(1)" }],
    ["no link", { ...SESSION, link: "" }],
    ["no time", { ...SESSION, expires_in: 0 }],
    ["no session", { ...SESSION, session: 7 }],
  ])("a session with %s is refused", (_what, raw) => {
    expect(() => parseSession(raw, "resident_card", NOW)).toThrow(expect.objectContaining({ code: "malformed" }));
  });

  test("a simulated card that is a script is none", () => {
    expect(parseSession({ ...SESSION, simulated: "javascript:alert(1)" }, "resident_card", NOW).simulated).toBeNull();
  });

  test("a state nobody has heard of is refused", () => {
    expect(() => parseTap({ state: "beamed" })).toThrow(expect.objectContaining({ code: "malformed" }));
  });

  test.each<[TapState, boolean, string]>([
    ["waiting", true, "card:now chip:later face:later confirm:later arrive:later"],
    ["opened", true, "card:now chip:later face:later confirm:later arrive:later"],
    ["card", true, "card:done chip:now face:later confirm:later arrive:later"],
    ["proven", true, "card:done chip:done face:now confirm:later arrive:later"],
    ["proven", false, "card:done chip:done confirm:now arrive:later"],
    ["face", true, "card:done chip:done face:now confirm:later arrive:later"],
    ["confirm", true, "card:done chip:done face:done confirm:now arrive:later"],
    ["confirm", false, "card:done chip:done confirm:now arrive:later"],
    ["offered", true, "card:done chip:done face:done confirm:done arrive:now"],
    ["done", true, "card:done chip:done face:done confirm:done arrive:done"],
  ])("the picture of %s, with a face check: %s", (state, face, marks) => {
    expect(stepsOf(state, face).map(({ step, mark }) => `${step}:${mark}`).join(" ")).toBe(marks);
  });
});

describe("following a tap", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());
  const tap = (state: TapState): Tap => ({ state, reason: "", step: "", offer: null, needs: [] });

  function followed(...answers: (Tap | Problem)[]): { heard: string[]; asked: () => number; follower: Follower } {
    const heard: string[] = [];
    let asked = 0;
    const ask = async (): Promise<Tap> => {
      const answer = answers[Math.min(asked++, answers.length - 1)] as Tap | Problem;
      if (answer instanceof Problem) throw answer;
      return answer;
    };
    const follower = new Follower(ask, ({ state }) => heard.push(state), ({ code }) => heard.push(code));
    return { heard, asked: () => asked, follower };
  }

  test("a lost network is waited out, and an end is the end", async () => {
    const { heard, asked, follower } = followed(tap("waiting"), new Problem("offline"), tap("card"), tap("proven"), tap("failed"));
    await follower.look();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(heard).toEqual(["waiting", "offline", "card", "proven", "failed"]);
    expect(asked()).toBe(5);
  });

  test("a session the issuer does not know is not asked about again", async () => {
    const { heard, asked, follower } = followed(new Problem("not_found"));
    await follower.look();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([heard, asked()]).toEqual([["not_found"], 1]);
  });

  test("nobody is asked once the screen is left", async () => {
    const { heard, asked, follower } = followed(tap("waiting"));
    await follower.look();
    follower.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([heard, asked()]).toEqual([["waiting"], 1]);
  });

  test("coming back asks at once, and never twice at a time", async () => {
    const { asked, follower } = followed(tap("waiting"));
    await Promise.all([follower.look(), follower.look()]);
    expect(asked()).toBe(1);
    await follower.look();
    expect(asked()).toBe(2);
  });
});

describe("the phone left behind", () => {
  test.each<[string, string]>([["moved", "moved"], ["deceased", "ended"], ["", "ended"]])("an ended phone (%s) erases itself and keeps why: %s", async (reason, why) => {
    await wallet.finish(await begin(OFFER), () => undefined);
    land.device = { state: "ended", reason };
    await wallet.obey();
    expect(await wallet.erased()).toMatchObject({ why });
    expect(await wallet.store.rows("order")).toEqual([]);
    expect(await wallet.store.keysOf("phone")).toEqual([]);
    expect(wallet.device).toBeUndefined();
  });

  test("it says so once, also while the wallet is closed", () => {
    expect(noticesOf(undefined, { why: "moved", at: NOW }, NOW).map(({ kind }) => kind)).toEqual(["erased"]);
  });
});

describe("words", () => {
  /** The issuer's closed list, from where it is kept. */
  const source = readFileSync(new URL("../../src/mapae/issuer/face/values.py", import.meta.url), "utf8");
  const list = /class Reason\(StrEnum\):(.*?)\n\n\n/s.exec(source)?.[1] ?? "";
  const REASONS = [...list.matchAll(/= "([a-z-]+)"/g)].map(([, reason]) => reason);

  test("every way a tap can be refused is said in words of its own", () => {
    const folder = new URL("../../src/mapae/issuer/tap/", import.meta.url);
    const codes = readdirSync(folder).filter((name) => name.endsWith(".py")).flatMap((name) =>
      [...readFileSync(new URL(name, folder), "utf8").matchAll(/Code\.([A-Z_]+)/g)].map(([, code = ""]) => code.toLowerCase()));
    const bare = new Set(codes.filter((code) => code !== "invalid_client" && failureWords(code, "") === problemWords("")));
    expect([...bare]).toEqual([]);
    expect(codes).toContain("chip_used");
    expect(failureWords("chip_refused", "person")).not.toBe(failureWords("chip_refused", "sod"));
  });

  test("the issuer's list of reasons was found", () => {
    expect(REASONS).toContain("not-live");
    expect(REASONS.length).toBeGreaterThanOrEqual(19);
  });

  const keys = [
    ...REASONS.flatMap((reason) => [`face.reason.${reason}`, `face.do.${reason}`]),
    ...(["dark", "bright", "still", "blurred", "nobody", "several", "closer", "farther", "middle", "good"] satisfies string[]).map((one) => `face.hint.${one}`),
    ...TAP_STATES.filter((state) => !["face", "offered", "done"].includes(state)).map((state) => `tap.${state}.title`),
    ...["card", "chip", "face", "confirm", "arrive"].map((step) => `tap.step.${step}`),
    ...["chip_refused", "chip_not_active", "chip_used", "chip_pin_wrong", "chip_suspended", "chip_blocked", "face_spent", "face_unavailable", "challenge_spent", "record_photo_too_old"].map((code) => `problem.${code}`),
    ...["title", "lead", "not_you", "sms", "report", "visit", "portal"].map((part) => `blocked.moved.${part}`),
  ];
  test.each(keys)("%s is said in both languages", (key) => {
    const [korean, english] = [{ ...ko, ...checksKo } as Record<string, string>, { ...en, ...checksEn } as Record<string, string>].map((words) => words[key] ?? "") as [string, string];
    expect(korean).toMatch(/[가-힣]/);
    expect(english).toMatch(/[a-z]/);
    expect(english).not.toMatch(/[가-힣]/);
  });
});
