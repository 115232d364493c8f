import { readFileSync } from "node:fs";
import { CompactEncrypt, importJWK, type JWK } from "jose";
import { beforeEach, expect, test } from "vitest";
import { b64u, type Bytes, sha256, unb45, unb64u, utf8 } from "../src/bytes.ts";
import { type Cbor, decode } from "../src/cbor.ts";
import { codeText, Meeting, unsealed, written } from "../src/meet.ts";
import { Net } from "../src/net.ts";
import { Problem } from "../src/problem.ts";
import { Wallet } from "../src/wallet.ts";
import { BASE, Country, json, NOW, OFFER } from "./country.ts";

const PIN = "274913";
const vector = JSON.parse(readFileSync(new URL("../../vectors/meet.json", import.meta.url), "utf8")) as {
  token: string; relay: string; made: number; key: JWK; code: string; nonce: string; mailbox: string; request: string; sealed: string; sealed_for_another_code: string;
};
let names = 0;
let land: Country;
let wallet: Wallet;
const never = new AbortController().signal;

/** The relay as a shop sees it: what it put in, what it finds. */
const boxes = new Map<string, { state: "open" | "full" | "spent"; body: string }>();
const relay = async (url: URL, init: RequestInit): Promise<Response> => {
  const name = url.pathname;
  const box = boxes.get(name);
  switch (init.method ?? "GET") {
    case "PUT":
      boxes.set(name, { state: "open", body: "" });
      return json({ expires_in: 120 }, 201);
    case "DELETE":
      boxes.set(name, { state: "spent", body: "" });
      return new Response(null, { status: 204 });
    case "GET": {
      if (!box) return json({ error: "not_found" }, 404);
      if (box.state === "spent") return json({ error: "session_spent" }, 410);
      if (box.state === "open") return new Response(null, { status: 204 });
      boxes.set(name, { state: "spent", body: "" });
      return new Response(box.body, { headers: { "Content-Type": "application/octet-stream" } });
    }
    default:
      boxes.set(name, { state: "full", body: String(init.body) });
      return json({});
  }
};
const net = new Net((url, init) => relay(new URL(url), init ?? {}), BASE);

beforeEach(async () => {
  boxes.clear();
  land = await Country.open();
  land.offers.set("code-1", { dpop: null, spent: false });
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => NOW, cost, database: `meet-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
  const meant = await wallet.understand(OFFER);
  if ("offered" in meant) await wallet.acceptOffer(meant.offered, () => undefined);
});

/** The shop reads the code, signs for it, seals to it. */
async function shop(code: string, signedFor = code, sealedFor = code): Promise<void> {
  const raw = unb45(code.replace("MAPAE-MEET:", ""));
  const parts = decode(raw) as Map<number, Cbor>;
  const key = parts.get(4) as Map<number, Bytes>;
  const jwk = { kty: "EC", crv: "P-256", x: b64u(key.get(-2)!), y: b64u(key.get(-3)!) };
  const nonce = await sha256(unb45(signedFor.replace("MAPAE-MEET:", "")));
  land.requestClaims = { ...land.requestClaims, wallet_nonce: b64u(nonce) };
  const request = await (await land.fetch(`${BASE}/verifier/requests/1`)).text();
  const bound = await sha256(unb45(sealedFor.replace("MAPAE-MEET:", "")));
  const sealed = await new CompactEncrypt(utf8(request)).setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
    .setKeyManagementParameters({ apv: bound }).encrypt(await importJWK(jwk, "ECDH-ES"));
  boxes.set(`/relay/${b64u(parts.get(3) as unknown as Bytes)}`, { state: "full", body: sealed });
}

test("a code is written as formats/meet.py writes it, and what is sealed to it opens", async () => {
  const channel = unb64u(vector.mailbox.split("/").at(-1) ?? "");
  const { d: _private, ...open } = vector.key;
  const raw = written(vector.relay, channel, open, vector.made);
  expect(codeText(raw)).toBe(vector.code);
  expect(b64u(await sha256(raw))).toBe(vector.nonce);
  const key = (await importJWK(vector.key, "ECDH-ES")) as CryptoKey;
  expect(await unsealed(vector.sealed, key, vector.nonce)).toBe(vector.request);
  await expect(unsealed(vector.sealed_for_another_code, key, vector.nonce)).rejects.toThrow(Problem);
  await expect(unsealed("a.b.c.d.e", key, vector.nonce)).rejects.toThrow(Problem);
});

test("the shop's question comes over the relay and is the normal one", async () => {
  const meeting = await Meeting.begin(net, BASE, NOW);
  expect(await meeting.hear(never, 0)).toBeNull();
  await shop(meeting.code);
  const heard = await meeting.hear(never, 0);
  const presentation = await wallet.relayed(heard!);
  expect(presentation.asked.party.name.en).toBe("소나무 (en)");
  expect(presentation.asked.purpose?.id).toBe("name_birth_date");
  await wallet.present(presentation, PIN);
  expect(land.responses).toHaveLength(1);
  await expect(meeting.hear(never, 0)).rejects.toMatchObject({ code: "session_spent" });
});

test("a no goes back sealed, so that the relay does not learn it", async () => {
  const meeting = await Meeting.begin(net, BASE, NOW);
  await shop(meeting.code);
  await wallet.decline(await wallet.relayed((await meeting.hear(never, 0))!));
  expect(land.responses.at(-1)).toMatchObject({ error: "access_denied", enc: "A256GCM" });
});

test("a request that was signed for another code is not shown", async () => {
  const [mine, theirs] = [await Meeting.begin(net, BASE, NOW), await Meeting.begin(net, BASE, NOW)];
  await shop(mine.code, theirs.code);
  const heard = await mine.hear(never, 0);
  await expect(wallet.relayed(heard!)).rejects.toMatchObject({ code: "bad_request", detail: "wallet_nonce" });
});

test("a request that was sealed for another code does not open", async () => {
  const [mine, theirs] = [await Meeting.begin(net, BASE, NOW), await Meeting.begin(net, BASE, NOW)];
  await shop(mine.code, mine.code, theirs.code);
  await expect(mine.hear(never, 0)).rejects.toMatchObject({ code: "not_encrypted" });
});

test("a code that is not shown any more is used", async () => {
  const meeting = await Meeting.begin(net, BASE, NOW);
  await meeting.stop();
  await expect(meeting.hear(never, 0)).rejects.toMatchObject({ code: "session_spent" });
});

test("two codes share nothing", async () => {
  const [one, other] = [await Meeting.begin(net, BASE, NOW), await Meeting.begin(net, BASE, NOW)];
  const parts = [one, other].map(({ code }) => decode(unb45(code.slice(11))) as ReadonlyMap<number, unknown>);
  expect(parts[0]?.get(3)).not.toEqual(parts[1]?.get(3));
  expect(parts[0]?.get(4)).not.toEqual(parts[1]?.get(4));
  expect(parts[0]?.get(2)).toBe(`${BASE}/relay`);
});
