import { expect, test } from "vitest";
import { digitsIn, onlyDigits, parseForm, written } from "../src/identity_form.ts";
import { Wallet } from "../src/wallet.ts";
import { en } from "../src/words/en.ts";
import { ko } from "../src/words/ko.ts";
import { BASE, Country, NOW } from "./country.ts";

const KOREA = { number: { layout: "dddddd-ddddddd", shown: 7 }, phone: { layout: "ddd-dddd-dddd" }, code_digits: 6 };
const MARU = { number: { layout: "ddddddddd/dddd", shown: 9 }, phone: { layout: "dddd ddd" }, code_digits: 5 };

test("Korea: six open digits, seven hidden ones, a phone of eleven", () => {
  const form = parseForm(KOREA);
  expect(form.number.parts).toEqual([{ digits: 6, hidden: false }, { digits: 7, hidden: true }]);
  expect(written(form.number.layout, "0103094683191")).toBe("010309-4683191");
  expect(written(form.phone.layout, onlyDigits("010 0000.0001"))).toBe("010-0000-0001");
  expect(written(form.phone.layout, "010000001")).toBeNull();
  expect([digitsIn(form.number.layout), form.codeDigits]).toEqual([13, 6]);
});

test("Maru: nine open digits, four hidden ones, a phone of seven", () => {
  const form = parseForm(MARU);
  expect(form.number.parts).toEqual([{ digits: 9, hidden: false }, { digits: 4, hidden: true }]);
  expect(written(form.number.layout, "1199904020013")).toBe("119990402/0013");
  expect(written(form.phone.layout, onlyDigits("0000 001"))).toBe("0000 001");
  expect(written(form.phone.layout, "01000000001")).toBeNull();
  expect(form.codeDigits).toBe(5);
});

test("a number may be one part, or three", () => {
  expect(parseForm({ ...MARU, number: { layout: "dddddddd", shown: 8 } }).number.parts).toEqual([{ digits: 8, hidden: false }]);
  expect(parseForm({ ...MARU, number: { layout: "dd.dd.dd", shown: 2 } }).number.parts.map(({ hidden }) => hidden)).toEqual([false, true, true]);
});

test("a form that cannot be drawn is refused", () => {
  const bent = [null, [], "form", {}, { ...KOREA, number: { layout: "", shown: 7 } }, { ...KOREA, number: { layout: "---", shown: 0 } },
    { ...KOREA, number: { layout: "d".repeat(41), shown: 7 } }, { ...KOREA, number: { layout: "dd" } }, { ...KOREA, phone: null },
    { ...KOREA, code_digits: 0 }, { ...KOREA, code_digits: "6" }, { ...KOREA, code_digits: 1e9 }];
  for (const raw of bent) expect(() => parseForm(raw), JSON.stringify(raw)).toThrowError(expect.objectContaining({ code: "unavailable" }));
});

test("the form is asked for once; one that did not arrive is asked for again", async () => {
  const land = await Country.open();
  const wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => NOW, database: "form-1" });
  land.cut = { at: 1, seen: false };
  await expect(wallet.phone.form()).rejects.toMatchObject({ code: "offline" });
  expect((await wallet.phone.form()).codeDigits).toBe(6);
  await wallet.phone.form();
  expect(land.calls).toEqual(["GET /identity/form", "GET /identity/form"]);
});

test("no count of digits is baked into the words of the identity check", () => {
  for (const words of [ko, en] as Record<string, string>[]) {
    for (const [key, text] of Object.entries(words)) if (/^(identity|code)\./.test(key)) expect(text, key).not.toMatch(/\d/);
  }
});
