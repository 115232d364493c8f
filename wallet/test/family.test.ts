import { decodeJwt } from "jose";
import { beforeEach, expect, test } from "vitest";
import { b64u, utf8 } from "../src/bytes.ts";
import { fromHash, parseLink } from "../src/links.ts";
import { type Presentation, Wallet } from "../src/wallet.ts";
import { BASE, Country, json, NOW, OFFER, query } from "./country.ts";

const PIN = "274913";
const HOST = `${BASE}/gateway`;
let names = 0;
let land: Country;
let wallet: Wallet;
/** What the phone said, by door. */
let heard: [string, Record<string, unknown>][];

const code = (message: unknown): string => b64u(utf8(JSON.stringify(message)));
const read = (init: RequestInit): Record<string, unknown> => {
  const { data } = JSON.parse(String(init.body)) as { data: string };
  return JSON.parse(Buffer.from(data, "base64url").toString()) as Record<string, unknown>;
};
const M200 = { type: "mip", version: "1.0.0", cmd: "200", trxcode: "20211102162732145432176790", mode: "direct", ci: false, host: HOST };

/** The published profile, its proof the country's signed request. */
async function profile(changes: Record<string, unknown> = {}, inner: Record<string, unknown> = {}): Promise<string> {
  const request = await (await land.fetch(`${BASE}/verifier/requests/1`)).text();
  const claims = decodeJwt(request);
  return code({ encoding: "UTF-8", id: claims["client_id"], profile: { nonce: claims["nonce"], presentType: 1, ...inner }, proof: { signatureValue: request }, version: "3.0", ...changes });
}

beforeEach(async () => {
  land = await Country.open();
  heard = [];
  const refusal = code({ type: "mip", version: "1.0.0", cmd: "900", trxcode: M200.trxcode, errcode: 10201, errmsg: "message sequence error" });
  let spent = false;
  for (const door of ["profile", "vp", "error"]) {
    land.doors.set(`POST /gateway/mip/${door}`, async (init) => {
      heard.push([door, read(init)]);
      if (door === "vp" && spent) return json({ result: false, data: refusal });
      if (door === "vp") spent = true;
      return json(door === "profile" ? { result: true, data: code({ trxcode: M200.trxcode, profile: await profile() }) } : { result: true });
    });
  }
  land.offers.set("code-1", { dpop: null, spent: false });
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => NOW, cost, database: `family-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
  const meant = await wallet.understand(OFFER);
  if ("offered" in meant) await wallet.acceptOffer(meant.offered, () => undefined);
});

async function ask(text: string): Promise<Presentation> {
  const meant = await wallet.understand(text);
  if (!("presentation" in meant)) throw new Error("not a request");
  return meant.presentation;
}

test("a till's code leads to the normal question, and the VP goes to its host", async () => {
  const presentation = await ask(code(M200));
  expect(heard).toEqual([["profile", { type: "mip", version: "1.0.0", cmd: "310", request: "profile", trxcode: M200.trxcode }]]);
  expect(presentation.asked.purpose?.id).toBe("name_birth_date");
  await wallet.present(presentation, PIN);
  const [door, m400] = heard.at(-1)!;
  const { vp, ...outer } = m400 as { vp: Record<string, unknown> };
  expect([door, outer]).toEqual(["vp", { type: "mip", version: "1.0.0", cmd: "400", request: "presentation", trxcode: M200.trxcode }]);
  expect(vp).toMatchObject({ presentType: 1, encryptType: 2, keyType: 1, authType: ["pin"], nonce: presentation.asked.nonce, type: "VERIFY" });
  expect(Buffer.from(String(vp["data"]), "hex").toString().split(".")).toHaveLength(5);
  expect(land.responses).toHaveLength(0);
  await expect(wallet.present(presentation, PIN)).rejects.toMatchObject({ code: "session_spent" });
});

test("a no is M900 20901", async () => {
  await wallet.decline(await ask(code(M200)));
  expect(heard.at(-1)).toEqual(["error", { type: "mip", version: "1.0.0", cmd: "900", trxcode: M200.trxcode, errcode: 20901, errmsg: "cancel by user" }]);
});

test("a profile that came with the code is not asked for", async () => {
  await ask(code({ ...M200, profile: await profile() }));
  expect(heard).toEqual([]);
});

test("a profile is believed as far as its proof goes", async () => {
  for (const bent of [await profile({ id: "x509_hash:other" }), await profile({}, { nonce: "other" })]) {
    await expect(ask(code({ ...M200, profile: bent }))).rejects.toMatchObject({ code: "bad_request" });
  }
  await expect(ask(code({ ...M200, profile: await profile({ proof: {} }) }))).rejects.toMatchObject({ code: "unsigned_request" });
});

test("a code leads to the server its proof names, and never carries a log-in", async () => {
  await expect(ask(code({ ...M200, host: "https://shop.example/gateway", profile: await profile() }))).rejects.toMatchObject({ code: "bad_request" });
  land.requestClaims = { dcql_query: query(["login_id"]), mapae_purpose: "log_in" };
  await expect(ask(code({ ...M200, profile: await profile() }))).rejects.toMatchObject({ code: "over_asking", detail: "the log-in number" });
});

test("codes of this family are read in every spelling, and nothing else is", () => {
  const padded = Buffer.from(`{ "a": "??>", ${JSON.stringify(M200).slice(1)}`).toString("base64");
  expect(parseLink(padded, BASE)).toMatchObject({ kind: "family", of: { host: HOST, trxcode: M200.trxcode, profile: null } });
  expect(fromHash(`#request=${code(M200)}`)).toBe(code(M200));
  for (const [changes, problem] of [
    [{ cmd: "120" }, "bad_link"], [{ type: "other" }, "bad_link"], [{ trxcode: "x" }, "bad_link"], [{ host: "http://other.example" }, "insecure_address"],
    [{ version: "2.0.0" }, "unsupported"], [{ mode: "proxy" }, "unsupported"], [{ ci: true }, "unsupported"], [{ profile: 1 }, "bad_link"],
  ] as const) {
    expect(() => parseLink(code({ ...M200, ...changes }), BASE), JSON.stringify(changes)).toThrow(expect.objectContaining({ code: problem }));
  }
  expect(() => parseLink("eyJhIjoxfQ", BASE)).toThrow();
});
