/**
 * JSON that can be read in one way only.
 * Promises: in what comes out no member came twice, whatever the escapes (RFC 8259 section 4, RFC 7515 section 4).
 * Trusts: JSON.parse for everything else. Keeps: nothing. Refuses: repeated members, lone surrogates, depth over 16, from `strictJson` all but objects.
 */
import { Problem } from "./problem.ts";

const DEPTH = 16;

export function strictJson(raw: string): Record<string, unknown> {
  const value = strictValue(raw);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Problem("malformed", "not an object");
  return value as Record<string, unknown>;
}

export function strictValue(raw: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    throw new Problem("malformed", "not JSON");
  }
  oneReading(raw);
  return value;
}

/** Over text that JSON.parse accepted, so only strings and brackets matter. */
function oneReading(raw: string): void {
  const open: (Set<string> | null)[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]]/gs;
  for (let found = tokens.exec(raw); found; found = tokens.exec(raw)) {
    const [token] = found;
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : null);
      if (open.length > DEPTH) throw new Problem("too_large", "JSON too deep");
    } else if (token === "}" || token === "]") open.pop();
    else {
      const word = JSON.parse(token) as string;
      if (/\p{Surrogate}/u.test(word)) throw new Problem("malformed", "half a surrogate pair");
      if (!/^\s*:/.test(raw.slice(tokens.lastIndex, tokens.lastIndex + 64))) continue;
      const names = open.at(-1);
      if (names?.has(word)) throw new Problem("malformed", "a member twice");
      names?.add(word);
    }
  }
}
