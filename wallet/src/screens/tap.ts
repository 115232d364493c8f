/**
 * A card by IC card: what it takes, the address for the card helper, how far it is, the holder's yes, and on to receiving.
 * Promises: the session outlives a lock and a reload; before another phone is erased the holder is told so and asked; a failure says
 * what to do, and that nothing has changed. Trusts: the issuer's word for how far it is. Keeps nothing. Refuses: the card's PIN.
 */
import { html, nothing, type TemplateResult } from "lit";
import { qrCode } from "../parts/qr_code.ts";
import { reader } from "../parts/face_parts.ts";
import { asProblem, Problem } from "../problem.ts";
import { Follower, stepsOf, type Tap, type TapSession } from "../tap.ts";
import { minutes, t } from "../words.ts";
import { failureWords } from "../words/checks.ts";
import { heading, icon, Screen, trouble } from "./screen.ts";

/** What the issuer says before any card: at home it means that there is no way but the counter. */
const TO_THE_COUNTER = new Set(["face_unavailable", "face_spent", "not_allowed", "record_photo_too_old"]);

class TapScreen extends Screen {
  private session: TapSession | null = null;
  private tap: Tap | null = null;
  private follower: Follower | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private looking = true;
  private offline = false;
  private faceSeen = false;
  private confirmed = false;
  private arriving: Promise<void> | null = null;
  private shown = "";

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("visibilitychange", this.back);
    this.timer = setInterval(() => this.requestUpdate(), 1000);
    void this.resume();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.back);
    clearInterval(this.timer);
    this.follower?.stop();
  }

  private readonly back = (): void => {
    if (document.visibilityState === "visible") void this.follower?.look();
  };

  private resume(): Promise<void> {
    return this.attempt(async () => {
      this.session = await this.wallet.proofing.tapUnderWay();
      this.faceSeen = (this.with as { faced?: boolean }).faced ?? false;
      this.looking = false;
      if (this.session) this.follow(this.session);
    });
  }

  private follow(session: TapSession): void {
    this.follower?.stop();
    this.follower = new Follower(() => this.wallet.proofing.tap(session), (tap) => this.heard(session, tap), (problem) => this.lost(problem));
    void this.follower.look();
  }

  private readonly start = (): Promise<void> =>
    this.attempt(async () => {
      const { document = "" } = this.with as { document?: string };
      this.tap = this.session = null; // the link of the one before is of no use to anybody
      this.confirmed = this.faceSeen = false;
      this.session = await this.wallet.proofing.beginTap(document);
      this.follow(this.session);
    });

  private heard(session: TapSession, tap: Tap): void {
    this.offline = false;
    this.tap = tap;
    if (tap.state === "failed") this.problem = null; // the state says why, and says it better
    this.faceSeen ||= tap.state === "face" || tap.needs.includes("face");
    if (tap.state === "face") void this.attempt(() => this.face(session));
    else if (tap.state === "confirm" && this.confirmed && !this.busy) void this.confirm(); // it was begun and is not finished
    else if (tap.state === "offered" && tap.offer) this.arriving ??= this.receive(tap.offer).catch((thrown: unknown) => {
      this.arriving = null;
      this.problem = asProblem(thrown);
    });
    else if (tap.state === "done" || tap.state === "failed") void this.wallet.proofing.forgetTap();
    const page = this.pageName;
    if (page !== this.shown) void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
    this.shown = page;
    this.requestUpdate();
  }

  private lost(problem: Problem): void {
    this.offline = problem.code === "offline";
    if (["not_found", "case_closed", "session_spent", "code_expired"].includes(problem.code)) {
      void this.wallet.proofing.forgetTap();
      this.session = null;
      this.problem = new Problem("tap_over");
    } else if (!this.offline) this.problem = problem;
    this.requestUpdate();
  }

  private async face(session: TapSession): Promise<void> {
    this.follower?.stop();
    const subject = `tap:${session.session}`;
    const standing = await this.wallet.proofing.standing(subject);
    if (!standing) throw new Problem("face_unavailable");
    this.host.go({ name: "face", with: { subject, standing } }, true);
  }

  /** On into the ordinary receiving: the holder has said yes already. */
  private async receive(offer: string): Promise<void> {
    await this.wallet.obey(); // this phone may have waited until now
    const meant = await this.wallet.understand(offer);
    if (!("offered" in meant)) throw new Problem("bad_link", "not an offer");
    const pending = await this.wallet.issuance.accept(meant.offered);
    await this.wallet.read();
    await this.wallet.proofing.forgetTap();
    this.host.go({ name: "progress", with: { pending } }, true);
  }

  private readonly confirm = (): Promise<void> =>
    this.attempt(async () => {
      if (!this.session) return;
      this.confirmed = true;
      const { session } = this;
      this.heard(session, await this.wallet.proofing.confirmTap(session));
    });

  private readonly stop = (): Promise<void> =>
    this.attempt(async () => {
      this.follower?.stop();
      if (this.session) await this.wallet.proofing.cancelTap(this.session).catch(asProblem);
      await this.wallet.proofing.forgetTap();
      this.host.go({ name: "home" }, true);
    });

  // --- what is shown ---

  private get moving(): boolean {
    return this.wallet.device?.state === "waiting";
  }

  private get pageName(): string {
    if (!this.session && !this.tap) return "start";
    const { state = "waiting" } = this.tap ?? {};
    return state === "confirm" && this.confirmed ? "confirmed" : state;
  }

  protected view(): TemplateResult {
    if (this.looking) return html`${heading(t("tap.title"))}<p class="lead" role="status">${t("app.busy")}</p>`;
    const page = this.pageName;
    return html`<div class="tap" data-testid="tap" data-state=${page}>
      ${page === "start" ? this.startView() : page === "failed" ? this.failedView() : this.underWay(page)}
    </div>`;
  }

  protected override trouble(problem: Problem | null = this.problem): TemplateResult | typeof nothing {
    if (!problem || !TO_THE_COUNTER.has(problem.code)) return super.trouble(problem);
    return html`${trouble(problem, failureWords(problem.code, ""))}
      <button class="button secondary small" data-testid="tap-to-counter" @click=${() => this.host.go({ name: "documents" }, true)}>${t("tap.to.counter")}</button>`;
  }

  private startView(): TemplateResult {
    return html`<button class="back" data-testid="back" @click=${() => this.host.go({ name: this.moving ? "home" : "documents" }, true)}>${icon("back")}<span>${t("do.back")}</span></button>
      ${heading(t("tap.title"))}
      <p class="lead">${t("tap.lead")}</p>
      ${this.trouble()}
      <section class="panel"><h2>${t("tap.need")}</h2>
        <ul class="ask-list">
          ${([["card", "card"], ["pin", "lock"], ["reader", "house"], ["face", "camera"]] as const).map(([what, mark]) => html`<li class="ask-item middle">
            <span class="ask-mark">${icon(mark)}</span><p>${t(`tap.need.${what}`)}</p></li>`)}
        </ul></section>
      ${this.moving ? html`<p class="panel warn" data-testid="tap-move">${t("tap.confirm.move")}</p>` : nothing}
      <div class="actions"><button class="button" id="tap-start" data-testid="tap-start" ?disabled=${this.busy} @click=${this.start}>${t("tap.start")}</button></div>`;
  }

  private underWay(page: string): TemplateResult {
    const left = this.session ? (this.session.ends - this.wallet.now()) / 1000 : 0;
    const words = page === "waiting" || page === "opened" || page === "card" || page === "confirmed" ? page : page === "proven" || page === "face" ? "proven" : null;
    return html`${heading(page === "confirm" ? t(this.moving ? "tap.confirm.move.title" : "tap.confirm.title") : words ? t(`tap.${words}.title`) : t("tap.confirmed.title"))}
      ${this.steps()}
      ${page === "confirm" ? nothing : html`<p class="lead" role="status">${words ? t(`tap.${words}.lead`) : t("tap.confirmed.lead")}</p>`}
      ${this.offline ? html`<p class="note" role="status">${t("tap.offline")}</p>` : nothing}
      ${this.trouble()}
      ${page === "waiting" ? this.linkView() : page === "opened" ? this.codeView() : page === "confirm" ? this.confirmView() : html`<div class="centre">${reader()}</div>`}
      ${page === "confirmed" || page === "offered" || page === "done"
        ? nothing
        : html`<p class="fine centre ${left < 60 ? "soon" : ""}" data-testid="tap-left">${t("tap.left", { time: minutes(left) })}</p>
          <button class="button ${page === "confirm" ? "secondary" : "quiet"}" id="tap-stop" data-testid="tap-stop" ?disabled=${this.busy} @click=${this.stop}>${t("tap.stop")}</button>`}`;
  }

  private steps(): TemplateResult {
    const { state } = this.tap ?? { state: "waiting" as const };
    const over = this.confirmed && state === "confirm" ? "offered" : state;
    return html`<ol class="tap-steps" aria-label=${t("tap.steps")}>
      ${stepsOf(over, this.faceSeen || ["waiting", "opened", "card"].includes(state)).map(({ step, mark }) => html`<li class=${mark} data-testid="tap-step-${step}" data-state=${mark} aria-current=${mark === "now" ? "step" : "false"}>
        <span class="tap-mark">${icon(mark === "done" ? "ok" : ({ card: "card", chip: "shield", face: "camera", confirm: "finger", arrive: "home" } as const)[step])}</span>
        <span>${t(`tap.step.${step}`)}</span>
        ${mark === "done" ? html`<span class="visually-hidden">${t("progress.done")}</span>` : nothing}</li>`)}
    </ol>`;
  }

  private codeView(): TemplateResult {
    return html`<section class="panel centred"><p class="fine">${t("tap.code")}</p>
      <p class="tap-code" data-testid="tap-code" aria-label=${[...(this.session?.code ?? "")].join(" ")}>${this.session?.code}</p>
      <p class="fine">${t("tap.code.lead")}</p></section>`;
  }

  private linkView(): TemplateResult {
    const { session } = this;
    if (!session) return html``;
    return html`${session.simulated
        ? html`<section class="panel simulated"><p>${t("tap.simulated.lead")}</p>
            <a class="button" id="tap-simulated" data-testid="tap-simulated" href=${session.simulated} target="_blank" rel="noopener">${icon("card")}${t("tap.simulated")}</a></section>`
        : nothing}
      <section class="panel centred">${qrCode(session.link, t("tap.qr"))}
        <p class="fine tap-link"><span class="visually-hidden">${t("tap.link")}: </span><code data-testid="tap-link">${session.link}</code></p>
        <button class="button quiet small" data-testid="tap-copy" @click=${this.copy}>${t("tap.copy")}</button>
        <a class="button secondary small" data-testid="tap-here" href=${session.link} target="_blank" rel="noopener">${t("tap.here")}</a>
      </section>
      ${this.codeView()}`;
  }

  private readonly copy = (): Promise<void> =>
    this.attempt(async () => {
      await navigator.clipboard?.writeText(this.session?.link ?? "").then(() => this.host.announce(t("tap.copied"))).catch(() => undefined);
    });

  private confirmView(): TemplateResult {
    return html`<section class="panel ${this.moving ? "warn" : ""}" id="tap-told">
        <p>${t(this.moving ? "tap.confirm.move" : "tap.confirm.lead")}</p></section>
      <p class="promise">${icon("bell")}<span>${t("tap.confirm.told")}</span></p>
      <div class="actions"><button class="button" id="tap-confirm" data-testid="tap-confirm" aria-describedby="tap-told" ?disabled=${this.busy} @click=${this.confirm}>
        ${t(this.moving ? "tap.confirm.move.go" : "tap.confirm.go")}</button></div>`;
  }

  private failedView(): TemplateResult {
    const { reason = "", step = "" } = this.tap ?? {};
    return html`<div class="centred">
      <span class="big-mark stop">${icon("no")}</span>
      ${heading(t("tap.failed.title"))}
      <p class="lead" role="alert" data-testid="tap-reason" data-code=${reason} data-step=${step}>${failureWords(reason, step)}</p>
      <p class="note">${t(this.confirmed ? "tap.failed.late" : "tap.failed.safe")}</p>
      <p class="fine">${t("problem.code")}: <code>${reason}</code></p>
      ${this.trouble()}
      <div class="actions">
        <button class="button" data-testid="tap-again" ?disabled=${this.busy} @click=${this.start}>${t("tap.again")}</button>
        <button class="button secondary" data-testid="tap-to-counter" @click=${() => this.host.go({ name: "documents" }, true)}>${t("tap.to.counter")}</button>
      </div></div>`;
  }
}

customElements.define("s-tap", TapScreen);
