/** CBOR and base45 of the codes: one spelling each way, and nothing else comes in. */
import { expect, test } from "vitest";
import { b45, type Bytes, unb45, utf8 } from "../src/bytes.ts";
import { type Cbor, decode, encode, Tagged } from "../src/cbor.ts";

const hex = (raw: string): Bytes => Uint8Array.from(Buffer.from(raw, "hex"));
const spelled = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

// RFC 8949 appendix A.
test.each<[Cbor, string]>([
  [0, "00"], [23, "17"], [24, "1818"], [255, "18ff"], [256, "190100"], [1000, "1903e8"], [1000000, "1a000f4240"], [1000000000000, "1b000000e8d4a51000"],
  [-1, "20"], [-1000, "3903e7"], [false, "f4"], [true, "f5"], [null, "f6"], [hex("01020304"), "4401020304"], ["IETF", "6449455446"], ["ü", "62c3bc"],
  [[1, [2, 3], [4, 5]], "8301820203820405"], [new Map<number, Cbor>([[1, 2], [3, 4]]), "a201020304"], [new Tagged(18, [hex("")]), "d28140"],
])("RFC 8949: %j is %s, both ways", (value, raw) => {
  expect(spelled(encode(value))).toBe(raw);
  expect(decode(hex(raw))).toEqual(value);
});

test("members are written in the order of their bytes, whatever order they came in", () => {
  const value = new Map<number | string, Cbor>([["aa", 1], ["b", 2], [-1, 3], [100, 4], [10, 5]]);
  expect(spelled(encode(value))).toBe("a50a05186404200361620262616101");
});

test.each([
  ["nothing", ""], ["two values", "0000"], ["a head cut short", "19 03"], ["text cut short", "64 494554"], ["a long head", "1817"], ["a long head of two", "1900ff"],
  ["a long head of eight", "1b00000000ffffffff"], ["a number too large", "1bffffffffffffffff"], ["indefinite length", "9f01ff"], ["a float", "f97e00"], ["undefined", "f7"],
  ["keys out of order", "a203040102"], ["a key twice", "a201020103"], ["a list as a key", "a1800 1".replaceAll(" ", "")], ["half of UTF-8", "61c3"],
  ["a list longer than its bytes", "9a7fffffff00"], ["too deep", "81".repeat(10) + "00"], ["a reserved head", "1c"],
])("refuses %s", (_what, raw) => {
  expect(() => decode(hex(raw.replaceAll(" ", "")))).toThrow(expect.objectContaining({ name: "Problem", code: "malformed" }));
});

test("random bytes are refused or read in one spelling only", () => {
  let seed = 7;
  const next = (): number => (seed = (seed * 1103515245 + 12345) % 2147483648) >>> 8;
  let read = 0;
  for (let round = 0; round < 4000; round++) {
    const raw = Uint8Array.from({ length: 1 + (next() % 6) }, () => next() % 256);
    let value: Cbor;
    try {
      value = decode(raw);
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: "malformed" });
      continue;
    }
    read += 1;
    expect(spelled(encode(value))).toBe(spelled(raw));
  }
  expect(read).toBeGreaterThan(100);
});

// RFC 9285 section 4.3 and 4.4.
test.each([["AB", "BB8"], ["Hello!!", "%69 VD92EX0"], ["base-45", "UJCLQE7W581"], ["ietf!", "QED8WEX0"], ["", ""]])("RFC 9285: %s is %s, both ways", (plain, coded) => {
  expect(b45(utf8(plain))).toBe(coded);
  expect(unb45(coded)).toEqual(utf8(plain));
});

test.each([["a character over", "BB8B"], ["one character", "A"], ["small letters", "bb8"], ["a value over 65535", "GGW"], ["the largest triple", ":::"], ["a value over 255", "::"], ["another alphabet", "BB_"]])("base45 refuses %s", (_what, raw) => {
  expect(() => unb45(raw)).toThrow(expect.objectContaining({ code: "malformed" }));
});

test("every byte comes back from base45", () => {
  for (const length of [1, 2, 255, 256, 600]) {
    const bytes = Uint8Array.from({ length }, (_one, at) => (at * 7 + length) % 256);
    expect(unb45(b45(bytes))).toEqual(bytes);
  }
});
