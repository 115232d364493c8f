/** The purposes document, as it is read. What is kept of it: codes.test.ts. */
import { expect, test } from "vitest";
import { parsePurposes } from "../src/purposes.ts";

const words = { ko: "말", en: "word" };
const adult = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  id: "adult", document: { id: "card", name: words, vct: "urn:card", doctype: "", namespace: "" }, name: words, why: words, legal_basis: words, retention: words,
  items: ["age_over_19"], kinds: { age_over_19: "yes_no" }, labels: { age_over_19: words }, anyone: true, by_holder: true, risk: "low", ...changes,
});
const read = (...purposes: unknown[]) => parsePurposes({ iat: 1, exp: 2, purposes });

test("what is read says of each purpose its document, items and who may ask or show it", () => {
  expect(read(adult()).purposes[0]).toMatchObject({ id: "adult", items: ["age_over_19"], anyone: true, by_holder: true, document: { vct: "urn:card" } });
  expect(read(adult({ anyone: 1, by_holder: "yes" })).purposes[0]).toMatchObject({ anyone: false, by_holder: false });
});

test.each<[string, unknown[]]>([
  ["a name for anyone", [adult({ items: ["name"], kinds: { name: "text" } })]],
  ["a kind nobody gave, for anyone", [adult({ kinds: {} })]],
  ["a high risk to be shown unasked", [adult({ risk: "high" })]],
  ["a purpose twice", [adult(), adult()]],
  ["no items", [adult({ items: [] })]],
  ["an item that is no name", [adult({ items: ["*"], kinds: { "*": "yes_no" } })]],
  ["a purpose of no document", [adult({ document: { id: "none" } })]],
  ["an id that is no name", [adult({ id: "../x" })]],
  ["a purpose that is none", [null]],
])("%s is refused", (_what, purposes) => {
  expect(() => read(...purposes)).toThrow(expect.objectContaining({ code: "untrusted_list" }));
});

test("a document without its dates is refused", () => {
  expect(() => parsePurposes({ iat: 1, exp: "never", purposes: [] })).toThrow(expect.objectContaining({ code: "untrusted_list" }));
});
