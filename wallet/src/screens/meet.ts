/**
 * A code to be asked by, online: shown until somebody reads it; then the wallet's normal question follows.
 * Promises: the time left is said in words and spoken at the end; leaving the screen ends the code. Trusts: meet.ts. Keeps: the code, while
 * it is shown. Refuses: to show a code twice.
 */
import { html, nothing, type TemplateResult } from "lit";
import { LIFE_MS, Meeting } from "../meet.ts";
import "../parts/big_code.ts";
import { asProblem, type Problem } from "../problem.ts";
import { soonOr } from "../trust.ts";
import { t } from "../words.ts";
import "../words/meet.ts";
import { heading, Screen } from "./screen.ts";

/** What means that the code is over, and not that something went wrong. */
const OVER = new Set(["not_found", "session_spent"]);

/** A relay that does not answer is no reason to keep somebody waiting at a till. */
const PATIENCE_MS = 4_000;
const silent = (thrown: unknown): null => {
  const problem = asProblem(thrown);
  if (problem.code !== "offline" && problem.code !== "unavailable") throw problem;
  return null;
};

class Meet extends Screen {
  private meeting: Meeting | null = null;
  /** One list a code: another would be another drawing. */
  private texts: readonly string[] = [];
  private over = false;
  private read = false;
  private leaving = new AbortController();

  override connectedCallback(): void {
    super.connectedCallback();
    this.leaving = new AbortController();
    void this.begin();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.leaving.abort();
    if (!this.read) void this.meeting?.stop();
  }

  private readonly begin = (): Promise<void> =>
    this.attempt(async () => {
      this.over = this.read = false;
      this.meeting = null;
      const { wallet } = this;
      const { signal } = this.leaving;
      const beginning = Meeting.begin(wallet.net, wallet.base, wallet.now());
      const meeting = await soonOr(beginning.catch(silent), null, PATIENCE_MS);
      if (!meeting) {
        // The phone believed it had a network. Nobody is asked about that: the code that needs none takes its place.
        void beginning.then((late) => late.stop()).catch(() => undefined);
        if (signal.aborted) return;
        this.host.announce(t("meet.offline"));
        return this.host.go({ name: "show" }, true);
      }
      if (signal.aborted) return meeting.stop();
      this.meeting = meeting;
      this.texts = [meeting.code];
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

  private readonly end = (): void => {
    if (this.read || this.over) return;
    this.meeting = null;
    this.over = true;
    this.host.announce(t("meet.over"));
    this.requestUpdate();
  };

  protected view(): TemplateResult {
    const { meeting } = this;
    return html`${heading(t(this.over ? "meet.over" : "meet.title"))}
      <p class="lead" role="status" data-testid="meet-state">
        ${t(this.over ? "meet.over.lead" : this.read ? "meet.read" : meeting || this.problem ? "meet.lead" : "meet.making")}
      </p>
      ${this.trouble()}
      ${meeting && !this.read
        ? html`<div data-testid="meet-code" data-code=${meeting.code}>
            <m-big-code .texts=${this.texts} .made=${meeting.ends - LIFE_MS} .life=${LIFE_MS / 1000} .opening=${"meet.spoken"} .now=${() => this.wallet.now()}
              @over=${this.end} @say=${(event: CustomEvent<string>) => this.host.announce(event.detail)}></m-big-code></div>`
        : nothing}
      <div class="actions">
        ${this.over || this.problem
          ? html`<button class="button" id="meet-again" data-testid="meet-again" ?disabled=${this.busy} @click=${this.begin}>${t("meet.again")}</button>`
          : nothing}
        <button class="button secondary" id="meet-offline" data-testid="meet-offline" @click=${() => this.host.go({ name: "show" }, true)}>${t("meet.no_network")}</button>
        <button class="button quiet" id="meet-back" data-testid="back" @click=${() => this.host.go({ name: "home" }, true)}>${t("do.back")}</button>
      </div>`;
  }
}
customElements.define("s-meet", Meet);
