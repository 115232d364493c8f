import "fake-indexeddb/auto";
import { inflateRawSync } from "node:zlib";
import { DeviceResponse } from "@owf/mdoc";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { beforeEach, expect, test } from "vitest";
import { b45, b64u, type Bytes, join, random, sha256, unb45, utf8 } from "../src/bytes.ts";
import { type Cbor, decode, encode, type Key, Tagged } from "../src/cbor.ts";
import type { CodePresentation } from "../src/codes.ts";
import { signBytes, signJwt } from "../src/keys.ts";
import { ASK, ASK_LIFE, ASK_LONGEST, SHOW, SKEW } from "../src/offline_qr.ts";
import type { Listed } from "../src/purposes.ts";
import { LATE_MS } from "../src/trust.ts";
import { Wallet } from "../src/wallet.ts";
import { BASE, Country, certify, DOCTYPE, NOW, OFFER, type Pair, pair, VCT } from "./country.ts";

const PIN = "274913";
let names = 0;
let land: Country;
let wallet: Wallet;
let clock = NOW;
let gone = false;
let purposes: Record<string, unknown>[] = [];

const words = (ko: string) => ({ ko, en: `${ko} (en)` });
function purpose(id: string, kinds: Record<string, string>, more: Record<string, unknown> = {}): Record<string, unknown> {
  const labels = Object.fromEntries(Object.keys(kinds).map((name) => [name, words(name)]));
  const document = { id: "resident_card", name: words("주민등록증"), vct: VCT, doctype: DOCTYPE, namespace: DOCTYPE };
  const texts = { name: words(id), why: words("확인"), legal_basis: words("법"), retention: words("없음") };
  return { id, document, ...texts, items: Object.keys(kinds), kinds, labels, anyone: false, by_holder: false, risk: "low", ...more };
}
const ALCOHOL = purpose("alcohol", { adult_by_year: "yes_no" }, { anyone: true, by_holder: true });
const NAMED = purpose("name_birth_date", { name: "text", birth_date: "date" }, { by_holder: true });

async function publish(changes: Record<string, unknown> = {}, typ = "mapae-purposes+jwt"): Promise<void> {
  const raw = await signJwt(land.trustKey.key, { typ }, { iat: clock / 1000, exp: clock / 1000 + 86_400 * 30, purposes, ...changes });
  land.doors.set("GET /trust/purposes", () => new Response(raw, { headers: { "Content-Type": "application/jwt" } }));
}

beforeEach(async () => {
  clock = NOW;
  gone = false;
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  purposes = [NAMED, ALCOHOL, purpose("payment", { name: "text" })];
  await publish();
  wallet = await open(`codes-${++names}`);
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
  const meant = await wallet.understand(OFFER);
  if ("offered" in meant) await wallet.acceptOffer(meant.offered, () => undefined);
  await wallet.purposes.keep();
});

function open(database: string): Promise<Wallet> {
  const fetch = (url: string, init: RequestInit = {}): Promise<Response> => (gone ? Promise.reject(new TypeError("the network is gone")) : land.fetch(url, init));
  return Wallet.open({ base: BASE, fetch, now: () => clock, cost: { memoryKiB: 64, passes: 1, lanes: 1 }, database });
}

async function listed(id: string): Promise<Listed> {
  return (await wallet.codes.toShow()).find((one) => one.id === id) ?? (await wallet.purposes.list()).purposes.find((one) => one.id === id)!;
}

// --- the other side: a checker that reads, in its own few lines ---------------------------------------------------------

interface Read {
  readonly format: number;
  readonly made: number;
  readonly nonce: Bytes;
  readonly purpose: string;
  readonly shown: Cbor;
}
async function film(texts: readonly string[]): Promise<Read> {
  const frames = texts.map((text) => {
    expect(text.startsWith(SHOW)).toBe(true);
    expect(text).toMatch(/^[0-9A-Z $%*+\-./:]+$/);
    return unb45(text.slice(SHOW.length));
  });
  expect(frames.map((frame) => [frame[0], frame[1]])).toEqual(frames.map((_one, at) => [frames.length, at]));
  const folded = join(...frames.map((frame) => frame.subarray(6)));
  for (const frame of frames) expect(frame.subarray(2, 6)).toEqual((await sha256(folded)).subarray(0, 4));
  const whole = decode(new Uint8Array(inflateRawSync(folded))) as Map<Key, Cbor>;
  expect([...whole.keys()]).toEqual([1, 2, 3, 4, 5, 6]);
  const [format, made, nonce, id, shown] = [2, 3, 4, 5, 6].map((key) => whole.get(key)) as [number, number, Bytes, string, Cbor];
  return { format, made, nonce, purpose: id, shown };
}
function compact(shown: Cbor): { jwt: string; claims: Record<string, unknown>; binding: Record<string, unknown>; text: string } {
  const [header, payload, seal, disclosures, kbHeader, kbPayload, kbSeal] = shown as [Bytes, Bytes, Bytes, Bytes[], Bytes, Bytes, Bytes];
  const jwt = [header, payload, seal].map(b64u).join(".");
  const kb = [kbHeader, kbPayload, kbSeal].map(b64u).join(".");
  const body = [jwt, ...disclosures.map(b64u), ""].join("~");
  expect(decodeProtectedHeader(kb).typ).toBe("kb+jwt");
  const claims = Object.fromEntries(disclosures.map((one) => (JSON.parse(Buffer.from(one).toString()) as [string, string, unknown]).slice(1) as [string, unknown]));
  return { jwt, claims, binding: decodeJwt(kb), text: body };
}
const asking = (members: [Key, Cbor][]): string => ASK + b45(encode(new Map(members)));
const NONCE = random(16);
const anonymous = (id: string, items: readonly string[], name = "동네 가게"): string => asking([[1, 1], [2, NONCE], [3, id], [4, [...items]], [5, name]]);

interface Sealing {
  readonly by?: Pair;
  readonly der?: Bytes;
  readonly more?: [Key, Cbor][];
  readonly until?: number;
  readonly tamper?: (parts: Cbor[]) => Cbor[];
}
async function registered(id: string, items: readonly string[], { by = land.shop, der = land.shopDer, more = [], until = Math.floor(clock / 1000) + ASK_LIFE, tamper = (parts) => parts}: Sealing = {}): Promise<string> {
  const head = encode(new Map<Key, Cbor>([[1, -7], [16, "application/mapae-ask+cbor"]]));
  const payload = encode(new Map<Key, Cbor>([[1, 1], [2, NONCE], [3, id], [4, [...items]], ...more, [7, until]]));
  const signature = await signBytes(by.key, encode(["Signature1", head, new Uint8Array(), payload]));
  return ASK + b45(encode(new Tagged(18, tamper([head, new Map<Key, Cbor>([[33, der]]), payload, signature]))));
}
async function answer(text: string): Promise<CodePresentation> {
  const meant = await wallet.understand(text);
  if (!("code" in meant)) throw new Error("not a shop's code");
  return meant.code;
}
const audienceOf = async (text: string): Promise<string> => `mapae-qr:${b64u(await sha256(unb45(text.slice(ASK.length))))}`;

// --- showing unasked ----------------------------------------------------------------------------------------------------

test("what may be shown unasked is what the country lets a holder show, the least first", async () => {
  expect((await wallet.codes.toShow()).map(({ id }) => id)).toEqual(["alcohol", "name_birth_date"]);
  await expect(wallet.codes.unasked(await listed("payment"))).rejects.toMatchObject({ code: "over_asking" });
});

test("without a network a code shows the chosen items and no others, bound to its own nonce and moment", async () => {
  gone = true;
  const code = await wallet.presentCode(await wallet.codes.unasked(await listed("name_birth_date")), PIN);
  const read = await film(code.texts);
  expect(read).toMatchObject({ format: 0, made: NOW / 1000, purpose: "name_birth_date" });
  const { claims, binding, text } = compact(read.shown);
  expect(claims).toEqual({ name: "한지수", birth_date: "2001-03-09" });
  expect(binding).toEqual({ iat: NOW / 1000, aud: "mapae-qr:open", nonce: b64u(read.nonce), sd_hash: b64u(await sha256(utf8(text))) });
  expect((await wallet.presenter.history())[0]).toMatchObject({ result: "sent", code_shown: "unasked", purpose: { ko: "name_birth_date" }, items: [{ name: "name", value: "한지수" }, { name: "birth_date", value: "2001-03-09" }] });
});

test("an mdoc in a code passes an independent reader, for that nonce and moment only", async () => {
  purposes = [purpose("alcohol", { adult_by_year: "yes_no" }, { anyone: true, by_holder: true, document: { id: "resident_card", name: words("증"), vct: "", doctype: DOCTYPE, namespace: DOCTYPE } })];
  clock += 86_400_000;
  await publish();
  await wallet.purposes.keep();
  const code = await wallet.presentCode(await wallet.codes.unasked(await listed("alcohol")), PIN);
  const read = await film(code.texts);
  expect(read.format).toBe(1);
  const [document] = DeviceResponse.decode(read.shown as Bytes).documents ?? [];
  const items = document?.getIssuerNamespace(DOCTYPE) ?? [];
  expect(items.map((item) => [item.elementIdentifier, item.elementValue])).toEqual([["adult_by_year", true]]);
  const { x = "", y = "" } = Object.fromEntries(["x", "y"].map((name) => [name, b64u(document!.issuerSigned.issuerAuth.mobileSecurityObject.deviceKeyInfo.deviceKey[name as "x"] ?? new Uint8Array())]));
  const key = await crypto.subtle.importKey("jwk", { kty: "EC", crv: "P-256", x, y }, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
  const holds = async (nonce: Bytes, made: number, audience = "mapae-qr:open"): Promise<boolean> => {
    // ISO/IEC 18013-5 9.1.3.4, written by another encoder than the wallet's library.
    const script = [null, null, ["MapaeQrHandover", await sha256(encode([audience, nonce, made]))]];
    const authentication = encode(new Tagged(24, encode(["DeviceAuthentication", script, DOCTYPE, new Tagged(24, encode(new Map()))])));
    const signed = encode(["Signature1", encode(new Map([[1, -7]])), new Uint8Array(), authentication]);
    return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, document!.deviceSigned.deviceAuth.deviceSignature!.signature as Bytes, signed);
  };
  expect(await holds(read.nonce, read.made)).toBe(true);
  expect(await holds(read.nonce, read.made + 60)).toBe(false);
  expect(await holds(random(16), read.made)).toBe(false);
  expect(await holds(read.nonce, read.made, "mapae-qr:another")).toBe(false);
});

test("each code spends a copy of its own; where one form has run out the other is shown, and then it says so", async () => {
  gone = true;
  const alcohol = await listed("alcohol");
  expect(await wallet.codes.left(alcohol)).toBe(6);
  let presentation = await wallet.codes.unasked(alcohol);
  const seen = new Set<string>();
  const formats: number[] = [];
  for (let time = 0; time < 6; time++) {
    const read = await film((await wallet.presentCode(presentation, PIN)).texts);
    formats.push(read.format);
    seen.add(b64u(read.nonce));
    presentation = time === 2 ? await wallet.codes.unasked(alcohol) : wallet.codes.again(presentation);
  }
  expect(formats).toEqual([0, 0, 0, 1, 1, 1]);
  expect(seen.size).toBe(6);
  expect(await wallet.codes.left(alcohol)).toBe(0);
  await expect(wallet.presentCode(presentation, PIN)).rejects.toMatchObject({ code: "no_copies" });
  expect(await wallet.presenter.history()).toHaveLength(6);
});

test("two tabs that show at once never spend the same copy twice", async () => {
  const other = await open(wallet.store.name);
  other.device = wallet.device;
  await other.unlock(PIN);
  gone = true;
  const alcohol = await listed("alcohol");
  const tries = [wallet, other].map(async (one) => one.presentCode(await one.codes.unasked(alcohol), PIN));
  const done = (await Promise.allSettled(tries)).map((one) => (one.status === "fulfilled" ? one.value.texts : one.reason as { code: string }));
  const read = await Promise.all(done.filter((one): one is string[] => Array.isArray(one)).map(async (texts) => compact((await film(texts)).shown).jwt));
  expect(read.length).toBeGreaterThan(0);
  expect(new Set(read).size).toBe(read.length);
  for (const one of done) if (!Array.isArray(one)) expect(one).toMatchObject({ code: "conflict" });
  expect((await wallet.presenter.copiesLeft(wallet.orders[0]!)).get("resident_card_sd_jwt")).toBe(3 - read.length);
});

test("a wallet that dies between spending and drawing has spent the copy, and the history says that it may have been seen", async () => {
  const presentation = await wallet.codes.unasked(await listed("alcohol"));
  let died = false;
  const { record } = wallet.presenter;
  Object.assign(wallet.presenter, { record: () => { died = true; return new Promise(() => undefined); } }); // nothing after the spending is kept
  void wallet.presentCode(presentation, PIN);
  while (!died) await new Promise((resume) => setTimeout(resume, 5));
  Object.assign(wallet.presenter, { record });
  const again = await open(wallet.store.name);
  await again.unlock(PIN);
  expect((await again.presenter.history()).map(({ result, code_shown }) => [result, code_shown])).toEqual([["sending", "unasked"]]);
  expect((await again.presenter.copiesLeft(again.orders[0]!)).get("resident_card_sd_jwt")).toBe(2);
});

test("a wrong PIN shows nothing and spends nothing", async () => {
  await expect(wallet.presentCode(await wallet.codes.unasked(await listed("alcohol")), "805162")).rejects.toMatchObject({ code: "wrong_pin" });
  expect(await wallet.codes.left(await listed("alcohol"))).toBe(6);
  expect(await wallet.presenter.history()).toHaveLength(0);
});

test("a phone whose clock was set back spends no copy on a code that every checker would refuse", async () => {
  await wallet.trust.list();
  const presentation = await wallet.codes.unasked(await listed("alcohol"));
  clock = NOW - 3600_000;
  await expect(wallet.presentCode(presentation, PIN)).rejects.toMatchObject({ code: "phone_clock" });
  expect(await wallet.codes.left(await listed("alcohol"))).toBe(6);
});

test("a suspended card is not shown", async () => {
  const alcohol = await listed("alcohol");
  wallet.orders = wallet.orders.map((order) => ({ ...order, standing: "suspended" as const }));
  expect(await wallet.codes.toShow()).toEqual([]);
  await expect(wallet.codes.unasked(alcohol)).rejects.toMatchObject({ code: "card_not_valid" });
  await expect(answer(anonymous("alcohol", ["adult_by_year"]))).rejects.toMatchObject({ code: "card_not_valid" });
});

// --- answering ----------------------------------------------------------------------------------------------------------

test("whoever wants may ask for a yes or no, is said to be unregistered, and gets an answer to that very code", async () => {
  gone = true;
  const text = anonymous("alcohol", ["adult_by_year"]);
  const presentation = await answer(text);
  expect(presentation.asked).toMatchObject({ anyone: true, party: { name: { ko: "동네 가게", en: "동네 가게" } }, expires: NOW / 1000 + ASK_LIFE });
  const read = await film((await wallet.presentCode(presentation, PIN)).texts);
  expect(read.nonce).toEqual(NONCE);
  const { claims, binding } = compact(read.shown);
  expect(claims).toEqual({ adult_by_year: true });
  expect(binding).toMatchObject({ aud: await audienceOf(text), nonce: b64u(NONCE) });
  expect((await wallet.presenter.history())[0]).toMatchObject({ code_shown: "answer", stranger: true, party: { ko: "동네 가게" } });
});

test.each<[string, string, string[], string[]]>([
  ["a name", "name_birth_date", ["name"], ["name"]],
  ["a name and birth date", "name_birth_date", ["name", "birth_date"], ["name", "birth_date"]],
  ["a name besides the yes or no", "alcohol", ["adult_by_year", "name"], ["name"]],
  ["another yes or no than the purpose's", "alcohol", ["age_over_19"], ["age_over_19"]],
])("somebody unregistered who wants %s is refused before anything is asked, and the history says so", async (_what, id, items, tooMuch) => {
  await expect(answer(anonymous(id, items))).rejects.toMatchObject({ code: "registration_required", facts: { items: tooMuch } });
  expect((await wallet.presenter.history())[0]).toMatchObject({ result: "refused", code: "registration_required", stranger: true, party: { ko: "동네 가게" }, items: tooMuch.map((name) => ({ name, value: null })) });
});

test("a registered party asks for what it is registered for, without a network", async () => {
  await wallet.trust.list();
  gone = true;
  const text = await registered("name_birth_date", ["name"]);
  const presentation = await answer(text);
  expect(presentation.asked).toMatchObject({ anyone: false, knownAt: null, party: { id: "guest_house" }, purpose: { retention: { ko: "하루" } } });
  const read = await film((await wallet.presentCode(presentation, PIN)).texts);
  expect(compact(read.shown).claims).toEqual({ name: "한지수" });
  expect(compact(read.shown).binding["aud"]).toBe(await audienceOf(text));
  expect((await wallet.presenter.history())[0]).toMatchObject({ party: { ko: "소나무" }, code_shown: "answer" });
});

const OWN = {
  id: "own_guest_house_breakfast", name: { ko: "아침 식사", en: "Breakfast" }, why: { ko: "확인", en: "Why" }, legal_basis: { ko: "숙박법", en: "Inns Act" },
  items: ["name"], retention: { ko: "하루", en: "A day" }, document: { vct: VCT, doctype: DOCTYPE, namespace: DOCTYPE }, risk: "medium",
};

test("a registered party asks for a purpose of its own, which the country does not know, without a network", async () => {
  land.more.push(OWN, { ...OWN, id: "own_guest_house_elsewhere", document: { vct: "urn:other" } }, { ...OWN, id: "own_guest_house_before", document: undefined });
  clock += 3_600_000;
  land.now += 3600;
  await wallet.trust.list();
  gone = true;
  const presentation = await answer(await registered(OWN.id, ["name"]));
  expect(presentation.asked).toMatchObject({ own: true, anyone: false, party: { id: "guest_house" }, purpose: { legal_basis: OWN.legal_basis, risk: "medium", document: { vct: VCT } } });
  expect(compact((await film((await wallet.presentCode(presentation, PIN)).texts)).shown).claims).toEqual({ name: "한지수" });
  expect((await answer(await registered("name_birth_date", ["name"]))).asked).toMatchObject({ own: false, purpose: { document: { id: "resident_card" } } });
  await expect(answer(await registered("own_guest_house_elsewhere", ["name"]))).rejects.toMatchObject({ code: "not_held" }); // of another document
  await expect(answer(await registered("own_guest_house_before", ["name"]))).rejects.toMatchObject({ code: "unknown_purpose" });
  await expect(answer(await registered(OWN.id, ["name", "birth_date"]))).rejects.toMatchObject({ code: "over_asking", facts: { items: ["birth_date"] } });
});

test("over-asking and unregistered purposes are refused and remembered", async () => {
  await expect(answer(await registered("name_birth_date", ["name", "resident_number"]))).rejects.toMatchObject({ code: "over_asking", facts: { items: ["resident_number"] } });
  await expect(answer(await registered("payment", ["name"]))).rejects.toMatchObject({ code: "over_asking" });
  expect((await wallet.presenter.history()).map(({ code, party }) => [code, party.ko])).toEqual([["over_asking", "소나무"], ["over_asking", "소나무"]]);
  await expect(answer(anonymous("unheard_of", ["x"]))).rejects.toMatchObject({ code: "unknown_purpose" });
});

test("a party struck off or not on the list is refused; a registration signed by the registry names it", async () => {
  land.listed = false;
  await wallet.trust.list(0);
  await expect(answer(await registered("alcohol", ["adult_by_year"]))).rejects.toMatchObject({ code: "unknown_relying_party" });
  const paper = (changes: Record<string, unknown> = {}, by = land.trustKey.key) => registrationOf(changes, by);
  const shown = await answer(await registered("alcohol", ["adult_by_year"], { more: [[6, await paper()]] }));
  expect(shown.asked).toMatchObject({ party: { id: "newcomer", name: { ko: "새 가게" } }, anyone: false });
  for (const [changes, by, code] of [
    [{}, land.shop.key, "bad_signature"],
    [{ exp: NOW / 1000 - 3600 }, land.trustKey.key, "expired"],
    [{ exp: undefined }, land.trustKey.key, "malformed"],
    [{ iat: NOW / 1000 - 1 }, land.trustKey.key, "unknown_relying_party"],
    [{ exp: NOW / 1000 + 31 * 86_400 }, land.trustKey.key, "malformed"],
    [{ x509_hash: b64u(new Uint8Array(32)) }, land.trustKey.key, "unknown_relying_party"],
    [{ purposes: [] }, land.trustKey.key, "over_asking"],
  ] as [Record<string, unknown>, CryptoKey, string][]) {
    await expect(answer(await registered("alcohol", ["adult_by_year"], { more: [[6, await paper(changes, by)]] }))).rejects.toMatchObject({ code });
  }
  land.revoked = true;
  await wallet.trust.list(0);
  await expect(answer(await registered("alcohol", ["adult_by_year"], { more: [[6, await paper()]] }))).rejects.toMatchObject({ code: "signer_revoked" });
});

async function registrationOf(changes: Record<string, unknown>, by: CryptoKey): Promise<string> {
  const claims = {
    iss: BASE, sub: "newcomer", iat: NOW / 1000, exp: NOW / 1000 + 86_400, name: words("새 가게"), x509_hash: b64u(await sha256(land.shopDer)),
    purposes: [{ id: "alcohol", name: words("주류"), why: words("확인"), legal_basis: words("법"), items: ["adult_by_year"], retention: words("없음") }],
  };
  return signJwt(by, { typ: "mapae-registration+jwt" }, { ...claims, ...changes });
}

test.each<[string, () => Promise<Sealing>, string]>([
  ["another's certificate", async () => ({ by: await pair() }), "bad_signature"],
  ["a certificate of another authority", async () => ({ der: await certify(land.ca, "C=KR, CN=Elsewhere", land.shop, 300, "access") }), "bad_certificate"],
  ["a certificate for another purpose", async () => ({ der: await certify(land.accessCa, "C=KR, CN=Signer", land.shop, 300, "document") }), "bad_certificate"],
  ["a certificate that is over", async () => ({ der: await certify(land.accessCa, "C=KR, CN=Old", land.shop, -1, "access") }), "bad_certificate"],
  ["a payload exchanged after signing", async () => ({ tamper: ([head = null, open = null, , seal = null]) => [head, open, encode(new Map<Key, Cbor>([[1, 1], [2, NONCE], [3, "alcohol"], [4, ["name"]], [7, NOW / 1000 + ASK_LIFE]])), seal] }), "bad_signature"],
])("a seal with %s is refused", async (_what, how, code) => {
  await expect(answer(await registered("alcohol", ["adult_by_year"], await how()))).rejects.toMatchObject({ code });
});

test.each<[string, number, string]>([
  ["was over before this phone saw it", -SKEW - 1, "ask_stale"],
  ["ends further ahead than anybody signs", ASK_LONGEST + SKEW + 1, "malformed"],
])("a registered party's code that %s is refused, one second nearer it is read", async (_what, ends, code) => {
  await expect(answer(await registered("alcohol", ["adult_by_year"], { until: NOW / 1000 + ends }))).rejects.toMatchObject({ code });
  const text = await registered("alcohol", ["adult_by_year"], { until: NOW / 1000 + ends - Math.sign(ends) });
  expect((await answer(text)).asked.expires).toBe(NOW / 1000 + ASK_LIFE);
});

test("a no is remembered, and nothing is spent", async () => {
  await wallet.codes.decline(await answer(anonymous("alcohol", ["adult_by_year"])));
  expect((await wallet.presenter.history())[0]).toMatchObject({ result: "declined", code_shown: "answer", items: [{ name: "adult_by_year", value: null }] });
  expect(await wallet.codes.left(await listed("alcohol"))).toBe(6);
});

test("an ask that ran out at its checker is not answered any more", async () => {
  const presentation = await answer(anonymous("alcohol", ["adult_by_year"]));
  clock += (ASK_LIFE + 1) * 1000;
  await expect(wallet.presentCode(presentation, PIN)).rejects.toMatchObject({ code: "request_expired" });
});

// --- what is kept ------------------------------------------------------------------------------------------------------

test("the kept list and purposes last for a while after their end, with a word about it, and then no more", async () => {
  await wallet.trust.list();
  gone = true;
  clock = NOW + 20 * 86_400_000 - 60_000; // copies still live, the list has been over for weeks
  expect((await answer(await registered("alcohol", ["adult_by_year"]))).asked.knownAt).toBe(NOW / 1000);
  clock = NOW + 3600_000 + LATE_MS + 1;
  await expect(answer(await registered("alcohol", ["adult_by_year"]))).rejects.toMatchObject({ code: expect.stringMatching(/offline|untrusted/) });
  clock = NOW + 30 * 86_400_000 + LATE_MS + 1;
  await expect(wallet.codes.toShow()).rejects.toMatchObject({ code: "no_purposes" });
});

test("a phone that never had the purposes says so", async () => {
  await wallet.store.dropMeta("purposes");
  gone = true;
  await expect(wallet.codes.toShow()).rejects.toMatchObject({ code: "no_purposes" });
});

test("a registry that does not answer is not waited for", async () => {
  clock += 2 * 3600_000;
  land.doors.set("GET /trust/purposes", () => { throw new Error("unused"); });
  const slow = await Wallet.open({ base: BASE, fetch: () => new Promise(() => undefined), now: () => clock, cost: { memoryKiB: 64, passes: 1, lanes: 1 }, database: wallet.store.name });
  await slow.unlock(PIN);
  expect(await slow.codes.toShow()).toHaveLength(2);
}, 6000);

test.each<[string, () => Promise<void>]>([
  ["another key's", async () => { land.doors.set("GET /trust/purposes", await signedBy(land.shop.key)); }],
  ["another type", () => publish({}, "mapae-trust-list+jwt")],
  ["a name for anyone", () => publish({ purposes: [purpose("free_for_all", { name: "text" }, { anyone: true })] })],
])("purposes with %s are not taken, and the last good ones stay", async (_what, make) => {
  clock += 86_400_000;
  await make();
  await expect(wallet.purposes.keep()).rejects.toMatchObject({ name: "Problem" });
  expect((await wallet.purposes.list()).purposes).toHaveLength(3);
});

async function signedBy(key: CryptoKey): Promise<() => Response> {
  const raw = await signJwt(key, { typ: "mapae-purposes+jwt" }, { iat: clock / 1000, exp: clock / 1000 + 86_400, purposes });
  return () => new Response(raw, { headers: { "Content-Type": "application/jwt" } });
}

test("of two documents the later one is kept", async () => {
  await publish({ iat: NOW / 1000 - 86_400, purposes: [ALCOHOL] });
  clock += 86_400_000;
  await wallet.purposes.keep();
  expect((await wallet.purposes.list()).purposes).toHaveLength(3);
  await publish({ purposes: [ALCOHOL] });
  clock += 86_400_000;
  await wallet.purposes.keep();
  expect((await wallet.purposes.list()).purposes).toHaveLength(1);
});
