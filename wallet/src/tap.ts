/**
 * A card by IC card: the session, how far it is, and following it. What the chip proves is between the card helper and the issuer; the
 * phone only watches, agrees, and receives.
 * Promises: the states are those of docs; one that is over is asked about no more; a lost network is waited out. Trusts: the issuer.
 * Keeps: nothing. Refuses: states nobody has heard of, by `malformed`.
 */
import { asProblem, Problem } from "./problem.ts";

export interface TapSession {
  readonly session: string;
  /** The address the card helper takes; the secret is in its fragment. */
  readonly link: string;
  /** Shown here and by the helper, before a PIN is asked. */
  readonly code: string;
  /** When it is over (milliseconds). */
  readonly ends: number;
  /** In the demo: where a simulated card is tapped. */
  readonly simulated: string | null;
  /** What it is for: a document's id. */
  readonly document: string;
}

export const TAP_STATES = ["waiting", "opened", "card", "proven", "face", "confirm", "offered", "done", "failed"] as const;
export type TapState = (typeof TAP_STATES)[number];
export interface Tap {
  readonly state: TapState;
  /** Of a failed one: the issuer's code, and at which of its steps. */
  readonly reason: string;
  readonly step: string;
  /** Of an offered one: the text of the offer. */
  readonly offer: string | null;
  readonly needs: readonly string[];
}

export const TAP_STEPS = ["card", "chip", "face", "confirm", "arrive"] as const;
export type TapStep = (typeof TAP_STEPS)[number];
type Mark = "done" | "now" | "later";

const bad = (what: string): never => {
  throw new Problem("malformed", what);
};
const members = (raw: unknown): Readonly<Record<string, unknown>> => (typeof raw === "object" && raw !== null ? (raw as Record<string, unknown>) : bad("not an object"));

export function parseSession(raw: unknown, document: string, now: number): TapSession {
  const { session, link, code, expires_in: seconds, simulated } = members(raw);
  if (typeof session !== "string" || session === "") return bad("session");
  if (typeof link !== "string" || !URL.canParse(link) || !/^https?:$/.test(new URL(link).protocol)) return bad("link");
  if (typeof code !== "string" || !/^\d{4}$/.test(code)) return bad("code");
  if (typeof seconds !== "number" || !(seconds > 0)) return bad("expires_in");
  const page = typeof simulated === "string" && /^https?:$/.test(URL.canParse(simulated) ? new URL(simulated).protocol : "") ? simulated : null;
  return { session, link, code, ends: now + seconds * 1000, simulated: page, document };
}

export function parseTap(raw: unknown): Tap {
  const { state, reason, step, offer, needs } = members(raw);
  const known = TAP_STATES.find((one) => one === state) ?? bad("state");
  return {
    state: known,
    reason: typeof reason === "string" ? reason : "",
    step: typeof step === "string" ? step : "",
    offer: typeof offer === "string" ? offer : null,
    needs: Array.isArray(needs) ? needs.filter((one) => typeof one === "string") : [],
  };
}

/** Where each step of the picture stands. `face`: whether this one has such a step, as far as we know. */
export function stepsOf(state: TapState, face: boolean): readonly { readonly step: TapStep; readonly mark: Mark }[] {
  const reached: Record<TapState, TapStep | null> = {
    waiting: "card", opened: "card", card: "chip", proven: face ? "face" : "confirm", face: "face", confirm: "confirm", offered: "arrive", done: null, failed: "card",
  };
  const steps = TAP_STEPS.filter((step) => face || step !== "face");
  const at = reached[state];
  const now = at === null ? steps.length : steps.indexOf(at);
  return steps.map((step, index) => ({ step, mark: index < now ? "done" : index === now ? "now" : "later" }));
}

/** Nothing comes after it. */
export const isOver = (state: TapState): boolean => state === "done" || state === "failed";

const ASK_MS = 1500;
const AGAIN_MS = 4000;
/** Not answers about the session but about the line to it. */
const PASSING = new Set(["offline", "unavailable", "too_often", "temporarily_unavailable"]);

/** Asks how the session stands until it is over or nobody wants to know any more. */
export class Follower {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private live = true;
  private asking = false;

  constructor(
    private readonly ask: () => Promise<Tap>,
    private readonly heard: (tap: Tap) => void,
    private readonly trouble: (problem: Problem) => void,
  ) {}

  /** Now, and not only when its time has come: somebody came back to the screen, or did something. */
  async look(): Promise<void> {
    if (!this.live || this.asking) return;
    clearTimeout(this.timer);
    this.asking = true;
    let wait = ASK_MS;
    try {
      const tap = await this.ask();
      if (!this.live) return;
      this.live = !isOver(tap.state);
      this.heard(tap);
    } catch (thrown) {
      const problem = asProblem(thrown);
      if (!this.live) return;
      this.live = PASSING.has(problem.code);
      wait = AGAIN_MS;
      this.trouble(problem);
    } finally {
      this.asking = false;
    }
    if (this.live) this.timer = setTimeout(() => void this.look(), wait);
  }

  stop(): void {
    this.live = false;
    clearTimeout(this.timer);
  }
}
