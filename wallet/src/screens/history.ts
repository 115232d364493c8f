/**
 * Who looked at me: what was shown or refused, from this phone's own log, and what officers did, from the issuer's audit events.
 * Promises: no shop and no central record is asked; both can be read without a network, as they were heard last. Trusts: citizen.ts.
 * Keeps: nothing. Refuses: nothing.
 */
import { html, nothing, type TemplateResult } from "lit";
import { type Look, type Looks, oncePerVisit } from "../citizen.ts";
import type { Shown } from "../records.ts";
import { claimLabel, claimValue, has, moment, money, pickWords, problemWords, t } from "../words.ts";
import "../words/citizen.ts";
import { back } from "./home.ts";
import { heading, icon, Screen } from "./screen.ts";

const partyOf = (entry: Shown): string => pickWords(entry.party) || t("history.unknown");

const FILTERS = ["all", "shown", "stopped", "offices"] as const;
type Filter = (typeof FILTERS)[number];
const STOPPED = new Set<Shown["result"]>(["declined", "refused"]);

class History extends Screen {
  private entries: readonly Shown[] | null = null;
  private looks: Looks = { list: [], heard: 0 };
  private silent = false;
  private filter: Filter = "all";
  private sure = false;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private async load(): Promise<void> {
    await this.attempt(async () => {
      this.entries = await this.wallet.presenter.history();
      this.looks = await this.wallet.citizen.kept();
    });
    // What the issuer says comes when it comes: the phone's own log does not wait for it.
    const heard = await this.wallet.citizen.hear().catch(() => null);
    this.silent = heard === null;
    if (heard) this.looks = heard;
    this.requestUpdate();
  }

  private readonly clear = (): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.clearHistory();
      this.sure = false;
      this.entries = [];
    });

  private lines(): { readonly at: number; readonly line: TemplateResult }[] {
    const { filter } = this;
    const shown = (this.entries ?? []).filter(({ result }) => filter === "all" || (filter === "shown" && !STOPPED.has(result)) || (filter === "stopped" && STOPPED.has(result)));
    const looks = filter === "all" || filter === "offices" ? this.looks.list : [];
    return [
      ...shown.map((entry) => ({ at: entry.at, line: this.entry(entry) })),
      ...oncePerVisit(looks).map(({ look, times }) => ({ at: look.at * 1000, line: this.look(look, times) })),
    ].toSorted((a, b) => b.at - a.at);
  }

  private entry(entry: Shown): TemplateResult {
    return html`<li><a class="row-link" href="#/record" data-testid="record" data-result=${entry.result}
      @click=${(event: Event) => { event.preventDefault(); this.host.go({ name: "record", id: entry.id }); }}>
      <span class="row-mark ${entry.result}">${icon(entry.result === "sent" ? "ok" : entry.result === "sending" ? "history" : "no")}</span>
      <span class="row-words"><b>${partyOf(entry)}</b>
        <span>${pickWords(entry.purpose) || (entry.code ? problemWords(entry.code) : "")}</span>
        <span class="fine">${moment(entry.at)} · <span class="nowrap">${t(`history.result.${entry.result}`)}</span></span></span>
      ${icon("next")}</a></li>`;
  }

  private look({ at, act, why, office }: Look, times: number): TemplateResult {
    const said = `looks.act.${act}`;
    const because = `looks.why.${why}`;
    return html`<li class="row-link" data-testid="look" data-act=${act}>
      <span class="row-mark">${icon("people")}</span>
      <span class="row-words"><b>${office ? `${pickWords(office)} · ${t("looks.officer")}` : t("looks.institution")}</b>
        <span>${has(said) ? t(said) : t("looks.act.other")}${has(because) ? html` <span class="nowrap">(${t("looks.why", { why: t(because) })})</span>` : nothing}</span>
        <span class="fine">${moment(at * 1000)}${times > 1 ? html` · <span class="nowrap">${t("looks.times", { n: times })}</span>` : nothing}</span></span></li>`;
  }

  private filters(): TemplateResult {
    return html`<div class="segments filters" role="group" aria-label=${t("looks.filter")}>
      ${FILTERS.map((one) => html`<button class="segment" data-testid="filter-${one}" aria-pressed=${this.filter === one}
        @click=${() => { this.filter = one; this.requestUpdate(); }}>${t(`looks.filter.${one}`)}</button>`)}
    </div>`;
  }

  private whenHeard(): TemplateResult | typeof nothing {
    if (this.filter === "shown" || this.filter === "stopped") return nothing;
    return html`${this.silent ? html`<p class="fine" role="status" data-testid="looks-silent">${t("looks.silent")}</p>` : nothing}
      ${this.looks.heard > 0 ? html`<p class="fine" data-testid="looks-heard">${t("looks.heard", { when: moment(this.looks.heard) })}</p>` : nothing}`;
  }

  protected view(): TemplateResult {
    const { entries } = this;
    const lines = this.lines();
    const empty = entries?.length === 0 && this.looks.list.length === 0;
    return html`${heading(t("history.title"))}
      <p class="lead">${t("looks.lead")}</p>
      ${this.filters()}
      ${this.trouble()} ${this.whenHeard()}
      ${entries && lines.length === 0
        ? html`<p class="empty-line" data-testid="history-empty">${icon("history")}${t(empty && this.filter === "all" ? "history.empty" : "looks.none")}</p>`
        : nothing}
      <ul class="records" data-testid="history">${lines.map(({ line }) => line)}</ul>
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
    }).then(() => (this.entry?.request ? this.follow() : undefined));
  }

  private readonly follow = (): Promise<void> =>
    this.attempt(async () => {
      if (this.entry) this.entry = await this.wallet.citizen.follow(this.entry);
    });

  private readonly sendAgain = (): Promise<void> =>
    this.attempt(async () => {
      const { entry } = this;
      if (entry?.request) this.entry = await this.wallet.citizen.send(entry, entry.request.kind, entry.request.words);
    });

  private readonly report = (): Promise<void> =>
    this.attempt(async () => {
      if (this.entry) this.entry = await this.wallet.citizen.report(this.entry);
      if (this.entry?.reported) this.host.announce(t("report.done", { when: moment(this.entry.reported) }));
    });

  /** What was asked of the party, or what can be. */
  private rights(entry: Shown): TemplateResult | typeof nothing {
    if (entry.request) return html`${this.requested(entry.request)}${this.afterwards(entry)}${(entry.earlier ?? []).map((one) => this.requested(one, true))}`;
    if (!entry.who || !entry.purposeId || entry.items.length === 0) return nothing;
    const kinds = entry.result === "declined" ? (["complaint"] as const) : (["erasure", "complaint"] as const);
    return html`<section class="panel" aria-labelledby="rights"><h2 id="rights">${t("rights.title")}</h2>
      <p class="fine">${t("rights.lead")}</p>
      ${kinds.map((kind) => html`<button class="button secondary" data-testid=${kind}
        @click=${() => this.host.go({ name: "rights", id: entry.id, kind })}>${t(`rights.${kind}`)}</button>`)}</section>`;
  }

  /** Who asked to erase and was refused, or heard nothing in time, may still complain. */
  private afterwards({ id, request }: Shown): TemplateResult | typeof nothing {
    const { standing } = request ?? {};
    if (request?.kind !== "erasure" || !standing || !(standing.overdue || ["answered", "refused"].includes(standing.state))) return nothing;
    return html`<button class="button secondary" data-testid="complaint"
      @click=${() => this.host.go({ name: "rights", id, kind: "complaint" })}>${t("rights.complaint")}</button>`;
  }

  private requested({ kind, words, standing, sent }: NonNullable<Shown["request"]>, earlier = false): TemplateResult {
    const state = `rights.state.${standing?.state ?? "sending"}`;
    const outcome = `rights.outcome.${standing?.outcome ?? ""}`;
    const title = `request-${sent}`;
    return html`<section class="panel" aria-labelledby=${title} data-testid=${earlier ? "request-earlier" : "request"} data-state=${standing?.state ?? "sending"}>
      <h2 id=${title}>${t("rights.request")}: ${t(`rights.${kind}`)}</h2>
      <dl class="facts">
        <div><dt>${t("history.when")}</dt><dd>${moment(sent)}</dd></div>
        ${standing ? html`<div><dt>${t("rights.number")}</dt><dd data-testid="request-number">${standing.number}</dd></div>` : nothing}
        <div><dt>${t("rights.state")}</dt><dd data-testid="request-state">${has(state) ? t(state) : (standing?.state ?? "")}${has(outcome) ? html`<br />${t(outcome)}` : nothing}</dd></div>
        ${standing && ["received", "show_again"].includes(standing.state) ? html`<div><dt>${t("rights.due")}</dt><dd>${moment(standing.due * 1000)}</dd></div>` : nothing}
        ${standing?.reply ? html`<div><dt>${t("rights.reply")}</dt><dd class="said" data-testid="request-reply">${standing.reply}</dd></div>` : nothing}
        <div><dt>${t("rights.said")}</dt><dd class="said">${words}</dd></div>
      </dl>
      ${standing?.overdue ? html`<p class="alert-text" role="status">${t("rights.overdue")}</p>` : nothing}
      ${earlier ? nothing : html`<button class="button secondary small" data-testid="follow" ?disabled=${this.busy} @click=${standing ? this.follow : this.sendAgain}>${t(standing ? "rights.follow" : "rights.again")}</button>
      <p class="fine">${t("rights.forget")}</p>`}</section>`;
  }

  private beyond(entry: Shown): TemplateResult | typeof nothing {
    if (!entry.evidence) return nothing;
    return html`<section class="panel warn" aria-labelledby="report" data-testid="report"><h2 id="report">${t("report.title")}</h2>
      <p>${t("report.what")} ${t("report.next")}</p><p>${t("report.lead")}</p>
      ${entry.reported
        ? html`<p role="status" data-testid="reported">${t("report.done", { when: moment(entry.reported) })}</p>`
        : html`<button class="button" data-testid="report-now" ?disabled=${this.busy} @click=${this.report}>${t("report.button")}</button>`}</section>`;
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
        ? html`<section class="panel"><h2>${t(entry.result === "refused" ? "report.beyond" : "history.items")}</h2><ul class="items">
            ${entry.items.map((item) => html`<li data-testid="item-${item.name}"><span>${claimLabel(item.name, labels)}</span>
              ${entry.result === "refused" ? nothing : html`<b>${claimValue(item.name, item.value)}</b>`}</li>`)}</ul></section>`
        : nothing}
      ${entry.code ? html`<p class="fine">${problemWords(entry.code)} ${t("problem.code")}: <code>${entry.code}</code></p>` : nothing}
      ${this.beyond(entry)} ${this.rights(entry)}
      <button class="button danger small" id="delete" data-testid="delete" ?disabled=${this.busy} @click=${this.drop}>${t("history.delete")}</button>`;
  }
}
customElements.define("s-history", History);
customElements.define("s-record", RecordScreen);
