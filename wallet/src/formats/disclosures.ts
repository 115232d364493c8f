/**
 * The disclosures of an SD-JWT, put where they belong (RFC 9901 section 7.1).
 * Promises: the claims that come out are exactly those the issuer signed; the shared vectors say so. Trusts: that the signature over
 * `signed` was checked. Keeps: nothing. Refuses: a disclosure twice or that nobody signed, a digest twice, a name already there or
 * reserved, the wrong kind of disclosure, another hash, claims about the credential itself hidden in a disclosure.
 * `disclosuresFor` goes the other way: from what is to be shown to the disclosures that show it.
 */
import { b64u, sha256, text, unb64u, utf8 } from "../bytes.ts";
import type { Path } from "../dcql.ts";
import { strictValue } from "../json.ts";
import type { Claims } from "../jws.ts";
import { Problem } from "../problem.ts";

/** SD-JWT VC draft-13 section 2.2.2.2, with `aka_vcts` of later drafts: never selectively disclosable, nor what is inside. */
const IN_THE_OPEN = new Set(["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status", "_sd_alg"]);
const RESERVED = new Set(["_sd", "..."]);

interface Disclosure {
  readonly parts: readonly unknown[];
  used: boolean;
}

const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

export async function disclosed(raw: string, signed: Claims): Promise<Claims> {
  const given = raw.split("~").slice(1);
  if (given.length === 0) bad("no disclosures");
  given.pop(); // empty, or a key binding that is not ours to judge
  if ((signed["_sd_alg"] ?? "sha-256") !== "sha-256") throw new Problem("unsupported", "digest algorithm");
  if (typeof signed["vct"] !== "string") bad("no vct");
  const others = signed["aka_vcts"] ?? ["another"];
  if (!Array.isArray(others) || others.length === 0 || others.includes(signed["vct"]) || !others.every((one) => typeof one === "string")) bad("aka_vcts");
  const found = new Map<string, Disclosure>();
  for (const one of given) {
    const digest = b64u(await sha256(utf8(one)));
    if (found.has(digest)) bad("a disclosure twice");
    found.set(digest, { parts: read(one), used: false });
  }
  const claims = new Opening(found).object(signed, true);
  if ([...found.values()].some(({ used }) => !used)) throw new Problem("bad_digest", "a disclosure nobody signed");
  return claims;
}

/** The parts of one disclosure, which nobody has vouched for yet. */
export function read(raw: string): readonly unknown[] {
  let json: string;
  try {
    json = text(unb64u(raw));
  } catch {
    return bad("a disclosure that is not text");
  }
  const parts = strictValue(json);
  if (!Array.isArray(parts) || typeof parts[0] !== "string") return bad("a disclosure without salt");
  if (parts.length === 2) return parts as unknown[];
  if (parts.length !== 3 || typeof parts[1] !== "string") return bad("a disclosure without a name of its own");
  return parts as unknown[];
}

class Opening {
  private readonly seen = new Set<string>();
  /** Inside a claim that has to be in the open. */
  private open = false;

  constructor(private readonly found: Map<string, Disclosure>) {}

  object(from: Claims, top = false): Claims {
    const to: [string, unknown][] = [];
    const names = new Set<string>();
    for (const [name, inner] of Object.entries(from)) {
      if (name === "...") bad("an element in an object");
      if (name === "_sd_alg" && !top) bad("_sd_alg below the top");
      if (name === "_sd" || name === "_sd_alg") continue;
      names.add(name);
      if (top) this.open = IN_THE_OPEN.has(name);
      to.push([name, this.value(inner)]);
    }
    if (top) this.open = false;
    const digests = from["_sd"] ?? [];
    if (!Array.isArray(digests)) return bad("_sd");
    for (const digest of digests) {
      const parts = this.take(digest);
      if (!parts) continue;
      if (parts.length !== 3) bad("an element in an object");
      const [, name, inner] = parts as [string, string, unknown];
      if (RESERVED.has(name)) bad("a reserved name");
      if (names.has(name) || (top && IN_THE_OPEN.has(name))) bad("a name that is taken");
      names.add(name);
      to.push([name, this.value(inner)]);
    }
    return Object.fromEntries(to); // never by assignment: "__proto__" is a name like any other
  }

  private value(from: unknown): unknown {
    if (Array.isArray(from)) return this.array(from);
    return typeof from === "object" && from !== null ? this.object(from as Claims) : from;
  }

  private array(from: readonly unknown[]): unknown[] {
    const to: unknown[] = [];
    for (const element of from) {
      if (typeof element !== "object" || element === null || !Object.hasOwn(element, "...")) {
        to.push(this.value(element));
        continue;
      }
      if (Object.keys(element).length !== 1) bad("company of ...");
      const parts = this.take((element as Claims)["..."]);
      if (parts && parts.length !== 2) bad("a member in an array");
      if (parts) to.push(this.value(parts[1]));
    }
    return to;
  }

  private take(digest: unknown): readonly unknown[] | null {
    if (typeof digest !== "string") return bad("a digest that is not text");
    if (this.seen.has(digest)) bad("a digest twice");
    this.seen.add(digest);
    const one = this.found.get(digest);
    if (!one) return null;
    if (this.open) bad("a claim that has to be in the open");
    one.used = true;
    return one.parts;
  }
}

/** A member or element: a plain one, or one that a disclosure brings. */
export interface Child {
  readonly at: string | number;
  readonly inner: unknown;
  readonly by?: string;
}

/** How to go down into what was signed, as the disclosures given with it tell. */
export async function childrenOf(raw: string): Promise<(node: unknown) => Child[]> {
  const found = new Map<string, { raw: string; parts: readonly unknown[] }>();
  for (const one of raw.split("~").slice(1, -1)) found.set(b64u(await sha256(utf8(one))), { raw: one, parts: read(one) });
  const disclosure = (digest: unknown): { raw: string; parts: readonly unknown[] } | undefined => found.get(String(digest));
  return (node) => {
    if (typeof node !== "object" || node === null) return [];
    if (Array.isArray(node)) {
      const shown = node.flatMap((element: unknown): { inner: unknown; by?: string }[] => {
        if (typeof element !== "object" || element === null || !Object.hasOwn(element, "...")) return [{ inner: element }];
        const one = disclosure((element as Claims)["..."]);
        return one ? [{ inner: one.parts[1], by: one.raw }] : [];
      });
      return shown.map((one, at) => ({ ...one, at }));
    }
    const plain = Object.entries(node).filter(([name]) => name !== "_sd" && name !== "_sd_alg");
    const digests = (node as Claims)["_sd"];
    const hidden = (Array.isArray(digests) ? (digests as unknown[]) : []).flatMap((digest) => disclosure(digest) ?? []);
    return [...plain.map(([at, inner]) => ({ at, inner })), ...hidden.map((one) => ({ at: String(one.parts[1]), inner: one.parts[2], by: one.raw }))];
  };
}

/** The disclosures needed to show what the paths point at, and everything below it, in the order the issuer gave them. */
export async function disclosuresFor(raw: string, signed: Claims, paths: readonly Path[]): Promise<string[]> {
  const children = await childrenOf(raw);
  const wanted = new Set<string>();
  const walk = (node: unknown, path: Path): void => {
    const [step] = path;
    for (const child of children(node)) {
      if (path.length > 0 && child.at !== step && !(step === null && Array.isArray(node))) continue;
      if (child.by) wanted.add(child.by);
      walk(child.inner, path.slice(1));
    }
  };
  for (const path of paths) walk(signed, path);
  return raw.split("~").slice(1, -1).filter((one) => wanted.has(one));
}
