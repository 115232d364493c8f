import { expect, test } from "vitest";
import { random } from "../src/bytes.ts";
import { Store } from "../src/store.ts";
import { Vault, weakPin } from "../src/vault.ts";

const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 };
let names = 0;
async function vault(name = `vault-${++names}`): Promise<[Vault, Store, string]> {
  const store = await Store.open(name);
  return [new Vault(store, CHEAP), store, name];
}

test.each(["000000", "111111", "123456", "654321", "012345", "890123", "121212", "123123", "112211", "246824".replace("246824", "242424")])("%s is a weak PIN", (pin) => {
  expect(weakPin(pin)).toBe(true);
});
test("a PIN out of the phone number or the birth date is weak; others are not", () => {
  expect(weakPin("274913", ["01027491355"])).toBe(true);
  expect(weakPin("010309", ["010309"])).toBe(true);
  expect(weakPin("274913", ["01000000001"])).toBe(false);
  expect(weakPin("805162")).toBe(false);
});

test("what was sealed opens after an unlock with the right PIN, in another process", async () => {
  const [first, store, name] = await vault();
  await first.create("274913");
  const row = await first.seal("history", "a", "", { shown: "이름" });
  store.close();
  const [second] = await vault(name);
  await second.unlock("274913");
  expect(await second.unseal(row)).toEqual({ shown: "이름" });
});

test("a second tab left at the first PIN sets none over the first tab's, at the same moment or later", async () => {
  const [one, store, name] = await vault();
  const two = new Vault(await Store.open(name), CHEAP);
  const made = await Promise.allSettled([one.create("274913"), two.create("805162")]);
  expect(made.map((each) => (each.status === "fulfilled" ? "made" : (each.reason as { code: string }).code)).toSorted()).toEqual(["conflict", "made"]);
  const [first, other] = one.open ? [one, two] : [two, one];
  const row = await first.seal("order", "a", "", { n: 1 });
  await expect(other.create("860217")).rejects.toMatchObject({ code: "conflict" });
  expect(other.open).toBe(false);
  const again = new Vault(store, CHEAP);
  await again.unlock(first === one ? "274913" : "805162");
  expect(await again.unseal(row)).toEqual({ n: 1 });
});

test("five wrong PINs lock for good; each try is counted before it is made", async () => {
  const [one, store, name] = await vault();
  await one.create("274913");
  for (let left = 4; left >= 1; left--) {
    await expect(one.unlock("805162")).rejects.toMatchObject({ code: "wrong_pin", facts: { tries_left: left } });
  }
  await expect(one.unlock("805162")).rejects.toMatchObject({ code: "pin_locked" });
  await expect(one.unlock("274913")).rejects.toMatchObject({ code: "pin_locked" });
  store.close();
  const [again] = await vault(name);
  expect(await again.triesLeft()).toBe(0);
  await expect(again.unlock("274913")).rejects.toMatchObject({ code: "pin_locked" });
});

test("tries at the same moment are counted one by one", async () => {
  const [one] = await vault();
  await one.create("274913");
  const tries = await Promise.allSettled(Array.from({ length: 12 }, () => one.unlock("805162")));
  expect(tries.every((item) => item.status === "rejected")).toBe(true);
  expect(await one.triesLeft()).toBe(0);
});

test("the right PIN forgives earlier failures", async () => {
  const [one] = await vault();
  await one.create("274913");
  await expect(one.unlock("805162")).rejects.toThrow();
  await one.unlock("274913");
  expect(await one.triesLeft()).toBe(5);
});

test("a new PIN opens what the old one sealed, and the old one opens nothing", async () => {
  const [one] = await vault();
  await one.create("274913");
  const row = await one.seal("order", "a", "", { n: 1 });
  await one.changePin("274913", "805162");
  one.lock();
  await expect(one.unlock("274913")).rejects.toMatchObject({ code: "wrong_pin" });
  await one.unlock("805162");
  expect(await one.unseal(row)).toEqual({ n: 1 });
});

test("a record moved under another id or kind does not open", async () => {
  const [one] = await vault();
  await one.create("274913");
  const row = await one.seal("copy", "a", "order/x", { n: 1 });
  for (const changed of [{ ...row, id: "b" }, { ...row, kind: "history" as const }, { ...row, parent: "order/y" }]) {
    await expect(one.unseal(changed)).rejects.toMatchObject({ code: "storage_damaged" });
  }
});

test("the stored files without this browser's device key do not give the PIN", async () => {
  const [one, store] = await vault();
  await one.create("274913");
  await store.setMeta("device-key", await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]));
  await expect(one.unlock("274913")).rejects.toMatchObject({ code: "wrong_pin" });
});

test("a passkey's secret opens the same data, another secret does not", async () => {
  const [one] = await vault();
  await one.create("274913");
  const row = await one.seal("order", "a", "", { n: 1 });
  const secret = random(32);
  await one.addPasskey("274913", random(16), random(32), secret);
  one.lock();
  await expect(one.unlockByPasskey(random(32))).rejects.toMatchObject({ code: "passkey_failed" });
  await one.unlockByPasskey(secret);
  expect(await one.unseal(row)).toEqual({ n: 1 });
});

test("a try that fails for another reason forgives nothing that was tried before it", async () => {
  const [one, store, name] = await vault();
  await one.create("274913");
  const two = new Vault(await Store.open(name), CHEAP);
  const broken = await store.meta<object>("pin");
  const wrong = Array.from({ length: 3 }, () => one.unlock("805162"));
  await Promise.allSettled(wrong);
  await store.setMeta("pin", { ...broken, cost: { memoryKiB: 0, passes: 1, lanes: 1 } });
  await Promise.allSettled([two.unlock("805162"), one.unlock("805162")]);
  await store.setMeta("pin", broken);
  expect(await one.triesLeft()).toBe(2);
});
