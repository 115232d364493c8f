/**
 * vectors/checks.json: each step and each code of docs/checking.md in each format, and every attack by its name. Python runs the same in
 * tests/unit/verifier/checking/test_check_vectors.py. Here: what came as a code, by the browser's checker, and status lists, by the wallet's reader.
 */
import { readFileSync } from "node:fs";
import { cborDecode, cborEncode } from "@owf/mdoc";
import { expect, test } from "vitest";
import { checkAll } from "../src/arrived.ts";
import { b64u, type Bytes, unb45, unb64, unb64u } from "../src/bytes.ts";
import { check } from "../src/checker/check.ts";
import { type Ask, ASK, askAnonymously, type Show } from "../src/checker/codes.ts";
import { type Cbor, decode, type Key } from "../src/cbor.ts";
import { Known, type TillPack, type TillPurpose } from "../src/checker/pack.ts";
import { unpack } from "../src/checker/sync.ts";
import type { Configuration } from "../src/look.ts";
import type { Net } from "../src/net.ts";
import { parseSigners } from "../src/signers.ts";
import { standingOf } from "../src/status.ts";
import type { KeyRow, PublicJwk } from "../src/store.ts";
import type { TrustedIssuer } from "../src/trust.ts";

type Format = "sd_jwt" | "mdoc" | "status_list";
type Part = string | readonly [string, number] | readonly [number, number];
interface Input {
  readonly format: Format;
  readonly by: "code" | "redirect" | "browser" | "list";
  readonly presentation: readonly Part[];
  readonly made: number;
  readonly nonce: string;
  readonly asked: string | null;
  readonly asked_at: number;
  readonly now: number;
  readonly age: number;
  readonly purpose: string;
  readonly uri: string;
  readonly place: number;
}
interface Case {
  readonly name: string;
  readonly input: Input;
  readonly expected?: unknown;
  readonly refused?: { readonly step: string; readonly code: string };
}
interface TillIssuer {
  readonly id: string;
  readonly ca: readonly string[];
  readonly status_prefix: string;
  readonly signers: readonly unknown[] | null;
}
interface File {
  readonly base: Readonly<Record<string, string>>;
  readonly usual: Partial<Input>;
  readonly pack: { readonly issuers: readonly TillIssuer[]; readonly purposes: readonly TillPurpose[]; readonly lists: Readonly<Record<string, { bits: number; lst: string }>> };
  readonly cases: readonly (Omit<Case, "input"> & { readonly input: Partial<Input> })[];
}
const FILE = JSON.parse(readFileSync(new URL("../../vectors/checks.json", import.meta.url), "utf8")) as File;
const CASES = FILE.cases.map((one) => ({ ...one, input: { ...FILE.usual, ...one.input } as Input }));

/** Texts, `[text, times]` and `[from, length]` of the format's base. */
const written = ({ format, presentation }: Input): string =>
  presentation
    .map((part) => {
      if (typeof part === "string") return part;
      const [first, second] = part;
      return typeof first === "string" ? first.repeat(second) : (FILE.base[format] ?? "").slice(first, first + second);
    })
    .join("");

/** What this till knows, `age` seconds ago. */
function known({ now, age }: Input): Known {
  const { issuers, purposes, lists } = FILE.pack;
  const told = Object.entries(lists).map(([uri, { bits }]) => ({ uri, bits, digest: uri }));
  const publishers = issuers.map(({ status_prefix: prefix }) => ({ prefix, as_of: now - age, late: false, lists: told }));
  const pack = { version: 1, as_of: now - age, newest: 0, issuers, publishers, purposes, registry: {}, epochs: [] } as unknown as TillPack;
  return new Known(pack, (uri) => unpack(unb64u(lists[uri]?.lst ?? "")));
}

function asked(text: string): Promise<Ask> {
  const parts = decode(unb45(text.slice(ASK.length))) as Map<Key, Cbor>;
  return askAnonymously(String(parts.get(3)), parts.get(4) as string[], String(parts.get(5)), parts.get(2) as Bytes);
}

/** An mdoc's full-dates are texts already; bytes are written as the vectors have them. */
const plain = (value: unknown): unknown => (value instanceof Uint8Array ? { hex: Buffer.from(value).toString("hex") } : value);

const CODES = CASES.filter(({ input }) => input.by === "code");
test.each(CODES.map((one) => [one.name, one] as const))("%s", async (_name, { input, expected, refused }) => {
  const text = written(input);
  const said = { made: input.made, nonce: Uint8Array.from(Buffer.from(input.nonce, "hex")), purpose: input.purpose };
  const show: Show = input.format === "mdoc" ? { ...said, format: "mdoc", presentation: Uint8Array.from(Buffer.from(text, "hex")) } : { ...said, format: "sd_jwt", presentation: text };
  const till = known(input);
  const purpose = till.purpose(input.purpose);
  if (!purpose) throw new Error("no such purpose in the vectors");
  const ask = input.asked === null ? null : { ...(await asked(input.asked)), at: input.asked_at };
  const verdict = await check(show, { purpose, ask }, till, input.now, () => Promise.resolve());
  if (refused) {
    expect([verdict.outcome, verdict.step, verdict.code]).toEqual(["refused", refused.step, refused.code]);
    expect(verdict.claims.size).toBe(0);
  } else {
    expect([verdict.step, verdict.code]).toEqual([null, null]);
    expect(Object.fromEntries([...verdict.claims].map(([name, value]) => [name, plain(value)]))).toEqual(expected);
  }
});

/** The wallet's words are fewer: that it refuses is what counts. */
const STANDINGS = ["valid", "revoked", "suspended", "renew"];
const LISTED = CASES.filter(({ input }) => input.by === "list");
test.each(LISTED.map((one) => [one.name, one] as const))("%s", async (_name, { input, expected, refused }) => {
  const them = FILE.pack.issuers.find(({ id }) => id === "them");
  if (!them) throw new Error("no such issuer in the vectors");
  const net = { text: () => Promise.resolve(written(input)) } as unknown as Net;
  const by = { prefix: them.status_prefix, anchors: them.ca.map(unb64), entered: parseSigners(them.signers) };
  const work = standingOf({ uri: input.uri, idx: input.place }, by, net, input.now * 1000);
  if (refused) await expect(work).rejects.toMatchObject({ name: "Problem" });
  else expect((await work).standing).toBe(STANDINGS[expected as number]);
});

// --- the wallet's own door: what an issuer hands it -------------------------------------------------------------------------------------

/**
 * What this country's wallets do not hold (wide), and of an answer, not of a card: what stands around the document, and what the device adds. A status that is none is for checkers to refuse;
 * the library does not know the algorithm that names its curve.
 */
const AROUND = /wide: |holder on P-|issuing_|bound to a key on P-|no tilde|another version$|status not 0|a member more|documents?$|device|known too long ago|docType|signature nor MAC|names its curve|a status that|mdoc: (cut|something after it|a member twice|a map of|nested|a list longer|nothing)/;
const CARDS = CODES.filter(({ name, refused, input }) => ["issuer", "seal", undefined].includes(refused?.step) && !AROUND.test(name) && input.purpose === "adult");
const HOLDER = JSON.parse(Buffer.from((FILE.base["sd_jwt"] ?? "").split(".")[1] ?? "", "base64url").toString()) as { cnf: { jwk: PublicJwk } };

test.each(CARDS.map((one) => [one.name, one] as const))("the wallet takes in: %s", async (_name, { input, refused }) => {
  const text = written(input);
  const mdoc = (): string => {
    const [document] = (cborDecode(Buffer.from(text, "hex")) as Map<string, Map<string, unknown>[]>).get("documents") ?? [];
    return b64u(cborEncode(document?.get("issuerSigned")));
  };
  const [format, type, raw] = input.format === "mdoc" ? ["mso_mdoc", "kr.mapae.resident.1", mdoc()] : ["dc+sd-jwt", "urn:mapae:kr:resident-card:1", text];
  const them = FILE.pack.issuers.find(({ id }) => id === "them");
  const issuer = { ...them, signers: parseSigners(them?.signers) } as unknown as TrustedIssuer;
  const work = checkAll([raw ?? ""], { format, type } as unknown as Configuration, [{ jwk: HOLDER.cnf.jwk } as unknown as KeyRow], issuer, input.now * 1000);
  if (refused) await expect(work).rejects.toMatchObject({ name: "Problem" });
  else await expect(work).resolves.toHaveLength(1);
});

test("there are cases of each kind", () => {
  expect(CODES.length).toBeGreaterThan(250);
  expect(LISTED.length).toBeGreaterThan(10);
});
