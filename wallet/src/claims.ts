/**
 * The claims of a card as lines a person can read, however deep a foreign issuer nests them.
 * Promises: every value is shown once, under its path; pictures are called pictures. Trusts nothing in the values. Keeps nothing.
 */
import type { Order } from "./records.ts";

export interface Line {
  /** The members on the way to it, with dots. */
  readonly name: string;
  readonly value: unknown;
}

/** What of a card an item says, for as long as that is words. */
const word = (claims: Readonly<Record<string, unknown>>, name: string): string => (typeof claims[name] === "string" ? claims[name] : "");

const LONGEST = 200;

export function linesOf(claims: Readonly<Record<string, unknown>>): Line[] {
  return Object.entries(claims).flatMap(([name, value]) => lines(name, value));
}

function lines(name: string, value: unknown): Line[] {
  if (Array.isArray(value)) {
    const flat = value.every((item) => typeof item !== "object" || item === null);
    return flat ? [{ name, value: value.map(String).join(", ") }] : value.flatMap((item) => lines(name, item));
  }
  if (typeof value === "object" && value !== null) return Object.entries(value).flatMap(([inner, one]) => lines(`${name}.${inner}`, one));
  return [{ name, value }];
}

/** Whether it is a picture rather than words: a portrait, a signature, anything as data: or in long base64. */
export function isPicture(name: string, value: unknown): boolean {
  if (typeof value !== "string") return false;
  if (/(^|\.)(portrait|picture|signature_usual_mark)$/.test(name) || value.startsWith("data:image/")) return true;
  return value.length > LONGEST && /^[A-Za-z0-9+/_=-]+$/.test(value);
}

/** The holder's name, as our cards, PIDs and driving licences write it. */
export function personName(claims: Readonly<Record<string, unknown>>): string {
  return word(claims, "name") || ["given_name", "family_name"].map((name) => word(claims, name)).filter(Boolean).join(" ");
}

export function expiryOf(claims: Readonly<Record<string, unknown>>): string | null {
  const found = ["expiry_date", "date_of_expiry"].map((name) => claims[name]).find((value) => typeof value === "string");
  return found ? (found as string).slice(0, 10) : null;
}

/**
 * Whether the holder may throw it away: one of an issuer on no list, and one that is over: revoked, expired, or without a copy that lives
 * (a ward may be somebody else's by now). One that lives belongs to the country's register as well.
 */
export function removable(order: Order, now: number): boolean {
  const expiry = expiryOf(claimsOf(order));
  const over = order.standing === "revoked" || (expiry !== null && Date.parse(`${expiry}T23:59:59`) < now);
  return order.stranger !== null || over || order.parts.every(({ copiesUntil }) => copiesUntil * 1000 <= now);
}

/**
 * What tells this card from the holder's others of the same issuer and configuration: its first item, in the issuer's order, that says
 * something else there. Numbers and dates of the paper itself tell nobody anything.
 */
export function apart(order: Order, all: readonly Order[]): string {
  const alike = all.filter((one) => one.id !== order.id && one.issuer === order.issuer && sharesConfiguration(one, order));
  const claims = claimsOf(order);
  const name = [...Object.keys(order.labels), ...Object.keys(claims)].find((item) => {
    const value = word(claims, item);
    return value !== "" && !isPicture(item, value) && !PAPER.has(item) && alike.some((one) => word(claimsOf(one), item) !== value);
  });
  return name === undefined ? "" : word(claims, name);
}

const PAPER: ReadonlySet<string> = new Set(["document_number", "issue_date", "expiry_date", "valid_until"]);

/** Claims of both formats say the same; SD-JWT first. */
export const claimsOf = (order: Order): Readonly<Record<string, unknown>> =>
  (order.parts.find((part) => part.format === "dc+sd-jwt") ?? order.parts[0])?.claims ?? {};

export const sharesConfiguration = (one: Pick<Order, "parts">, other: Pick<Order, "parts">): boolean =>
  one.parts.some(({ configuration }) => other.parts.some((part) => part.configuration === configuration));
