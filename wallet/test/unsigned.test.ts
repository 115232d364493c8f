import { decodeJwt } from "jose";
import { beforeEach, expect, test } from "vitest";
import { b64u, random } from "../src/bytes.ts";
import { signJwt } from "../src/keys.ts";
import type { Problem } from "../src/problem.ts";
import { type Presentation, Wallet } from "../src/wallet.ts";
import { BASE, Country, DOCTYPE, NOW, OFFER, query, VCT } from "./country.ts";

const PIN = "274913";
const ADDRESS = `${BASE}/verifier/responses/1`;
let names = 0;
let land: Country;
let wallet: Wallet;

const words = (text: string): { ko: string; en: string } => ({ ko: text, en: text });
const purpose = (id: string, item: string, kind: string, anyone: boolean): Record<string, unknown> => ({
  id, name: words(id), why: words("왜"), legal_basis: words("법"), retention: words("보관하지 않음"), items: [item], kinds: { [item]: kind },
  labels: { [item]: words(item) }, anyone, by_holder: false, risk: "low",
  document: { id: "resident_card", name: words("증"), vct: VCT, doctype: DOCTYPE, namespace: DOCTYPE },
});

beforeEach(async () => {
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => NOW, cost, database: `unsigned-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
  const meant = await wallet.understand(OFFER);
  if ("offered" in meant) await wallet.acceptOffer(meant.offered, () => undefined);
  const purposes = [purpose("alcohol", "adult_by_year", "yes_no", true), purpose("named", "name", "text", false)];
  const raw = await signJwt(land.trustKey.key, { typ: "mapae-purposes+jwt" }, { iat: NOW / 1000, exp: NOW / 1000 + 86_400, purposes });
  land.doors.set("GET /trust/purposes", () => new Response(raw, { headers: { "Content-Type": "application/jwt" } }));
});

type Json = Record<string, unknown>;
interface Credential {
  claims?: { path: string[]; values?: unknown[]; intent_to_retain?: boolean }[];
  meta: { vct_values?: string[]; doctype_value?: string };
  multiple?: boolean;
  id: string;
}

function link(change: (parameters: Record<string, unknown>) => void = () => undefined): string {
  const parameters: Record<string, unknown> = {
    client_id: `redirect_uri:${ADDRESS}`, response_uri: ADDRESS, response_type: "vp_token", response_mode: "direct_post.jwt",
    nonce: b64u(random(16)), state: "s1", mapae_purpose: "alcohol", dcql_query: structuredClone(query(["adult_by_year"])),
    client_metadata: { jwks: { keys: [land.answerJwk] } },
  };
  change(parameters);
  const texts = Object.entries(parameters).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  return `openid4vp://?${new URLSearchParams(texts as string[][]).toString()}`;
}

async function opened(text: string): Promise<Presentation> {
  const meant = await wallet.understand(text);
  if (!("presentation" in meant)) throw new Error("not a request");
  return meant.presentation;
}

const code = (text: string): Promise<string> => opened(text).then(() => "opened", (thrown: unknown) => (thrown as Problem).code);

test("what anyone may ask is answered, and the host of the address is all that is known of whoever asks", async () => {
  const presentation = await opened(link());
  const { asked } = presentation;
  expect([asked.anyone, asked.stranger, asked.party.name.en, asked.purpose?.id]).toEqual([true, null, new URL(BASE).host, "alcohol"]);
  await wallet.present(presentation, PIN);
  const [answer] = land.responses as { vp_token: Record<string, string[]>; enc: string }[];
  expect(answer?.enc).toBe("A128GCM"); // section 8.3: what holds where nothing is said
  const proof = decodeJwt((answer?.vp_token["sd_jwt"]?.[0] ?? "").split("~").at(-1) ?? "");
  expect([proof["aud"], proof["nonce"]]).toEqual([`redirect_uri:${ADDRESS}`, asked.nonce]);
  expect((await wallet.presenter.history())[0]?.stranger).toBe(true);
});

test("the address may be said once (section 5.9.3)", async () => {
  expect(await code(link((all) => delete all["response_uri"]))).toBe("opened");
});

const first = (all: Json): Credential => (all["dcql_query"] as { credentials: Credential[] }).credentials[0]!;
const MORE: [string, (all: Json) => void][] = [
  ["an item more", (all) => first(all).claims!.push({ path: ["name"] })],
  ["another item", (all) => (first(all).claims![0]!.path = ["birth_date"])],
  ["a hoped-for answer", (all) => (first(all).claims![0]!.values = [true])],
  ["everything", (all) => delete first(all).claims],
  ["several cards", (all) => (first(all).multiple = true)],
  ["another document", (all) => (first(all).meta = first(all).meta.doctype_value ? { doctype_value: "other" } : { vct_values: ["https://other.example"] })],
  ["both formats", (all) => delete (all["dcql_query"] as Json)["credential_sets"]],
  ["to keep it", (all) => (first(all).claims![0]!.intent_to_retain = true)],
  ["for a purpose that needs registration", (all) => (all["mapae_purpose"] = "named")],
  ["a name", (all) => Object.assign(all, { mapae_purpose: "named", dcql_query: query(["name"]) })],
  ["for no purpose", (all) => delete all["mapae_purpose"]],
];

test.each(MORE)("without a signature nobody asks for more: %s", async (_, change) => {
  expect(await code(link(change))).toBe("registration_required");
  expect(land.responses).toEqual([]);
});

const WRONG: [string, (all: Json) => void, string][] = [
  ["another address", (all) => (all["response_uri"] = `${BASE}/elsewhere`), "bad_request"],
  ["an address without TLS", (all) => Object.assign(all, { client_id: "redirect_uri:http://bar.example/", response_uri: "http://bar.example/" }), "insecure_address"],
  ["an answer in the clear", (all) => (all["response_mode"] = "direct_post"), "unsupported"],
  ["no key", (all) => (all["client_metadata"] = { jwks: { keys: [] } }), "unsupported"],
  ["a short nonce", (all) => (all["nonce"] = "short"), "bad_request"],
  ["a state that is none", (all) => (all["state"] = "a b"), "bad_request"],
  ["rubbish", (all) => (all["dcql_query"] = "{"), "bad_request"],
  ["a request in a request", (all) => (all["request"] = "e30.e30."), "unsigned_request"],
  ["another client", (all) => (all["client_id"] = "bar.example"), "unsigned_request"],
];

test.each(WRONG)("an unsigned request with %s is refused", async (_, change, expected) => {
  expect(await code(link(change))).toBe(expected);
});
