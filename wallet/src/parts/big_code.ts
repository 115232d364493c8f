/**
 * A code held to somebody's camera: large, white, with the time it has left.
 * Promises: it is gone when its time is over, by the clock or by the time that passed, whichever comes first; the screen stays awake
 * meanwhile; the time is spoken at its start, at ten seconds and at its end, not every second. Fires `over` once, `say` with words.
 * Keeps: the drawing, while shown. With reduced motion the pictures still change, for they are the content, but more slowly.
 */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { LIFE } from "../offline_qr.ts";
import { clock, type Key, t } from "../words.ts";
import { drawing, pathOf, sequence } from "./qr_code.ts";

const FRAME_MS = 200;
const CALM_MS = 400;
const SPOKEN_S = 10;

export class BigCode extends LitElement {
  static override properties = { texts: { attribute: false }, made: { attribute: false } };
  declare texts: readonly string[];
  /** By the phone's clock, in milliseconds. */
  declare made: number;
  now: () => number = Date.now;
  life = LIFE;
  /** What is said when it appears. */
  opening: Key = "show.spoken.start";
  private paths: readonly string[] = [];
  private side = 0;
  private at = 0;
  private began = 0;
  private spoken = false;
  private over = false;
  private awake: WakeLockSentinel | null = null;
  private frames: ReturnType<typeof setInterval> | undefined;
  private seconds: ReturnType<typeof setInterval> | undefined;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  private readonly seen = (): void => {
    if (document.visibilityState === "visible") this.tick();
    if (!this.over) void this.stayAwake();
  };

  constructor() {
    super();
    this.texts = [];
    this.made = 0;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("visibilitychange", this.seen);
    void this.stayAwake();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.seen);
    this.stop();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has("texts") || this.texts.length === 0) return;
    const drawn = sequence(this.texts);
    this.paths = drawn.map(pathOf);
    this.side = drawn[0]?.length ?? 0;
    this.at = 0;
    this.began = performance.now();
    this.over = this.spoken = false;
    clearInterval(this.frames);
    clearInterval(this.seconds);
    this.seconds = setInterval(() => this.tick(), 250);
    if (this.paths.length > 1) this.frames = setInterval(() => this.turn(), this.calm ? CALM_MS : FRAME_MS);
    this.say(t(this.opening));
  }

  private turn(): void {
    this.at = (this.at + 1) % this.paths.length;
    this.requestUpdate();
  }

  /** A clock that was set back must not keep the code alive, nor one that was set forward. */
  private get left(): number {
    const byClock = this.made + this.life * 1000 - this.now();
    const passed = this.life * 1000 - (performance.now() - this.began);
    return Math.max(0, Math.min(byClock, passed) / 1000);
  }

  private tick(): void {
    const { left } = this;
    if (left <= 0) return this.end();
    if (left <= SPOKEN_S && !this.spoken) {
      this.spoken = true;
      this.say(t("show.spoken.ten"));
    }
    this.requestUpdate();
  }

  private end(): void {
    if (this.over) return;
    this.over = true;
    this.stop();
    this.paths = [];
    this.say(t("show.spoken.over"));
    this.dispatchEvent(new CustomEvent("over"));
    this.requestUpdate();
  }

  private say(words: string): void {
    this.dispatchEvent(new CustomEvent("say", { detail: words }));
  }

  private stop(): void {
    clearInterval(this.frames);
    clearInterval(this.seconds);
    void this.awake?.release().catch(() => undefined);
    this.awake = null;
  }

  /** Not every browser can; the code lives shorter than most screens. */
  private async stayAwake(): Promise<void> {
    if (this.awake && !this.awake.released) return;
    this.awake = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
    if (!this.isConnected || this.over) this.stop();
  }

  protected override render(): TemplateResult | typeof nothing {
    const count = this.paths.length;
    if (this.over || count === 0) return nothing;
    const left = Math.ceil(this.left);
    return html`<div class="big-code" data-testid="big-code" data-frames=${count} data-frame=${this.at} data-left=${left}>
      ${drawing(this.side, this.paths[this.at] ?? "", count === 1 ? t("show.on.one") : t("show.on.many", { n: count }), "code-qr")}
      <div class="big-code-time ${left <= SPOKEN_S ? "soon" : ""}" role="timer" aria-live="off">
        <svg class="big-code-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="whole" width="100" height="4"></rect><rect width=${(this.left / this.life) * 100} height="4"></rect></svg>
        <b data-testid="code-left">${t("show.seconds", { n: left })}</b>
      </div>
    </div>
    <p class="fine centre">${t("show.on.hold")} <span class="nowrap">${t("show.on.clock", { time: clock(this.now()) })}</span></p>
    ${count > 1 && this.calm ? html`<p class="fine centre">${t("show.on.still")}</p>` : nothing}`;
  }
}
customElements.define("m-big-code", BigCode);
