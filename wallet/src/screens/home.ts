/** My cards, one card, and the documents one could get. */
import { html, nothing, type TemplateResult } from "lit";
import "../parts/card_face.ts";
import { faceOf } from "../parts/card_face.ts";
import { officer, reader } from "../parts/face_parts.ts";
import { noticeWords } from "../notices.ts";
import { apart, claimsOf, isPicture, linesOf, removable } from "../claims.ts";
import { deferredUntil, waitsFor } from "../offer.ts";
import { shownAgain } from "../present.ts";
import { asProblem } from "../problem.ts";
import type { DocumentOffer, Order, Pending } from "../records.ts";
import { wordsOf } from "../trust.ts";
import { claimLabel, claimValue, type Key, maskNumber, moment, pickWords, problemWords, spoken, t } from "../words.ts";
import { heading, icon, type Route, Screen } from "./screen.ts";

/** The holder is not asked whether there is a network: the wallet knows. With one the shop asks first; without, the holder chooses. */
const codeRoute = (): Route => ({ name: navigator.onLine ? "meet" : "show" });

class Home extends Screen {
  /** The issuance about to be given up, once the holder is sure. */
  private dropping = "";
  /** The document this phone could move here with by IC card, once the issuer has said so. */
  private byChip = "";

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.wallet.device?.state === "waiting") void this.wallet.documents().then(({ list }) => {
      this.byChip = list.find(byChip)?.id ?? "";
      this.requestUpdate();
    }).catch(asProblem);
  }

  protected view(): TemplateResult {
    const { orders, pending, device } = this.wallet;
    return html`${heading(t("home.title"))}
      ${this.trouble()}
      ${device?.state === "waiting"
        ? html`<section class="panel warn" data-testid="waiting"><h2>${t("home.waiting")}</h2><p>${t("home.waiting.lead")}</p>
            ${this.byChip ? html`<p>${t("home.waiting.tap.lead")}</p>
              <button class="button secondary small" id="move-by-card" data-testid="move-by-card" @click=${() => this.host.go({ name: "tap", with: { document: this.byChip } })}>${icon("card")}${t("home.waiting.tap")}</button>` : nothing}</section>`
        : nothing}
      ${this.wallet.notices.map((notice) => {
        const { title, lead } = noticeWords(notice, spoken());
        return html`<section class="panel warn" data-testid="notice" data-kind=${notice.kind}><h2>${title}</h2><p>${lead}</p></section>`;
      })}
      ${pending.filter((item) => !item.renewal).map((item) => item.failed ? this.failed(item.id, item.failed) : this.underway(item))}
      ${orders.length > 0
        ? html`<ul class="cards">
            ${orders.map((order) => html`<li>
              <m-card-face .order=${order} .apart=${apart(order, orders)} .now=${() => this.wallet.now()} .small=${true}></m-card-face>
              <button class="card-button" data-testid="open-card" @click=${() => this.host.go({ name: "card", order: order.id })}>
                <span class="visually-hidden">${t("home.open", { card: `${pickWords(order.name)} ${apart(order, orders)}`.trim() })}</span>
              </button></li>`)}
          </ul>`
        : html`<section class="empty-card" data-testid="no-cards">
            <span class="empty-mark">${icon("home")}</span>
            <h2>${t("home.empty")}</h2><p>${t("home.empty.lead")}</p>
            <button class="button" id="home-scan" data-testid="home-scan" @click=${() => this.host.go({ name: "scan" })}>${icon("scan")}${t("home.scan")}</button>
          </section>`}
      ${orders.some(({ stranger }) => !stranger)
        ? html`<button class="row-link show-code" id="show-code" data-testid="show-code" @click=${() => this.host.go(codeRoute())}>
            <span class="row-mark">${icon("code")}</span>
            <span class="row-words"><b>${t("home.code")}</b><span>${t("home.code.lead")}</span></span>
            ${icon("next")}</button>`
        : nothing}
      <a class="row-link" href="#/documents" id="open-documents" data-testid="open-documents"
        @click=${(event: Event) => { event.preventDefault(); this.host.go({ name: "documents" }); }}>
        <span class="row-mark">${icon("pin")}</span>
        <span class="row-words"><b>${t("home.documents")}</b><span>${t("home.documents.lead")}</span></span>
        ${icon("next")}
      </a>`;
  }

  private underway(item: Pending): TemplateResult {
    const waits = waitsFor(item, this.wallet.now());
    const next = deferredUntil(item);
    const officers = Boolean(item.subject) && next > 0 && next - this.wallet.now() < SOON_MS;
    const words = waits === null ? t("home.pending.lead") : officers ? t("home.waits.confirm") : t(`home.waits.${waits}`, { time: moment(deferredUntil(item)) });
    return html`<section class="panel" data-testid="pending" data-waits=${officers ? "officers" : (waits ?? "nothing")}>
      <h2>${item.name ? pickWords(item.name) : t("home.pending")}</h2>
      ${item.host ? html`<p class="fine">${t("home.from", { host: item.host })}${item.stranger ? html` · <span class="unverified">${t("stranger.badge")}</span>` : nothing}</p>` : nothing}
      <p>${words}</p>
      ${waits === "issuer" && !officers ? nothing : html`<button class="button small" data-testid="continue-pending"
        @click=${() => this.host.go({ name: "progress", with: { pending: item.id } })}>${t(waits === "tx_code" ? "home.waits.go.tx_code" : "home.pending.go")}</button>`}
      ${waits === null && !officers ? nothing : this.dropping === item.id ? this.dropSure(item) : html`<button class="button quiet small" data-testid="drop-pending"
        @click=${() => { this.dropping = item.id; this.requestUpdate(); }}>${t("home.waits.drop")}</button>`}
    </section>`;
  }

  private dropSure(item: Pending): TemplateResult {
    return html`<div role="alertdialog" aria-labelledby="drop-sure"><p id="drop-sure">${t("home.waits.sure")}</p>
      <div class="actions">
        <button class="button danger small" data-testid="drop-yes" @click=${() => this.attempt(() => this.wallet.dismissPending(item.id))}>${t("home.waits.drop")}</button>
        <button class="button secondary small" data-testid="drop-no" @click=${() => { this.dropping = ""; this.requestUpdate(); }}>${t("do.cancel")}</button>
      </div></div>`;
  }

  private failed(id: string, code: string): TemplateResult {
    return html`<section class="panel warn" data-testid="pending-failed" data-code=${code}>
      <h2>${t("home.failed")}</h2><p>${problemWords(code)}</p>
      <p class="fine">${t("problem.code")}: <code>${code}</code></p>
      <button class="button small secondary" data-testid="dismiss-pending" @click=${() => this.attempt(() => this.wallet.dismissPending(id))}>${t("home.failed.drop")}</button>
    </section>`;
  }
}

class Documents extends Screen {
  private list: readonly DocumentOffer[] | null = null;
  private heard = 0;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const { list, heard } = await this.wallet.documents();
      this.list = list;
      this.heard = heard;
    });
  }

  protected view(): TemplateResult {
    const { list } = this;
    return html`${back(this)} ${heading(t("documents.title"))}
      ${this.trouble()}
      ${this.problem ? html`<button class="button secondary small" data-testid="retry" @click=${() => this.load()}>${t("do.retry")}</button>` : nothing}
      ${this.busy && !list ? html`<p class="lead" role="status">${t("documents.loading")}</p>` : nothing}
      ${list ? html`<ul class="documents" data-testid="documents">${list.map((item) => this.entry(item))}</ul>` : nothing}
      ${list?.length === 0 ? html`<p class="lead">${t("documents.none")}</p>` : nothing}
      ${list ? html`<p class="fine">${t("documents.heard", { time: moment(this.heard) })}</p>` : nothing}`;
  }

  private entry(item: DocumentOffer): TemplateResult {
    const reason = item.reason ? problemWords(item.reason) : "";
    const detail = item.detail ? pickWords(wordsOf(item.detail)) : "";
    return html`<li class="document" data-testid="document-${item.id}" data-state=${item.state}>
      <div class="document-head">
        <h2>${pickWords(wordsOf(item.name))}</h2>
        <span class="badge ${item.state}">${t(`documents.state.${item.state}`)}</span>
      </div>
      ${reason || detail ? html`<p class="document-reason" data-code=${item.reason ?? ""}>${reason || detail}</p>` : nothing}
      <dl>
        <div><dt>${icon("pin")}${t("documents.where")}</dt><dd>${pickWords(wordsOf(item.where))}</dd></div>
        ${item.bring.length > 0
          ? html`<div><dt>${icon("bag")}${t("documents.bring")}</dt><dd>${item.bring.map((one) => pickWords(wordsOf(one))).join(", ")}</dd></div>`
          : nothing}
        <div><dt>${t("documents.fee")}</dt><dd>${fee(item.fee)}</dd></div>
      </dl>
      ${byChip(item) ? this.ways(item) : nothing}
    </li>`;
  }

  private ways(item: DocumentOffer): TemplateResult {
    return html`<section class="ways" data-testid="ways-${item.id}"><h3>${t("way.title")}</h3>
      <div class="way"><span class="way-mark">${officer()}</span><div><b>${t("way.counter")}</b><p>${t("way.counter.lead")}</p></div></div>
      <button class="way" data-testid="way-chip-${item.id}" @click=${() => this.host.go({ name: "tap", with: { document: item.id } })}>
        <span class="way-mark">${reader()}</span><span><b>${t("way.chip")}</b><span>${t("way.chip.lead")}</span></span>${icon("next")}</button>
    </section>`;
  }
}

/** Put off for less than this: people are at work on it, not a machine. */
const SOON_MS = 15_000;
const byChip = (item: DocumentOffer): boolean => item.state === "available" && (item.paths ?? []).includes("chip");

function fee(raw: unknown): string {
  const { amount, currency } = (typeof raw === "object" && raw !== null ? raw : { amount: raw }) as { amount?: unknown; currency?: string };
  const value = Number(amount ?? 0);
  if (!value) return t("documents.free");
  return new Intl.NumberFormat(undefined, { style: "currency", currency: currency ?? "KRW" }).format(value);
}

class Card extends Screen {
  private details = false;
  private whole = false;
  private copies: number | null = null;
  private fresh = false;
  private sure = false;

  private get order(): Order | undefined {
    const { order } = this.with as { order: string };
    return this.wallet.orders.find((item) => item.id === order);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.count();
  }

  private async count(): Promise<void> {
    if (!this.order || !this.wallet.vault.open) return;
    const left = await this.wallet.presenter.copiesLeft(this.order).catch(asProblem);
    this.copies = left instanceof Map ? Math.min(...left.values()) : null;
    this.requestUpdate();
  }

  private readonly refresh = (): Promise<void> =>
    this.attempt(async () => {
      if (!this.order) return;
      await this.wallet.finish(await this.wallet.issuance.renew(this.order), () => undefined);
      this.fresh = true;
      this.host.announce(t("card.refreshed"));
      await this.count();
    });

  protected view(): TemplateResult {
    const { order } = this;
    if (!order) return html`${back(this)} ${heading(t("home.title"))}<p class="lead">${t("home.empty")}</p>`;
    const face = faceOf(order, this.wallet.now());
    const usable = face === "valid" || face === "renew";
    return html`${back(this)}
      <h1 tabindex="-1" id="heading" class="visually-hidden">${pickWords(order.name)}</h1>
      <m-card-face .order=${order} .apart=${apart(order, this.wallet.orders)} .now=${() => this.wallet.now()}></m-card-face>
      <p class="fine centre">${t(order.stranger ? "stranger.issuer.means" : "card.live")}</p>
      ${this.trouble()}
      <div class="actions">
        ${usable ? html`<button class="button" data-testid="card-scan" @click=${() => this.host.go({ name: "scan" })}>${icon("scan")}${t("card.show")}</button>` : nothing}
        ${usable && !order.stranger ? html`<button class="button secondary" data-testid="card-code" @click=${() => this.host.go(codeRoute())}>${icon("code")}${t("home.code")}</button>` : nothing}
        <button class="button secondary" id="details" data-testid="details" aria-expanded=${this.details} aria-controls="card-details"
          @click=${() => { this.details = !this.details; this.whole = false; this.requestUpdate(); }}>
          ${t(this.details ? "card.hide" : "card.details")}
        </button>
      </div>
      <section id="card-details" class="panel" ?hidden=${!this.details} data-testid="card-details">
        ${this.details ? this.facts(order) : nothing}
      </section>
      <dl class="meta">
        <div><dt>${t("card.heard", { time: moment(order.standingHeard) })}</dt></div>
        ${this.copies === null ? nothing : html`<div><dt>${t("card.copies")}</dt><dd data-testid="copies" data-count=${this.copies}>${t("card.copies.n", { n: this.copies })}</dd></div>`}
        ${shownAgain(order) ? html`<div><dt>${t("card.again")}</dt></div>` : nothing}
      </dl>
      ${removable(order, this.wallet.now()) ? this.removal(order) : nothing}
      ${usable && order.refreshToken !== null ? html`<button class="button quiet small" id="refresh" data-testid="refresh" ?disabled=${this.busy} @click=${this.refresh}>${t(this.fresh ? "card.refreshed" : "card.refresh")}</button>` : nothing}`;
  }

  private removal(order: Order): TemplateResult {
    if (!this.sure) return html`<button class="button quiet small" data-testid="remove-card" @click=${() => { this.sure = true; this.requestUpdate(); }}>${t("card.remove")}</button>`;
    return html`<section class="panel warn" role="alertdialog" aria-labelledby="remove-sure"><p id="remove-sure">${t("card.remove.sure")}</p>
      <div class="actions">
        <button class="button danger" data-testid="remove-yes" @click=${() => this.attempt(async () => { await this.wallet.removeCard(order); this.host.go({ name: "home" }, true); })}>${t("card.remove")}</button>
        <button class="button secondary" data-testid="remove-no" @click=${() => { this.sure = false; this.requestUpdate(); }}>${t("do.cancel")}</button>
      </div></section>`;
  }

  private facts(order: Order): TemplateResult {
    const sequence = Object.keys(order.labels); // the issuer's own order reads best
    const place = (name: string): number => (sequence.includes(name) ? sequence.indexOf(name) : sequence.length);
    const claims = linesOf(claimsOf(order))
      .filter(({ name, value }) => !isPicture(name, value))
      .toSorted((a, b) => place(a.name) - place(b.name));
    return html`<dl class="facts">
        ${claims.map(({ name, value }) => {
          const secret = name === "resident_number" && !this.whole;
          return html`<div><dt>${claimLabel(name, order.labels)}</dt>
            <dd data-testid="claim-${name}">${secret ? maskNumber(String(value)) : claimValue(name, value)}
              ${secret ? html`<span class="visually-hidden">(${t("card.masked")})</span>` : nothing}</dd></div>`;
        })}
        ${order.stranger ? order.parts.map(({ type, signer }) => html`
          <div><dt>${t("card.type")}</dt><dd><code>${type}</code></dd></div>
          ${signer ? html`<div><dt>${t("card.signer")}</dt><dd data-testid="card-signer">${t("stranger.certificate.by", { subject: signer.subject, ca: signer.certifiedBy })}</dd></div>` : nothing}`) : nothing}
      </dl>
      ${"resident_number" in claimsOf(order) && !this.whole
        ? html`<button class="button quiet small" data-testid="reveal" @click=${() => { this.whole = true; this.requestUpdate(); }}>${t("card.reveal")}</button>`
        : nothing}`;
  }
}

export function back(screen: Screen, words: Key = "do.back"): TemplateResult {
  const { host } = screen;
  return html`<button class="back" id="back" data-testid="back" @click=${() => (history.length > 1 ? history.back() : host.go({ name: "home" }))}>
    ${icon("back")}<span>${t(words)}</span>
  </button>`;
}
customElements.define("s-home", Home);
customElements.define("s-documents", Documents);
customElements.define("s-card", Card);
