/**
 * DCQL (OpenID4VP 1.0 section 6): which of our credentials answer a query, and what the holder may choose between.
 * Promises: an answer discloses what was asked and nothing else, but for what its issuer left open for everybody, which is listed with
 * it; optional sets stay unanswered until the holder says otherwise.
 * Trusts nothing in the query. Keeps nothing. Refuses: malformed queries, and what we do not hold.
 */
import type { Format } from "./formats/held.ts";
import { Problem } from "./problem.ts";

/** A claims path pointer (section 7): a member, an index, or null for every element. */
export type Path = readonly (string | number | null)[];

/** A claim its issuer left open where it stands: whoever is shown the first `under` steps of its path is shown it as well. */
export interface Open {
  readonly path: Path;
  readonly under: number;
}

export interface Holding {
  readonly order: string;
  readonly format: Format;
  /** vct or doctype */
  readonly type: string;
  /** What paths point into: the claims of an SD-JWT; of an mdoc, namespace -> element -> value. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** base64url key identifiers of the authorities in its chain */
  readonly authorities: readonly string[];
  readonly open?: readonly Open[];
}
/** One card as the answer to one query. */
export interface Pick {
  readonly query: string;
  readonly holding: Holding;
  readonly paths: readonly Path[];
}

interface ClaimQuery {
  readonly id?: string;
  readonly path: Path;
  readonly values?: readonly unknown[];
}
interface CredentialQuery {
  readonly id: string;
  readonly format: string;
  readonly type: readonly string[];
  readonly claims: readonly ClaimQuery[] | null;
  readonly claimSets: readonly (readonly string[])[] | null;
  readonly authorities: readonly string[] | null;
  readonly multiple: boolean;
  readonly bound: boolean;
}
interface CredentialSet {
  readonly options: readonly (readonly string[])[];
  readonly required: boolean;
}
export interface Query {
  readonly credentials: readonly CredentialQuery[];
  readonly sets: readonly CredentialSet[];
}

/** What can be answered: for each set the options we hold everything for, for each query the cards that fit. */
export interface Choices {
  readonly sets: readonly CredentialSet[];
  readonly fitting: ReadonlyMap<string, readonly Pick[]>;
  readonly multiple: ReadonlySet<string>;
}
/** For each set the option taken (null: an optional set left alone); for each query the cards shown. */
export interface Chosen {
  readonly options: readonly (number | null)[];
  readonly cards: ReadonlyMap<string, readonly string[]>;
}

/** No honest query is longer in any of its lists. */
const LONGEST = 64;

const bad = (detail: string): never => {
  throw new Problem("bad_query", detail);
};
const record = (value: unknown, what: string): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : bad(what);
const list = (value: unknown, what: string): unknown[] =>
  Array.isArray(value) && value.length > 0 && value.length <= LONGEST ? (value as unknown[]) : bad(`${what} is not a filled list`);
const identifier = (value: unknown): string =>
  typeof value === "string" && /^[A-Za-z0-9_-]+$/.test(value) ? value : bad("identifier");
const strings = (value: unknown, what: string): string[] =>
  list(value, what).map((item) => (typeof item === "string" ? item : bad(what)));
const flag = (value: unknown, otherwise: boolean): boolean =>
  value === undefined ? otherwise : typeof value === "boolean" ? value : bad("not true or false");
const once = (ids: readonly string[], what: string): void => {
  if (new Set(ids).size !== ids.length) bad(`${what} repeat`);
};

export function parseQuery(raw: unknown): Query {
  const query = record(raw, "dcql_query");
  const credentials = list(query["credentials"], "credentials").map(credentialQuery);
  const ids = credentials.map((credential) => credential.id);
  once(ids, "credential ids");
  const sets = query["credential_sets"];
  if (sets === undefined) return { credentials, sets: [{ options: [ids], required: true }] };
  return {
    credentials,
    sets: list(sets, "credential_sets").map((item) => {
      const set = record(item, "credential_set");
      const options = list(set["options"], "options").map((option) => strings(option, "option"));
      if (options.flat().some((id) => !ids.includes(id))) bad("a set names an unknown credential");
      return { options, required: flag(set["required"], true) };
    }),
  };
}

function credentialQuery(raw: unknown): CredentialQuery {
  const query = record(raw, "credential");
  const format = typeof query["format"] === "string" ? query["format"] : bad("format");
  const meta = record(query["meta"], "meta"); // section 6.1: meta is required
  const claims = query["claims"] === undefined ? null : list(query["claims"], "claims").map((claim) => claimQuery(claim, format));
  const claimSets = query["claim_sets"] === undefined ? null : list(query["claim_sets"], "claim_sets").map((set) => strings(set, "claim_set"));
  const named = (claims ?? []).flatMap((claim) => claim.id ?? []);
  once(named, "claim ids");
  // Sections 6.1 and 6.3: no claim_sets without claims, and every claim then has an id.
  if (claimSets && (!claims || named.length !== claims.length)) bad("claim_sets without claims that have ids");
  if (claimSets?.flat().some((id) => !named.includes(id))) bad("claim_sets names an unknown claim");
  return {
    id: identifier(query["id"]),
    format,
    type: typesOf(format, meta),
    claims,
    claimSets,
    authorities: authorities(query["trusted_authorities"]),
    multiple: flag(query["multiple"], false),
    bound: flag(query["require_cryptographic_holder_binding"], true),
  };
}

/** Formats we do not know match nothing, but do not spoil the rest of the query. */
function typesOf(format: string, meta: Record<string, unknown>): readonly string[] {
  if (format === "dc+sd-jwt") return strings(meta["vct_values"], "vct_values");
  if (format === "mso_mdoc") return strings([meta["doctype_value"]], "doctype_value");
  return [];
}

function claimQuery(raw: unknown, format: string): ClaimQuery {
  const claim = record(raw, "claim");
  const path = list(claim["path"], "path").map((step) =>
    typeof step === "string" || step === null || (Number.isSafeInteger(step) && (step as number) >= 0) ? (step as string | number | null) : bad("path"),
  );
  // Section 7.2: into an mdoc, exactly namespace and element.
  if (format === "mso_mdoc" && (path.length !== 2 || path.some((step) => typeof step !== "string"))) bad("path into an mdoc");
  const values = claim["values"] === undefined ? undefined : list(claim["values"], "values");
  if (values?.some((value) => typeof value !== "string" && typeof value !== "boolean" && !Number.isSafeInteger(value))) bad("values");
  return {
    path,
    ...(claim["id"] === undefined ? {} : { id: identifier(claim["id"]) }),
    ...(values === undefined ? {} : { values }),
  };
}

function authorities(raw: unknown): readonly string[] | null {
  if (raw === undefined) return null;
  return list(raw, "trusted_authorities").flatMap((item) => {
    const authority = record(item, "trusted_authority");
    return authority["type"] === "aki" ? strings(authority["values"], "values") : []; // other types: we cannot match them
  });
}

interface Found {
  /** Without null: the very place. */
  readonly path: Path;
  readonly value: unknown;
}

/** What a path points at (section 7.1.1); nothing where it leads nowhere. */
function follow(root: unknown, path: Path): readonly Found[] {
  let found: readonly Found[] = [{ path: [], value: root }];
  for (const step of path) {
    const into = (from: Found, at: string | number, value: unknown): Found => ({ path: [...from.path, at], value });
    if (typeof step === "string") {
      if (!found.every(({ value }) => typeof value === "object" && value !== null && !Array.isArray(value))) return [];
      found = found.filter(({ value }) => Object.hasOwn(value as object, step)).map((from) => into(from, step, (from.value as Record<string, unknown>)[step]));
    } else {
      if (!found.every(({ value }) => Array.isArray(value))) return [];
      found = found.flatMap((from) => {
        const elements = (from.value as unknown[]).map((value, at) => into(from, at, value));
        return step === null ? elements : elements.slice(step, step + 1);
      });
    }
  }
  return found;
}

export const select = (root: unknown, path: Path): unknown[] => follow(root, path).map(({ value }) => value);

/** How an item is called where it is listed: the members on the way to it; an mdoc's namespace is no part of it. */
export function itemName(path: Path, format: string): string {
  return path.slice(format === "mso_mdoc" ? 1 : 0).filter((step) => typeof step === "string").join(".");
}

/** The items of one pick, each once, with what would be shown: what was asked, and what goes along because it is open. */
export function itemsOf(pick: Pick): { name: string; value: unknown }[] {
  return [...pick.paths, ...along(pick)].map((path) => {
    const found = select(pick.holding.claims, path);
    return { name: itemName(path, pick.holding.format), value: path.includes(null) ? found : found[0] };
  });
}

/** What goes along unasked, unless it is a part of what was asked. */
function along({ paths, holding: { open = [] } }: Pick): readonly Path[] {
  const agree = (asked: Path, path: Path, steps: number): boolean =>
    path.slice(0, steps).every((step, at) => asked[at] === step || (asked[at] === null && typeof step === "number"));
  const shown = ({ path, under }: Open): boolean => under === 0 || paths.some((asked) => asked.length >= under && agree(asked, path, under));
  const asked = ({ path }: Open): boolean => paths.some((one) => one.length <= path.length && agree(one, path, one.length));
  return open.filter((one) => shown(one) && !asked(one)).map(({ path }) => path);
}

/** Every item the query could make us disclose, for the over-asking check; "*" for a credential asked for without naming any. */
export function everyName(query: Query): string[] {
  return [...new Set(query.credentials.flatMap((one) => one.claims?.map((claim) => itemName(claim.path, one.format)) ?? ["*"]))];
}

/** `among`: for each, one of these queries has to be part of the answer (a transaction's credential_ids). `may`: no other pick fits. */
export function choices(query: Query, holdings: readonly Holding[], among: readonly (readonly string[])[] = [], may: (pick: Pick) => boolean = () => true): Choices {
  const fitting = new Map(query.credentials.map((one) => [one.id, holdings.flatMap((holding) => answer(one, holding) ?? []).filter(may)]));
  const sets = query.sets.map((set): CredentialSet => {
    const held = set.options.filter((ids) => ids.every((id) => fitting.get(id)?.length));
    const bound = among.filter((ids) => set.options.some((option) => option.some((id) => ids.includes(id))));
    const options = distinct(held.filter((option) => bound.every((ids) => option.some((id) => ids.includes(id)))), fitting);
    if (options.length === 0 && (set.required || bound.length > 0)) throw new Problem("not_held");
    return { options, required: set.required || bound.length > 0 };
  });
  return { sets, fitting, multiple: new Set(query.credentials.filter((one) => one.multiple).map((one) => one.id)) };
}

/** Two options that show the same items of the same cards are one to the holder: only the format differs. */
function distinct(options: readonly (readonly string[])[], fitting: Choices["fitting"]): readonly (readonly string[])[] {
  const seen = new Set<string>();
  return options.filter((ids) => {
    const shows = ids.flatMap((id) => (fitting.get(id) ?? []).map((pick) => [pick.holding.order, ...itemsOf(pick).map(({ name }) => name).toSorted()].join("\n")));
    const key = [...new Set(shows)].toSorted().join("\n\n");
    return !seen.has(key) && seen.add(key);
  });
}

/** What the verifier prefers, with the first card that fits; optional sets are left alone: show less. */
export function firstChoice({ sets }: Choices): Chosen {
  return { options: sets.map((set) => (set.required ? 0 : null)), cards: new Map() };
}

/** What would be shown. A query nobody chose a card for is answered with the first that fits. */
export function picksOf(from: Choices, chosen: Chosen): Pick[] {
  const ids = new Set(from.sets.flatMap((set, at) => set.options[chosen.options[at] ?? -1] ?? []));
  return [...ids].flatMap((id) => {
    const fitting = from.fitting.get(id) ?? [];
    const wanted = fitting.filter((pick) => chosen.cards.get(id)?.includes(pick.holding.order));
    return wanted.length === 0 ? fitting.slice(0, 1) : from.multiple.has(id) ? wanted : wanted.slice(0, 1);
  });
}

function answer(query: CredentialQuery, holding: Holding): Pick | null {
  if (holding.format !== query.format || !query.type.includes(holding.type)) return null;
  if (query.authorities && !query.authorities.some((id) => holding.authorities.includes(id))) return null;
  const paths = pathsFor(query, holding);
  return paths && { query: query.id, holding, paths };
}

/** Section 6.4.1: no claims asked, none disclosed; the first claim set we can satisfy; otherwise all that are asked. */
function pathsFor({ claims, claimSets }: CredentialQuery, holding: Holding): readonly Path[] | null {
  if (!claims) return [];
  const sets = claimSets?.map((ids) => claims.filter((claim) => ids.includes(claim.id ?? ""))) ?? [claims];
  for (const set of sets) {
    const places = set.map((claim) => placesOf(claim, holding));
    if (places.every((found) => found.length > 0)) return unique(places.flat());
  }
  return null;
}

/** Section 6.4.1: where values are asked for, what has another value counts as not there; of an array, its elements one by one. */
function placesOf({ path, values }: ClaimQuery, holding: Holding): readonly Path[] {
  const found = follow(holding.claims, path);
  if (!values) return found.length > 0 ? [path] : [];
  const fitting = found.filter(({ value }) => values.includes(value));
  return fitting.length === found.length && fitting.length > 0 ? [path] : fitting.map((one) => one.path);
}

function unique(paths: readonly Path[]): Path[] {
  return [...new Map(paths.map((path) => [JSON.stringify(path), path])).values()];
}
