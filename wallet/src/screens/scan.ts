/** Scan, accept a card, watch it arrive. */
import { html, nothing, type TemplateResult } from "lit";
import type { Offered, Step } from "../issue.ts";
import "../parts/card_face.ts";
import "../parts/scanner.ts";
import { pickWords, t } from "../words.ts";
import { heading, icon, Screen } from "./screen.ts";

class Scan extends Screen {
  private denied = false;
  private ready = false;
  private reading = false;
  private pasted = "";

  private readonly code = (event: CustomEvent<string>): void => void this.open(event.detail);

  private async open(text: string): Promise<void> {
    this.reading = true;
    await this.attempt(() => this.host.open(text));
    this.reading = false;
    this.requestUpdate();
  }

  protected view(): TemplateResult {
    const halted = this.reading || this.problem !== null;
    return html`${heading(t("scan.title"))}
      <p class="lead" role="status" data-testid="scan-state">
        ${t(this.reading ? "scan.reading" : this.denied ? "scan.denied" : this.ready ? "scan.lead" : "scan.starting")}
      </p>
      ${this.trouble()}
      ${this.problem
        ? html`<div class="actions"><button class="button" id="scan-again" data-testid="scan-again" @click=${() => { this.problem = null; this.requestUpdate(); }}>${t("scan.again")}</button></div>`
        : nothing}
      ${halted || this.denied
        ? nothing
        : html`<m-scanner @code=${this.code} @ready=${() => { this.ready = true; this.requestUpdate(); }}
            @denied=${() => { this.denied = true; this.requestUpdate(); }}></m-scanner>`}
      <details class="paste" ?open=${this.denied}>
        <summary id="paste" data-testid="paste">${t("scan.paste")}</summary>
        <form class="form" @submit=${(event: Event) => { event.preventDefault(); void this.open(this.pasted); }}>
          <div class="field">
            <label for="link">${t("scan.paste.label")}</label>
            <textarea id="link" data-testid="link" rows="3" spellcheck="false" autocapitalize="off" .value=${this.pasted}
              @input=${(event: InputEvent) => { this.pasted = (event.target as HTMLTextAreaElement).value; }}></textarea>
          </div>
          <button class="button secondary" id="open-link" data-testid="open-link" type="submit" ?disabled=${this.busy}>${t("scan.paste.go")}</button>
        </form>
      </details>`;
  }
}

class Offer extends Screen {
  private get offered(): Offered {
    return this.with as Offered;
  }

  protected view(): TemplateResult {
    const { issuer, name, labels, copies } = this.offered;
    return html`${heading(t("offer.title"))}
      <section class="panel offer-card">
        <p class="offer-name" data-testid="offer-name">${pickWords(name)}</p>
        <dl class="facts">
          <div><dt>${t("offer.from")}</dt><dd><b data-testid="offer-issuer">${pickWords(issuer.name)}</b>
            <span class="verified" data-testid="verified">${icon("shield")}${t("offer.verified")}</span></dd></div>
          <div><dt>${t("offer.holds")}</dt><dd class="chips">${labels.map((label) => html`<span class="chip">${pickWords(label)}</span>`)}</dd></div>
        </dl>
      </section>
      <p class="promise">${icon("lock")}<span>${t("offer.kept", { n: copies })}</span></p>
      <div class="actions">
        <button class="button" id="accept" data-testid="accept" @click=${() => this.host.go({ name: "progress", with: { offered: this.offered } }, true)}>${t("offer.accept")}</button>
        <button class="button secondary" id="decline" data-testid="decline" @click=${() => this.host.go({ name: "home" }, true)}>${t("offer.decline")}</button>
      </div>`;
  }
}

const STEPS: readonly Step[] = ["token", "keys", "credential", "check", "store", "receipt"];

class Progress extends Screen {
  private step: Step = "token";
  private order: string | null = null;
  private pendingId: string | null = null;
  private started = false;

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.started) return;
    this.started = true;
    void this.work();
  }

  private readonly work = (): Promise<void> =>
    this.attempt(async () => {
      const { offered, pending } = this.with as { offered?: Offered; pending?: string };
      const onStep = (step: Step): void => {
        this.step = step;
        this.requestUpdate();
      };
      const id = this.pendingId ?? pending;
      if (id) {
        this.order = await this.wallet.finish(id, onStep);
      } else if (offered) {
        this.pendingId = await this.wallet.issuance.accept(offered);
        this.order = await this.wallet.finish(this.pendingId, onStep);
      }
      this.host.announce(t("progress.arrived"));
    });

  protected view(): TemplateResult {
    const order = this.wallet.orders.find((item) => item.id === this.order);
    if (order) {
      return html`<div class="arrived" data-testid="arrived">
        ${heading(t("progress.arrived"))}
        <m-card-face class="drop-in" .order=${order} .now=${() => this.wallet.now()}></m-card-face>
        <div class="actions"><button class="button" id="open-arrived" data-testid="open-arrived"
          @click=${() => this.host.go({ name: "card", order: order.id }, true)}>${t("progress.open")}</button></div>
      </div>`;
    }
    const at = STEPS.indexOf(this.step);
    const id = this.pendingId ?? (this.with as { pending?: string }).pending;
    const final = this.wallet.pending.some((item) => item.id === id && item.failed); // trying again cannot help
    return html`${heading(t("progress.title"))}
      <ol class="progress" aria-live="polite">
        ${STEPS.map((step, index) => {
          const state = index < at ? "done" : index === at ? (this.problem ? "stopped" : "now") : "later";
          return html`<li class=${state} data-testid="step-${step}" data-state=${state} aria-current=${index === at ? "step" : "false"}>
            <span class="progress-mark">${state === "done" ? icon("ok") : nothing}</span>${t(`progress.${step}`)}
            ${state === "done" ? html`<span class="visually-hidden">${t("progress.done")}</span>` : nothing}
          </li>`;
        })}
      </ol>
      ${this.trouble()}
      ${this.problem
        ? html`<div class="actions">
            ${final
              ? nothing
              : html`<button class="button" id="retry" data-testid="retry" ?disabled=${this.busy} @click=${this.work}>${t("do.retry")}</button>`}
            <button class="button ${final ? "" : "secondary"}" data-testid="later" @click=${() => this.host.go({ name: "home" }, true)}>${t(final ? "do.done" : "do.later")}</button>
          </div>`
        : html`<p class="fine centre">${t("progress.keep")}</p>`}`;
  }
}
customElements.define("s-scan", Scan);
customElements.define("s-offer", Offer);
customElements.define("s-progress", Progress);
