/** Who asks, for what, which items; the holder's yes or no; and what came of it. */
import { html, nothing, type TemplateResult } from "lit";
import "../parts/pin_pad.ts";
import { asProblem } from "../problem.ts";
import type { Shown } from "../records.ts";
import type { Presentation } from "../wallet.ts";
import { claimLabel, claimValue, minutes, pickWords, t } from "../words.ts";
import { heading, icon, Screen } from "./screen.ts";

/** Items so private that leaving them out is worth saying. */
const PRIVATE = ["address", "resident_number"];

class Ask extends Screen {
  private confirming = false;
  private hasPasskey = false;
  private sent: Shown | null = null;
  private next: string | null = null;
  private declined = false;
  private timer: ReturnType<typeof setInterval> | undefined;

  private get presentation(): Presentation {
    return this.with as Presentation;
  }

  private get left(): number | null {
    const { expires } = this.presentation.asked;
    return expires === null ? null : expires - this.wallet.now() / 1000;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.timer = setInterval(() => this.requestUpdate(), 1000);
    void this.wallet.vault.passkey().then((passkey) => {
      this.hasPasskey = passkey !== undefined;
      this.requestUpdate();
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private show(pin: string | null): Promise<void> {
    return this.attempt(async () => {
      try {
        const { entry, next } = await this.wallet.present(this.presentation, pin);
        this.sent = entry;
        this.next = next;
      } catch (thrown) {
        const { code } = asProblem(thrown);
        if (code === "pin_locked" && (await this.host.retire())) return;
        if (!["wrong_pin", "passkey_failed"].includes(code)) this.confirming = false;
        throw thrown;
      }
      this.done(t("sent.title"));
      void this.wallet.tend().catch(asProblem);
    });
  }

  private readonly refuse = (): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.decline(this.presentation);
      this.declined = true;
      this.done(t("declined.title"));
    });

  private done(words: string): void {
    clearInterval(this.timer);
    this.host.announce(words);
    this.requestUpdate();
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  }

  protected view(): TemplateResult {
    if (this.sent) return this.result("ok", t("sent.title"), t("sent.lead", { party: this.party }));
    if (this.declined) return this.result("no", t("declined.title"), t("declined.lead"));
    return this.confirming ? this.confirmView() : this.askView();
  }

  private get party(): string {
    return pickWords(this.presentation.asked.party.name);
  }

  private askView(): TemplateResult {
    const { asked, picks } = this.presentation;
    const names = picks.flatMap((pick) => pick.names);
    const over = this.left !== null && this.left <= 0;
    const order = this.wallet.orders.find((item) => item.id === picks[0]?.holding.order);
    const only = names.some((name) => PRIVATE.includes(name)) ? "ask.only.plain" : "ask.only";
    return html`<p class="asker-mark">${icon("shield")}</p>
      ${heading(t("ask.title", { party: this.party }))}
      <p class="verified centre" data-testid="verified">${t("ask.verified")}</p>
      ${this.trouble()}
      <section class="panel" aria-labelledby="items">
        <h2 id="items">${t("ask.items")}</h2>
        <p class="fine">${t(only, { n: names.length })}</p>
        <ul class="items" data-testid="items">
          ${picks.flatMap((pick) => pick.names.map((name) => html`<li data-testid="item-${name}">
            <span>${claimLabel(name, order?.labels)}</span>
            <b>${name === "portrait" ? t("claim.portrait") : claimValue(name, pick.holding.claims[name])}</b></li>`))}
        </ul>
      </section>
      <dl class="facts panel">
        <div><dt>${t("ask.purpose")}</dt><dd data-testid="purpose"><b>${pickWords(asked.purpose.name)}</b></dd></div>
        <div><dt>${t("ask.why")}</dt><dd>${pickWords(asked.purpose.why)}</dd></div>
        <div><dt>${t("ask.legal")}</dt><dd>${pickWords(asked.purpose.legal_basis)}</dd></div>
        <div><dt>${t("ask.retention")}</dt><dd data-testid="retention">${pickWords(asked.purpose.retention)}</dd></div>
        ${order ? html`<div><dt>${t("ask.from")}</dt><dd>${pickWords(order.name)}</dd></div>` : nothing}
      </dl>
      ${this.left === null ? nothing : html`<p class="fine centre" data-testid="time-left">${over ? t("ask.over") : t("ask.until", { time: minutes(this.left) })}</p>`}
      <div class="actions sticky">
        <button class="button" id="allow" data-testid="allow" ?disabled=${over || this.busy} @click=${() => { this.confirming = true; this.problem = null; this.requestUpdate(); }}>${t("ask.allow")}</button>
        <button class="button secondary" id="deny" data-testid="deny" ?disabled=${this.busy} @click=${this.refuse}>${t("ask.deny")}</button>
      </div>`;
  }

  private confirmView(): TemplateResult {
    return html`<div class="centred" data-testid="confirm">
      ${heading(t("ask.confirm"))}
      <p class="lead" role="status">${this.busy ? t("ask.sending") : t("ask.confirm.lead", { party: this.party })}</p>
      ${this.trouble()}
      <m-pin-pad .locked=${this.busy} @pin=${(event: CustomEvent<string>) => this.show(event.detail)}></m-pin-pad>
      <div class="actions">
        ${this.hasPasskey
          ? html`<button class="button secondary" id="confirm-passkey" data-testid="confirm-passkey" ?disabled=${this.busy} @click=${() => this.show(null)}>${icon("finger")}${t("ask.passkey")}</button>`
          : nothing}
        <button class="button quiet" data-testid="cancel" ?disabled=${this.busy} @click=${() => { this.confirming = false; this.problem = null; this.requestUpdate(); }}>${t("do.cancel")}</button>
      </div>
    </div>`;
  }

  private result(mark: "ok" | "no", title: string, words: string): TemplateResult {
    const { sent } = this;
    return html`<div class="centred result ${mark}" data-testid="result" data-outcome=${mark === "ok" ? "sent" : "declined"}>
      <span class="result-mark">${icon(mark)}</span>
      ${heading(title)}
      <p class="lead">${words}</p>
      <div class="actions">
        ${this.next
          ? html`<a class="button" data-testid="return" href=${this.next} rel="noreferrer">${t("sent.return", { party: this.party })}</a>`
          : nothing}
        <button class="button ${this.next ? "secondary" : ""}" id="done" data-testid="done" @click=${() => this.host.go({ name: "home" }, true)}>${t("do.done")}</button>
        ${sent ? html`<button class="button secondary" data-testid="see-record" @click=${() => this.host.go({ name: "record", id: sent.id }, true)}>${t("sent.record")}</button>` : nothing}
      </div>
    </div>`;
  }
}
customElements.define("s-ask", Ask);
