/** Which trust list counts, where a clock was ahead and was put right. */
import { beforeEach, expect, test } from "vitest";
import { signJwt } from "../src/keys.ts";
import { openRequest } from "../src/request.ts";
import { Wallet } from "../src/wallet.ts";
import { BASE, Country, NOW } from "./country.ts";

const HOUR = 3_600_000;
let names = 0;
let clock = NOW;
let land: Country;
let wallet: Wallet;

beforeEach(async () => {
  clock = NOW;
  land = await Country.open();
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => clock, database: `trust-${++names}` });
});

const listOf = (iat: number, more: Record<string, unknown> = {}): void => {
  const claims = { iat: iat / 1000, exp: iat / 1000 + 30 * 86_400, issuers: [], access_ca: [], relying_parties: [], ...more };
  land.doors.set("GET /trust/list", async () => new Response(await signJwt(land.trustKey.key, { typ: "mapae-trust-list+jwt" }, claims), { headers: { "Content-Type": "application/jwt" } }));
};
const taken = async (): Promise<number> => ((clock += 1), (await wallet.trust.list(0)).iat * 1000);

test("a list fetched while the clock was ahead is no fresh one: a shop struck off since gets no answer", async () => {
  const link = { kind: "request" as const, clientId: await land.clientId(), requestUri: `${BASE}/verifier/requests/1`, method: "get" as const };
  clock = NOW + 50 * 60_000;
  await wallet.trust.list(0);
  clock = NOW;
  [land.listed, land.revoked] = [false, true];
  await expect(openRequest(link, wallet.net, wallet.trust, BASE, clock)).rejects.toMatchObject({ code: "signer_revoked" });
});

test("a list made by a clock that was ahead does not shut out the true one", async () => {
  listOf(NOW + 20 * HOUR, { seq: 4 });
  clock = NOW + 20 * HOUR;
  await taken();
  clock = NOW;
  listOf(NOW, { seq: 4 });
  expect(await taken()).toBe(NOW);
});

test("of two registry processes seconds apart, the list with the higher number is the newer one", async () => {
  listOf(NOW + 30_000, { seq: 4 });
  clock = NOW + 30_000;
  await taken();
  listOf(NOW, { seq: 5 });
  expect(await taken()).toBe(NOW);
});

test.each([
  ["by its date", { seq: 4 }, { seq: 4 }, 0],
  ["by its number, though its date is later", { seq: 4 }, { seq: 3 }, -2 * HOUR],
  ["by its number, though the one we have is of a clock that was ahead", { seq: 4 }, { seq: 3 }, 20 * HOUR],
])("a list that is older %s is refused", async (_how, has, comes, ahead) => {
  listOf(NOW + ahead, has);
  clock = NOW + ahead;
  await taken();
  clock = NOW;
  listOf(NOW - HOUR, comes);
  await expect(taken()).rejects.toMatchObject({ code: "untrusted_list" });
});
