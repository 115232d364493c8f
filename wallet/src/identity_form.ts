/**
 * What the country asks its people to type at the identity check: how its numbers, phones and codes are written.
 * Promises: whatever the country, the screen knows how many boxes, how many digits each, and which to hide. Trusts: the register of our
 * own base address. Keeps: nothing. Refuses: a form it could not draw.
 */
import { Problem } from "./problem.ts";

/** One box: so many digits, hidden while they are typed or not. */
export interface Part {
  readonly digits: number;
  readonly hidden: boolean;
}
export interface IdentityForm {
  readonly number: { readonly layout: string; readonly parts: readonly Part[] };
  readonly phone: { readonly layout: string };
  readonly codeDigits: number;
}

const LONGEST = 40;

export function parseForm(raw: unknown): IdentityForm {
  const { number, phone, code_digits: codeDigits } = (raw ?? {}) as { number?: unknown; phone?: unknown; code_digits?: unknown };
  const { layout, shown } = (number ?? {}) as { layout?: unknown; shown?: unknown };
  const mobile = ((phone ?? {}) as { layout?: unknown }).layout;
  if (!drawable(layout) || !drawable(mobile) || !counts(shown) || !counts(codeDigits) || codeDigits < 1) {
    throw new Problem("unavailable", "the form of the identity check cannot be read");
  }
  let before = 0;
  const parts = [...layout.matchAll(/d+/g)].map(([run]) => {
    before += run.length;
    return { digits: run.length, hidden: before > shown };
  });
  return { number: { layout, parts }, phone: { layout: mobile }, codeDigits };
}

const drawable = (layout: unknown): layout is string => typeof layout === "string" && layout.length <= LONGEST && layout.includes("d");
const counts = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LONGEST;

export const onlyDigits = (typed: string): string => typed.replace(/\D/g, "");
export const digitsIn = (layout: string): number => layout.split("d").length - 1;

/** As the country writes it; null when digits are missing or too many. */
export function written(layout: string, digits: string): string | null {
  if (!/^\d+$/.test(digits) || digits.length !== digitsIn(layout)) return null;
  let at = 0;
  return layout.replace(/d/g, () => digits.charAt(at++));
}
