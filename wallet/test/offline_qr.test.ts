/** Codes as they are read and written, without a wallet. The shared cases are in vectors.test.ts. */
import { expect, test } from "vitest";
import { b45, join, random, unb45 } from "../src/bytes.ts";
import { type Cbor, encode, type Key, Tagged } from "../src/cbor.ts";
import { ASK, parseAsk, SHOW, split } from "../src/offline_qr.ts";

const NONCE = random(16);
const asking = (members: [Key, Cbor][]): string => ASK + b45(encode(new Map(members)));
const anonymous = (id: string, items: readonly string[], name = "동네 가게"): string => asking([[1, 1], [2, NONCE], [3, id], [4, [...items]], [5, name]]);

test("whoever has no seal has a name, which is only a claim", async () => {
  expect(await parseAsk(anonymous("alcohol", ["adult_by_year"]))).toMatchObject({ name: "동네 가게", seal: null, nonce: NONCE, purpose: "alcohol", items: ["adult_by_year"] });
});

test.each<[string, string, string]>([
  ["small letters", anonymous("alcohol", ["adult_by_year"]).toLowerCase(), "malformed"],
  ["nothing in it", ASK, "malformed"],
  ["bytes that are no CBOR", ASK + b45(random(60)), "malformed"],
  ["more than a QR code holds", ASK + "0".repeat(4300), "too_large"],
  ["another version", asking([[1, 2], [2, NONCE], [3, "alcohol"], [4, ["adult_by_year"]], [5, "x"]]), "unsupported"],
  ["no version", asking([[2, NONCE], [3, "alcohol"], [4, ["adult_by_year"]], [5, "x"]]), "malformed"],
  ["a short nonce", asking([[1, 1], [2, random(15)], [3, "alcohol"], [4, ["adult_by_year"]], [5, "x"]]), "malformed"],
  ["no items", asking([[1, 1], [2, NONCE], [3, "alcohol"], [4, []], [5, "x"]]), "malformed"],
  ["an item twice", asking([[1, 1], [2, NONCE], [3, "alcohol"], [4, ["adult_by_year", "adult_by_year"]], [5, "x"]]), "malformed"],
  ["no name", asking([[1, 1], [2, NONCE], [3, "alcohol"], [4, ["adult_by_year"]]]), "malformed"],
  ["a registration without a seal", asking([[1, 1], [2, NONCE], [3, "alcohol"], [4, ["adult_by_year"]], [5, "x"], [6, "e.y.J"]]), "malformed"],
  ["an unknown member", asking([[1, 1], [2, NONCE], [3, "alcohol"], [4, ["adult_by_year"]], [5, "x"], [8, 1]]), "malformed"],
  ["an end that nobody signed", asking([[1, 1], [2, NONCE], [3, "alcohol"], [4, ["adult_by_year"]], [5, "x"], [7, 1_800_000_000]]), "malformed"],
  ["a name turned round", anonymous("alcohol", ["adult_by_year"], "부정 \u202e국민한대"), "malformed"],
  ["a name that hides what follows", anonymous("alcohol", ["adult_by_year"], "경찰청\u200b"), "malformed"],
  ["a name of two lines", anonymous("alcohol", ["adult_by_year"], "가게\n등록된 곳"), "malformed"],
  ["a name with a no-break space", anonymous("alcohol", ["adult_by_year"], "가\u00a0게"), "malformed"],
  ["a name too long", anonymous("alcohol", ["adult_by_year"], "가".repeat(61)), "malformed"],
  ["another phone's code", `${SHOW}0000`, "malformed"],
])("a shop's code with %s is refused", async (_what, text, code) => {
  await expect(parseAsk(text)).rejects.toMatchObject({ code });
});

const HEAD = encode(new Map<Key, Cbor>([[1, -7], [16, "application/mapae-ask+cbor"]]));
const CERTIFICATE = random(300); // looked at by whoAsks, not here
const PAYLOAD: [Key, Cbor][] = [[1, 1], [2, NONCE], [3, "alcohol"], [4, ["adult_by_year"]], [7, 1_800_000_000]];
const sealed = (parts: Cbor, tag = 18): string => ASK + b45(encode(new Tagged(tag, parts)));
const whole = (payload = PAYLOAD): Cbor[] => [HEAD, new Map<Key, Cbor>([[33, CERTIFICATE]]), encode(new Map(payload)), random(64)];

test("a registered party has a seal and no name", async () => {
  expect(await parseAsk(sealed(whole()))).toMatchObject({ name: null, seal: { certificate: CERTIFICATE, registration: null, until: 1_800_000_000 } });
  expect((await parseAsk(sealed(whole([...PAYLOAD.slice(0, 4), [6, "e.y.J"], ...PAYLOAD.slice(4)])))).seal?.registration).toBe("e.y.J");
});

test.each<[string, Cbor, number?]>([
  ["another type", [encode(new Map<Key, Cbor>([[1, -7], [16, "application/other"]])), ...whole().slice(1)]],
  ["another algorithm", [encode(new Map<Key, Cbor>([[1, -8], [16, "application/mapae-ask+cbor"]])), ...whole().slice(1)]],
  ["two certificates", [HEAD, new Map<Key, Cbor>([[33, [CERTIFICATE, CERTIFICATE]]]), ...whole().slice(2)]],
  ["a member more in its head", [HEAD, new Map<Key, Cbor>([[4, random(2)], [33, CERTIFICATE]]), ...whole().slice(2)]],
  ["no certificate", [HEAD, new Map(), ...whole().slice(2)]],
  ["no signature", [...whole().slice(0, 3), new Uint8Array()]],
  ["a payload elsewhere", [HEAD, new Map<Key, Cbor>([[33, CERTIFICATE]]), null, random(64)]],
  ["a part more", [...whole(), 1]],
  ["a name beside its seal", whole([...PAYLOAD.slice(0, 4), [5, "대한민국 정부"], ...PAYLOAD.slice(4)])],
  ["a registration that is no text", whole([...PAYLOAD.slice(0, 4), [6, random(8)], ...PAYLOAD.slice(4)])],
  ["no end", whole(PAYLOAD.slice(0, 4))],
  ["an end that is a text", whole([...PAYLOAD.slice(0, 4), [7, "1800000000"]])],
  ["an end before all time", whole([...PAYLOAD.slice(0, 4), [7, -1]])],
  ["a MAC in its place", whole(), 17],
  ["no parts", 1],
])("a seal with %s is refused", async (_what, parts, tag) => {
  await expect(parseAsk(sealed(parts, tag))).rejects.toMatchObject({ code: "malformed" });
});

test("a code with any byte changed, cut or added is refused or read, and never anything else", async () => {
  const sealing = encode(new Tagged(18, whole()));
  const plain = unb45(anonymous("alcohol", ["adult_by_year"]).slice(ASK.length));
  let seed = 11;
  const next = (below: number): number => ((seed = (seed * 69069 + 12345) % 4294967296) >>> 12) % below;
  let read = 0;
  for (let round = 0; round < 1500; round++) {
    const bytes = (round % 2 ? sealing : plain).slice();
    bytes[next(bytes.length)] = next(256);
    const changed = next(4) === 0 ? bytes.subarray(0, next(bytes.length)) : next(4) === 0 ? join(bytes, random(1 + next(3))) : bytes;
    await parseAsk(ASK + b45(changed)).then(() => { read += 1; }, (thrown: unknown) => expect(thrown).toMatchObject({ name: "Problem" }));
  }
  expect(read).toBeGreaterThan(50);
});

test("what does not fit thirty-two codes is refused", async () => {
  expect(await split(random(600))).toHaveLength(1);
  expect((await split(random(601))).map((text) => unb45(text.slice(SHOW.length)).length - 6)).toEqual([301, 300]);
  await expect(split(random(600 * 32 + 1))).rejects.toMatchObject({ code: "too_large" });
});
