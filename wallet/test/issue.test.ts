import { expect, test } from "vitest";
import type { Pending } from "../src/records.ts";
import { Wallet } from "../src/wallet.ts";
import { apart, removable } from "../src/claims.ts";
import { BASE, CLAIMS, Country, type Cut, DOCTYPE, METADATA, NOW, OFFER } from "./country.ts";

const PIN = "274913";
const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 };
let names = 0;

async function fresh(country: Country, database = `issue-${++names}`): Promise<Wallet> {
  return Wallet.open({ base: BASE, fetch: country.fetch, now: () => NOW, cost: CHEAP, database });
}

async function withPin(country: Country, database?: string): Promise<Wallet> {
  const wallet = await fresh(country, database);
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.store.setMeta("device", wallet.device);
  await wallet.vault.create(PIN);
  return wallet;
}

async function country(): Promise<Country> {
  const made = await Country.open();
  made.offers.set("code-1", { dpop: null, spent: false });
  return made;
}

async function receive(wallet: Wallet): Promise<void> {
  const meant = await wallet.understand(OFFER);
  if (!("offered" in meant)) throw new Error("not an offer");
  await wallet.acceptOffer(meant.offered, () => undefined);
}

test("an offer becomes one card in two formats, each copy with its own key", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);

  expect(wallet.orders).toHaveLength(1);
  expect(wallet.pending).toHaveLength(0);
  const [order] = wallet.orders;
  expect(order?.parts.map((part) => part.format).toSorted()).toEqual(["dc+sd-jwt", "mso_mdoc"]);
  expect(order?.name.ko).toBe("주민등록증");
  expect([...(await wallet.presenter.copiesLeft(order!)).values()]).toEqual([3, 3]);
  expect(land.batches.every((batch) => batch.acknowledged && batch.live)).toBe(true);
  const keys = await wallet.store.keysOf(`${order?.id}/resident_card_mdoc`);
  expect(keys.every((key) => key.key.extractable === false)).toBe(true);
});

test("what is stored can be read by nobody without the PIN", async () => {
  const wallet = await withPin(await country());
  await receive(wallet);
  const rows = [...(await wallet.store.rows("order")), ...(await wallet.store.rows("copy"))];
  const text = rows.map((row) => Buffer.from(row.data).toString("utf8")).join();
  expect(rows).toHaveLength(7);
  expect(text).not.toContain("한지수");
  wallet.lock();
  await expect(wallet.vault.unseal(rows[0]!)).rejects.toMatchObject({ code: "wallet_locked" });
});

test("killed at any request, the next start finishes the card: nothing lost, nothing double", async () => {
  const whole = await country();
  await receive(await withPin(whole));
  const requests = whole.asked;
  expect(requests).toBeGreaterThan(12);

  for (let at = 1; at <= requests; at++) {
    for (const seen of [false, true]) {
      const land = await country();
      const database = `kill-${at}-${seen}`;
      const before = await withPin(land, database);
      land.cut = { at, seen } satisfies Cut;
      const accepted = await receive(before).then(
        () => true,
        async () => (await before.issuance.pending()).length > 0,
      );
      before.store.close(); // the process is gone; only the database is left
      land.cut = null;

      const after = await fresh(land, database);
      await after.unlock(PIN);
      if (!accepted && after.pending.length === 0 && after.orders.length === 0) await receive(after); // the holder scans again
      await after.tend();

      const where = `request ${at}, ${seen ? "answer lost" : "not sent"}: ${land.calls.at(at - 1)}`;
      expect(after.orders, where).toHaveLength(1);
      expect(after.pending, where).toHaveLength(0);
      for (const left of (await after.presenter.copiesLeft(after.orders[0]!)).values()) expect(left, where).toBe(3);
      for (const configuration of ["resident_card_sd_jwt", "resident_card_mdoc"]) {
        const live = land.batches.filter((batch) => batch.configuration === configuration && batch.live);
        expect(live, where).toHaveLength(1);
        expect(live[0]?.acknowledged, where).toBe(true);
        const kept = (await after.store.keysOf(`${after.orders[0]?.id}/${configuration}`)).map((key) => key.jwk.x).toSorted();
        expect(kept, where).toEqual(live[0]?.keys.map((key) => key.x).toSorted());
      }
      after.store.close();
    }
  }
}, 60_000);

test("a spent offer is given up with the issuer's own code, and can be put away", async () => {
  const land = await country();
  land.offers.set("code-1", { dpop: null, spent: true });
  const wallet = await withPin(land);
  await expect(receive(wallet)).rejects.toMatchObject({ code: "invalid_grant" });
  expect(wallet.pending.map((item: Pending) => item.failed)).toEqual(["invalid_grant"]);
  await wallet.dismissPending(wallet.pending[0]!.id);
  expect(wallet.pending).toHaveLength(0);
});

test("copies somebody changed are not stored, and the issuer is told", async () => {
  const land = await country();
  land.tamper = (raw) => `${raw.slice(0, 300)}${raw[300] === "A" ? "B" : "A"}${raw.slice(301)}`;
  const wallet = await withPin(land);
  await expect(receive(wallet)).rejects.toThrow();
  expect(wallet.orders).toHaveLength(0);
  expect(await wallet.store.rows("copy")).toHaveLength(0);
  expect(land.calls.at(-1)).toBe("POST /issuer/notification");
  expect(land.batches[0]?.acknowledged).toBe(false);
});

test("an issuer the trust list does not know is refused before anything is asked", async () => {
  const land = await country();
  const wallet = await withPin(land);
  const offer = { credential_issuer: "https://elsewhere.test/issuer", credential_configuration_ids: ["x"], grants: {} };
  const text = `openid-credential-offer://?credential_offer=${encodeURIComponent(JSON.stringify(offer))}`;
  await expect(wallet.understand(text)).rejects.toMatchObject({ name: "Problem" });
  expect(land.calls.some((call) => call.includes("/token"))).toBe(false);
});

test("a lost phone forgets its cards at its next contact, and says so while offline", async () => {
  const land = await country();
  const database = "lost-phone";
  const wallet = await withPin(land, database);
  await receive(wallet);
  land.device = { state: "suspended", reason: "lost" };
  await wallet.obey();
  expect(await wallet.store.rows("order")).toHaveLength(0);
  expect(await wallet.store.rows("copy")).toHaveLength(0);
  expect((await wallet.erased())?.why).toBe("lost");
  wallet.store.close();
  land.cut = { at: land.asked + 1, seen: false };
  const again = await fresh(land, database);
  expect((await again.obey())?.state).toBe("suspended");
});

test("low copies are renewed with the refresh token, and the old ones go", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);
  const [order] = wallet.orders;
  const before = (await wallet.store.rowsUnder(`${order?.id}/resident_card_sd_jwt`)).map((row) => row.id);
  await wallet.finish(await wallet.issuance.renew(order!), () => undefined);
  const after = (await wallet.store.rowsUnder(`${order?.id}/resident_card_sd_jwt`)).map((row) => row.id);
  expect(after).toHaveLength(3);
  expect(after.some((id) => before.includes(id))).toBe(false);
  expect(wallet.orders).toHaveLength(1);
  expect(wallet.orders[0]?.refreshToken).not.toBe(order?.refreshToken);
});

test("the same offer scanned again, or a new one for a card we hold, never makes a second card", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);
  const [first] = wallet.orders;
  await receive(wallet);
  expect(wallet.orders.map((order) => order.id)).toEqual([first?.id]);
  expect(await wallet.store.rows("copy")).toHaveLength(6);

  const meant = await wallet.understand(OFFER);
  if (!("offered" in meant)) throw new Error("not an offer");
  const ids = [await wallet.issuance.accept(meant.offered), await wallet.issuance.accept(meant.offered)];
  expect(new Set(ids).size).toBe(1);
});

test("of a document that speaks for one child a mother of two holds two, and a new one takes the place of the one it is about", async () => {
  const land = await country();
  const { resident_card_sd_jwt: sd, resident_card_mdoc: mdoc } = METADATA.credential_configurations_supported;
  const flagged = (path: string[]): object => ({ claims: [{ path: path.slice(0, -1).concat("name") }, { path, mapae_tells_apart: true }] });
  land.metadata = { credential_configurations_supported: {
    resident_card_sd_jwt: { ...sd, credential_metadata: flagged(["ward_name"]) },
    resident_card_mdoc: { ...mdoc, credential_metadata: flagged([DOCTYPE, "ward_name"]) },
  } };
  const wallet = await withPin(land);
  for (const ward of ["지온유", "지온별"]) {
    land.claims = { ...CLAIMS, ward_name: ward };
    await receive(wallet);
  }
  const names = (): string[] => wallet.orders.map((order) => apart(order, wallet.orders)).toSorted();
  expect(names()).toEqual(["지온별", "지온유"]);
  const before = wallet.orders.find((order) => order.parts.some(({ claims }) => claims["ward_name"] === "지온유"))?.id;
  land.claims = { ...CLAIMS, ward_name: "지온유", birth_date: "2001-03-10" };
  await receive(wallet);
  expect(names()).toEqual(["지온별", "지온유"]);
  expect(wallet.orders.some(({ id }) => id === before)).toBe(false);
  expect(await wallet.store.rows("copy")).toHaveLength(12);
  for (const order of wallet.orders) expect(order.parts).toHaveLength(2);
});

test("a card that is over can be thrown away, one that lives cannot", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);
  const [card] = wallet.orders;
  if (!card) throw new Error("no card");
  expect(removable(card, NOW)).toBe(false);
  expect(removable({ ...card, standing: "suspended" }, NOW)).toBe(false);
  expect(removable({ ...card, standing: "revoked" }, NOW)).toBe(true);
  expect(removable(card, NOW + 86_400_000 * 40)).toBe(true); // its last copies are over, and nobody makes new ones
  await wallet.removeCard(card);
  expect([wallet.orders.length, (await wallet.store.rows("copy")).length]).toEqual([0, 0]);
});

test("a status of renew is a renewal, quietly; the card shows as valid all the while", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);
  const before = (await wallet.store.rows("copy")).map((row) => row.id);
  await wallet.tend();
  expect((await wallet.store.rows("copy")).map((row) => row.id)).toEqual(before); // valid: nothing to do
  land.standing = 3;
  await wallet.tend();
  const after = (await wallet.store.rows("copy")).map((row) => row.id);
  expect(after).toHaveLength(6);
  expect(after.some((id) => before.includes(id))).toBe(false);
  expect(wallet.orders.map((order) => order.standing)).toEqual(["valid"]);
  expect(wallet.notices).toEqual([]);
  expect(land.batches.filter((batch) => batch.live).every((batch) => batch.acknowledged)).toBe(true);
});

test("lost and released while the phone was silent: the cards work again", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);
  // The issuer locked every copy and the counter released it; this phone only hears the end of it.
  land.device = { state: "active" };
  land.standing = 3;
  await wallet.tend();
  expect(wallet.orders[0]?.standing).toBe("valid");
  expect([...(await wallet.presenter.copiesLeft(wallet.orders[0]!)).values()]).toEqual([3, 3]);
  const meant = await wallet.understand(await land.qr());
  if (!("presentation" in meant)) throw new Error("not a request");
  expect((await wallet.present(meant.presentation, PIN)).entry.result).toBe("sent");
});

test("a card heard to be locked says so, is not shown, and comes back when it is released", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);
  land.standing = 2;
  await wallet.tend();
  expect(wallet.notices.map((notice) => notice.kind)).toEqual(["locked"]);
  await expect(wallet.understand(await land.qr())).rejects.toMatchObject({ code: "card_not_valid" });
  expect(await wallet.store.meta("watch")).toEqual({ cards: [{ id: wallet.orders[0]?.id, standing: "suspended", ends: "2029-11-21", copiesUntil: NOW / 1000 + 86_400 * 20, renewalDays: 90 }] });
  land.standing = 0;
  await wallet.tend();
  expect(wallet.notices).toEqual([]);
  expect("presentation" in (await wallet.understand(await land.qr()))).toBe(true);
});

test("the issuer's renewal window is asked once, kept, and decides when an end is said", async () => {
  const land = await country();
  land.renewalDays = 3 * 365 + 5; // the card ends on 2029-11-21
  const wallet = await withPin(land);
  await receive(wallet);
  expect(wallet.notices).toEqual([]);
  await wallet.tend();
  expect(wallet.notices).toMatchObject([{ kind: "ends", date: "2029-11-21" }]);
  await wallet.tend();
  expect(land.calls.filter((call) => call === "GET /issuer/documents")).toHaveLength(1);
});

test("copies that ran out with no network are said, and are no longer once they were fetched", async () => {
  const land = await country();
  const wallet = await withPin(land);
  await receive(wallet);
  for (const row of await wallet.store.rows("copy")) await wallet.store.write((tx) => tx.objectStore("sealed").put({ ...row, used: 1 }));
  const online = land.fetch;
  Object.assign(land, { fetch: () => Promise.reject(new TypeError("no network")) });
  const offline = await fresh(land, wallet.store.name);
  await offline.unlock(PIN);
  await offline.tend();
  expect(offline.notices.map((notice) => notice.kind)).toEqual(["no_copies"]);
  Object.assign(land, { fetch: online });
  await wallet.tend();
  expect(wallet.notices).toEqual([]);
});

test("two tabs tend the same card: one renewal after the other, nothing spent is lost", async () => {
  const land = await country();
  const one = await withPin(land);
  await receive(one);
  const two = await fresh(land, one.store.name);
  await two.unlock(PIN);
  land.standing = 3;
  await Promise.all([one.tend(), two.tend()]);
  land.standing = 0;
  await one.read();
  expect(one.orders).toHaveLength(1);
  expect(one.pending).toHaveLength(0);
  expect(await one.store.rows("copy")).toHaveLength(6);
  await one.finish(await one.issuance.renew(two.orders[0]!), () => undefined); // with the newest refresh token, whatever this tab remembers
});

test("a wallet erased while the issuer was answering stays empty", async () => {
  const land = await country();
  const wallet = await withPin(land);
  const meant = await wallet.understand(OFFER);
  if (!("offered" in meant)) throw new Error("not an offer");
  const id = await wallet.issuance.accept(meant.offered);
  let erased = false;
  const work = wallet.finish(id, (step) => {
    if (step !== "store" || erased) return;
    erased = true;
    void wallet.store.write((tx) => tx.objectStore("sealed").clear());
  });
  await expect(work).rejects.toMatchObject({ code: "conflict" });
  expect(await wallet.store.rows("copy")).toHaveLength(0);
  expect(await wallet.store.keysOf("phone")).toHaveLength(1);
});

test("no address without TLS is asked, not even one that an issuer's metadata names", async () => {
  const land = await country();
  const wallet = await fresh(land);
  const before = land.asked;
  await expect(wallet.net.json("GET", "http://elsewhere.test/token")).rejects.toMatchObject({ code: "insecure_address" });
  expect(land.asked).toBe(before);
  expect(wallet.net.may("javascript:alert(1)")).toBe(false);
});

test("an answer without end, or one that stops half way, is neither read on nor taken for whole", async () => {
  const land = await country();
  const wallet = await fresh(land);
  let sent = 0;
  const endless = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
  Object.assign(land, { fetch: async () => new Response(endless(), { headers: { "Content-Type": "application/json" } }) });
  const one = await fresh(land);
  await expect(one.net.json("GET", `${BASE}/x`)).rejects.toMatchObject({ code: "too_large" });
  expect(sent).toBeLessThan(80);
  const broken = () => new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(8)), pull: (controller) => controller.error(new Error("cut")) });
  Object.assign(land, { fetch: async () => new Response(broken()) });
  const two = await fresh(land);
  await expect(two.net.json("GET", `${BASE}/x`)).rejects.toMatchObject({ code: "offline" });
  wallet.store.close();
});

test("an answer without content that has a body all the same, as Chromium gives it, is an answer", async () => {
  const land = await country();
  const real = new Response(null, { status: 204 });
  Object.defineProperty(real, "body", { value: new ReadableStream({ start: (controller) => controller.close() }) });
  Object.assign(land, { fetch: async () => real });
  const wallet = await fresh(land);
  expect(await wallet.net.json("POST", `${BASE}/x`, {})).toBeUndefined();
});
