/** Issuers and verifiers that the trust list does not name, and the payments and errors of OpenID4VP 1.0. */
import { decodeJwt } from "jose";
import { beforeEach, expect, test } from "vitest";
import { b64u, sha256, utf8 } from "../src/bytes.ts";
import { linesOf } from "../src/claims.ts";
import { itemsOf } from "../src/dcql.ts";
import { writeOne } from "../src/records.ts";
import { PAYMENT } from "../src/transaction.ts";
import { type Presentation, Wallet } from "../src/wallet.ts";
import { problemWords, speak, t } from "../src/words.ts";
import { DeviceResponse, Verifier } from "@owf/mdoc";
import { mdocContext, transcript } from "../src/formats/mdoc.ts";
import { encryptionThumbprint } from "../src/request.ts";
import { Abroad, MDL, PID, pidQuery, SHOP } from "./abroad.ts";
import { type Authority, authority, b64, BASE, below, certify, Country, NOW, OFFER, pair, VCT } from "./country.ts";

const PIN = "274913";
let names = 0;
let land: Country;
let abroad: Abroad;
let wallet: Wallet;

beforeEach(async () => {
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  abroad = await Abroad.open(land);
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => NOW, cost, database: `strangers-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
});

async function receive(text = abroad.offer): Promise<void> {
  const meant = await wallet.understand(text);
  if (!("offered" in meant)) throw new Error("not an offer");
  await wallet.acceptOffer(meant.offered, () => undefined);
}

async function ask(link = abroad.link()): Promise<Presentation> {
  const meant = await wallet.understand(link);
  if (!("presentation" in meant)) throw new Error("not a request");
  return meant.presentation;
}

/** Names and values disclosed to the verifier. */
function disclosed(answer: unknown): unknown[][] {
  const shown = (answer as { vp_token: Record<string, string[]> }).vp_token["pid"]?.[0] ?? "";
  return shown.split("~").slice(1, -1).map((one) => (JSON.parse(Buffer.from(one, "base64url").toString()) as unknown[]).slice(1));
}

test("an issuer on no list is said to be one, by its host; it needs neither attestation nor DPoP nor batch", async () => {
  const meant = await wallet.understand(abroad.offer);
  expect(meant).toMatchObject({ offered: { host: "id.abroad.test", stranger: { signer: null }, issuer: { en: "Home Office" }, copies: 1 } });
  await receive();
  const [order] = wallet.orders;
  expect(order).toMatchObject({ stranger: "id.abroad.test", name: { en: "Person identification" }, colors: { background: "#ffffee", text: "#000000" } });
  expect(order?.parts[0]?.signer).toMatchObject({ subject: "PID signer, Home Office, GB", certifiedBy: "Abroad CA, Abroad Trust, GB" });
  expect(order?.logo?.uri).toMatch(/^data:image\/svg/);
  expect(abroad.calls).not.toContain("POST /wallet-provider/attestations");
  expect(linesOf(order!.parts[0]!.claims)).toContainEqual({ name: "address.locality", value: "London" });
  expect(order?.labels["address.locality"]?.en).toBe("Town");
});

test("signed metadata names its signer before anything is accepted (OpenID4VCI 1.0 section 12.2.3)", async () => {
  abroad.signedMetadata = true;
  expect(await wallet.understand(abroad.offer)).toMatchObject({ offered: { stranger: { signer: { subject: "PID signer, Home Office, GB" } } } });
});

test("metadata signed by anybody but a listed issuer's own authority is refused (HAIP 1.0 section 4.1)", async () => {
  const honest = land.fetch;
  const forged = async (url: string, init?: RequestInit): Promise<Response> => {
    if (!url.includes("openid-credential-issuer/issuer")) return honest(url, init);
    const metadata = (await (await honest(url, init)).json()) as Record<string, unknown>;
    const { signJwt } = await import("../src/keys.ts");
    const raw = await signJwt(abroad.ds.key, { typ: "openidvci-issuer-metadata+jwt", x5c: [b64(abroad.dsDer)] }, { sub: `${BASE}/issuer`, iat: NOW / 1000, ...metadata });
    return new Response(raw, { headers: { "Content-Type": "application/jwt" } });
  };
  Object.assign(land, { fetch: forged });
  const other = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => NOW, database: `strangers-forged-${names}` });
  await expect(other.understand(OFFER)).rejects.toMatchObject({ code: "bad_certificate" });
});

test("a stranger may not issue what the list gives to another", async () => {
  abroad.vct = VCT;
  await expect(wallet.understand(abroad.offer)).rejects.toMatchObject({ code: "untrusted_issuer" });
});

test.each<[string, () => Promise<void>]>([
  ["signed itself", async () => {
    const self = await authority("C=GB, CN=Self");
    Object.assign(abroad, { ds: self, dsDer: self.der });
  }],
  ["has run out", async () => {
    abroad.dsDer = await certify(abroad.ca, "C=GB, CN=Old", abroad.ds, -1, null);
  }],
])("a stranger's card whose certificate %s is not kept (HAIP 1.0 section 6.1.1)", async (_what, change) => {
  await change();
  await expect(receive()).rejects.toMatchObject({ code: "bad_certificate" });
  expect(wallet.orders).toEqual([]);
});

test("what nobody vouches for has to stay the same: fresh copies by another authority are refused", async () => {
  abroad.refreshes = true;
  await receive();
  const other = await authority("C=GB, CN=Other CA");
  abroad.ds = await pair();
  abroad.dsDer = await certify(other, "C=GB, CN=PID signer", abroad.ds, 300, null);
  await expect(wallet.finish(await wallet.issuance.renew(wallet.orders[0]!), () => undefined)).rejects.toMatchObject({ code: "not_what_was_asked" });
});

const renewed = async (): Promise<string> => wallet.finish(await wallet.issuance.renew(wallet.orders[0]!), () => undefined);
/** Signs its cards from now on by another key. */
async function signsAnew(ca: Authority, above: readonly Authority[] = []): Promise<void> {
  abroad.ds = await pair();
  abroad.dsDer = await certify(ca, "C=GB, O=Home Office, CN=PID signer", abroad.ds, 300, null);
  abroad.above = above.map(({ der }) => der);
}

test("fresh copies by an authority of the same name and a key of its own are refused, and taken when the holder says yes anew", async () => {
  abroad.refreshes = true;
  await receive();
  await signsAnew(await authority(abroad.ca.name));
  await expect(renewed()).rejects.toMatchObject({ code: "not_what_was_asked" });
  await receive();
  expect(wallet.orders).toHaveLength(1);
  await renewed();
});

test("where the chain shows the authority, fresh copies by another of its signers are taken, and by an authority of the same name refused", async () => {
  abroad.refreshes = true;
  const office = await below(abroad.ca, "C=GB, CN=Office CA");
  await signsAnew(office, [office]);
  await receive();
  await signsAnew(office, [office]);
  await renewed();
  const forged = await below(await authority(abroad.ca.name), office.name);
  await signsAnew(forged, [forged]);
  await expect(renewed()).rejects.toMatchObject({ code: "not_what_was_asked" });
});

test("a card kept before keys were pinned is renewed by name once, and by key from then on", async () => {
  abroad.refreshes = true;
  await receive();
  const [order] = wallet.orders;
  const parts = order!.parts.map(({ signer, ...part }) => ({ ...part, signer: { subject: signer!.subject, certifiedBy: signer!.certifiedBy, authorities: [] } }));
  const older = { ...order!, parts };
  await writeOne(wallet.store, wallet.vault, "order", "", older);
  await wallet.read();
  await signsAnew(abroad.ca);
  await renewed();
  await signsAnew(await authority(abroad.ca.name));
  await expect(renewed()).rejects.toMatchObject({ code: "not_what_was_asked" });
});

/** Signs its status list from now on by another key. */
async function lists(ca: Authority, above: readonly Authority[] = []): Promise<void> {
  const signer = await pair();
  abroad.statusBy = { key: signer.key, chain: [await certify(ca, "C=GB, CN=Lists", signer, 300, null), ...above.map(({ der }) => der)] };
}

test("the signer of the first list stays the one that is heard after fresh copies came; another of its authority's name is not", async () => {
  abroad.refreshes = true;
  await receive();
  await lists(abroad.ca);
  await wallet.tend();
  await renewed();
  await lists(await authority(abroad.ca.name));
  abroad.standing = 1;
  await wallet.tend();
  expect(wallet.orders[0]).toMatchObject({ standing: "valid", statusSigner: { subject: "Lists, GB" } });
});

test.each([["the authority in the chain", true], ["leaves alone, once one was heard", false]])("how a card stands is not heard from an authority of the same name and a key of its own: %s", async (_how, shows) => {
  const office = shows ? await below(abroad.ca, "C=GB, CN=Office CA") : abroad.ca;
  if (shows) await signsAnew(office, [office]);
  await receive();
  const list = (ca: Authority): Promise<void> => lists(ca, shows ? [ca] : []);
  await list(office);
  await wallet.tend();
  const heard = wallet.orders[0]?.standingHeard;
  expect(wallet.orders[0]?.statusSigner?.subject).toBe("Lists, GB");
  await list(shows ? await below(await authority(abroad.ca.name), office.name) : await authority(abroad.ca.name));
  abroad.standing = 1;
  await wallet.tend();
  expect(wallet.orders[0]).toMatchObject({ standing: "valid", standingHeard: heard });
});

test("a stranger's card hears how it stands, from a list its own authority signed only", async () => {
  await receive();
  abroad.standing = 1;
  await wallet.tend();
  expect(wallet.orders[0]?.standing).toBe("revoked");
});

test("a single copy that nobody renews is shown again; a card can be thrown away", async () => {
  await receive();
  for (let time = 0; time < 2; time++) await wallet.present(await ask(), PIN);
  expect(abroad.answers).toHaveLength(2);
  expect(wallet.notices).toEqual([]);
  await wallet.removeCard(wallet.orders[0]!);
  expect(wallet.orders).toEqual([]);
  expect(await wallet.store.rows("copy")).toEqual([]);
});

test("a verifier on no list is a stranger: its certificate, where the answer goes, no purpose", async () => {
  await receive();
  const presentation = await ask();
  expect(presentation.asked).toMatchObject({ purpose: null, stranger: { subject: "Corner Shop, Corner Shop Ltd, GB", certifiedBy: "Abroad CA, Abroad Trust, GB", host: "shop.abroad.test" } });
  await wallet.present(presentation, PIN);
  expect(disclosed(abroad.answers[0]).map(([name]) => name).toSorted()).toEqual(["address", "given_name", "locality"]);
  expect((await wallet.presenter.history())[0]).toMatchObject({ stranger: true, result: "sent", items: [{ name: "given_name", value: "Ada" }, { name: "address.locality", value: "London" }, { name: "address.country", value: "GB" }] });
});

/** All that a verifier can read in the first answer, by the names the screen has for it. */
function told(answer: unknown): string[] {
  const [jwt = "", ...rest] = ((answer as { vp_token: Record<string, string[]> }).vp_token["pid"]?.[0] ?? "").split("~");
  const { vct, iss, iat, exp, cnf, status, _sd, _sd_alg, ...open } = decodeJwt(jwt) as Record<string, unknown>;
  const shown = rest.slice(0, -1).map((one) => JSON.parse(Buffer.from(one, "base64url").toString()) as unknown[]);
  return linesOf({ ...open, ...Object.fromEntries(shown.map(([, name, value]) => [name, value])) }).map(({ name }) => name).filter((name) => !/_sd|\.\.\./.test(name)); // digests tell nothing
}
const listed = (presentation: Presentation): string[] => presentation.picks.flatMap(itemsOf).map(({ name }) => name).toSorted();

test("a card with claims in the open: what the screen and the history list is what is disclosed and what is open", async () => {
  abroad.claims = { ...abroad.claims, sub: "user-7" };
  abroad.leftOpen = ["family_name", "address", "nationalities", "sub"];
  await receive();
  abroad.requestClaims = { dcql_query: pidQuery([["given_name"]]) };
  const presentation = await ask();
  expect(listed(presentation)).toEqual(["address.country", "family_name", "given_name", "sub"]);
  await wallet.present(presentation, PIN);
  expect(told(abroad.answers[0]).toSorted()).toEqual(listed(presentation));
  expect((await wallet.presenter.history())[0]?.items.map(({ name }) => name).toSorted()).toEqual(listed(presentation));
});

test("claims in the open are listed, with what is sent of them, of a card kept before they were written down as well", async () => {
  abroad.claims = { ...abroad.claims, sub: "user-7" };
  abroad.leftOpen = ["family_name", "sub"];
  await receive();
  const [order] = wallet.orders;
  const older = { ...order!, parts: order!.parts.map(({ open: _open, claims: { sub: _sub, ...claims }, ...part }) => ({ ...part, claims })) };
  await writeOne(wallet.store, wallet.vault, "order", "", older);
  await wallet.read();
  abroad.requestClaims = { dcql_query: pidQuery([["given_name"]]) };
  const presentation = await ask();
  expect(listed(presentation)).toEqual(["family_name", "given_name", "sub"]);
  expect(presentation.picks.flatMap(itemsOf)).toContainEqual({ name: "sub", value: "user-7" });
});

test("copies that came since the holder said yes and leave more open are not shown", async () => {
  await receive();
  abroad.requestClaims = { dcql_query: pidQuery([["given_name"]]) };
  const presentation = await ask();
  abroad.leftOpen = ["family_name"];
  abroad.refreshes = true;
  await receive();
  await expect(wallet.present(presentation, PIN)).rejects.toMatchObject({ code: "conflict" });
  expect(abroad.answers).toEqual([]);
});

test("a registered shop gets no card that says more in the open than its purpose covers, hears so, and is accused of nothing", async () => {
  abroad.claims = { name: "Ada", phone: "020 7946 0000" };
  abroad.leftOpen = ["phone"];
  const purpose = { name: "n", why: "w", legal_basis: "l", retention: "r", document: { vct: PID } };
  land.more.push({ ...purpose, id: "less", items: ["name"] }, { ...purpose, id: "more", items: ["name", "phone"] });
  await receive();
  land.requestClaims = { mapae_purpose: "less", dcql_query: pidQuery([["name"]]) };
  const link = await land.qr();
  await expect(ask(link)).rejects.toMatchObject({ code: "card_tells_more", facts: { items: ["phone"] } });
  expect(await wallet.presenter.history()).toEqual([]);
  expect(land.responses).toEqual([{ error: "access_denied" }]);
  for (const language of ["en", "ko"] as const) {
    speak(language);
    expect(problemWords("card_tells_more")).not.toBe(t("problem.other"));
  }
  land.requestClaims = { mapae_purpose: "more", dcql_query: pidQuery([["name"]]) };
  expect(listed(await ask(link))).toEqual(["name", "phone"]);
});

test("one element of a list is shown without the others (section 7.1)", async () => {
  await receive();
  abroad.requestClaims = { dcql_query: pidQuery([["nationalities", 1]]) };
  await wallet.present(await ask(), PIN);
  expect(JSON.stringify(disclosed(abroad.answers[0]))).toContain("FR");
  expect(JSON.stringify(disclosed(abroad.answers[0]))).not.toContain(JSON.stringify("GB")); // with its quotes: a digest may well have two such letters
});

test("request_uri by POST: a nonce of ours, and what we can do (section 5.10)", async () => {
  await receive();
  await ask(abroad.link("post"));
  expect(JSON.parse(abroad.form?.get("wallet_metadata") ?? "")).toMatchObject({ client_id_prefixes_supported: ["x509_hash", "x509_san_dns"] });
  abroad.requestClaims = { wallet_nonce: "another" };
  await expect(ask(abroad.link("post"))).rejects.toMatchObject({ code: "bad_request" });
});

test("x509_san_dns: the certificate's DNS name, and the answer to that very host (section 5.9.3)", async () => {
  await receive();
  abroad.clientId = "x509_san_dns:shop.abroad.test";
  expect((await ask()).asked.clientId).toBe("x509_san_dns:shop.abroad.test");
  abroad.requestClaims = { response_uri: "https://elsewhere.test/answer" };
  await expect(ask()).rejects.toMatchObject({ code: "bad_request", detail: "response_uri of another host" });
  abroad.requestClaims = {};
  abroad.clientId = "x509_san_dns:other.abroad.test";
  await expect(ask()).rejects.toMatchObject({ code: "bad_request", detail: "client_id is not the signer's" });
});

test.each<[string, Record<string, unknown>, string, string]>([
  ["an answer in the clear", { response_mode: "direct_post" }, "unsupported", "invalid_request"],
  ["no query", { dcql_query: undefined }, "bad_query", "invalid_request"],
  ["a scope", { scope: "x" }, "unsupported", "invalid_request"],
  ["a redirect_uri beside response_uri (section 8.2)", { redirect_uri: SHOP }, "bad_request", "invalid_request"],
  ["no encryption key", { client_metadata: {} }, "unsupported", "invalid_request"],
  ["formats it does not know", { dcql_query: { credentials: [{ id: "a", format: "ldp_vc", meta: {} }] } }, "vp_formats_not_supported", "vp_formats_not_supported"],
  ["a transaction of an unknown type", { transaction_data: [b64u(utf8(JSON.stringify({ type: "x", credential_ids: ["pid"] })))] }, "invalid_transaction_data", "invalid_transaction_data"],
])("%s is refused, and the verifier told so (section 8.5)", async (_what, claims, code, error) => {
  await receive();
  abroad.requestClaims = claims;
  await expect(ask()).rejects.toMatchObject({ code });
  expect(abroad.answers).toEqual([{ error, state: "s-9" }]);
});

test("a stranger does not learn what is not in the wallet; a registered party hears access_denied", async () => {
  await receive();
  abroad.requestClaims = { dcql_query: pidQuery([["shoe_size"]]) };
  await expect(ask()).rejects.toMatchObject({ code: "not_held" });
  expect(abroad.answers).toEqual([]);
  await expect(wallet.understand(await land.qr())).rejects.toMatchObject({ code: "not_held" });
  expect(land.responses).toEqual([{ error: "access_denied" }]);
});

test.each<[string, Record<string, unknown>]>([
  ["x5c missing", { x5c: undefined }],
  ["another typ", { typ: "JWT" }],
])("a request with %s is not understood and not answered", async (_what, header) => {
  await receive();
  abroad.requestHeader = header;
  await expect(ask()).rejects.toMatchObject({ name: "Problem" });
  expect(abroad.answers).toEqual([]);
});

test("a request whose chain holds its own anchor, or by a certificate that signed itself, is refused (HAIP 1.0 section 5)", async () => {
  await receive();
  abroad.requestHeader = { x5c: [b64(abroad.shopDer), b64(abroad.ca.der)] };
  await expect(ask()).rejects.toMatchObject({ code: "bad_certificate" });
  abroad.requestHeader = { x5c: [b64(abroad.ca.der)] };
  await expect(ask()).rejects.toMatchObject({ code: "bad_certificate" });
});

test("keys that cannot be used are passed over, a key without use is not; A256GCM first (section 8.3, HAIP 1.0 section 5)", async () => {
  await receive();
  const off = { ...abroad.answerJwk, kid: "off", y: b64u(new Uint8Array(32)) };
  const keys = [{ kty: "RSA", alg: "RSA-OAEP", kid: "r" }, null, { ...abroad.answerJwk, kid: "sig", use: "sig" }, { ...abroad.answerJwk, kid: "other", alg: "ECDH-ES+A128KW" }, off, abroad.answerJwk];
  abroad.requestClaims = { client_metadata: { jwks: { keys }, encrypted_response_enc_values_supported: ["A128GCM", "A256GCM"] } };
  await wallet.present(await ask(), PIN);
  expect(abroad.answers[0]?.["header"]).toMatchObject({ alg: "ECDH-ES", enc: "A256GCM", kid: "k9" });
  expect(Object.keys(abroad.answers[0] ?? {}).toSorted()).toEqual(["header", "state", "vp_token"]);
  abroad.requestClaims = {};
  await wallet.present(await ask(), PIN);
  expect(abroad.answers[1]?.["header"]).toMatchObject({ enc: "A128GCM" }); // the default, where none is named
});

test.each<[string, string | null]>([
  [`${SHOP}/done#response_code=1`, `${SHOP}/done#response_code=1`],
  ["javascript:alert(1)", null],
  ["http://shop.abroad.test/done", null],
  ["not an address", null],
  ["data:text/html,x", null],
])("after the answer the browser goes to %j only if it may (section 8.2)", async (redirect, next) => {
  await receive();
  abroad.redirect = redirect;
  expect((await wallet.present(await ask(), PIN)).next).toBe(next);
});

const payment = (change: Record<string, unknown> = {}): string =>
  b64u(utf8(JSON.stringify({ type: PAYMENT, credential_ids: ["pid"], payee: "Corner Shop", amount: "12.50", currency: "EUR", ...change })));

test("a payment is shown in full, and signed for with the card (B.3.3.1)", async () => {
  await receive();
  const raw = payment({ reference: "Invoice 7", transaction_data_hashes_alg: ["sha-512", "sha-256"] });
  abroad.requestClaims = { transaction_data: [raw] };
  const presentation = await ask();
  expect(presentation.asked.transactions).toMatchObject([{ payee: "Corner Shop", amount: "12.50", currency: "EUR", reference: "Invoice 7" }]);
  await wallet.present(presentation, PIN);
  const shown = (abroad.answers[0] as { vp_token: Record<string, string[]> }).vp_token["pid"]?.[0] ?? "";
  expect(decodeJwt(shown.split("~").at(-1) ?? "")).toMatchObject({ transaction_data_hashes: [b64u(await sha256(utf8(raw)))], transaction_data_hashes_alg: "sha-256" });
  expect((await wallet.presenter.history())[0]?.payments).toEqual([{ payee: "Corner Shop", amount: "12.50", currency: "EUR", reference: "Invoice 7" }]);
});

test("the algorithm is named only where the request named it", async () => {
  await receive();
  abroad.requestClaims = { transaction_data: [payment()] };
  await wallet.present(await ask(), PIN);
  const shown = (abroad.answers[0] as { vp_token: Record<string, string[]> }).vp_token["pid"]?.[0] ?? "";
  expect(decodeJwt(shown.split("~").at(-1) ?? "")).not.toHaveProperty("transaction_data_hashes_alg");
});

test.each<[string, unknown]>([
  ["another type", [payment({ type: "urn:other" })]],
  ["a member it does not know", [payment({ tip: "1" })]],
  ["an amount that is a number", [payment({ amount: 12.5 })]],
  ["an amount that is no decimal", [payment({ amount: "12,50" })]],
  ["a negative amount", [payment({ amount: "-1" })]],
  ["a currency in words", [payment({ currency: "euro" })]],
  ["no payee", [payment({ payee: undefined })]],
  ["a payee that turns the line round", [payment({ payee: "Shop \u202eEUR" })]],
  ["a credential the query does not ask for", [payment({ credential_ids: ["other"] })]],
  ["no credential", [payment({ credential_ids: [] })]],
  ["a hash it cannot make", [payment({ transaction_data_hashes_alg: ["sha-512"] })]],
  ["one good and one bad", [payment(), payment({ type: "x" })]],
  ["an empty list", []],
  ["something that is not base64url", ["{}"]],
])("transaction data with %s is refused as invalid_transaction_data (section 8.5)", async (_what, transactions) => {
  await receive();
  abroad.requestClaims = { transaction_data: transactions };
  await expect(ask()).rejects.toMatchObject({ code: "invalid_transaction_data" });
});

test("a transaction is not authorised with holder binding switched off (B.3.3)", async () => {
  await receive();
  abroad.requestClaims = { transaction_data: [payment()], dcql_query: pidQuery([["given_name"]], { require_cryptographic_holder_binding: false }) };
  await expect(ask()).rejects.toMatchObject({ code: "invalid_transaction_data" });
});

test("aki: only a card whose chain holds the authority's key identifier answers (section 6.1.1.1)", async () => {
  await receive();
  const [aki] = wallet.orders[0]?.parts[0]?.authorities ?? [];
  const trusting = (value: string) => pidQuery([["given_name"]], { trusted_authorities: [{ type: "aki", values: [value] }, { type: "etsi_tl", values: ["x"] }] });
  abroad.requestClaims = { dcql_query: trusting(aki ?? "") };
  expect((await ask()).picks).toHaveLength(1);
  abroad.requestClaims = { dcql_query: trusting("AAAA") };
  await expect(ask()).rejects.toMatchObject({ code: "not_held" });
});

test("two queries for the same card spend a copy each, and nothing is shown while there are too few", async () => {
  abroad.refreshes = true;
  await receive();
  const one = pidQuery([["given_name"]]).credentials[0];
  abroad.requestClaims = { dcql_query: { credentials: [one, { ...one, id: "again", claims: [{ path: ["birthdate"] }] }] } };
  const presentation = await ask();
  await expect(wallet.present(presentation, PIN)).rejects.toMatchObject({ code: "no_copies" });
  expect(abroad.answers).toEqual([]);
  expect((await wallet.presenter.copiesLeft(wallet.orders[0]!)).get("pid")).toBe(1);
});

test("a driving licence from abroad: two namespaces, maps in lists, dates and a picture; shown as an independent reader wants it", async () => {
  await receive(abroad.offerOf("mdl"));
  const [order] = wallet.orders;
  expect(order?.name).toEqual({ ko: "mDL", en: "mDL" });
  const lines = linesOf(order!.parts[0]!.claims);
  expect(lines).toContainEqual({ name: "driving_privileges.vehicle_category_code", value: "B" });
  expect(lines).toContainEqual({ name: "driving_privileges.issue_date", value: "2015-06-01" });
  expect(lines.filter(({ name }) => name === "family_name")).toEqual([{ name: "family_name", value: "Lovelace" }]);

  const claims = [["org.iso.18013.5.1.aamva", "family_name"], ["org.iso.18013.5.1", "driving_privileges"]].map((path) => ({ path }));
  abroad.requestClaims = { dcql_query: { credentials: [{ id: "m", format: "mso_mdoc", meta: { doctype_value: MDL }, claims }] } };
  const presentation = await ask();
  await wallet.present(presentation, PIN);
  const raw = (abroad.answers[0] as { vp_token: Record<string, string[]> }).vp_token["m"]?.[0] ?? "";
  const { clientId, nonce, responseUri, encryptTo } = presentation.asked;
  const sessionTranscript = await transcript({ clientId, nonce, responseUri, encryptionThumbprint: await encryptionThumbprint(encryptTo) });
  const deviceResponse = DeviceResponse.decode(Buffer.from(raw, "base64url"));
  const trusting = { ...mdocContext, x509: { ...mdocContext.x509, verifyCertificateChain: async () => undefined } };
  await Verifier.verifyDeviceResponse({ deviceResponse, trustedCertificates: [abroad.ca.der], now: new Date(NOW), sessionTranscript }, trusting);
  const spaces = ["org.iso.18013.5.1", "org.iso.18013.5.1.aamva"].map((space) => deviceResponse.documents?.[0]?.getIssuerNamespace(space)?.map((item) => item.elementIdentifier));
  expect(spaces).toEqual([["driving_privileges"], ["family_name"]]);
});

test("the response_uri is signed as it was written, not as a browser would write it (appendix B.2.6.1)", async () => {
  await receive(abroad.offerOf("mdl"));
  const claims = [{ path: ["org.iso.18013.5.1", "family_name"] }];
  const response_uri = `${SHOP}:443/answer`;
  abroad.requestClaims = { response_uri, dcql_query: { credentials: [{ id: "m", format: "mso_mdoc", meta: { doctype_value: MDL }, claims }] } };
  const presentation = await ask();
  expect(presentation.asked.responseUri).toBe(response_uri);
  await wallet.present(presentation, PIN);
  expect(abroad.answers).toHaveLength(1);
  abroad.requestClaims = { response_uri: ` ${SHOP}/answer` };
  await expect(ask()).rejects.toMatchObject({ code: "bad_request" });
});

test("two documents in one form are two cards; two forms of one are one", async () => {
  await receive(abroad.offerOf("pid", "passport"));
  expect(wallet.orders.map((order) => order.name.en).toSorted()).toEqual(["Person identification", "passport"]);
  expect(wallet.orders.every((order) => order.parts.length === 1)).toBe(true);
  await receive(abroad.offerOf("pid", "mdl"));
  expect(wallet.orders.find((order) => order.name.en === "Person identification")?.parts.map((part) => part.format)).toEqual(["mso_mdoc", "dc+sd-jwt"]);
});
