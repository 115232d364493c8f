/** The frame around the screens: what a link that takes its time may still do. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "../src/app.ts";
import { Problem } from "../src/problem.ts";
import type { Wallet } from "../src/wallet.ts";

const SLOW = "openid4vp://?slow";
let shown: string[];
let app: App;
let wallet: { vault: { open: boolean }; understand: (text: string) => Promise<unknown> };
let late: { answer: (meant: unknown) => void; refuse: (problem: Problem) => void };

beforeEach(() => {
  shown = [];
  const note = (_state: unknown, _title: string, hash: string): void => void shown.push(hash);
  vi.stubGlobal("history", { pushState: note, replaceState: note });
  vi.stubGlobal("location", { hash: "" });
  const understand = (text: string): Promise<unknown> =>
    text === SLOW ? new Promise((answer, refuse) => (late = { answer, refuse })) : Promise.resolve({ presentation: {} });
  wallet = { vault: { open: true }, understand };
  app = new App();
  app.requestUpdate = () => undefined; // there is no page to draw on
  Object.assign(app, { wallet: { device: { state: "active" }, nextDeferred: 0, ...wallet, vault: wallet.vault } as unknown as Wallet });
  app.go({ name: "home" });
  shown.length = 0;
});
afterEach(() => vi.unstubAllGlobals());

/** Another page opened the wallet with this link. */
function linked(text: string): void {
  location.hash = `#request=${encodeURIComponent(text)}`;
  (app as unknown as { hashed: () => void }).hashed();
  shown.length = 0;
}
const settled = (): Promise<void> => new Promise((resume) => setTimeout(resume, 5));

test("a link that answers slowly does not replace the question the holder is reading", async () => {
  linked(SLOW);
  await app.open("openid4vp://?pharmacy");
  late.answer({ presentation: {} });
  await settled();
  expect(shown).toEqual(["#/ask"]);
});

test("nor does one that is refused slowly", async () => {
  linked(SLOW);
  await app.open("openid4vp://?pharmacy");
  late.refuse(new Problem("offline"));
  await settled();
  expect(shown).toEqual(["#/ask"]);
});

test.each([["answers", (): void => late.answer({ presentation: {} })], ["is refused", (): void => late.refuse(new Problem("offline"))]])("a link that %s after the lock shows nothing over it", async (_how, end) => {
  linked(SLOW);
  wallet.vault.open = false;
  end();
  await settled();
  expect(shown).toEqual([]);
});

test("a link that answers slowly is opened where nothing else is asked", async () => {
  linked(SLOW);
  app.go({ name: "history" });
  late.answer({ presentation: {} });
  await settled();
  expect(shown).toEqual(["#/history", "#/ask"]);
});

test.each([[true, 0], [false, 1]])("where a push service wakes the wallet (%s) its mailbox is not asked again and again", (subscribed, asked) => {
  let looks = 0;
  const lookForPushes = async (): Promise<boolean> => (looks++, false);
  vi.stubGlobal("document", { visibilityState: "visible" });
  vi.stubGlobal("navigator", { onLine: true });
  Object.assign(app, { wallet: { pushes: { subscribed }, lookForPushes } });
  (app as unknown as { poll: () => void }).poll();
  expect(looks).toBe(asked);
});
