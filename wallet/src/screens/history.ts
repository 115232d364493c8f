/** What was shown to whom. On this phone only. */
import { html, nothing, type TemplateResult } from "lit";
import type { Shown } from "../records.ts";
import { claimLabel, claimValue, moment, money, pickWords, problemWords, t } from "../words.ts";
import { back } from "./home.ts";
import { heading, icon, Screen } from "./screen.ts";

const partyOf = (entry: Shown): string => pickWords(entry.party) || t("history.unknown");

class History extends Screen {
  private entries: readonly Shown[] | null = null;
  private sure = false;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.entries = await this.wallet.presenter.history();
    });
  }

  private readonly clear = (): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.clearHistory();
      this.sure = false;
      this.entries = [];
    });

  protected view(): TemplateResult {
    const { entries } = this;
    return html`${heading(t("history.title"))}
      <p class="lead">${t("history.lead")}</p>
      ${this.trouble()}
      ${entries?.length === 0 ? html`<p class="empty-line" data-testid="history-empty">${icon("history")}${t("history.empty")}</p>` : nothing}
      <ul class="records" data-testid="history">
        ${entries?.map((entry) => html`<li><a class="row-link" href="#/record" data-testid="record" data-result=${entry.result}
            @click=${(event: Event) => { event.preventDefault(); this.host.go({ name: "record", id: entry.id }); }}>
            <span class="row-mark ${entry.result}">${icon(entry.result === "sent" ? "ok" : entry.result === "sending" ? "history" : "no")}</span>
            <span class="row-words"><b>${partyOf(entry)}</b>
              <span>${pickWords(entry.purpose) || (entry.code ? problemWords(entry.code) : "")}</span>
              <span class="fine">${moment(entry.at)} · <span class="nowrap">${t(`history.result.${entry.result}`)}</span></span></span>
            ${icon("next")}</a></li>`)}
      </ul>
      ${entries && entries.length > 0
        ? this.sure
          ? html`<section class="panel warn" role="alertdialog" aria-labelledby="sure"><p id="sure">${t("history.clear.sure")}</p>
              <div class="actions"><button class="button danger" data-testid="clear-yes" @click=${this.clear}>${t("history.clear")}</button>
              <button class="button secondary" data-testid="clear-no" @click=${() => { this.sure = false; this.requestUpdate(); }}>${t("do.cancel")}</button></div></section>`
          : html`<button class="button quiet small" id="clear" data-testid="clear" @click=${() => { this.sure = true; this.requestUpdate(); }}>${t("history.clear")}</button>`
        : nothing}`;
  }
}

class RecordScreen extends Screen {
  private entry: Shown | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    const { id } = this.with as { id: string };
    void this.attempt(async () => {
      this.entry = (await this.wallet.presenter.history()).find((entry) => entry.id === id) ?? null;
    });
  }

  private readonly drop = (): Promise<void> =>
    this.attempt(async () => {
      if (this.entry) await this.wallet.deleteShown(this.entry.id);
      this.host.go({ name: "history" }, true);
    });

  protected view(): TemplateResult {
    const { entry } = this;
    if (!entry) return html`${back(this)}${heading(t("history.entry"))}${this.trouble()}`;
    const labels = this.wallet.orders.find((order) => order.name.ko === entry.card.ko)?.labels ?? {};
    const line = (words: string, value: string): TemplateResult | typeof nothing =>
      value ? html`<div><dt>${words}</dt><dd>${value}</dd></div>` : nothing;
    return html`${back(this)} ${heading(t("history.entry"))}
      ${this.trouble()}
      <p class="record-result ${entry.result}" data-testid="record-result" data-result=${entry.result}>
        ${icon(entry.result === "sent" ? "ok" : entry.result === "sending" ? "history" : "no")}${t(`history.result.${entry.result}`)}
      </p>
      <dl class="facts panel" data-testid="record-facts">
        ${line(t("history.who"), entry.stranger ? `${partyOf(entry)} (${t("stranger.shown")})` : partyOf(entry))} ${line(t("history.when"), moment(entry.at))}
        ${line(t("ask.purpose"), pickWords(entry.purpose))} ${line(t("ask.why"), pickWords(entry.why))}
        ${line(t("ask.legal"), pickWords(entry.legalBasis))} ${line(t("ask.retention"), pickWords(entry.retention))}
        ${line(t("ask.from"), pickWords(entry.card))}
        ${(entry.payments ?? []).map(({ payee, amount, currency, reference }) => line(t("pay.title"), [payee, money(amount, currency), reference].filter(Boolean).join(", ")))}
      </dl>
      ${entry.items.length > 0
        ? html`<section class="panel"><h2>${t("history.items")}</h2><ul class="items">
            ${entry.items.map((item) => html`<li data-testid="item-${item.name}"><span>${claimLabel(item.name, labels)}</span>
              <b>${claimValue(item.name, item.value)}</b></li>`)}</ul></section>`
        : nothing}
      ${entry.code ? html`<p class="fine">${problemWords(entry.code)} ${t("problem.code")}: <code>${entry.code}</code></p>` : nothing}
      <button class="button danger small" id="delete" data-testid="delete" ?disabled=${this.busy} @click=${this.drop}>${t("history.delete")}</button>`;
  }
}
customElements.define("s-history", History);
customElements.define("s-record", RecordScreen);
