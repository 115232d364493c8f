/**
 * The wallet against other people's code: the issuer and the verifier of oid4vc-ts that tests/conformance runs, over HTTP. Skipped where
 * its packages are not installed.
 */
import { existsSync } from "node:fs";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Presentation, Wallet } from "../src/wallet.ts";
import { authority, b64, BASE, certify, Country, type Pair, pair } from "./country.ts";

const HOME = "http://localhost:1"; // a wallet on this machine may speak to others on it
const PEERS = new URL("../../tests/conformance/", import.meta.url);
const PIN = "274913";
const DAY = 86_400;
const VCT = "urn:elsewhere:id:1";
const DOCTYPE = "org.elsewhere.id";

interface Peer {
  start(words: Record<string, unknown>): Promise<{ id: string; base: string }>;
}
interface IssuerPeer extends Peer {
  offer(words: Record<string, unknown>): Promise<string>;
  events(words: { id: string }): readonly { event: string }[];
}
interface VerifierPeer extends Peer {
  ask(words: Record<string, unknown>): Promise<{ id: string; uri: string }>;
  outcome(words: { id: string; asked: string }): { shown: unknown } | null;
}
const load = async <T>(path: string): Promise<T> => (await import(/* @vite-ignore */ new URL(path, PEERS).href)) as T;

describe.skipIf(!existsSync(new URL("node_modules", PEERS)))("oid4vc-ts", () => {
  let issuers: IssuerPeer;
  let verifiers: VerifierPeer;
  let land: Country;
  let wallet: Wallet;
  let words: Record<string, unknown>;
  let signer: Pair;
  let anchor: string;
  let names = 0;

  beforeAll(async () => {
    const { setGlobalConfig } = await load<{ setGlobalConfig(config: unknown): void }>("node_modules/@openid4vc/oauth2/dist/index.mjs");
    setGlobalConfig({ allowInsecureUrls: true });
    issuers = await load("peers/issuer.mjs");
    verifiers = await load("peers/verifier.mjs");
  });

  beforeEach(async () => {
    land = await Country.open();
    land.now = Math.floor(Date.now() / 1000);
    const ca = await authority("C=KR, CN=Elsewhere CA");
    signer = await pair();
    anchor = b64(ca.der);
    const at = (days: number): string => `${new Date(Date.now() + days * DAY * 1000).toISOString().slice(0, 19)}Z`;
    words = {
      key: await secret(signer), x5c: [b64(await certify(ca, "C=KR, CN=Elsewhere signer", signer))], anchors: [b64(land.providerCa.der)],
      vct: VCT, doctype: DOCTYPE, namespace: DOCTYPE, claims: { name: "Ada", birth_date: "1990-01-01" },
      validity: { signed: at(-1), validFrom: at(-1), validUntil: at(20) }, popEnds: false, dpopNonce: true,
    };
    const fetcher = (url: string, init?: RequestInit): Promise<Response> => (url.startsWith(HOME) ? land.fetch(url.replace(HOME, BASE), init) : fetch(url, init));
    const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
    wallet = await Wallet.open({ base: HOME, fetch: fetcher, now: () => Date.now(), cost, database: `peers-${++names}` });
    wallet.device = { id: "d1", state: "active", heard: Date.now() };
    await wallet.vault.create(PIN);
  });

  async function begin(offer: string, txCode: string | null = null): Promise<string> {
    const meant = await wallet.understand(offer);
    if (!("offered" in meant)) throw new Error("not an offer");
    expect(meant.offered.stranger?.signer?.subject).toBe("Elsewhere signer, KR"); // of the signed metadata
    const id = await wallet.issuance.accept(meant.offered, txCode);
    await wallet.read();
    return id;
  }

  async function ask(query: unknown): Promise<{ presentation: Presentation; outcome: () => unknown }> {
    const [ca, key] = [await authority("C=KR, CN=Askers CA"), await pair()];
    const x5c = [b64(await certify(ca, "C=KR, CN=Asker", key, 300, null))];
    const { id } = await verifiers.start({ key: await secret(key), x5c, issuerKey: signer.jwk, anchors: [anchor] });
    const { id: asked, uri } = await verifiers.ask({ id, query });
    const meant = await wallet.understand(uri);
    if (!("presentation" in meant)) throw new Error("not a request");
    return { presentation: meant.presentation, outcome: () => verifiers.outcome({ id, asked })?.shown };
  }

  test("a pre-authorized code with tx_code, both forms in batches of five, acknowledged", async () => {
    const { id } = await issuers.start(words);
    await wallet.finish(await begin(await issuers.offer({ id, txCode: "493536" }), "493536"), () => undefined);
    expect(wallet.orders[0]?.parts.map((part) => [part.format, part.copies])).toEqual([["mso_mdoc", 5], ["dc+sd-jwt", 5]]);
    expect(issuers.events({ id }).map(({ event }) => event)).toEqual(["credential_accepted", "credential_accepted"]);
  });

  test("signing in, and the answers to its verifier in both forms", async () => {
    const { id } = await issuers.start(words);
    const pending = await begin(await issuers.offer({ id, grant: "code" }));
    const back = await fetch(await wallet.signIn(pending), { redirect: "manual" });
    await wallet.keepReturn(new URL(back.headers.get("location") ?? "").search);
    expect(await wallet.takeReturn()).toBe(pending);
    await wallet.finish(pending, () => undefined);

    const sdJwt = await ask({ credentials: [{ id: "a", format: "dc+sd-jwt", meta: { vct_values: [VCT] }, claims: [{ path: ["name"] }] }] });
    await wallet.present(sdJwt.presentation, PIN);
    expect(sdJwt.outcome()).toMatchObject({ a: [{ name: "Ada" }] });
    const mdoc = await ask({ credentials: [{ id: "m", format: "mso_mdoc", meta: { doctype_value: DOCTYPE }, claims: [{ path: [DOCTYPE, "name"] }] }] });
    await wallet.present(mdoc.presentation, PIN);
    expect(mdoc.outcome()).toEqual({ m: [{ [DOCTYPE]: { name: "Ada" } }] });
  });

  test("a card it puts off", async () => {
    const { id } = await issuers.start({ ...words, deferred: true });
    const pending = await begin(await issuers.offer({ id }));
    await expect(wallet.finish(pending, () => undefined)).rejects.toMatchObject({ code: "deferred" });
    for (let time = 0; time < 5 && wallet.pending.length > 0; time++) {
      await new Promise((resume) => setTimeout(resume, Math.max(0, wallet.nextDeferred - Date.now()) + 50));
      await wallet.tend();
    }
    expect(wallet.orders.map((order) => order.parts.length)).toEqual([2]);
  });
});

async function secret({ key, jwk }: Pair): Promise<Record<string, unknown>> {
  const { d } = await crypto.subtle.exportKey("jwk", key);
  return { ...jwk, d };
}
