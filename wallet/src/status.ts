/**
 * How a copy stands now, by the issuer's Token Status List.
 * Promises: the list was signed by a trusted issuer for the address the copy names. The whole list is fetched, so nobody learns which
 * copy was asked about. Trusts: the trust list. Keeps nothing (the wallet keeps the last answer). Refuses: an index out of bounds.
 */
import { getListFromStatusListJWT } from "@sd-jwt/jwt-status-list";
import type { Bytes } from "./bytes.ts";
import { openByChain } from "./jws.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";

export type Standing = "valid" | "revoked" | "suspended" | "renew";

export async function standingOf(
  status: { uri: string; idx: number },
  statusPrefix: string,
  anchors: readonly Bytes[],
  net: Net,
  now: number,
): Promise<Standing> {
  if (!status.uri.startsWith(statusPrefix)) throw new Problem("status_unknown", "not this issuer's list");
  const raw = await net.text(status.uri, "application/statuslist+jwt");
  const { claims } = await openByChain(raw, "statuslist+jwt", anchors, now);
  if (claims["sub"] !== status.uri) throw new Problem("status_unknown", "another list");
  let value: number;
  try {
    value = getListFromStatusListJWT(raw).getStatus(status.idx);
  } catch {
    throw new Problem("status_unknown", "index out of bounds");
  }
  return (["valid", "revoked", "suspended", "renew"] as const)[value] ?? "revoked";
}
