/**
 * The claims of a card as lines a person can read, however deep a foreign issuer nests them.
 * Promises: every value is shown once, under its path; pictures are called pictures. Trusts nothing in the values. Keeps nothing.
 */
export interface Line {
  /** The members on the way to it, with dots. */
  readonly name: string;
  readonly value: unknown;
}

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
  const word = (name: string): string => (typeof claims[name] === "string" ? claims[name] : "");
  return word("name") || [word("given_name"), word("family_name")].filter(Boolean).join(" ");
}

export function expiryOf(claims: Readonly<Record<string, unknown>>): string | null {
  const found = ["expiry_date", "date_of_expiry"].map((name) => claims[name]).find((value) => typeof value === "string");
  return found ? (found as string).slice(0, 10) : null;
}
