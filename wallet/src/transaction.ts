/**
 * What the holder is asked to authorise besides showing a card (OpenID4VP 1.0 sections 5.1, 8.4 and B.3.3).
 * Promises: what comes out can be shown in full: there is no member the screen leaves out. Trusts nothing. Keeps nothing.
 * Refuses: types it does not know, members it does not know, and what no credential of the query can carry; all as
 * `invalid_transaction_data`.
 */
import { b64u, sha256, text, unb64u, utf8 } from "./bytes.ts";
import type { Query } from "./dcql.ts";
import { strictJson } from "./json.ts";
import { Problem } from "./problem.ts";

export const PAYMENT = "urn:mapae:transaction:payment:1";

export interface Payment {
  /** As it came: the hash is over these characters. */
  readonly raw: string;
  readonly credentialIds: readonly string[];
  readonly payee: string;
  /** A decimal number, as written. */
  readonly amount: string;
  readonly currency: string;
  readonly reference: string | null;
  /** Whether the request named the hash algorithm, so that the answer has to as well. */
  readonly namesHash: boolean;
}

const MEMBERS = new Set(["type", "credential_ids", "transaction_data_hashes_alg", "payee", "amount", "currency", "reference"]);
const bad = (detail: string): never => {
  throw new Problem("invalid_transaction_data", detail);
};

export function parseTransactions(raw: unknown, query: Query): Payment[] {
  if (raw === undefined) return [];
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > 8) return bad("not a filled list");
  return raw.map((one) => payment(one, query));
}

function payment(raw: unknown, query: Query): Payment {
  if (typeof raw !== "string" || raw.length > 8192) return bad("not base64url");
  let said: Record<string, unknown>;
  try {
    said = strictJson(text(unb64u(raw)));
  } catch {
    return bad("not a JSON object");
  }
  if (said["type"] !== PAYMENT) return bad("unknown type");
  if (Object.keys(said).some((name) => !MEMBERS.has(name))) return bad("unknown member");
  const algorithms = said["transaction_data_hashes_alg"];
  if (algorithms !== undefined && !(Array.isArray(algorithms) && algorithms.includes("sha-256"))) return bad("no hash algorithm of ours");
  return {
    raw,
    credentialIds: carriers(said["credential_ids"], query),
    payee: line(said["payee"], "payee"),
    amount: shaped(said["amount"], /^(0|[1-9]\d{0,14})(\.\d{1,4})?$/, "amount"),
    currency: shaped(said["currency"], /^[A-Z]{3}$/, "currency"),
    reference: said["reference"] === undefined ? null : line(said["reference"], "reference"),
    namesHash: algorithms !== undefined,
  };
}

/** The named credentials that can carry it: B.3.3 asks for an SD-JWT VC with holder binding. */
function carriers(raw: unknown, query: Query): readonly string[] {
  if (!Array.isArray(raw) || raw.length === 0) return bad("credential_ids");
  const named = raw.map((id) => query.credentials.find((one) => one.id === id) ?? bad("credential_ids names an unknown credential"));
  if (named.some((one) => !one.bound)) return bad("holder binding switched off");
  const able = named.filter((one) => one.format === "dc+sd-jwt").map((one) => one.id);
  return able.length > 0 ? able : bad("no credential that can carry it");
}

const shaped = (value: unknown, shape: RegExp, what: string): string => (typeof value === "string" && shape.test(value) ? value : bad(what));

/** One line of print: nothing in it may hide or turn round what stands beside it. */
const line = (value: unknown, what: string): string => shaped(value, /^(?! )[^\p{C}\p{Zl}\p{Zp}]{1,140}(?<! )$/u, what);

/** What the key binding JWT says of the transactions one presentation carries (B.3.3.1). */
export async function transactionHashes(carried: readonly Payment[]): Promise<Record<string, unknown>> {
  if (carried.length === 0) return {};
  const hashes = await Promise.all(carried.map(async ({ raw }) => b64u(await sha256(utf8(raw)))));
  return { transaction_data_hashes: hashes, ...(carried.some(({ namesHash }) => namesHash) ? { transaction_data_hashes_alg: "sha-256" } : {}) };
}
