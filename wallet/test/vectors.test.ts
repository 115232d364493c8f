/**
 * The cases of vectors/, which the issuer's and verifier's tests run as well. Where the wallet has no such step (it opens no
 * presentation of others), the case is left out by name below, so that a new case cannot be passed over unseen.
 */
import { readFileSync } from "node:fs";
import { cborDecode, cborEncode } from "@owf/mdoc";
import { expect, test } from "vitest";
import { b64u, type Bytes, unb45, unb64, unb64u } from "../src/bytes.ts";
import { whoAsks } from "../src/codes.ts";
import { choices, parseQuery, select } from "../src/dcql.ts";
import { disclosed } from "../src/formats/disclosures.ts";
import { checkMdoc } from "../src/formats/mdoc.ts";
import { openByKey } from "../src/jws.ts";
import { strictJson } from "../src/json.ts";
import { ASK, encodeShow, parseAsk } from "../src/offline_qr.ts";
import { Problem } from "../src/problem.ts";
import { parsePurposes } from "../src/purposes.ts";
import type { PublicJwk } from "../src/store.ts";
import { entered, type ListedSigner, mustBeSignedBeforeItsEnd, parseSigners, standing } from "../src/signers.ts";
import { readList } from "../src/status.ts";
import { partyOf, type RelyingParty, type RevokedReader, type TrustList } from "../src/trust.ts";
import { checkChain, publicKey } from "../src/x509.ts";

interface Case {
  readonly name: string;
  readonly input: unknown;
  readonly expected?: unknown;
  readonly refused?: { readonly code: string; readonly step: string };
}
interface File {
  readonly cases: readonly Case[];
  readonly [member: string]: unknown;
}
const load = (name: string): File => JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8")) as File;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const HOLDER = (load("sd_jwt").cases[0]?.expected as { cnf: { jwk: PublicJwk } }).cnf.jwk;

/** Where the wallet's words are the same as the checker's. */
const SAME_CODES = new Set(["signers", "askers"]);

/** Accepted as expected, or refused with a Problem: never another error, never silence. */
function run(name: string, read: (file: File, input: never) => unknown, othersSteps: readonly string[] = [], without: readonly string[] = []): void {
  const file = load(name);
  const cases = file.cases.filter((one) => !othersSteps.includes(one.refused?.step ?? "") && !without.includes(one.name));
  test.each(cases.map((one) => [one.name, one] as const))(`${name}: %s`, async (_name, one) => {
    const work = Promise.resolve().then(() => read(file, one.input as never));
    const code = SAME_CODES.has(name) ? { code: one.refused?.code } : {};
    if (one.refused) await expect(work).rejects.toMatchObject({ name: "Problem", ...code });
    else expect(await work).toEqual(one.expected);
  });
}

run("base64url", (_file, raw: string) => Buffer.from(unb64u(raw)).toString("hex"));
run("jws", async (file, raw: string) => {
  const { claims } = await openByKey(raw, file["typ"] as string, file["issuer_jwk"] as PublicJwk, (file["now"] as number) * 1000);
  return claims;
});
run("x509", async (file, raw: string[]) => {
  const leaf = await checkChain(raw.map(unb64), (file["anchors"] as string[]).map(unb64) as Bytes[], "document", new Date((file["now"] as number) * 1000));
  const { kty: _kty, crv, x, y } = await crypto.subtle.exportKey("jwk", await publicKey(leaf));
  return { crv, kty: "EC", x, y };
});
run("status", async (file, raw: string) => {
  const { claims } = await openByKey(raw, "statuslist+jwt", file["issuer_jwk"] as PublicJwk, (file["now"] as number) * 1000);
  const list = await readList(claims, file["uri"] as string);
  return Object.fromEntries(["1", "2", "3", "4", "63"].map((at) => [at, list(Number(at))]));
});
run("dcql", (file, raw: { id: string; format: "dc+sd-jwt" }) => {
  const query = parseQuery({ credentials: [raw] });
  const claims = file["claims"] as Record<string, unknown>;
  try {
    const { fitting } = choices(query, [{ order: "card", format: raw.format, type: file["vct"] as string, claims, authorities: [] }]);
    return fitting.get(raw.id)?.[0]?.paths.flatMap((path) => select(claims, path));
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.code !== "not_held") throw problem;
    return null;
  }
});
/** `signed`: a card, by the date it names; without it something that is signed anew each time. */
run("signers", async (file, asked: { certificate: string; purpose: "document_signer"; signed?: number | null }) => {
  const signers: ListedSigner[] = parseSigners(file["signers"]);
  const leaf = Uint8Array.from(Buffer.from(asked.certificate, "hex"));
  const now = (file["now"] as number) * 1000;
  if (asked.signed === undefined) await standing(signers, leaf, asked.purpose, now);
  else mustBeSignedBeforeItsEnd(await entered(signers, leaf, asked.purpose, now), asked.signed);
  return true;
});
run("askers", async (file, raw: string) => {
  const list = { relying_parties: file["relying_parties"] as RelyingParty[], revoked_readers: file["revoked_readers"] as RevokedReader[] };
  return (await partyOf(list, Uint8Array.from(Buffer.from(raw, "hex")))).id;
});
/** Asks only: what a phone shows is a checker's to read. What a phone makes of the same parts is held to `whole` below. */
run("qr", async (file, { ask }: { ask: string }) => {
  const code = await parseAsk(ask);
  const { purposes } = parsePurposes({ iat: 0, exp: 0, purposes: file["purposes"] });
  const list = async (): Promise<TrustList> => file["trust_list"] as TrustList;
  const { asker } = await whoAsks(code, { purposes, list, key: () => Promise.resolve(file["list_jwk"] as PublicJwk) }, (file["now"] as number) * 1000);
  const { audience, items, name, nonce, purpose } = code;
  return { audience, items, name, nonce: hex(nonce), party: asker.party.id || null, purpose, raw: hex(unb45(ask.slice(ASK.length))), until: code.seal?.until ?? null };
}, [], load("qr").cases.filter(({ input }) => Object.hasOwn(input as object, "show")).map(({ name }) => name));
interface Whole { readonly format: "dc+sd-jwt"; readonly made: number; readonly nonce: string; readonly purpose: string; readonly presentation: string; readonly whole: string }
test.each(load("qr").cases.filter(({ expected }) => Object.hasOwn(expected ?? {}, "whole")).map((one) => [one.name, one.expected as Whole] as const))("qr: the wallet writes %s as the checker reads it", async (_name, { whole, nonce, ...rest }) => {
  const made = encodeShow({ ...rest, nonce: Uint8Array.from(Buffer.from(nonce, "hex")) });
  expect(hex(made)).toBe(whole);
});
run("json", (_file, raw: string) => strictJson(raw));
/** Steps that belong to who is shown a presentation; the wallet only makes them. */
run("sd_jwt", async (file, raw: string) => {
  const jwt = raw.split("~")[0] ?? "";
  const { claims } = await openByKey(jwt, "dc+sd-jwt", file["issuer_jwk"] as PublicJwk, (file["now"] as number) * 1000);
  return disclosed(raw, claims);
}, ["holder"]);
run("mdoc", async (file, raw: string) => {
  const response = cborDecode(Buffer.from(raw, "hex")) as Map<string, unknown>;
  const [document] = response.get("documents") as Map<string, unknown>[];
  const issuerSigned = document?.get("issuerSigned") as Map<string, unknown>;
  const doctype = String(document?.get("docType"));
  const anchors = (load("x509")["anchors"] as string[]).map(unb64);
  const held = await checkMdoc(b64u(cborEncode(issuerSigned)), doctype, HOLDER, anchors, (file["now"] as number) * 1000);
  const { portrait, ...claims } = held.claims as Record<string, unknown>;
  const shown = { ...claims, ...(portrait === undefined ? {} : { portrait: { hex: Buffer.from(String(portrait), "base64").toString("hex") } }) };
  return Object.keys(shown).length > 0 ? { [doctype]: shown } : {};
}, ["holder", "parse"], ["nothing"]); // a card without elements is none
