import { DeviceResponse, Verifier } from "@owf/mdoc";
import { decodeJwt } from "jose";
import { beforeEach, expect, test } from "vitest";
import { b64u, sha256, unb64u, utf8 } from "../src/bytes.ts";
import { mdocContext, transcript } from "../src/formats/mdoc.ts";
import { Problem } from "../src/problem.ts";
import { encryptionThumbprint, openRequest } from "../src/request.ts";
import { ASKED_MS, LATE_MS } from "../src/trust.ts";
import { type Presentation, Wallet } from "../src/wallet.ts";
import { BASE, Country, certify, DOCTYPE, NOW, OFFER, pair, query, VCT } from "./country.ts";

const PIN = "274913";
let names = 0;
let land: Country;
let wallet: Wallet;
let clock = NOW;

beforeEach(async () => {
  clock = NOW;
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => clock, cost, database: `present-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
  const meant = await wallet.understand(OFFER);
  if ("offered" in meant) await wallet.acceptOffer(meant.offered, () => undefined);
});

async function ask(): Promise<Presentation> {
  const meant = await wallet.understand(await land.qr());
  if (!("presentation" in meant)) throw new Error("not a request");
  return meant.presentation;
}

test("an SD-JWT presentation shows the asked items, our key over our nonce, and nothing else", async () => {
  const presentation = await ask();
  await wallet.present(presentation, PIN);

  const [answer] = land.responses as { vp_token: Record<string, string[]>; state: string; enc: string }[];
  expect(Object.keys(answer!).toSorted()).toEqual(["enc", "state", "vp_token"]);
  expect(answer?.enc).toBe("A256GCM");
  const shown = answer?.vp_token["sd_jwt"]?.[0] ?? "";
  const parts = shown.split("~");
  const disclosed = parts.slice(1, -1).map((part) => JSON.parse(Buffer.from(part, "base64url").toString())[1]);
  expect(disclosed.toSorted()).toEqual(["birth_date", "name"]);
  const proof = decodeJwt(parts.at(-1) ?? "");
  expect(proof["aud"]).toBe(await land.clientId());
  expect(proof["nonce"]).toBe(presentation.asked.nonce);
  expect(proof["sd_hash"]).toBe(b64u(await sha256(utf8(`${parts.slice(0, -1).join("~")}~`))));
});

test("an mdoc presentation passes an independent reader, on the same session only", async () => {
  land.requestClaims = { dcql_query: query(["adult_by_year"], ["mdoc"]), mapae_purpose: "alcohol" };
  const presentation = await ask();
  await wallet.present(presentation, PIN);

  const raw = (land.responses[0] as { vp_token: Record<string, string[]> }).vp_token["mdoc"]?.[0] ?? "";
  const { asked } = presentation;
  const session = {
    clientId: asked.clientId, nonce: asked.nonce, responseUri: asked.responseUri,
    encryptionThumbprint: await encryptionThumbprint(asked.encryptTo),
  };
  const deviceResponse = DeviceResponse.decode(unb64u(raw));
  const options = { deviceResponse, trustedCertificates: [land.ca.der], now: new Date(NOW) };
  await Verifier.verifyDeviceResponse({ ...options, sessionTranscript: await transcript(session) }, mdocContext);
  const items = deviceResponse.documents?.[0]?.getIssuerNamespace(DOCTYPE) ?? [];
  expect(items.map((item) => [item.elementIdentifier, item.elementValue])).toEqual([["adult_by_year", true]]);
  const other = await transcript({ ...session, nonce: "another-nonce-of-22-characters" });
  await expect(Verifier.verifyDeviceResponse({ ...options, sessionTranscript: other }, mdocContext)).rejects.toThrow();
});

test("each presentation spends another copy, before anything is sent", async () => {
  const keys = new Set<unknown>();
  for (let time = 0; time < 3; time++) {
    await wallet.present(await ask(), PIN);
    const jwt = (land.responses.at(-1) as { vp_token: Record<string, string[]> }).vp_token["sd_jwt"]?.[0]?.split("~")[0] ?? "";
    keys.add((decodeJwt(jwt)["cnf"] as { jwk: { x: string } }).jwk.x);
  }
  expect(keys.size).toBe(3);
  expect((await wallet.presenter.copiesLeft(wallet.orders[0]!)).get("resident_card_sd_jwt")).toBe(0);

  await wallet.present(await ask(), PIN); // none left: fresh ones are fetched first
  expect(land.responses).toHaveLength(4);
});

test("an answer lost on the way spends the copy, and the history says that it may have arrived", async () => {
  const presentation = await ask();
  land.cut = { at: land.asked + 1, seen: true };
  await expect(wallet.present(presentation, PIN)).rejects.toMatchObject({ code: "offline" });
  expect((await wallet.presenter.copiesLeft(wallet.orders[0]!)).get("resident_card_sd_jwt")).toBe(2);
  expect((await wallet.presenter.history()).map((entry) => entry.result)).toEqual(["sending"]);
});

test("a wrong PIN sends nothing and spends nothing", async () => {
  const presentation = await ask();
  await expect(wallet.present(presentation, "805162")).rejects.toMatchObject({ code: "wrong_pin" });
  expect(land.responses).toHaveLength(0);
  expect((await wallet.presenter.copiesLeft(wallet.orders[0]!)).get("resident_card_sd_jwt")).toBe(3);
});

test("the history says who, what and for what; it is sealed, and can be deleted", async () => {
  await wallet.present(await ask(), PIN);
  await wallet.decline(await ask());
  const history = await wallet.presenter.history();
  expect(history.map((entry) => entry.result).toSorted()).toEqual(["declined", "sent"]);
  const sent = history.find((entry) => entry.result === "sent");
  expect(sent?.party.ko).toBe("소나무");
  expect(sent?.items).toEqual([{ name: "name", value: "한지수" }, { name: "birth_date", value: "2001-03-09" }]);
  expect(history.find((entry) => entry.result === "declined")?.items.every((item) => item.value === null)).toBe(true);
  expect(land.responses.at(-1)).toEqual({ error: "access_denied" });
  const raw = (await wallet.store.rows("history")).map((row) => Buffer.from(row.data).toString("utf8")).join();
  expect(raw).not.toContain("소나무");
  await wallet.deleteShown(sent?.id ?? "");
  expect(await wallet.presenter.history()).toHaveLength(1);
  await wallet.clearHistory();
  expect(await wallet.presenter.history()).toHaveLength(0);
});

test("the log-in number goes to the country's own bridge and to nobody else", async () => {
  for (const path of ["relay/abc", "verifier/responses/../../relay/abc", "verifier/responses/..%2f..%2frelay%2fabc", "verifier/responses/"]) {
    land.requestClaims = { dcql_query: query(["login_id"]), mapae_purpose: "log_in", response_uri: `${BASE}/${path}` };
    await expect(ask(), path).rejects.toMatchObject({ code: "over_asking", detail: "the log-in number", facts: { items: ["login_id"] } });
  }
  land.requestClaims = { dcql_query: query(["login_id"]), mapae_purpose: "log_in" };
  await expect(ask()).rejects.toMatchObject({ code: "not_held" }); // it may; this card is older than such numbers
});

const OWN = {
  id: "own_guest_house_breakfast", name: { ko: "아침 식사", en: "Breakfast" }, why: { ko: "확인", en: "Why" }, legal_basis: { ko: "숙박법", en: "Inns Act" },
  items: ["name"], retention: { ko: "하루", en: "A day" }, document: { vct: VCT, doctype: DOCTYPE, namespace: DOCTYPE }, risk: "medium",
};

test("a purpose of the party's own is told apart from the country's, with its legal basis", async () => {
  land.more.push(OWN);
  clock += 61_000;
  land.requestClaims = { dcql_query: query(["name"]), mapae_purpose: OWN.id };
  expect((await ask()).asked).toMatchObject({ own: true, party: { id: "guest_house" }, purpose: { name: OWN.name, legal_basis: OWN.legal_basis } });
  await wallet.present(await ask(), PIN);
  expect((await wallet.presenter.history())[0]).toMatchObject({ purposeId: OWN.id, legalBasis: OWN.legal_basis });
  land.requestClaims = { dcql_query: query(["name"]), mapae_purpose: "name_birth_date" };
  expect((await ask()).asked.own).toBe(false);
});

test.each<[string, Record<string, unknown>]>([
  ["another vct", { vct: "urn:other", doctype: DOCTYPE, namespace: DOCTYPE }],
  ["a document that comes in the other format", { doctype: DOCTYPE, namespace: DOCTYPE }],
])("items of a document that is not registered are over-asking: %s", async (_what, document) => {
  land.more.push({ ...OWN, document });
  clock += 61_000;
  land.requestClaims = { dcql_query: query(["name"]), mapae_purpose: OWN.id };
  await expect(ask()).rejects.toMatchObject({ code: "over_asking", facts: { items: ["name"] } });
});

test("so is another namespace of a registered doctype", async () => {
  land.more.push({ ...OWN, document: { doctype: DOCTYPE, namespace: "org.other" } }, { ...OWN, id: "own_guest_house_mdoc", document: { doctype: DOCTYPE, namespace: DOCTYPE } });
  clock += 61_000;
  land.requestClaims = { dcql_query: query(["name"], ["mdoc"]), mapae_purpose: OWN.id };
  await expect(ask()).rejects.toMatchObject({ code: "over_asking", facts: { items: ["name"] } });
  land.requestClaims = { dcql_query: query(["name"], ["mdoc"]), mapae_purpose: "own_guest_house_mdoc" };
  expect((await ask()).asked.own).toBe(true);
});

test("over-asking is stopped and remembered", async () => {
  land.requestClaims = { dcql_query: query(["name", "resident_number"]) };
  await expect(ask()).rejects.toMatchObject({ code: "over_asking", facts: { items: ["resident_number"] } });
  expect((await wallet.presenter.history())[0]).toMatchObject({ result: "refused", code: "over_asking", party: { ko: "소나무" } });
  land.requestClaims = { dcql_query: query(["name"]), mapae_purpose: "unheard_of" };
  await expect(ask()).rejects.toMatchObject({ code: "over_asking" });
});

test.each<[string, Record<string, unknown>, string]>([
  ["another audience", { aud: "https://example.com" }, "bad_request"],
  ["an expired request", { exp: NOW / 1000 - 3600 }, "expired"],
  ["a request from the future", { iat: NOW / 1000 + 3600 }, "not_yet_valid"],
  ["another client_id than the signer's", { client_id: "x509_hash:AAAA" }, "bad_request"],
  ["a short nonce", { nonce: "short" }, "bad_request"],
  ["an answer in the clear", { response_mode: "direct_post" }, "unsupported"],
  ["a redirect_uri beside the response_uri", { redirect_uri: `${BASE}/x` }, "bad_request"],
  ["an insecure response_uri", { response_uri: "http://elsewhere.test/r" }, "insecure_address"],
  ["no encryption key", { client_metadata: {} }, "unsupported"],
  ["a scope", { scope: "x" }, "unsupported"],
  ["a nonce that needs escapes", { nonce: "a b".repeat(10) }, "bad_request"],
  ["transaction data that is none", { transaction_data: ["x"] }, "invalid_transaction_data"],
  ["no query", { dcql_query: undefined }, "bad_query"],
  ["a card we do not hold", { dcql_query: { credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: ["other"] }, claims: [{ path: ["name"] }] }] } }, "not_held"],
])("refuses %s", async (_what, claims, code) => {
  land.requestClaims = claims;
  await expect(ask()).rejects.toMatchObject({ code });
});

test("refuses a shop the trust list does not name, until a newer list does", async () => {
  land.shop = await pair();
  land.shopDer = await certify(land.accessCa, "C=KR, CN=Newcomer", land.shop, 300, "access");
  const link = { kind: "request" as const, clientId: await land.clientId(), requestUri: `${BASE}/verifier/requests/1`, method: "get" as const };
  land.listed = false;
  await expect(openRequest(link, wallet.net, wallet.trust, BASE, NOW)).rejects.toMatchObject({ code: "unknown_relying_party" });
  land.listed = true;
  await expect(openRequest(link, wallet.net, wallet.trust, BASE, NOW)).resolves.toMatchObject({ party: { id: "guest_house" }, stranger: null });
});

test("refuses a shop whose registration was revoked, within seconds of the list that says so", async () => {
  const link = { kind: "request" as const, clientId: await land.clientId(), requestUri: `${BASE}/verifier/requests/1`, method: "get" as const };
  clock = NOW;
  await expect(openRequest(link, wallet.net, wallet.trust, BASE, clock)).resolves.toMatchObject({ party: { id: "guest_house" } });
  land.listed = false;
  land.revoked = true;
  clock = NOW + ASKED_MS;
  await expect(openRequest(link, wallet.net, wallet.trust, BASE, clock)).rejects.toMatchObject({ code: "signer_revoked" });
});

test("shows a card while the registry is silent, and says since when; nobody who is not silent is waited out", async () => {
  const link = { kind: "request" as const, clientId: await land.clientId(), requestUri: `${BASE}/verifier/requests/1`, method: "get" as const };
  const open = () => openRequest(link, wallet.net, wallet.trust, BASE, clock);
  const at = (ms: number): void => {
    clock = NOW + ms;
    land.requestClaims = { iat: clock / 1000, exp: clock / 1000 + 120 };
  };
  await expect(open()).resolves.toMatchObject({ knownAt: null });
  land.trustAnswer = "nobody";
  at(6 * 86_400_000);
  await expect(open()).resolves.toMatchObject({ knownAt: NOW / 1000, party: { id: "guest_house" } });
  await expect(wallet.trust.list()).rejects.toMatchObject({ code: "offline" });
  land.trustAnswer = "rubbish";
  await expect(open()).rejects.toBeInstanceOf(Problem);
  land.trustAnswer = "nobody";
  at(LATE_MS + 3600_000);
  await expect(open()).rejects.toMatchObject({ code: "offline" });
});

test("a request that runs out before the yes is not answered", async () => {
  const presentation = await ask();
  clock = NOW + 121_000;
  await expect(wallet.present(presentation, PIN)).rejects.toMatchObject({ code: "request_expired" });
  expect(land.responses).toHaveLength(0);
});
