/** Who asks, for what, which items, of which card; what is paid; the holder's yes or no; and what came of it. */
import { html, nothing, type TemplateResult } from "lit";
import { type Choices, type Chosen, firstChoice, itemsOf, type Pick, picksOf } from "../dcql.ts";
import { apart } from "../claims.ts";
import "../parts/pin_pad.ts";
import { asProblem } from "../problem.ts";
import type { Order, Shown } from "../records.ts";
import type { Question } from "../request.ts";
import type { Presentation } from "../wallet.ts";
import { claimLabel, claimValue, type Key, minutes, money, pickWords, t } from "../words.ts";
import { heading, icon, Screen } from "./screen.ts";

/** Items so private that leaving them out is worth saying. */
const PRIVATE = ["address", "resident_number"];
/** Long enough to read where the browser goes, short enough not to wait. */
const RETURN_MS = 4000;

export class Ask extends Screen {
  protected confirming = false;
  private hasPasskey = false;
  protected sent: Shown | null = null;
  private next: string | null = null;
  private declined = false;
  protected chosen: Chosen | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private leaving: ReturnType<typeof setTimeout> | undefined;

  protected get presentation(): { readonly asked: Question; readonly choices: Choices } {
    return this.with as Presentation;
  }

  /** The yes, once confirmed. Resolves to where the browser goes next. */
  protected async send(pin: string | null): Promise<{ entry: Shown; next: string | null }> {
    return this.wallet.present({ ...(this.with as Presentation), picks: this.picks }, pin);
  }

  /** The no. */
  protected async turnDown(): Promise<void> {
    await this.wallet.decline({ ...(this.with as Presentation), picks: this.picks });
  }

  private get choice(): Chosen {
    return (this.chosen ??= firstChoice(this.presentation.choices));
  }

  protected get picks(): readonly Pick[] {
    return picksOf(this.presentation.choices, this.choice);
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
    clearTimeout(this.leaving);
  }

  private show(pin: string | null): Promise<void> {
    return this.attempt(async () => {
      try {
        const { entry, next } = await this.send(pin);
        this.sent = entry;
        this.next = next;
      } catch (thrown) {
        const { code } = asProblem(thrown);
        if (code === "pin_locked" && (await this.host.retire())) return;
        if (!["wrong_pin", "passkey_failed"].includes(code)) this.confirming = false;
        throw thrown;
      }
      this.done(t(this.phrases.sent));
      // OpenID4VP 1.0 section 8.2: the browser goes where the verifier says, after it took the answer and not before.
      if (this.next) this.leaving = setTimeout(() => location.assign(this.next ?? "/wallet/"), RETURN_MS);
    });
  }

  protected refuse(): Promise<void> {
    return this.attempt(async () => {
      await this.turnDown();
      this.declined = true;
      this.done(t("declined.title"));
    });
  }

  protected done(words: string): void {
    clearInterval(this.timer);
    this.host.announce(words);
    this.requestUpdate();
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  }

  protected view(): TemplateResult {
    if (this.sent) return this.sentView();
    if (this.declined) return this.result("no", t("declined.title"), t("declined.lead"));
    return this.confirming ? this.confirmView() : this.askView();
  }

  protected sentView(): TemplateResult {
    return this.result("ok", t("sent.title"), t("sent.lead", { party: this.party }));
  }

  /** Words that differ by the way the answer goes. */
  protected get phrases(): { readonly allow: Key; readonly deny: Key; readonly confirm: Key; readonly sending: Key; readonly sent: Key } {
    const { asked } = this.presentation;
    const allow = asked.transactions.length > 0 ? "pay.allow" : asked.stranger ? "stranger.ask.go" : "ask.allow";
    return { allow, deny: "ask.deny", confirm: "ask.confirm.lead", sending: "ask.sending", sent: "sent.title" };
  }

  protected get party(): string {
    return pickWords(this.presentation.asked.party.name);
  }

  private order(pick: Pick): Order | undefined {
    return this.wallet.orders.find((item) => item.id === pick.holding.order);
  }

  private askView(): TemplateResult {
    const { asked } = this.presentation;
    const over = this.left !== null && this.left <= 0;
    const idle = over || this.busy || this.picks.length === 0;
    const paying = asked.transactions.length > 0;
    const yes = (look: string): TemplateResult => html`<button class="button ${look}" id="allow" data-testid="allow" ?disabled=${idle}
      @click=${() => { this.confirming = true; this.problem = null; this.requestUpdate(); }}>${t(this.phrases.allow)}</button>`;
    const no = (look: string): TemplateResult => html`<button class="button ${look}" id="deny" data-testid="deny" ?data-first=${asked.stranger !== null}
      aria-describedby=${asked.stranger ? "heading warning" : nothing} ?disabled=${this.busy} @click=${() => this.refuse()}>${t(this.phrases.deny)}</button>`;
    return html`${this.head()}
      ${this.trouble()}
      ${this.payments()} ${this.choicesView()} ${this.itemsView()}
      ${this.purposeView()}
      ${this.left === null ? nothing : html`<p class="fine centre" data-testid="time-left">${over ? t("ask.over") : t("ask.until", { time: minutes(this.left) })}</p>`}
      <div class="actions ${asked.stranger || paying ? "" : "sticky"}">${asked.stranger ? [no(""), yes("secondary")] : [yes(""), no("secondary")]}</div>`;
  }

  /** Who asks. */
  protected head(): TemplateResult {
    const { stranger, anyone = false } = this.presentation.asked;
    return stranger ? this.strangerView() : anyone ? this.anyoneView() : this.knownView();
  }

  /** Nobody has approved this one, and nobody needs to: a yes or a no is all it can learn. */
  private anyoneView(): TemplateResult {
    return html`${heading(t("answer.anyone.title"))}
      ${this.asker(html`${t("stranger.ask.answer")}: <b data-testid="asker-host">${this.party}</b>`)}`;
  }

  /** Registered for the purpose, or anybody: told apart by words, mark and frame, not by colour alone. */
  protected asker(called: TemplateResult): TemplateResult {
    const { anyone = false } = this.presentation.asked;
    const kind = anyone ? "anyone" : "registered";
    return html`<div class="asker ${kind}" data-testid="asker" data-kind=${kind}>
      ${icon(anyone ? "unknown" : "shield")}
      <div><b>${t(`answer.${kind}`)}</b><p>${t(`answer.${kind}.lead`)}</p>
        ${anyone ? html`<p class="asker-name" data-testid="asker-name">${called}</p>` : nothing}</div>
    </div>`;
  }

  protected purposeView(): TemplateResult | typeof nothing {
    const { purpose, anyone = false, own = false } = this.presentation.asked;
    if (!purpose) return html`<p class="note" data-testid="purpose">${t("stranger.ask.nothing")}</p>`;
    const rule = pickWords(purpose.retention);
    return html`<dl class="facts panel">
      <div><dt>${t("ask.purpose")}</dt><dd data-testid="purpose"><b>${pickWords(purpose.name)}</b>
        ${own ? html`<p class="fine" data-testid="own-purpose">${t("ask.own", { party: this.party })}</p>` : nothing}</dd></div>
      <div><dt>${t("ask.why")}</dt><dd>${pickWords(purpose.why)}</dd></div>
      <div><dt>${t("ask.legal")}</dt><dd>${pickWords(purpose.legal_basis)}</dd></div>
      <div><dt>${t("ask.retention")}</dt><dd data-testid="retention">${anyone ? t("answer.anyone.retention", { rule }) : rule}</dd></div>
    </dl>`;
  }

  private knownView(): TemplateResult {
    return html`<p class="asker-mark">${icon("shield")}</p>
      ${heading(t("ask.title", { party: this.party }))}
      ${this.late() ?? html`<p class="verified centre" data-testid="verified">${t("ask.verified")}</p>`}`;
  }

  /** The registry has been silent for longer than its list lives. */
  protected late(): TemplateResult | null {
    const { knownAt } = this.presentation.asked;
    if (knownAt === null) return null;
    const days = Math.max(1, Math.floor((this.wallet.now() / 1000 - knownAt) / 86_400));
    return html`<p class="panel warn" data-testid="known-late">${t("ask.late", { days: String(days) })}</p>`;
  }

  private strangerView(): TemplateResult {
    const { stranger } = this.presentation.asked;
    return html`<p class="asker-mark unknown">${icon("warn")}</p>
      ${heading(t("stranger.ask.title"))}
      <div class="panel warn" id="warning" data-testid="unknown-verifier">
        <p>${t("stranger.ask.lead")}</p>
        <dl class="facts">
          <div><dt>${t("stranger.ask.answer")}</dt><dd data-testid="asker-host"><b>${stranger?.host}</b></dd></div>
          <div><dt>${t("stranger.certificate")}</dt><dd data-testid="asker-certificate">${t("stranger.certificate.by", { subject: stranger?.subject ?? "", ca: stranger?.certifiedBy ?? "" })}</dd></div>
        </dl>
      </div>`;
  }

  private payments(): TemplateResult | typeof nothing {
    const { transactions } = this.presentation.asked;
    if (transactions.length === 0) return nothing;
    return html`<section class="panel pay" aria-labelledby="pay" data-testid="payment">
      <h2 id="pay">${t("pay.title")}</h2>
      ${transactions.map(({ payee, amount, currency, reference }) => html`<dl>
        <div class="pay-amount"><dt>${t("pay.amount")}</dt><dd data-testid="pay-amount">${money(amount, currency)}</dd></div>
        <div><dt>${t("pay.payee")}</dt><dd data-testid="pay-payee">${payee}</dd></div>
        ${reference === null ? nothing : html`<div><dt>${t("pay.reference")}</dt><dd>${reference}</dd></div>`}
      </dl>`)}
      <p class="fine">${t("pay.lead")}</p>
    </section>`;
  }

  /** Which option, which card, and whether to show what is asked for but not needed. */
  private choicesView(): TemplateResult[] {
    const { sets, fitting, multiple } = this.presentation.choices;
    const optional = sets.map((set, at) => ({ set, at })).filter(({ set }) => set.options.length > (set.required ? 1 : 0));
    const ids = new Set(sets.flatMap((set, at) => set.options[this.choice.options[at] ?? -1] ?? []));
    const several = [...ids].filter((id) => (fitting.get(id)?.length ?? 0) > 1);
    return [
      ...optional.map(({ set, at }) => {
        const name = `set-${at}`;
        const pickOption = (option: number | null): void => this.change({ ...this.choice, options: this.choice.options.map((old, index) => (index === at ? option : old)) });
        return html`<fieldset class="panel choose" data-testid=${name}>
          <legend>${t(set.required ? "choose.option" : "choose.more")}</legend>
          ${set.options.map((option, index) => {
            const taken = this.choice.options[at] === index;
            const words = this.optionWords(option);
            return html`<label class="choice"><input type=${set.required ? "radio" : "checkbox"} name=${name} .checked=${taken} data-testid="${name}-${index}"
              @change=${() => pickOption(!set.required && taken ? null : index)} /><span>${set.required ? words : t("choose.more.yes", { items: words })}</span></label>`;
          })}</fieldset>`;
      }),
      ...several.map((id) => {
        const all = fitting.get(id) ?? [];
        const shown = this.picks.filter((pick) => pick.query === id).map((pick) => pick.holding.order);
        const many = multiple.has(id);
        return html`<fieldset class="panel choose" data-testid="cards-${id}">
          <legend>${t(many ? "choose.cards" : "choose.card")}</legend>
          ${all.map((pick) => {
            const order = this.order(pick);
            const one = pick.holding.order;
            const cards = many ? (shown.includes(one) ? shown.filter((other) => other !== one) : [...shown, one]) : [one];
            return html`<label class="choice"><input type=${many ? "checkbox" : "radio"} name="cards-${id}" .checked=${shown.includes(one)} ?disabled=${many && shown.length === 1 && shown.includes(one)}
              @change=${() => this.change({ ...this.choice, cards: new Map([...this.choice.cards, [id, cards]]) })} />
              <span>${order ? pickWords(order.name) : ""} ${order ? html`<b>${apart(order, this.wallet.orders)}</b>` : nothing} <span class="fine">${order ? pickWords(order.issuerName) : ""}${order?.stranger ? ` · ${t("stranger.badge")}` : ""}</span></span></label>`;
          })}</fieldset>`;
      }),
    ];
  }

  private change(chosen: Chosen): void {
    this.chosen = chosen;
    this.requestUpdate();
  }

  private optionWords(ids: readonly string[]): string {
    const first = ids.flatMap((id) => this.presentation.choices.fitting.get(id)?.slice(0, 1) ?? []);
    return first.map((pick) => {
      const order = this.order(pick);
      const items = itemsOf(pick).map(({ name }) => claimLabel(name, order?.labels)).join(", ");
      return `${order ? pickWords(order.name) : ""}${items ? ` (${items})` : ""}`;
    }).join(" + ");
  }

  private itemsView(): TemplateResult {
    const items = this.picks.flatMap((pick) => itemsOf(pick).map((item) => ({ ...item, order: this.order(pick) })));
    const names = items.map(({ name }) => name);
    const only = this.presentation.asked.stranger || names.some((name) => PRIVATE.includes(name.split(".")[0] ?? "")) ? "ask.only.plain" : "ask.only";
    const orders = [...new Set(this.picks.map((pick) => this.order(pick)))];
    return html`<section class="panel" aria-labelledby="items">
        <h2 id="items">${t("ask.items")}</h2>
        <p class="fine">${t(only, { n: names.length })}</p>
        <ul class="items" data-testid="items">
          ${items.map(({ name, value, order }) => html`<li data-testid="item-${name}"><span>${claimLabel(name, order?.labels)}</span><b>${claimValue(name, value)}</b></li>`)}
        </ul>
        <p class="fine" data-testid="from">${t("ask.from")}: ${orders.map((order) => (order ? pickWords(order.name) : "")).join(", ")}</p>
      </section>`;
  }

  private confirmView(): TemplateResult {
    const { transactions } = this.presentation.asked;
    return html`<div class="centred" data-testid="confirm">
      ${heading(t("ask.confirm"))}
      ${transactions.map(({ payee, amount, currency }) => html`<p class="pay-line"><b>${money(amount, currency)}</b> ${payee}</p>`)}
      <p class="lead" role="status">${this.busy ? t(this.phrases.sending) : t(this.phrases.confirm, { party: this.party })}</p>
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
    const { sent, next } = this;
    const host = next ? new URL(next).host : "";
    return html`<div class="centred result ${mark}" data-testid="result" data-outcome=${mark === "ok" ? "sent" : "declined"}>
      <span class="result-mark">${icon(mark)}</span>
      ${heading(title)}
      ${(sent?.payments ?? []).map(({ payee, amount, currency }) => html`<p data-testid="paid"><b>${t("sent.paid", { payee, amount: money(amount, currency) })}</b></p>`)}
      <p class="lead">${next ? t("sent.going", { host }) : words}</p>
      <div class="actions">
        ${next ? html`<a class="button" data-testid="return" href=${next} rel="noreferrer">${t("sent.return", { party: host })}</a>` : nothing}
        <button class="button ${next ? "secondary" : ""}" id="done" data-testid="done" @click=${() => this.host.go({ name: "home" }, true)}>${t(next ? "sent.stay" : "do.done")}</button>
        ${sent ? html`<button class="button secondary" data-testid="see-record" @click=${() => this.host.go({ name: "record", id: sent.id }, true)}>${t("sent.record")}</button>` : nothing}
      </div>
    </div>`;
  }
}
customElements.define("s-ask", Ask);
