/** What both formats tell us about a checked credential. */
export interface Held {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Seconds since 1970. */
  readonly validUntil: number;
  readonly status?: { readonly uri: string; readonly idx: number };
}

export type Format = "dc+sd-jwt" | "mso_mdoc";
