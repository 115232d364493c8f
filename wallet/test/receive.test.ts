/** Receiving by every road of OpenID4VCI 1.0 and HAIP 1.0, and what has to be refused on the way. */
import { beforeEach, expect, test } from "vitest";
import { Envelope } from "../src/envelope.ts";
import { fetched } from "../src/look.ts";
import { Net } from "../src/net.ts";
import { waitsFor } from "../src/offer.ts";
import { Wallet } from "../src/wallet.ts";
import { BASE, Country, NOW, OFFER, offering, SIGN_IN_OFFER } from "./country.ts";

const PIN = "274913";
const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 };
let names = 0;
let land: Country;
let wallet: Wallet;
let clock = NOW;

const open = (database: string): Promise<Wallet> => Wallet.open({ base: BASE, fetch: land.fetch, now: () => clock, cost: CHEAP, database });

beforeEach(async () => {
  clock = NOW;
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  wallet = await open(`receive-${++names}`);
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.store.setMeta("device", wallet.device);
  await wallet.vault.create(PIN);
});

/** The phone is gone; only the database is left. */
async function restart(): Promise<void> {
  wallet.store.close();
  wallet = await open(`receive-${names}`);
  await wallet.unlock(PIN);
}

async function read(text: string) {
  const meant = await wallet.understand(text);
  if (!("offered" in meant)) throw new Error("not an offer");
  return meant.offered;
}

async function begin(text: string, txCode: string | null = null): Promise<string> {
  const id = await wallet.issuance.accept(await read(text), txCode);
  await wallet.read();
  return id;
}

const run = (id: string): Promise<string> => wallet.finish(id, () => undefined);
const back = async (query: string): Promise<string | null> => {
  await wallet.keepReturn(query);
  return wallet.takeReturn();
};

test("a card by signing in: PAR with attestation, S256 and DPoP, and the code comes back to the wallet that asked (OpenID4VCI 1.0 section 5)", async () => {
  const offered = await read(offering(SIGN_IN_OFFER));
  expect(offered.signInHost).toBe("wallet.test");
  const id = await begin(offering(SIGN_IN_OFFER));
  await expect(run(id)).rejects.toMatchObject({ code: "sign_in_needed" });
  const url = await wallet.signIn(id);

  const asked = [...land.pushed.values()][0]!;
  expect(Object.fromEntries(asked)).toMatchObject({
    response_type: "code", client_id: `${BASE}/wallet/`, redirect_uri: `${BASE}/wallet/callback`, scope: "a b", issuer_state: "st-1", code_challenge_method: "S256",
  });
  expect(Object.fromEntries(new URL(url).searchParams)).toEqual({ request_uri: [...land.pushed.keys()][0], client_id: `${BASE}/wallet/` });

  const query = land.approve(url);
  await restart(); // the browser went away and came back; the wallet was locked
  expect(waitsFor(wallet.pending[0]!, clock)).toBe("sign_in");
  expect(await back(query)).toBe(id);
  await restart(); // killed once more, with the code in hand
  await run(id);
  expect(wallet.orders.map((order) => order.parts.length)).toEqual([2]);
  expect(wallet.pending).toEqual([]);
});

test.each<[string, (signer: Record<string, unknown>) => Record<string, unknown>[], string | null]>([
  ["a signer in the log", (signer) => [signer], null],
  ["a signer that was never entered", () => [], "signer_revoked"],
  ["a stolen signer", (signer) => [{ ...signer, revoked_at: NOW / 1000, since: NOW / 1000, reason: "compromised" }], "signer_revoked"],
  ["a signer superseded since", (signer) => [{ ...signer, revoked_at: NOW / 1000 + 86_400, since: NOW / 1000 + 86_400, reason: "superseded" }], null],
  ["a signer superseded before", (signer) => [{ ...signer, revoked_at: NOW / 1000 - 86_400, since: NOW / 1000 - 86_400, reason: "superseded" }], "signer_revoked"],
])("an issuer that enters its signers in the trust log: a card of %s", async (_what, entries, code) => {
  land.entered = entries(await land.logged());
  const id = await begin(OFFER);
  if (code) await expect(run(id)).rejects.toMatchObject({ code });
  else expect(await run(id)).toBeTruthy();
});

test("what came back is kept until the wallet is unlocked, and taken once", async () => {
  const id = await begin(offering(SIGN_IN_OFFER));
  await wallet.keepReturn(land.approve(await wallet.signIn(id)));
  await restart();
  expect(await wallet.takeReturn()).toBe(id);
  expect(await wallet.takeReturn()).toBeNull();
});

test.each<[string, (query: string) => string, string]>([
  ["another issuer (RFC 9207 section 2.4)", (query) => query.replace(encodeURIComponent(`${BASE}/issuer`), encodeURIComponent("https://evil.test")), "wrong_return"],
  ["no issuer (HAIP 1.0 section 4, FAPI 2.0)", (query) => query.replace(/&iss=[^&]*/, ""), "wrong_return"],
  ["another state (RFC 6749 section 10.12)", (query) => query.replace(/state=[^&]*/, "state=abc"), "unknown_return"],
  ["no state", (query) => query.replace(/&?state=[^&]*/, ""), "unknown_return"],
  ["two codes", (query) => `${query}&code=other`, "unknown_return"],
  ["the holder's no", (query) => query.replace(/code=[^&]*/, "error=access_denied"), "access_denied"],
  ["an error", (query) => query.replace(/code=[^&]*/, "error=server_error"), "sign_in_failed"],
])("a sign-in that comes back with %s brings no card", async (_what, change, code) => {
  const id = await begin(offering(SIGN_IN_OFFER));
  const query = land.approve(await wallet.signIn(id));
  await expect(back(change(query))).rejects.toMatchObject({ code });
  expect(land.calls).not.toContain("POST /issuer/token");
  await expect(run(id)).rejects.toMatchObject({ name: "Problem" });
  expect(wallet.orders).toEqual([]);
});

test("a state answers once: a second code for it is refused", async () => {
  const id = await begin(offering(SIGN_IN_OFFER));
  const query = land.approve(await wallet.signIn(id));
  await back(query);
  await expect(back(query.replace(/code=[^&]*/, "code=injected"))).rejects.toMatchObject({ code: "unknown_return" });
  await run(id);
  expect(wallet.orders).toHaveLength(1);
});

test("a code that was lost on the way is asked for again by signing in again", async () => {
  const id = await begin(offering(SIGN_IN_OFFER));
  await back(land.approve(await wallet.signIn(id)));
  land.codes.clear();
  await expect(run(id)).rejects.toMatchObject({ code: "sign_in_needed" });
  expect(waitsFor(wallet.pending[0]!, clock)).toBe("sign_in");
  await back(land.approve(await wallet.signIn(id)));
  await run(id);
  expect(wallet.orders).toHaveLength(1);
});

test("a server that offers PKCE without S256 is not signed in to (RFC 7636, FAPI 2.0)", async () => {
  land.server = { code_challenge_methods_supported: ["plain"] };
  await expect(read(offering(SIGN_IN_OFFER))).rejects.toMatchObject({ code: "unsupported" });
});

test("an authorization endpoint without TLS is not opened", async () => {
  land.server = { authorization_endpoint: "http://elsewhere.test/authorize" };
  const id = await begin(offering(SIGN_IN_OFFER));
  await expect(wallet.signIn(id)).rejects.toMatchObject({ code: "insecure_address" });
});

test("a server the metadata does not name is not used (OpenID4VCI 1.0 section 12.2.4)", async () => {
  const offer = { ...SIGN_IN_OFFER, grants: { authorization_code: { authorization_server: "https://evil.test" } } };
  await expect(read(offering(offer))).rejects.toMatchObject({ code: "bad_issuer" });
});

const withTxCode = (txCode: unknown) => offering({
  ...SIGN_IN_OFFER, grants: { "urn:ietf:params:oauth:grant-type:pre-authorized_code": { "pre-authorized_code": "code-1", tx_code: txCode } },
});

test("a tx_code is asked for as the offer says, and a wrong one can be corrected (section 4.1.1, 6.3)", async () => {
  land.txCode = "493536";
  const text = withTxCode({ input_mode: "numeric", length: 6, description: "We sent it by\u202e letter" });
  expect((await read(text)).txCode).toEqual({ numeric: true, length: 6, description: "We sent it by  letter" });
  expect((await read(withTxCode({}))).txCode).toEqual({ numeric: true, length: null, description: "" });
  expect((await read(withTxCode({ input_mode: "text" }))).txCode).toMatchObject({ numeric: false });

  const id = await begin(text, "111111");
  await expect(run(id)).rejects.toMatchObject({ code: "wrong_tx_code" });
  expect(waitsFor(wallet.pending[0]!, clock)).toBe("tx_code");
  await expect(run(id)).rejects.toMatchObject({ code: "tx_code_needed" });
  await wallet.giveTxCode(id, "493536");
  await restart();
  await wallet.tend();
  expect(wallet.orders).toHaveLength(1);
});

test("no tx_code is sent where the offer asks for none (section 6.1)", async () => {
  await run(await begin(OFFER, "493536"));
  expect(wallet.orders).toHaveLength(1);
  expect(land.tokenForms.every((form) => !form.has("tx_code"))).toBe(true);
});

test("a card put off is asked for when its time comes, with the keys it was asked for with (section 9)", async () => {
  land.puttingOff = 2;
  const id = await begin(OFFER);
  await expect(run(id)).rejects.toMatchObject({ code: "deferred" });
  expect(waitsFor(wallet.pending[0]!, clock)).toBe("issuer");
  expect(wallet.nextDeferred).toBe(NOW + 30_000);
  const polls = (): number => land.calls.filter((call) => call === "POST /issuer/deferred").length;
  await wallet.tend();
  expect(polls()).toBe(0); // not before the interval

  clock += 31_000;
  await restart();
  await wallet.tend();
  expect(polls()).toBe(2); // both forms, still put off
  expect(wallet.orders).toEqual([]);
  land.access.clear(); // the token ended while we waited: the refresh token brings another
  clock += 31_000;
  await wallet.tend();
  expect(wallet.pending).toEqual([]);
  expect(wallet.orders.map((order) => order.parts.length)).toEqual([2]);
  expect([...(await wallet.presenter.copiesLeft(wallet.orders[0]!)).values()]).toEqual([3, 3]);
  expect(land.batches.every((batch) => batch.acknowledged)).toBe(true);
  expect(await wallet.store.keysOf(`pending:${id}`)).toEqual([]);
});

test("a card that was thrown away while its fresh copies were put off does not come back with them", async () => {
  await run(await begin(OFFER));
  land.puttingOff = 1;
  await run(await wallet.issuance.renew(wallet.orders[0]!)).catch(() => undefined);
  await wallet.removeCard(wallet.orders[0]!);
  clock += 31_000;
  await restart();
  await wallet.tend();
  expect(wallet.orders).toEqual([]);
  expect(wallet.pending).toEqual([]);
  expect(await wallet.store.rows("copy")).toEqual([]);
});

test("an application the issuer has forgotten is given up, and its keys go with it", async () => {
  land.puttingOff = 1;
  const id = await begin(OFFER);
  await run(id).catch(() => undefined);
  expect((await wallet.store.keysOf(`pending:${id}`)).length).toBeGreaterThan(0);
  for (let time = 0; time < 2; time++) {
    Object.assign(land, { transactions: new Map() }); // the first time it is asked for anew: an answer may have been lost
    clock += 31_000;
    await wallet.tend();
  }
  expect(wallet.pending.map((item) => item.failed)).toEqual(["invalid_transaction_id"]);
  await wallet.dismissPending(id);
  expect(await wallet.store.keysOf(`pending:${id}`)).toEqual([]);
});

test("requests and answers are encrypted where the issuer can, put-off ones as well (section 10)", async () => {
  land.encrypts = "both";
  land.puttingOff = 1;
  const id = await begin(OFFER);
  await run(id).catch(() => undefined);
  clock += 31_000;
  await run(id);
  expect(wallet.orders.map((order) => order.parts.length)).toEqual([2]);
  const keys = land.requests.map((request) => (request["credential_response_encryption"] as { jwk: { x: string }; enc: string }));
  expect(keys.every(({ enc }) => enc === "A256GCM")).toBe(true);
  expect(new Set(keys.map(({ jwk }) => jwk.x)).size).toBe(keys.length); // a key for each request
});

test("an answer in the clear that was to be encrypted is refused (section 10)", async () => {
  land.encrypts = "clear";
  await expect(run(await begin(OFFER))).rejects.toMatchObject({ code: "not_encrypted" });
  expect(wallet.orders).toEqual([]);
});

test.each<[string, Record<string, unknown>]>([
  ["a request key of a kind it has not", { credential_request_encryption: { jwks: { keys: [{ kty: "RSA", alg: "RSA-OAEP", kid: "1" }] }, enc_values_supported: ["A256GCM"], encryption_required: true } }],
  ["an answer it could not ask for safely", { credential_response_encryption: { alg_values_supported: ["ECDH-ES"], enc_values_supported: ["A256GCM"], encryption_required: true } }],
])("the wallet refuses an issuer that requires %s (section 8.2)", async (_what, metadata) => {
  await expect(Envelope.for(metadata)).rejects.toMatchObject({ code: "unsupported" });
});

test("the data set the token response names is asked for by its identifier, and only then (section 8.2)", async () => {
  land.identifies = true;
  await run(await begin(OFFER));
  expect(land.requests.map((request) => request["credential_identifier"])).toEqual(["resident_card_sd_jwt#2026", "resident_card_mdoc#2026"]);
  expect(land.requests.every((request) => !("credential_configuration_id" in request))).toBe(true);
});

test("a token that is not bound to our key is refused from a listed issuer (HAIP 1.0 section 4)", async () => {
  const honest = land.fetch;
  const bearer = async (url: string, init?: RequestInit): Promise<Response> => {
    const answer = await honest(url, init);
    if (!url.endsWith("/issuer/token") || !answer.ok) return answer;
    return new Response(JSON.stringify({ ...(await answer.json()), token_type: "Bearer" }), { headers: { "Content-Type": "application/json" } });
  };
  Object.assign(land, { fetch: bearer });
  wallet = await open(`receive-${names}`);
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.unlock(PIN);
  await expect(run(await begin(OFFER))).rejects.toMatchObject({ code: "unsupported" });
});

test.each<[string, Record<string, unknown>]>([
  ["no configurations", { credential_configuration_ids: [] }],
  ["the same configuration twice", { credential_configuration_ids: ["resident_card_mdoc", "resident_card_mdoc"] }],
  ["a configuration the issuer has not", { credential_configuration_ids: ["passport"] }],
  ["an issuer without TLS", { credential_issuer: "http://elsewhere.test/issuer" }],
  ["no issuer", { credential_issuer: undefined }],
])("an offer of %s is refused", async (_what, change) => {
  await expect(read(offering({ ...SIGN_IN_OFFER, ...change }))).rejects.toMatchObject({ name: "Problem" });
  expect(wallet.pending).toEqual([]);
});

test.each<[string, (path: string) => Record<string, unknown> | null]>([
  ["an issuer", (path) => (path.includes("openid-credential-issuer") ? { credential_issuer: "https://evil.test" } : null)],
  ["an authorization server (RFC 8414 section 3.3)", (path) => (path.includes("oauth-authorization-server") ? { issuer: "https://evil.test" } : null)],
])("metadata that is another's than %s we asked is not used (OpenID4VCI 1.0 section 12.2.4)", async (_what, change) => {
  const honest = land.fetch;
  const changed = async (url: string, init?: RequestInit): Promise<Response> => {
    const answer = await honest(url, init);
    const other = change(new URL(url).pathname);
    return other ? new Response(JSON.stringify({ ...(await answer.json()), ...other }), { headers: { "Content-Type": "application/json" } }) : answer;
  };
  Object.assign(land, { fetch: changed });
  wallet = await open(`receive-${names}`);
  await expect(read(OFFER)).rejects.toMatchObject({ code: "bad_issuer" });
});

test("a picture over https is fetched once and kept, if it is a picture and its server hands it out (HAIP 1.0 section 4.1)", async () => {
  const logo = { uri: "https://pictures.test/logo.svg", alt: "" };
  const from = (type: string, size = 10) => new Net(async () => new Response("x".repeat(size), { headers: { "Content-Type": type } }), BASE);
  expect((await fetched(logo, from("image/svg+xml")))?.uri).toBe(`data:image/svg+xml;base64,${Buffer.from("x".repeat(10)).toString("base64").replaceAll("=", "")}`);
  expect((await fetched(logo, from("image/png")))?.uri).toMatch(/^data:image\/png;base64,/);
  expect(await fetched(logo, from("text/html"))).toBeNull();
  expect(await fetched(logo, from("image/png", 300_000))).toBeNull();
  expect(await fetched(logo, new Net(() => Promise.reject(new TypeError("CORS")), BASE))).toBeNull();
});

/** As often as it takes: sign in where it is asked for, and let the wallet tend what it has begun. */
async function carryOn(): Promise<void> {
  for (let time = 0; time < 4 && (wallet.pending.length > 0 || wallet.orders.length === 0); time++) {
    if (wallet.pending.length === 0) await begin(offering(SIGN_IN_OFFER)); // the holder scans again
    const [pending] = wallet.pending;
    if (pending && waitsFor(pending, clock) === "sign_in") await back(land.approve(await wallet.signIn(pending.id)));
    clock += 31_000;
    await wallet.tend();
  }
}

test("signing in, put off and encrypted, with every answer lost in its turn: one card in the end, nothing double", async () => {
  const start = async (): Promise<void> => {
    land = await Country.open();
    land.encrypts = "both";
    land.puttingOff = 1;
    wallet = await open(`receive-${++names}`);
    wallet.device = { id: "d1", state: "active", heard: NOW };
    await wallet.store.setMeta("device", wallet.device);
    await wallet.vault.create(PIN);
  };
  await start();
  await carryOn();
  const requests = land.asked;
  expect(wallet.orders).toHaveLength(1);
  for (let at = 1; at <= requests; at++) {
    wallet.store.close();
    await start();
    land.cut = { at, seen: true };
    await carryOn().catch(() => undefined);
    land.cut = null;
    await restart();
    await carryOn();
    const where = `request ${at}: ${land.calls.at(at - 1)}`;
    expect(wallet.orders, where).toHaveLength(1);
    expect(wallet.pending, where).toHaveLength(0);
    expect([...(await wallet.presenter.copiesLeft(wallet.orders[0]!)).values()], where).toEqual([3, 3]);
    for (const configuration of ["resident_card_sd_jwt", "resident_card_mdoc"]) {
      const live = land.batches.filter((batch) => batch.configuration === configuration && batch.live);
      expect(live.map((batch) => batch.acknowledged), where).toEqual([true]);
    }
  }
}, 120_000);
