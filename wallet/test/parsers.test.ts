import { expect, test } from "vitest";
import { random, unb64, unb64u } from "../src/bytes.ts";
import { choices, everyName, firstChoice, type Holding, parseQuery, type Path, type Pick, picksOf, type Query, select } from "../src/dcql.ts";
import { fromHash, parseLink } from "../src/links.ts";
import { colorsOf, contrast } from "../src/look.ts";
import { mayAsk } from "../src/net.ts";
import { particles } from "../src/particles.ts";
import { purposeOf } from "../src/request.ts";
import type { RelyingParty } from "../src/trust.ts";
import { firstLanguage, maskNumber, minutes, money, speak } from "../src/words.ts";
import { en } from "../src/words/en.ts";
import { ko } from "../src/words/ko.ts";
import { checkChain, parseCertificate } from "../src/x509.ts";
import { authority, BASE, certify, DOCTYPE, NOW, pair, query, VCT } from "./country.ts";

const OFFER_URI = encodeURIComponent(`${BASE}/issuer/offers/1`);

test.each(["openid-credential-offer:", "haip-vci:", "OPENID-CREDENTIAL-OFFER:"])("%s is an offer", (scheme) => {
  expect(parseLink(`${scheme}//?credential_offer_uri=${OFFER_URI}`, BASE)).toMatchObject({ kind: "offer" });
});
test.each(["openid4vp:", "haip-vp:"])("%s is a request", (scheme) => {
  const text = `${scheme}//?client_id=x509_hash%3Aabc&request_uri=${encodeURIComponent(`${BASE}/r/1`)}`;
  expect(parseLink(text, BASE)).toEqual({ kind: "request", clientId: "x509_hash:abc", requestUri: `${BASE}/r/1`, method: "get" });
  expect(parseLink(`${BASE}/wallet/#request=${encodeURIComponent(text)}`, BASE)).toMatchObject({ kind: "request" });
});
test.each<[string, string]>([
  ["", "bad_link"],
  ["hello", "bad_link"],
  ["MAPAE-SHOW:000", "others_code"],
  ["MAPAE-MEET:000", "others_code"],
  ["mapae-ask:000", "bad_link"],
  ["javascript:alert(1)", "bad_link"],
  ["https://elsewhere.test/wallet/#offer=x", "bad_link"],
  [`${BASE}/wallet/#offer=javascript:alert(1)`, "bad_link"],
  ["openid-credential-offer://?x=1", "bad_link"],
  [`openid-credential-offer://?credential_offer=%7B%7D&credential_offer_uri=${OFFER_URI}`, "bad_link"],
  [`openid-credential-offer://?credential_offer_uri=${OFFER_URI}&credential_offer_uri=${OFFER_URI}`, "bad_link"],
  ["openid-credential-offer://?credential_offer_uri=http%3A%2F%2Felsewhere.test%2F1", "insecure_address"],
  ["openid4vp://?client_id=x509_hash%3Aa&request=abc", "unsigned_request"],
  ["openid4vp://?client_id=redirect_uri%3Aa&request_uri=https%3A%2F%2Fa.test", "unsupported"],
  ["openid4vp://?client_id=x509_hash%3Aa&request_uri=ftp%3A%2F%2Fa.test", "insecure_address"],
  ["openid4vp://?client_id=x509_hash%3Aa&request_uri=https%3A%2F%2Fa%3Ab%40a.test", "bad_link"],
  [`openid4vp://?client_id=x509_hash%3Aa&request_uri=${"a".repeat(20_000)}`, "bad_link"],
])("%j is refused as %s", (text, code) => {
  expect(() => parseLink(text, BASE)).toThrow(expect.objectContaining({ code }));
});
test("random text is a Problem, never another error", () => {
  for (let round = 0; round < 500; round++) {
    const noise = Buffer.from(random(1 + (round % 60))).toString("latin1");
    for (const text of [noise, `openid4vp://?${noise}`, `openid-credential-offer://?credential_offer_uri=${noise}`]) {
      try {
        parseLink(text, BASE);
      } catch (thrown) {
        expect(thrown).toMatchObject({ name: "Problem" });
      }
    }
  }
});
test("only our schemes are taken out of a fragment", () => {
  expect(fromHash("#offer=openid-credential-offer%3A%2F%2F%3Fa")).toBe("openid-credential-offer://?a");
  expect(fromHash("#/home")).toBeNull();
  expect(fromHash("#offer=https%3A%2F%2Fx")).toBeNull();
});

const claims = { name: "한지수", birth_date: "2001-03-09", adult_by_year: true };
const sd: Holding = { order: "o", format: "dc+sd-jwt", type: VCT, claims, authorities: ["aki1"] };
const mdoc: Holding = { ...sd, format: "mso_mdoc", type: DOCTYPE, claims: { [DOCTYPE]: claims } };
/** What would be shown if the holder changed nothing. */
function choose(asked: Query, holdings: readonly Holding[]): Pick[] {
  const from = choices(asked, holdings);
  return picksOf(from, firstChoice(from));
}

test("the first option we hold is chosen", () => {
  const parsed = parseQuery(query(["name"]));
  expect(choose(parsed, [sd, mdoc]).map((pick) => pick.query)).toEqual(["sd_jwt"]);
  expect(choose(parsed, [mdoc]).map((pick) => pick.query)).toEqual(["mdoc"]);
  expect(() => choose(parsed, [])).toThrow(expect.objectContaining({ code: "not_held" }));
});
test("claim sets, values, authorities and optional sets are honoured", () => {
  const base = { id: "a", format: "dc+sd-jwt", meta: { vct_values: [VCT] } };
  const sets = { ...base, claims: [{ id: "x", path: ["age_over_19"] }, { id: "y", path: ["adult_by_year"] }], claim_sets: [["x"], ["y"]] };
  expect(choose(parseQuery({ credentials: [sets] }), [sd])[0]?.paths).toEqual([["adult_by_year"]]);
  const valued = (values: unknown[]) => ({ credentials: [{ ...base, claims: [{ path: ["name"], values }] }] });
  expect(choose(parseQuery(valued(["한지수"])), [sd])).toHaveLength(1);
  expect(() => choose(parseQuery(valued(["다른이"])), [sd])).toThrow(expect.objectContaining({ code: "not_held" }));
  const trusted = (value: string) => ({ credentials: [{ ...base, claims: [{ path: ["name"] }], trusted_authorities: [{ type: "aki", values: [value] }] }] });
  expect(choose(parseQuery(trusted("aki1")), [sd])).toHaveLength(1);
  expect(() => choose(parseQuery(trusted("aki2")), [sd])).toThrow();
  expect(choose(parseQuery({ credentials: [base], credential_sets: [{ options: [["a"]], required: false }] }), [sd])).toEqual([]);
  expect(choose(parseQuery({ credentials: [base] }), [sd])[0]?.paths).toEqual([]);
  expect(everyName(parseQuery(query(["name", "birth_date"])))).toEqual(["name", "birth_date"]);
});
test.each<[string, unknown]>([
  ["nothing", undefined], ["a list", []], ["no credentials", { credentials: [] }],
  ["no meta", { credentials: [{ id: "a", format: "dc+sd-jwt" }] }],
  ["an id with spaces", { credentials: [{ id: "a b", format: "dc+sd-jwt", meta: { vct_values: ["x"] } }] }],
  ["the same id twice", { credentials: [1, 2].map(() => ({ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] } })) }],
  ["a set of unknown ids", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] } }], credential_sets: [{ options: [["b"]] }] }],
  ["multiple that is not true or false", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] }, multiple: "yes" }] }],
  ["claim_sets without claims", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] }, claim_sets: [["x"]] }] }],
  ["claim_sets over claims without ids", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] }, claims: [{ path: ["a"] }], claim_sets: [["x"]] }] }],
  ["the same claim id twice", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] }, claims: [{ id: "x", path: ["a"] }, { id: "x", path: ["b"] }] }] }],
  ["a path of nothing", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] }, claims: [{ path: [] }] }] }],
  ["a negative index", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] }, claims: [{ path: ["a", -1] }] }] }],
  ["a path of three into an mdoc", { credentials: [{ id: "a", format: "mso_mdoc", meta: { doctype_value: "x" }, claims: [{ path: ["a", "b", "c"] }] }] }],
  ["values that are objects", { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["x"] }, claims: [{ path: ["a"], values: [{}] }] }] }],
  ["more credentials than anybody asks for", { credentials: Array.from({ length: 65 }, (_, at) => ({ id: `a${at}`, format: "dc+sd-jwt", meta: { vct_values: ["x"] } })) }],
])("a query with %s is refused", (_what, raw) => {
  expect(() => parseQuery(raw)).toThrow(expect.objectContaining({ code: "bad_query" }));
});

const at = (order: string, format: Holding["format"], held: Record<string, unknown>): Holding => ({ order, format, type: format === "mso_mdoc" ? DOCTYPE : VCT, claims: held, authorities: [] });
const wants = (id: string, path: unknown[], more: Record<string, unknown> = {}) => ({ id, format: "dc+sd-jwt", meta: { vct_values: [VCT] }, claims: [{ path }], ...more });

test("the holder chooses: between options, between cards, and whether to show more (OpenID4VP 1.0 section 6.4.2)", () => {
  const cards = [at("one", "dc+sd-jwt", { name: "A", age: 20 }), at("two", "dc+sd-jwt", { name: "B", age: 30 })];
  const sets = [{ options: [["age"], ["name"]] }, { options: [["more"]], required: false }];
  const from = choices(parseQuery({ credentials: [wants("age", ["age"]), wants("name", ["name"]), wants("more", ["name"])], credential_sets: sets }), cards);
  expect(from.sets.map((set) => set.options.length)).toEqual([2, 1]);
  const shown = (chosen: ReturnType<typeof firstChoice>) => picksOf(from, chosen).map((pick) => [pick.query, pick.holding.order]);
  expect(shown(firstChoice(from))).toEqual([["age", "one"]]);
  expect(shown({ options: [1, 0], cards: new Map([["name", ["two"]], ["more", ["one"]]]) })).toEqual([["name", "two"], ["more", "one"]]);
});
test("options that differ in the format only are one to the holder", () => {
  const both = [at("one", "mso_mdoc", { [DOCTYPE]: { name: "A" } }), at("one", "dc+sd-jwt", { name: "A" })];
  expect(choices(parseQuery(query(["name"])), both).sets[0]?.options).toEqual([["sd_jwt"]]);
});
test("several cards for one query only where it says multiple (section 6.1)", () => {
  const cards = [at("one", "dc+sd-jwt", { name: "A" }), at("two", "dc+sd-jwt", { name: "B" })];
  for (const multiple of [true, false]) {
    const from = choices(parseQuery({ credentials: [wants("a", ["name"], { multiple })] }), cards);
    expect(picksOf(from, firstChoice(from))).toHaveLength(1); // less, until the holder says more
    expect(picksOf(from, { options: [0], cards: new Map([["a", ["one", "two"]]]) })).toHaveLength(multiple ? 2 : 1);
  }
});
test("a transaction is carried by one of the credentials it names, or the option is none", () => {
  const cards = [at("one", "dc+sd-jwt", { name: "A" })];
  const asked = parseQuery({ credentials: [wants("a", ["name"]), wants("b", ["name"])], credential_sets: [{ options: [["a"], ["b"]] }] });
  expect(choices(asked, cards, [["b"]]).sets[0]?.options).toEqual([["b"]]);
  expect(() => choices(parseQuery({ credentials: [wants("a", ["name"]), wants("b", ["shoe"])], credential_sets: [{ options: [["a"], ["b"]] }] }), cards, [["b"]])).toThrow(expect.objectContaining({ code: "not_held" }));
});
test.each<[unknown, unknown[]]>([
  [["name"], ["Arthur Dent"]],
  [["address", "street_address"], ["42 Market Street"]],
  [["degrees", null, "type"], ["Bachelor of Science", "Master of Science"]],
  [["nationalities", 1], ["Betelgeusian"]],
  [["nationalities", 2], []],
  [["name", "first"], []],
  [["address", 0], []],
  [["__proto__"], []],
])("the path %j leads where section 7.3 says", (path, found) => {
  const degrees = [{ type: "Bachelor of Science" }, { type: "Master of Science" }];
  const card = { name: "Arthur Dent", address: { street_address: "42 Market Street" }, degrees, nationalities: ["British", "Betelgeusian"] };
  expect(select(card, path as Path)).toEqual(found);
});
test("of an array asked by value only the elements with the value are given (section 6.4.1)", () => {
  const card = at("one", "dc+sd-jwt", { nationalities: ["GB", "FR", "GB"] });
  const paths = (values: unknown[]) => choose(parseQuery({ credentials: [{ ...wants("a", []), claims: [{ path: ["nationalities", null], values }] }] }), [card])[0]?.paths;
  expect(paths(["FR"])).toEqual([["nationalities", 1]]);
  expect(paths(["GB", "FR"])).toEqual([["nationalities", null]]);
  expect(() => paths(["DE"])).toThrow(expect.objectContaining({ code: "not_held" }));
});
test("an item is what it is registered as, or a part of it; never what another item's part is called", () => {
  const party = { id: "p", name: { ko: "", en: "" }, x509_hash: "", purposes: [{ id: "x", items: ["name", "address.locality"] }] } as unknown as RelyingParty;
  expect(purposeOf(party, "x", ["name", "name.first", "address.locality"]).id).toBe("x");
  for (const name of ["spouse.name", "address", "address.street", "*"]) {
    expect(() => purposeOf(party, "x", [name])).toThrow(expect.objectContaining({ code: "over_asking" }));
  }
});

test("words can be read on every card, whatever colours its issuer asks for (WCAG 2.2 1.4.3)", () => {
  for (const [background, text] of [["#ffffff", "#fffffe"], ["#ffee00", "#ffffff"], ["#777777", "#888888"], ["#000000", undefined], ["red", "blue"], [undefined, "#123456"]]) {
    const colors = colorsOf({ background_color: background, text_color: text });
    expect(contrast(colors.background, colors.text)).toBeGreaterThanOrEqual(4.5);
  }
  expect(colorsOf({ background_color: "#12107c", text_color: "#ffffff" })).toEqual({ background: "#12107c", text: "#ffffff" });
});
test("an amount is written with its currency's code and loses no digit", () => {
  speak("en");
  expect(money("999999999999999.9999", "EUR")).toMatch(/EUR\s999,999,999,999,999\.9999/);
  expect(money("12500", "KRW")).toMatch(/KRW\s12,500$/);
  speak("ko");
});
test("only this machine's servers are asked without TLS, and only where the wallet itself is on it", () => {
  expect(mayAsk("http://localhost:9000/x", "http://localhost:8080")).toBe(true);
  expect(mayAsk("http://127.0.0.1:9000/x", "http://localhost:8080")).toBe(true);
  expect(mayAsk("http://localhost:9000/x", "https://wallet.test")).toBe(false);
  expect(mayAsk("http://elsewhere.test", "http://localhost:8080")).toBe(false);
  expect(mayAsk("ftp://a.test", "https://wallet.test")).toBe(false);
});

test("a chain is good only up to its own anchor, in date, and without the anchor inside", async () => {
  const [ca, other, holder] = [await authority("C=KR, CN=One"), await authority("C=KR, CN=Two"), await pair()];
  const leaf = await certify(ca, "C=KR, CN=Leaf", holder);
  const now = new Date(NOW);
  expect((await checkChain([leaf], [other.der, ca.der], "document", now)).der).toEqual(leaf);
  const cases: [Uint8Array<ArrayBuffer>[], Uint8Array<ArrayBuffer>[], Date][] = [
    [[leaf], [other.der], now], [[leaf], [], now], [[], [ca.der], now], [[leaf, ca.der], [ca.der], now], [[ca.der], [ca.der], now],
    [[leaf], [ca.der], new Date(NOW + 400 * 86_400_000)], [[leaf], [ca.der], new Date(NOW - 30 * 86_400_000)],
  ];
  for (const [chain, anchors, at] of cases) {
    await expect(checkChain(chain, anchors, "document", at)).rejects.toMatchObject({ code: "bad_certificate" });
  }
});
test("a leaf made for one purpose serves no other, and one that names none serves nothing", async () => {
  const [ca, holder] = [await authority("C=KR, CN=One"), await pair()];
  for (const made of ["document", "access", "status"] as const) {
    const leaf = await certify(ca, "C=KR, CN=Leaf", holder, 300, made);
    for (const used of ["document", "access", "status"] as const) {
      const work = checkChain([leaf], [ca.der], used, new Date(NOW));
      if (made === used) expect((await work).der).toEqual(leaf);
      else await expect(work).rejects.toMatchObject({ code: "bad_certificate" });
    }
  }
});
test("a certificate with any byte changed is refused or no longer signed", async () => {
  const [ca, holder] = [await authority("C=KR, CN=One"), await pair()];
  const leaf = await certify(ca, "C=KR, CN=Leaf", holder);
  for (let at = 0; at < leaf.length; at += 1) {
    const changed = leaf.slice();
    changed[at] = (changed[at] ?? 0) ^ 0x41;
    await expect(checkChain([changed], [ca.der], "document", new Date(NOW)), `byte ${at}`).rejects.toThrow();
  }
  for (let length = 0; length < leaf.length; length += 17) expect(() => parseCertificate(leaf.slice(0, length))).toThrow();
});

test("base64 has one spelling", () => {
  expect(() => unb64u("a+b/")).toThrow(expect.objectContaining({ code: "malformed" }));
  expect(() => unb64("a-b_")).toThrow(expect.objectContaining({ code: "malformed" }));
});
test("English fills no hole that Korean does not have", () => {
  const holes = (phrase: string): string[] => (phrase.match(/\{\w+\}/g) ?? []).toSorted();
  for (const key of Object.keys(ko) as (keyof typeof ko)[]) expect(holes(ko[key]), key).toEqual(expect.arrayContaining(holes(en[key])));
});
test("small words", () => {
  expect(minutes(179.2)).toBe("3:00");
  expect(minutes(-4)).toBe("0:00");
  expect(maskNumber("010309-4683191")).toBe("010309-4••••••");
  expect(maskNumber("119990402/1234")).toBe("1199904••/••••");
  expect(maskNumber("12345")).toBe("123••");
  expect(firstLanguage(undefined, ["fr", "en-US", "ko"])).toBe("en");
  expect(firstLanguage("ko", ["en"])).toBe("ko");
  expect(firstLanguage(undefined, ["fr"])).toBe("ko");
});

test("a Korean particle fits what was filled in, as on the server's pages", () => {
  for (const [text, said] of [
    ["이름을(를)", "이름을"], ["주소을(를)", "주소를"], ["‘주소’이(가)", "‘주소’가"], ["등록 3을(를)", "등록 3을"], ["서점(으)로", "서점으로"],
    ["책마을(으)로", "책마을로"], ["010-0000-0001(으)로", "010-0000-0001로"], ["e-mail을(를)", "e-mail을(를)"],
  ]) expect(particles(text!)).toBe(said); // prettier-ignore
});
