/**
 * A code to be asked by, online: shown until somebody reads it; then the wallet's normal question follows.
 * Promises: the time left is said in words and spoken at the end; leaving the screen ends the code. Trusts: meet.ts. Keeps: the code, while
 * it is shown. Refuses: to show a code twice.
 */
import { html, nothing, type TemplateResult } from "lit";
import { Meeting } from "../meet.ts";
import { qrCode } from "../parts/qr_code.ts";
import { asProblem, type Problem } from "../problem.ts";
import { minutes, t } from "../words.ts";
import "../words/meet.ts";
import { heading, Screen } from "./screen.ts";

/** What means that the code is over, and not that something went wrong. */
const OVER = new Set(["not_found", "session_spent"]);

class Meet extends Screen {
  private meeting: Meeting | null = null;
  private over = false;
  private read = false;
  private leaving = new AbortController();
  private timer: ReturnType<typeof setInterval> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.timer = setInterval(() => this.tick(), 1000);
    this.leaving = new AbortController();
    void this.begin();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
    this.leaving.abort();
    if (!this.read) void this.meeting?.stop();
  }

  private readonly begin = (): Promise<void> =>
    this.attempt(async () => {
      this.over = false;
      this.meeting = null;
      const { wallet } = this;
      const meeting = await Meeting.begin(wallet.net, wallet.base, wallet.now());
      if (this.leaving.signal.aborted) return meeting.stop();
      this.meeting = meeting;
      void this.listen(meeting);
    });

  private async listen(meeting: Meeting): Promise<void> {
    const { signal } = this.leaving;
    try {
      for (;;) {
        const heard = await meeting.hear(signal).catch((thrown: unknown) => this.patient(asProblem(thrown), meeting));
        if (signal.aborted || this.meeting !== meeting) return;
        if (!heard) continue;
        this.read = true;
        this.host.announce(t("meet.read"));
        const presentation = await this.wallet.relayed(heard);
        if (!signal.aborted) this.host.go({ name: "ask", with: presentation }, true);
        return;
      }
    } catch (thrown) {
      if (signal.aborted) return;
      const problem = asProblem(thrown);
      this.meeting = null;
      if (OVER.has(problem.code)) this.end();
      else this.problem = problem;
      this.requestUpdate();
    }
  }

  /** A moment without a network does not end a code that still has time. */
  private async patient(problem: Problem, meeting: Meeting): Promise<null> {
    if (problem.code !== "offline" || this.wallet.now() >= meeting.ends) throw problem;
    await new Promise((resume) => setTimeout(resume, 1000));
    return null;
  }

  private tick(): void {
    if (this.meeting && !this.read && this.wallet.now() >= this.meeting.ends) {
      this.meeting = null;
      this.end();
    }
    this.requestUpdate();
  }

  private end(): void {
    this.over = true;
    this.host.announce(t("meet.over"));
  }

  protected view(): TemplateResult {
    const { meeting } = this;
    const left = meeting ? Math.max(0, Math.ceil((meeting.ends - this.wallet.now()) / 1000)) : 0;
    return html`${heading(t(this.over ? "meet.over" : "meet.title"))}
      <p class="lead" role="status" data-testid="meet-state">
        ${t(this.over ? "meet.over.lead" : this.read ? "meet.read" : meeting || this.problem ? "meet.lead" : "meet.making")}
      </p>
      ${this.trouble()}
      ${meeting && !this.read
        ? html`<div class="centred" data-testid="meet-code" data-code=${meeting.code}>${qrCode(meeting.code, t("meet.label"))}
            <p class="fine centre" data-testid="meet-left">${t("meet.left", { time: minutes(left) })}</p></div>`
        : nothing}
      <div class="actions">
        ${this.over || this.problem
          ? html`<button class="button" id="meet-again" data-testid="meet-again" ?disabled=${this.busy} @click=${this.begin}>${t("meet.again")}</button>`
          : nothing}
        <button class="button quiet" id="meet-no-network" data-testid="meet-no-network" @click=${() => this.host.go({ name: "show" }, true)}>${t("meet.no_network")}</button>
        <button class="button secondary" id="meet-back" data-testid="back" @click=${() => this.host.go({ name: "home" }, true)}>${t("do.back")}</button>
      </div>`;
  }
}
customElements.define("s-meet", Meet);
