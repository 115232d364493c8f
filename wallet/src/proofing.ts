/**
 * The issuer's doors for proving who one is: the face check and the tap of an IC card.
 * Promises: what an answer says is checked before a screen sees it; pictures go out once and are not kept. Trusts: the issuer of our own
 * base address, which knows this wallet by its attestation. Keeps: the tap under way, sealed, so that a wallet that locked or was killed
 * goes on with it; the open line, for a minute. Refuses: answers of another shape, by `malformed`.
 */
import type { Bytes } from "./bytes.ts";
import { type Frame, writeBurst } from "./face/burst.ts";
import type { Plan } from "./face/pace.ts";
import type { Issuance } from "./issue.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import { writeOne } from "./records.ts";
import type { Store } from "./store.ts";
import { parseSession, parseTap, type Tap, type TapSession } from "./tap.ts";
import type { Vault } from "./vault.ts";
import type { IssuerLine } from "./vci.ts";
import { spoken } from "./words.ts";

export interface Model {
  readonly name: string;
  readonly version: string;
  readonly accredited: boolean;
}
export interface FaceStanding {
  readonly needs: readonly string[];
  readonly route: "face" | "officers";
  readonly triesLeft: number;
  readonly model: Model | null;
}
export interface Challenge extends Plan {
  readonly id: string;
  readonly triesLeft: number;
}
export interface FaceResult {
  readonly ok: boolean;
  readonly reason: string;
  readonly triesLeft: number;
}

const LINE_MS = 60_000;
/** Two megabytes over a slow line, and the issuer's time to look at them. */
const BURST_PATIENCE_MS = 90_000;
const TAP = "tap";

export class Proofing {
  private open: { readonly line: Promise<IssuerLine>; readonly until: number } | null = null;

  constructor(
    private readonly store: Store,
    private readonly vault: Vault,
    private readonly net: Net,
    private readonly issuance: Issuance,
    private readonly base: string,
    private readonly now: () => number,
  ) {}

  /** What still stands between an order and its card, and by which way; null where the issuer asks for nothing of the kind. */
  async standing(subject: string): Promise<FaceStanding | null> {
    const said = await this.post("/face/standing", { subject }).catch((thrown: unknown) => {
      if (thrown instanceof Problem && thrown.code === "not_found") return null;
      throw thrown;
    });
    return said === null ? null : parseStanding(said);
  }

  async challenge(subject: string): Promise<Challenge> {
    return parseChallenge(await this.post("/face/challenges", { subject }));
  }

  async answer(challenge: Challenge, frames: readonly Frame[], signal: AbortSignal): Promise<FaceResult> {
    const body = writeBurst(challenge.id, frames);
    const headers = { ...(await (await this.line()).attestationHeaders()), "Content-Type": "application/octet-stream" };
    const url = `${this.base}/issuer/face/challenges/${encodeURIComponent(challenge.id)}/burst`;
    return parseResult(await this.net.send(url, body as Bytes, headers, signal, BURST_PATIENCE_MS));
  }

  // --- the IC card ---

  async beginTap(document: string): Promise<TapSession> {
    const line = await this.line();
    // In the language of this screen: the person is told of it in the same.
    const said = await this.post("/tap/sessions", { dpop_jkt: await line.clientThumbprint(), document }, { "Accept-Language": spoken() });
    const session = parseSession(said, document, this.now());
    await writeOne(this.store, this.vault, "person", "", { ...session, id: TAP });
    return session;
  }

  /** The one under way, if any. */
  async tapUnderWay(): Promise<TapSession | null> {
    const row = await this.store.row(TAP);
    return row && this.vault.open ? this.vault.unseal<TapSession>(row).catch(() => null) : null;
  }

  async tap({ session }: TapSession): Promise<Tap> {
    return parseTap(await this.post(`/tap/sessions/${encodeURIComponent(session)}/state`, {}));
  }

  /** May be said again: what is under way already is only finished by it. */
  async confirmTap({ session }: TapSession): Promise<Tap> {
    return parseTap(await this.post(`/tap/sessions/${encodeURIComponent(session)}/confirm`, {}));
  }

  async cancelTap({ session }: TapSession): Promise<void> {
    await this.post(`/tap/sessions/${encodeURIComponent(session)}/cancel`, {});
    await this.forgetTap();
  }

  async forgetTap(): Promise<void> {
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").delete(TAP);
    });
  }

  forget(): void {
    this.open = null;
  }

  private async post(path: string, body: unknown, more: Record<string, string> = {}): Promise<unknown> {
    const attested = await (await this.line()).attestationHeaders();
    return this.net.json<unknown>("POST", `${this.base}/issuer${path}`, body, { ...attested, ...more });
  }

  /** A tap is asked about every second or two: the issuer's metadata need not be. */
  private line(): Promise<IssuerLine> {
    if (!this.open || this.open.until < this.now()) {
      this.open = { line: this.issuance.line(`${this.base}/issuer`), until: this.now() + LINE_MS };
      this.open.line.catch(() => this.forget());
    }
    return this.open.line;
  }
}

type Said = Readonly<Record<string, unknown>>;
const bad = (what: string): never => {
  throw new Problem("malformed", what);
};
const members = (raw: unknown): Said => (typeof raw === "object" && raw !== null && !Array.isArray(raw) ? (raw as Said) : bad("not an object"));
const count = (value: unknown, most: number, what: string): number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most ? (value as number) : bad(what);

function modelOf(raw: unknown): Model | null {
  if (raw === null || raw === undefined) return null;
  const { name, version, accredited } = members(raw);
  return { name: String(name ?? ""), version: String(version ?? ""), accredited: accredited === true };
}

export function parseStanding(raw: unknown): FaceStanding {
  const { needs, route, tries_left: tries, model } = members(raw);
  if (!Array.isArray(needs) || !needs.every((one) => typeof one === "string")) return bad("needs");
  return { needs, route: route === "face" ? "face" : "officers", triesLeft: count(tries ?? 0, 100, "tries_left"), model: modelOf(model) };
}

export function parseChallenge(raw: unknown): Challenge {
  const { challenge_id: id, blinks, prompts_ms: prompts, length_ms: length, tries_left: tries } = members(raw);
  if (typeof id !== "string" || id === "" || id.length > 255) return bad("challenge_id");
  const lengthMs = count(length, 15_000, "length_ms");
  if (!Array.isArray(prompts) || prompts.length > 10) return bad("prompts_ms");
  const promptsMs = prompts.map((at) => count(at, lengthMs, "prompts_ms"));
  if (promptsMs.some((at, index) => index > 0 && at <= (promptsMs[index - 1] ?? 0))) return bad("prompts_ms do not rise");
  return { id, blinks: count(blinks, 10, "blinks"), promptsMs, lengthMs, triesLeft: count(tries ?? 0, 100, "tries_left") };
}

export function parseResult(raw: unknown): FaceResult {
  const { ok, reason, tries_left: tries } = members(raw);
  if (typeof ok !== "boolean" || typeof reason !== "string") return bad("result");
  return { ok, reason, triesLeft: count(tries ?? 0, 100, "tries_left") };
}
