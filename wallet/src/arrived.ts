/**
 * What arrived: checked copies, and the card they make.
 * Promises: a card says only what its copies say and how its issuer wants it to look. Trusts: the formats' checks. Keeps nothing.
 * Refuses: copies that do not check, that arrived expired, or more than were asked for.
 */
import { b64u } from "./bytes.ts";
import type { Held } from "./formats/held.ts";
import { type Configuration, fetched, issuerLogo, issuerName, lookOf } from "./look.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import { entered, mustBeSignedBeforeItsEnd } from "./signers.ts";
import type { Order, Part, Pending } from "./records.ts";
import type { KeyRow } from "./store.ts";
import { anchors, type TrustedIssuer } from "./trust.ts";
import type { IssuerLine } from "./vci.ts";
import { parseCertificate } from "./x509.ts";

export const cardOf = (pending: Pending, configuration: string): string => pending.cards?.[configuration] ?? pending.order;

/** Each copy by itself: the k-th is bound to the k-th key. An issuer of null is a stranger. */
export async function checkAll(
  raw: readonly string[],
  what: Configuration,
  keys: readonly KeyRow[],
  issuer: TrustedIssuer | null,
  now: number,
): Promise<Held[]> {
  if (raw.length === 0 || raw.length > keys.length) throw new Problem("not_what_was_asked", "number of copies");
  const trusted = issuer && anchors(issuer.ca);
  const check = what.format === "dc+sd-jwt" ? (await import("./formats/sd_jwt.ts")).checkSdJwt : (await import("./formats/mdoc.ts")).checkMdoc;
  const held: Held[] = [];
  for (const [at, credential] of raw.entries()) {
    const key = keys[at];
    if (!key) throw new Problem("not_what_was_asked", "number of copies");
    const one = await check(credential, what.type, key.jwk, trusted, now);
    if (issuer?.signers) mustBeSignedBeforeItsEnd(await entered(issuer.signers, one.leaf, "document_signer", now), one.signed);
    if (one.validUntil * 1000 <= now) throw new Problem("expired", "a copy arrived expired");
    held.push(one);
  }
  const open = held.map((one) => JSON.stringify(one.open));
  if (open.some((one) => one !== open[0])) throw new Problem("not_what_was_asked", "copies that leave different things open");
  return held;
}

/** The card with this part new. A picture that is fetched is fetched now, so that showing the card later asks nobody. */
export async function cardWith(
  known: Order | null,
  pending: Pending,
  line: IssuerLine,
  what: Configuration,
  [held, copies]: readonly [Held, number],
  issuer: TrustedIssuer | null,
  net: Net,
  now: number,
): Promise<Order> {
  const anchored = issuer ? anchors(issuer.ca).flatMap((der) => parseCertificate(der).ski ?? []) : [];
  const part: Part = {
    configuration: what.id,
    format: what.format,
    type: what.type,
    namespace: Object.keys(held.spaces ?? {})[0] ?? "",
    claims: held.claims,
    ...(held.spaces ? { spaces: held.spaces } : {}),
    authorities: [...new Set([...anchored.map(b64u), ...held.signer.authorities])],
    ...(held.open ? { open: held.open } : {}),
    signer: held.signer,
    copies,
    copiesUntil: held.validUntil,
  };
  const others = known?.parts.filter((item) => item.configuration !== what.id) ?? [];
  const fresh = lookOf(line.issuer, what);
  // A configuration that says nothing about its look wears what the other format says.
  const bare = known && !hasLook(line, what.id);
  const look = bare ? { name: known.name, colors: known.colors, labels: { ...fresh.labels, ...known.labels } } : fresh;
  const { host } = new URL(pending.issuer);
  const kept = pending.renewal ? known : null;
  const logo = bare ? (known.logo ?? null) : await fetched(fresh.logo ?? issuerLogo(line.issuer), net);
  return {
    id: cardOf(pending, what.id),
    issuer: pending.issuer,
    authorizationServer: line.server,
    issuerName: issuer?.name ?? issuerName(line.issuer, host),
    stranger: issuer ? null : host,
    ...look,
    logo,
    refreshToken: pending.refresh,
    parts: [...others, part].toSorted((a, b) => a.configuration.localeCompare(b.configuration)),
    received: known?.received ?? now,
    standing: "valid",
    standingHeard: now,
    ...(kept?.statusSigner ? { statusSigner: kept.statusSigner } : {}),
    ...(kept?.unheard ? { unheard: true, standingHeard: kept.standingHeard } : {}),
  };
}

function hasLook(line: IssuerLine, id: string): boolean {
  const { credential_metadata: said } = line.issuer.credential_configurations_supported[id] as { credential_metadata?: { display?: unknown } };
  return Array.isArray(said?.display) && said.display.length > 0;
}

/** Of a document that one may hold several of: the earlier cards that say the same of whom they are about, by `items`. */
export function replacedBy(order: Order, all: readonly Order[], items: readonly string[], configuration: string): readonly Order[] {
  const about = (one: Order): string | undefined => {
    const part = one.parts.find((item) => item.configuration === configuration);
    return part && JSON.stringify(items.map((item) => part.claims[item] ?? null));
  };
  if (items.length === 0) return [];
  return all.filter((one) => one.id !== order.id && one.issuer === order.issuer && about(one) === about(order));
}
