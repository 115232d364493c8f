import { beforeEach, expect, test } from "vitest";
import { oncePerVisit, pageOf, takesRequests, wishOf } from "../src/citizen.ts";
import type { Shown } from "../src/records.ts";
import { speak, t } from "../src/words.ts";
import { citizenKo } from "../src/words/citizen.ts";
import { type Presentation, Wallet } from "../src/wallet.ts";
import { BASE, Country, NOW, OFFER, query } from "./country.ts";

const PIN = "274913";
const DOOR = "/privacy/guest_house/requests";
const STANDING = { number: "12345678", state: "received", outcome: "open", received_at: 1, due_at: NOW / 1000 + 864_000, overdue: false, reply: "", answered_at: null };
let names = 0;
let land: Country;
let wallet: Wallet;
let sent: { body: unknown; authorization: string }[];

const json = (value: unknown, status = 200): Response => new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });

beforeEach(async () => {
  land = await Country.open();
  land.contact = `${BASE}${DOOR}`;
  land.offers.set("code-1", { dpop: null, spent: false });
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => NOW, cost, database: `citizen-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
  const meant = await wallet.understand(OFFER);
  if ("offered" in meant) await wallet.acceptOffer(meant.offered, () => undefined);
  sent = [];
  land.doors.set(`POST ${DOOR}`, (init) => {
    sent.push({ body: JSON.parse(String(init.body)), authorization: new Headers(init.headers).get("authorization") ?? "" });
    return json(STANDING, 201);
  });
});

async function ask(): Promise<Presentation> {
  const meant = await wallet.understand(await land.qr());
  if (!("presentation" in meant)) throw new Error("not a request");
  return meant.presentation;
}

async function shown(): Promise<Shown> {
  await wallet.present(await ask(), PIN);
  return (await wallet.presenter.history())[0]!;
}

test("a request says when, why and which items, and no value; its token alone reads the answer", async () => {
  const entry = await shown();
  const after = await wallet.citizen.send(entry, "erasure", " 지워 주세요 ");
  expect(sent).toHaveLength(1);
  expect(sent[0]?.body).toEqual({
    kind: "erasure", purpose: "name_birth_date", items: ["name", "birth_date"], shown_at: Math.floor(NOW / 60_000) * 60, words: "지워 주세요",
  });
  expect(JSON.stringify(sent[0]?.body)).not.toContain("한지수");
  expect(sent[0]?.authorization).toMatch(/^Bearer [\w-]{22,}$/);
  expect(after.request?.standing).toMatchObject({ number: "12345678", state: "received" });
  land.doors.set(`GET ${DOOR}`, (init) => {
    expect(new Headers(init.headers).get("authorization")).toBe(sent[0]?.authorization);
    return json({ ...STANDING, state: "answered", outcome: "nothing_kept", reply: "없음" });
  });
  const [kept] = await wallet.presenter.history();
  expect((await wallet.citizen.follow(kept!)).request?.standing).toMatchObject({ state: "answered", reply: "없음" });
});

test("a request whose answer was lost goes again under the same token; another one under another", async () => {
  const entry = await shown();
  land.doors.set(`POST ${DOOR}`, (init) => {
    sent.push({ body: JSON.parse(String(init.body)), authorization: new Headers(init.headers).get("authorization") ?? "" });
    throw new Error("the line is cut");
  });
  await expect(wallet.citizen.send(entry, "erasure", "가")).rejects.toMatchObject({ code: "offline" });
  const [kept] = await wallet.presenter.history();
  expect(kept?.request?.standing).toBeNull();
  await expect(wallet.citizen.send(kept!, "erasure", "가")).rejects.toMatchObject({ code: "offline" });
  await expect(wallet.citizen.send(kept!, "complaint", "가")).rejects.toMatchObject({ code: "offline" });
  expect(sent[0]?.authorization).toBe(sent[1]?.authorization);
  expect(sent[2]?.authorization).not.toBe(sent[0]?.authorization);
});

test("who was refused may complain, and what was asked and answered before stays", async () => {
  const entry = await shown();
  land.doors.set(`POST ${DOOR}`, () => json({ ...STANDING, state: "refused", outcome: "law_keeps", reply: "의료법" }, 201));
  const refused = await wallet.citizen.send(entry, "erasure", "지워 주세요");
  expect(refused.earlier).toBeUndefined();
  const complained = await wallet.citizen.send(refused, "complaint", "왜인가요");
  expect(complained.request?.kind).toBe("complaint");
  expect(complained.earlier).toEqual([refused.request]);
  expect((await wallet.presenter.history())[0]).toEqual(complained);
});

test("the same act of the same office within one visit is one line", () => {
  const office = { ko: "주엽1동", en: "Juyeop" };
  const look = (at: number, act: string, where = office) => ({ at, act, why: "application", office: where });
  const other = { ko: "행신1동", en: "Haengsin" };
  const lines = oncePerVisit([look(100, "worked"), look(160, "worked"), look(130, "offered"), look(150, "worked", other), look(90_000, "worked")]);
  expect(lines.map(({ look: { at, act }, times }) => [at, act, times])).toEqual([[90_000, "worked", 1], [160, "worked", 2], [150, "worked", 1], [130, "offered", 1]]);
});

test("a contact that is a page for people, or none, is sent nothing", async () => {
  for (const contact of ["https://shop.example/contact", "", "https://shop.example/privacy/another/requests"]) {
    land.contact = contact;
    await wallet.store.dropMeta("trust-list");
    const entry = await shown();
    expect(takesRequests(await wallet.citizen.contact(entry))).toBe(false);
    const calls = land.calls.length;
    await expect(wallet.citizen.send(entry, "erasure", "가")).rejects.toMatchObject({ code: "unsupported" });
    expect(land.calls.slice(calls).filter((call) => call.startsWith("POST"))).toEqual([]);
    await wallet.clearHistory();
  }
});

test("what was refused keeps the party's own signature, and reporting it sends nothing else", async () => {
  land.requestClaims = { dcql_query: query(["name", "resident_number"]) };
  await expect(ask()).rejects.toMatchObject({ code: "over_asking" });
  const [entry] = await wallet.presenter.history();
  expect(entry).toMatchObject({ result: "refused", who: { id: "guest_house", contact: land.contact } });
  const reports: unknown[] = [];
  land.doors.set("POST /trust/complaints", (init) => {
    reports.push(JSON.parse(String(init.body)));
    return json({ purpose: "", items: ["resident_number"] }, 201);
  });
  expect((await wallet.citizen.report(entry!)).reported).toBe(NOW);
  expect(reports).toEqual([{ evidence: entry?.evidence }]);
  expect(entry?.evidence?.split(".")).toHaveLength(3);
});

test("officers' acts are kept for when there is no network, and nonsense is not taken", async () => {
  const looks = [{ at: 1_790_000_000, act: "looked_at", why: "enquiry", office: { ko: "주민센터", en: "Centre" } }, { at: 1, act: "locked", why: "", office: null }];
  land.doors.set("GET /issuer/looks", () => json({ looks }));
  expect((await wallet.citizen.hear()).list).toEqual(looks);
  land.doors.set("GET /issuer/looks", () => json({ looks: [{ at: "now", act: {}, why: null }] }));
  await expect(wallet.citizen.hear()).rejects.toMatchObject({ code: "malformed" });
  land.doors.set("GET /issuer/looks", () => {
    throw new Error("no network");
  });
  await expect(wallet.citizen.hear()).rejects.toMatchObject({ code: "offline" });
  expect(await wallet.citizen.kept()).toMatchObject({ list: looks, heard: NOW });
  wallet.lock();
  expect((await wallet.citizen.kept()).list).toEqual([]);
});

test("every word of the citizen's view is there in both languages", () => {
  for (const key of Object.keys(citizenKo) as (keyof typeof citizenKo)[]) {
    speak("en");
    const english = t(key);
    speak("ko");
    expect(english).not.toBe(t(key));
  }
});

test("the moment is told to the minute", () => {
  const entry = { at: 1_790_000_059_999, items: [] } as unknown as Shown;
  expect(wishOf(entry, "complaint", "가")).toMatchObject({ shown_at: 1_790_000_040 });
});

test("a contact that is no page of the web leads nowhere", () => {
  for (const contact of ["javascript://shop.example/%0Aalert(1)", "data:text/html,x", "http://shop.example/", "not an address", ""]) expect(pageOf({ id: "shop", contact })).toBeNull();
  expect(pageOf({ id: "shop", contact: "https://shop.example/privacy" })?.host).toBe("shop.example");
});
