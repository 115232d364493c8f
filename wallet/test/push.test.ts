import { beforeEach, expect, test } from "vitest";
import { EVERYBODY, parseMailbox } from "../src/push.ts";
import { Wallet } from "../src/wallet.ts";
import { pushEn, pushKo } from "../src/words/push.ts";
import { pushNotice } from "../src/words/push_notice.ts";
import { BASE, Country, json, NOW, OFFER } from "./country.ts";

const at = Math.floor(NOW / 1000);
const waiting = { id: "q1", party: "shop", purpose: "adult", text: `openid4vp://?client_id=x&request_uri=${BASE}/verifier/requests/1`, at, expires: at + 120 };
const tried = { id: "q0", party: "shop", purpose: "adult", at: at - 900, muted: false };
let names = 0;
let box: { requests: unknown[]; tried: unknown[]; muted: string[]; subscribed: boolean };
let asked: { path: string; body: unknown; signed: boolean }[];
let wallet: Wallet;
let land: Country;

beforeEach(async () => {
  box = { requests: [], tried: [], muted: [], subscribed: false };
  asked = [];
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  const fetch = async (url: string, init?: RequestInit): Promise<Response> => {
    const path = new URL(url).pathname.replace("/wallet-provider", "");
    if (!path.startsWith("/mailbox")) return land.fetch(url, init);
    asked.push({ path, body: init?.body ? JSON.parse(String(init.body)) : null, signed: new Headers(init?.headers).has("Mapae-Device") });
    return json(path === "/mailbox" ? box : {});
  };
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch, now: () => NOW, cost, database: `push-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create("274913");
  const meant = await wallet.understand(OFFER);
  if ("offered" in meant) await wallet.acceptOffer(meant.offered, () => undefined);
});

test("a request that waits is told of once and opens nothing", async () => {
  box.requests = [waiting];
  expect(await wallet.lookForPushes()).toBe(true);
  expect(await wallet.lookForPushes()).toBe(false);
  expect(wallet.pushes.waiting).toEqual([waiting]);
  expect(asked.every(({ path, signed }) => path === "/mailbox" && signed)).toBe(true);
  expect(await wallet.presenter.history()).toEqual([]);
});

test("what was opened or is over is not shown any more", async () => {
  box.requests = [waiting, { ...waiting, id: "q2", expires: at }];
  await wallet.lookForPushes();
  expect(wallet.pushes.waiting.map(({ id }) => id)).toEqual(["q1"]);
  await wallet.pushes.putAside("q1");
  expect(wallet.pushes.waiting).toEqual([]);
  expect(asked.at(-1)).toEqual({ path: "/mailbox/q1/end", body: {}, signed: true });
});

test("who tried stands in the history, once, and is said to be there", async () => {
  box.tried = [tried, { ...tried, id: "q9", muted: true }];
  await wallet.lookForPushes();
  const codes = (await wallet.presenter.history()).map(({ code, result }) => `${result} ${code}`);
  expect(codes.toSorted()).toEqual(["refused push_missed", "refused push_muted"]);
  expect(asked.filter(({ path }) => path.endsWith("/end")).map(({ path }) => path)).toEqual(["/mailbox/q0/end", "/mailbox/q9/end"]);
});

test("who tried stands there once, also where the word that it does is not heard", async () => {
  box.tried = [tried, { ...tried, id: ".." }];
  for (let look = 0; look < 3; look++) await wallet.lookForPushes();
  expect((await wallet.presenter.history()).map(({ code }) => code)).toEqual(["push_missed"]);
  expect(asked.filter(({ path }) => path.includes("end")).every(({ path }) => path === "/mailbox/q0/end")).toBe(true);
});

test("not now is remembered, and says nothing to whoever asked", async () => {
  box.requests = [waiting];
  await wallet.lookForPushes();
  await wallet.pushes.notNow(wallet.pushes.waiting[0]!);
  expect((await wallet.presenter.history()).map(({ code }) => code)).toEqual(["push_missed"]);
  expect(asked.map(({ path }) => path)).toEqual(["/mailbox", "/mailbox/q1/end"]);
});

test("a party or everybody is muted, and what waits from them goes", async () => {
  box.requests = [waiting, { ...waiting, id: "q2", party: "bank" }];
  await wallet.lookForPushes();
  await wallet.pushes.mute(["shop"]);
  expect(wallet.pushes.waiting.map(({ party }) => party)).toEqual(["bank"]);
  await wallet.pushes.mute([EVERYBODY]);
  expect(wallet.pushes.waiting).toEqual([]);
  expect(asked.at(-1)?.body).toEqual({ parties: [""] });
});

test("a locked wallet, or one that waits for an officer, does not look", async () => {
  wallet.device = { id: "d1", state: "waiting", heard: NOW };
  expect(await wallet.lookForPushes()).toBe(false);
  wallet.device = { id: "d1", state: "active", heard: NOW };
  box.requests = [waiting];
  await wallet.lookForPushes();
  wallet.lock();
  expect(wallet.pushes.waiting).toEqual([]);
  expect(await wallet.lookForPushes()).toBe(false);
  expect(asked).toHaveLength(1);
});

test("a browser without a push service looks all the same", async () => {
  expect(await wallet.pushes.subscribe()).toBe(false);
});

test("only requests come out of a mailbox", () => {
  const bad = [{ ...waiting, text: "https://evil.example/" }, { ...waiting, id: "../me" }, { ...waiting, expires: "1" }, { ...waiting, party: "<b>" }, null, 7, []];
  expect(parseMailbox({ requests: [...bad, waiting], tried: [null, { ...tried, muted: 1 }, tried], muted: [1, "a"], subscribed: 1 })).toEqual({
    requests: [waiting], tried: [tried], muted: ["a"], subscribed: false,
  });
  for (const raw of [null, [], {}, { requests: {}, tried: [], muted: [] }]) expect(() => parseMailbox(raw)).toThrow();
});

test("a locked screen says nobody's name", () => {
  for (const words of [pushNotice.ko, pushNotice.en]) expect(Object.values(words).join()).not.toContain("{");
  expect(Object.keys(pushKo)).toEqual(Object.keys(pushEn));
});
