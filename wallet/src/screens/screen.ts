/**
 * What every screen is made of.
 * Promises: one heading that takes the focus, errors as an alert with words and the stable code, a busy state that is spoken.
 * Keeps: nothing. Refuses: to run two deeds of one screen at once.
 */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { asProblem, Problem } from "../problem.ts";
import type { Wallet } from "../wallet.ts";
import { problemWords, t } from "../words.ts";

export type Route =
  | { readonly name: "welcome" | "identity" | "pin" | "passkey" | "unlock" | "home" | "documents" | "scan" | "show" | "meet" }
  | { readonly name: "history" | "settings" | "change-pin" | "add-passkey" }
  | { readonly name: "card"; readonly order: string }
  | { readonly name: "record"; readonly id: string }
  | { readonly name: "rights"; readonly id: string; readonly kind: "erasure" | "complaint" }
  | { readonly name: "offer" | "ask" | "answer" | "progress" | "blocked" | "face" | "tap"; readonly with: unknown };

export interface Host {
  readonly wallet: Wallet;
  /** Words the person should not suggest as a PIN (phone, birth digits), from this session's identity check only. */
  avoid: string[];
  go(route: Route, replace?: boolean): void;
  announce(words: string): void;
  open(text: string): Promise<void>;
  speak(language: "ko" | "en"): Promise<void>;
  afterUnlock(): Promise<void>;
  retire(): Promise<boolean>;
}

export abstract class Screen extends LitElement {
  host!: Host;
  with: unknown;
  protected problem: Problem | null = null;
  protected busy = false;
  private readonly again = (): void => this.requestUpdate();

  protected override createRenderRoot(): HTMLElement {
    return this; // light DOM: labels, headings and styles work across the page
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.host.wallet.addEventListener("change", this.again);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.host.wallet.removeEventListener("change", this.again);
  }

  protected get wallet(): Wallet {
    return this.host.wallet;
  }

  protected abstract view(): TemplateResult;

  protected override render(): TemplateResult {
    return html`<div class="screen" data-testid="screen-${this.localName.slice(2)}" aria-busy=${this.busy}>${this.view()}</div>`;
  }

  /** Runs one deed; its problem is shown on this screen. */
  protected async attempt(work: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.problem = null;
    this.requestUpdate();
    try {
      await work();
    } catch (thrown) {
      this.problem = asProblem(thrown);
    } finally {
      this.busy = false;
      this.requestUpdate();
    }
  }

  protected trouble(problem: Problem | null = this.problem): TemplateResult | typeof nothing {
    return problem ? trouble(problem) : nothing;
  }
}

/** No answer from somebody else's server, while there is a network, may also be a server that lets no browser read its answers. */
function codeOf({ code, detail }: Problem): string {
  return code === "offline" && navigator.onLine && detail !== "" && detail !== location.host ? "unreachable" : code;
}

/** `said`: where the screen knows better what it means. */
export function trouble(problem: Problem, said: string = problemWords(codeOf(problem))): TemplateResult {
  const left = triesLeft(problem);
  return html`<div class="alert" role="alert" id="problem" data-testid="problem" data-code=${problem.code} data-detail=${problem.detail}>
    ${icon("warn")}
    <div>
      <p class="alert-text">
        ${said}
        ${typeof problem.facts["evidence"] === "string" ? html`<span data-testid="report-hint">${t("problem.report")}</span>` : nothing}
        ${left === null ? nothing : problem.code === "wrong_pin" ? t("pin.tries", { n: left }) : t("code.tries", { n: left })}
      </p>
      <p class="fine">${t("problem.code")}: <code data-testid="problem-code">${problem.code}</code></p>
    </div>
  </div>`;
}

/** Servers say it as a member or in the detail; both count. */
export function triesLeft(problem: Problem): number | null {
  const fact = problem.facts["tries_left"];
  if (typeof fact === "number") return fact > 0 ? fact : null;
  const said = /tries left: (\d+)/.exec(problem.detail)?.[1];
  return said === undefined ? null : Number(said);
}

export const heading = (words: string): TemplateResult => html`<h1 tabindex="-1" id="heading">${words}</h1>`;

const PATHS = {
  home: "M3 6.5A2.5 2.5 0 0 1 5.5 4h13A2.5 2.5 0 0 1 21 6.5v11a2.5 2.5 0 0 1-2.5 2.5h-13A2.5 2.5 0 0 1 3 17.5zM3 9h18M7 15h4",
  scan: "M4 8V5.5A1.5 1.5 0 0 1 5.5 4H8M16 4h2.5A1.5 1.5 0 0 1 20 5.5V8M20 16v2.5a1.5 1.5 0 0 1-1.5 1.5H16M8 20H5.5A1.5 1.5 0 0 1 4 18.5V16M4 12h16",
  history: "M12 21a9 9 0 1 0-8.5-6M3.5 9.5V15H9M12 7v5l3.5 2",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8v4.4M9 14.8v4.4",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  camera: "M4 8.5A1.5 1.5 0 0 1 5.5 7h2l1.5-2h6l1.5 2h2A1.5 1.5 0 0 1 20 8.5v9a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5zM12 16a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4z",
  bell: "M6 16v-5a6 6 0 1 1 12 0v5l1.5 2h-15zM10 20.5h4",
  lock: "M6.5 11h11a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1zM8.5 11V8a3.5 3.5 0 1 1 7 0v3",
  warn: "M12 8v5M12 16.2v.3M12 3.2l9.3 16.3a.6.6 0 0 1-.5.9H3.2a.6.6 0 0 1-.5-.9z",
  ok: "M5 12.5l4.5 4.5L19 7.5",
  no: "M6 6l12 12M18 6L6 18",
  shield: "M12 3l7.5 3v5.5c0 4.6-3.2 8-7.5 9.5-4.3-1.5-7.5-4.9-7.5-9.5V6zM8.5 12l2.5 2.5 4.5-4.8",
  finger: "M7 18c1-2 1.2-4 1.2-6a3.8 3.8 0 0 1 7.6 0c0 3-.3 5.500-1.300 8M12 12c0 3.500-.6 6-1.800 8.500M4.800 14.500c.4-1.500.400-2 .400-3A6.800 6.800 0 0 1 12 4.700a6.800 6.800 0 0 1 6.800 6.800c0 2-.1 3.500-.4 5",
  pin: "M12 21s6.500-6.200 6.500-11a6.500 6.500 0 1 0-13 0c0 4.800 6.500 11 6.500 11zM12 12.300a2.300 2.300 0 1 0 0-4.600 2.300 2.300 0 0 0 0 4.600z",
  bag: "M5 8h14l-1 12H6zM9 8V7a3 3 0 0 1 6 0v1",
  people: "M8.500 11a3.300 3.300 0 1 0 0-6.600 3.300 3.300 0 0 0 0 6.600zM2.500 19.500a6 6 0 0 1 12 0M15.500 11a2.800 2.800 0 1 0-1.200-5.300M17 14a5 5 0 0 1 4.500 5.500",
  card: "M5 5.500h14A1.500 1.500 0 0 1 20.500 7v10a1.500 1.500 0 0 1-1.500 1.500H5A1.500 1.500 0 0 1 3.500 17V7A1.500 1.500 0 0 1 5 5.500zM6.500 10h4.500v4H6.500zM14 10h4M14 13h3",
  code: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2.5v2.5M20 14v3M14 20h2.500M18.500 20H20",
  unknown: "M9.300 9.400a2.800 2.800 0 1 1 4 2.600c-.9.400-1.300 1-1.300 1.900M12 16.900v.2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
  house: "M3.500 11L12 4l8.500 7M6 9.500V20h12V9.500M10 20v-5.500h4V20",
  phone: "M8 3h8a1.500 1.500 0 0 1 1.500 1.500v15A1.500 1.500 0 0 1 16 21H8a1.500 1.500 0 0 1-1.500-1.500v-15A1.500 1.500 0 0 1 8 3zM11 18h2",
} as const;

export function icon(name: keyof typeof PATHS): TemplateResult {
  return html`<svg class="icon icon-${name}" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[name]}></path></svg>`;
}
