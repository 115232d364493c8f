/**
 * DCQL (OpenID4VP 1.0 section 6): which of our credentials answer a query.
 * Promises: the chosen answer discloses what was asked and nothing else. Trusts nothing in the query. Keeps nothing.
 * Refuses: malformed queries, and what we do not hold. Claim values to match and `aki` authorities are honoured.
 */
import type { Format } from "./formats/held.ts";
import { Problem } from "./problem.ts";

export interface Holding {
  readonly order: string;
  readonly format: Format;
  /** vct or doctype */
  readonly type: string;
  /** mdoc: element -> namespace; empty for SD-JWT */
  readonly namespace: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** base64url key identifiers of the issuer's anchors */
  readonly authorities: readonly string[];
}
export interface Pick {
  readonly query: string;
  readonly holding: Holding;
  readonly names: readonly string[];
}

interface ClaimQuery {
  readonly id?: string;
  readonly path: readonly string[];
  readonly values?: readonly unknown[];
}
interface CredentialQuery {
  readonly id: string;
  readonly format: string;
  readonly type: readonly string[];
  readonly claims: readonly ClaimQuery[] | null;
  readonly claimSets: readonly (readonly string[])[] | null;
  readonly authorities: readonly string[] | null;
}
export interface Query {
  readonly credentials: readonly CredentialQuery[];
  readonly sets: readonly { readonly options: readonly (readonly string[])[]; readonly required: boolean }[];
}

const bad = (detail: string): never => {
  throw new Problem("bad_query", detail);
};
const record = (value: unknown, what: string): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : bad(what);
const list = (value: unknown, what: string): unknown[] =>
  Array.isArray(value) && value.length > 0 ? value : bad(`${what} is not a filled list`);
const identifier = (value: unknown): string =>
  typeof value === "string" && /^[A-Za-z0-9_-]+$/.test(value) ? value : bad("identifier");
const strings = (value: unknown, what: string): string[] =>
  list(value, what).map((item) => (typeof item === "string" ? item : bad(what)));

export function parseQuery(raw: unknown): Query {
  const query = record(raw, "dcql_query");
  const credentials = list(query["credentials"], "credentials").map(credentialQuery);
  const ids = credentials.map((credential) => credential.id);
  if (new Set(ids).size !== ids.length) bad("credential ids repeat");
  const sets = query["credential_sets"];
  return {
    credentials,
    sets:
      sets === undefined
        ? [{ options: [ids], required: true }]
        : list(sets, "credential_sets").map((item) => {
            const set = record(item, "credential_set");
            const options = list(set["options"], "options").map((option) => strings(option, "option"));
            if (options.flat().some((id) => !ids.includes(id))) bad("a set names an unknown credential");
            return { options, required: set["required"] !== false };
          }),
  };
}

function credentialQuery(raw: unknown): CredentialQuery {
  const query = record(raw, "credential");
  const format = typeof query["format"] === "string" ? query["format"] : bad("format");
  const meta = record(query["meta"], "meta"); // OpenID4VP 1.0: meta is mandatory
  if (query["multiple"] === true) bad("multiple is not supported");
  const type =
    format === "dc+sd-jwt"
      ? strings(meta["vct_values"], "vct_values")
      : format === "mso_mdoc"
        ? strings([meta["doctype_value"]], "doctype_value")
        : [];
  const claims = query["claims"] === undefined ? null : list(query["claims"], "claims").map(claimQuery);
  const claimSets = query["claim_sets"] === undefined ? null : list(query["claim_sets"], "claim_sets");
  return {
    id: identifier(query["id"]),
    format,
    type,
    claims,
    claimSets: claimSets ? claimSets.map((set) => strings(set, "claim_set")) : null,
    authorities: authorities(query["trusted_authorities"]),
  };
}

function claimQuery(raw: unknown): ClaimQuery {
  const claim = record(raw, "claim");
  const path = strings(claim["path"], "path");
  return {
    path,
    ...(claim["id"] === undefined ? {} : { id: identifier(claim["id"]) }),
    ...(claim["values"] === undefined ? {} : { values: list(claim["values"], "values") }),
  };
}

function authorities(raw: unknown): readonly string[] | null {
  if (raw === undefined) return null;
  return list(raw, "trusted_authorities").flatMap((item) => {
    const authority = record(item, "trusted_authority");
    return authority["type"] === "aki" ? strings(authority["values"], "values") : []; // other types: we cannot match them
  });
}

/** Every claim name the query could make us disclose, for the over-asking check. */
export function everyName(query: Query): string[] {
  return [...new Set(query.credentials.flatMap((credential) => credential.claims?.map((claim) => claim.path.at(-1) ?? "") ?? ["*"]))];
}

/** The first option of each required set that our holdings can answer. Optional sets are left unanswered: show less. */
export function choose(query: Query, holdings: readonly Holding[]): Pick[] {
  const answers = new Map(query.credentials.map((credential) => [credential.id, answer(credential, holdings)]));
  const chosen = new Map<string, Pick>();
  for (const set of query.sets) {
    if (!set.required) continue;
    const option = set.options.find((ids) => ids.every((id) => answers.get(id)));
    if (!option) throw new Problem("not_held");
    for (const id of option) {
      const found = answers.get(id);
      if (found) chosen.set(id, found);
    }
  }
  return [...chosen.values()];
}

function answer(query: CredentialQuery, holdings: readonly Holding[]): Pick | null {
  for (const holding of holdings) {
    if (holding.format !== query.format || !query.type.includes(holding.type)) continue;
    if (query.authorities && !query.authorities.some((id) => holding.authorities.includes(id))) continue;
    const names = namesFor(query, holding);
    if (names) return { query: query.id, holding, names };
  }
  return null;
}

function namesFor(query: CredentialQuery, holding: Holding): readonly string[] | null {
  if (!query.claims) return []; // OpenID4VP 1.0 section 6.4.1: no claims asked, none disclosed
  const all = query.claims;
  if (!query.claimSets) return all.every((claim) => fits(claim, holding)) ? unique(all) : null;
  for (const set of query.claimSets) {
    const wanted = set.map((id) => all.find((claim) => claim.id === id) ?? bad("claim_sets names an unknown claim"));
    if (wanted.every((claim) => fits(claim, holding))) return unique(wanted);
  }
  return null;
}

const unique = (claims: readonly ClaimQuery[]): string[] => [...new Set(claims.map((claim) => claim.path.at(-1) ?? ""))];

function fits(claim: ClaimQuery, holding: Holding): boolean {
  const mdoc = holding.format === "mso_mdoc";
  if (claim.path.length !== (mdoc ? 2 : 1)) return false; // our cards are flat
  if (mdoc && claim.path[0] !== holding.namespace) return false;
  const value = holding.claims[claim.path.at(-1) ?? ""];
  return value !== undefined && (!claim.values || claim.values.includes(value));
}
