/**
 * What the wallet refuses, and by which stable code.
 * Promises: every failure a person can meet is one `Problem`; the screen turns its code into words and prints the code.
 * Keeps: the code, a plain detail without personal data, and small facts (tries left). Refuses: nothing.
 */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly detail = "",
    readonly facts: Readonly<Record<string, unknown>> = {},
  ) {
    super(detail ? `${code}: ${detail}` : code);
    this.name = "Problem";
  }
}

/** Anything thrown, as a Problem: what we did not foresee is our own bug and says so. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  console.error(thrown);
  return new Problem("wallet_fault", thrown instanceof Error ? thrown.message : String(thrown));
}
