/** What the wallet provider says of this phone, where its answer comes late, twice or in another order. */
import { decodeJwt } from "jose";
import { beforeEach, expect, test } from "vitest";
import { Wallet } from "../src/wallet.ts";
import { BASE, Country, NOW, OFFER } from "./country.ts";

const PIN = "274913";
const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
let names = 0;
let clock = NOW;
let land: Country;
let wallet: Wallet;
let answers: ((said: Response) => void)[];

const open = (database: string): Promise<Wallet> => Wallet.open({ base: BASE, fetch: (url, init) => land.fetch(url, init), now: () => clock, cost, database });
const says = (state: string, more: Record<string, unknown> = {}): Response => Response.json({ device_id: "d1", state, ...more });
const unknown = (): Response => Response.json({ error: "unknown_device" }, { status: 401 });

beforeEach(async () => {
  clock = NOW;
  land = await Country.open();
  wallet = await open(`device-${++names}`);
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.store.setMeta("device", wallet.device);
  await wallet.vault.create(PIN);
  answers = [];
  land.doors.set("GET /wallet-provider/devices/me", () => new Promise<Response>((resume) => answers.push(resume)));
});

/** An ask that has reached the wallet provider. */
async function asking(one = wallet): Promise<{ answer: (said: Response) => Promise<unknown> }> {
  const before = answers.length;
  const asked = one.obey();
  while (answers.length === before) await new Promise((resume) => setTimeout(resume, 1));
  const at = answers.length - 1;
  return { answer: (said) => (answers[at]?.(said), asked) };
}

test.each([["in this tab", false], ["in another tab", true]])("what the provider said before the PIN was forgotten %s brings no phone back", async (_where, another) => {
  const late = await asking();
  const forgetting = another ? await open(wallet.store.name) : wallet;
  await forgetting.forgetPin();
  await late.answer(says("active"));
  expect(await wallet.store.meta("device")).toBeUndefined();
  expect([await wallet.phase(), await forgetting.phase(), wallet.device]).toEqual(["identity", "identity", undefined]);
});

test("a tab that has not heard of a forgotten PIN brings no phone back by asking", async () => {
  await (await open(wallet.store.name)).forgetPin();
  await wallet.obey();
  expect([answers.length, await wallet.store.meta("device"), await wallet.phase()]).toEqual([0, undefined, "identity"]);
});

test.each([["in this tab", false], ["in another tab", true]])("after a PIN was forgotten %s no attestation of the erased wallet's key goes out", async (_where, another) => {
  const attested: unknown[] = [];
  land.doors.set("POST /issuer/token", (init) => {
    const headers = new Headers(init.headers);
    const { cnf } = decodeJwt(headers.get("OAuth-Client-Attestation") ?? "") as { cnf: { jwk: object } };
    attested.push(cnf.jwk);
    return Response.json({ error: "server_error" }, { status: 500 });
  });
  land.offers.set("code-1", { dpop: null, spent: false });
  await wallet.documents();
  await (another ? await open(wallet.store.name) : wallet).forgetPin();
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.store.setMeta("device", wallet.device);
  await wallet.vault.create("860217");
  const meant = await wallet.understand(OFFER);
  if (!("offered" in meant)) throw new Error("not an offer");
  await wallet.acceptOffer(meant.offered, () => undefined).catch(() => undefined);
  const keys = (await wallet.store.keysOf(`client:${BASE}/issuer`)).map(({ jwk }) => jwk);
  expect(attested).toHaveLength(1);
  expect(keys).toContainEqual(attested[0]);
});

test("a tab left at the first PIN sets none once another has forgotten the phone", async () => {
  const left = await open(wallet.store.name);
  await wallet.forgetPin();
  await expect(left.setPin("860217", [])).rejects.toMatchObject({ code: "conflict" });
  expect([await left.phase(), await left.vault.hasPin(), left.vault.open]).toEqual(["identity", false, false]);
});

test("what the provider said before everything was erased brings no phone back", async () => {
  const late = await asking();
  await wallet.eraseAll(null);
  await late.answer(says("active"));
  expect([await wallet.store.meta("device"), wallet.device]).toEqual([undefined, undefined]);
});

test("an older answer does not lift a lock heard since", async () => {
  const [one, two] = [await asking(), await asking()];
  await two.answer(says("suspended", { reason: "lost" }));
  await one.answer(says("active"));
  expect([wallet.device?.state, (await wallet.store.meta<{ state: string }>("device"))?.state, (await wallet.erased())?.why]).toEqual(["suspended", "suspended", "lost"]);
});

test("of two answers in their order both are heard, so that a lock is not lost to an answer just before it", async () => {
  const [one, two] = [await asking(), await asking()];
  clock += 1000;
  await one.answer(says("active"));
  await two.answer(says("suspended"));
  expect(wallet.device?.state).toBe("suspended");
  await (await asking()).answer(says("active"));
  expect(wallet.device?.state).toBe("active");
});

test("an older refusal erases nothing that was registered since", async () => {
  const late = await asking();
  await wallet.forgetPin();
  land.doors.set("POST /wallet-provider/devices", () => says("active"));
  wallet.device = await wallet.phone.register({ assertion: "a", person_name: "n" });
  await wallet.vault.create("860217");
  await late.answer(unknown());
  expect(await wallet.phase()).toBe("ready");
  await (await asking()).answer(unknown());
  expect((await wallet.erased())?.why).toBe("unknown");
});

test("of a phone reported lost no list of cards stays that reminders were given of", async () => {
  for (const name of ["told", "watch"]) await wallet.store.setMeta(name, [{ card: "of a random id" }]);
  await wallet.eraseCards("lost");
  expect([await wallet.store.meta("told"), await wallet.store.meta("watch")]).toEqual([undefined, undefined]);
});
