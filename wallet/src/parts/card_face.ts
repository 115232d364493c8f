/**
 * The face of a card: portrait, name, validity, standing, and what a screenshot cannot copy (a clock that runs, a pattern that moves).
 * Promises: nothing but the name and portrait until the holder asks; a card of an issuer on no list wears neither seal nor pattern, and
 * says so. With reduced motion the pattern rests and the clock still runs.
 * Keeps: the portrait's object address while shown.
 */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { portraitBytes } from "../formats/held.ts";
import { claimsOf, expiryOf, personName } from "../claims.ts";
import type { Order } from "../records.ts";
import { clock, day, moment, pickWords, t } from "../words.ts";

export type Face = "valid" | "renew" | "suspended" | "revoked" | "expired";

export function faceOf(order: Order, now: number): Face {
  const expiry = expiryOf(claimsOf(order));
  if (expiry && Date.parse(`${expiry}T23:59:59`) < now) return "expired";
  return order.standing;
}

const SEAL = html`<svg class="card-seal" viewBox="0 0 64 64" aria-hidden="true">
  <circle cx="32" cy="32" r="29"></circle><circle cx="32" cy="32" r="24"></circle>
  <path d="M20 44c0-9 3-13 5-16-2-1-4 0-6 1 1-6 6-11 13-11 2-3 4-4 6-4 0 2 0 3-1 5 6 3 9 8 9 14-3-1-5-2-7-2 3 4 4 8 4 13z"></path>
</svg>`;

export class CardFace extends LitElement {
  static override properties = { order: { attribute: false }, small: { attribute: false }, apart: { attribute: false } };
  declare order: Order | null;
  /** What tells it from another card of its kind, where there is one. */
  declare apart: string;
  declare small: boolean;
  now: () => number = Date.now;
  private portrait: { of: unknown; url: string } | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.order = null;
    this.small = false;
    this.apart = "";
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.timer = setInterval(() => this.requestUpdate(), 1000);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
    if (this.portrait) URL.revokeObjectURL(this.portrait.url);
    this.portrait = null;
  }

  protected override updated(): void {
    const { background, text } = this.order?.colors ?? { background: "", text: "" };
    const face = this.querySelector<HTMLElement>(".card-face");
    face?.style.setProperty("--card", background);
    face?.style.setProperty("--card-text", text);
  }

  private picture(value: unknown): string | null {
    if (this.portrait?.of === value) return this.portrait?.url ?? null;
    if (this.portrait) URL.revokeObjectURL(this.portrait.url);
    this.portrait = null;
    const bytes = portraitBytes(value);
    if (!bytes) return null;
    this.portrait = { of: value, url: URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) };
    return this.portrait.url;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { order } = this;
    if (!order) return nothing;
    const claims = claimsOf(order);
    const name = personName(claims);
    const { stranger = null, logo = null } = order;
    const latin = typeof claims["name_latin"] === "string" ? claims["name_latin"] : "";
    const picture = this.picture(claims["portrait"]);
    const face = faceOf(order, this.now());
    const expiry = expiryOf(claims);
    return html`<article class="card-face ${face} ${this.small ? "small" : ""} ${stranger ? "stranger" : ""}" data-testid="card-face" data-standing=${face}>
      ${stranger ? nothing : html`<div class="card-guilloche" aria-hidden="true"></div>`}
      <header class="card-head">
        <p class="card-kind">${pickWords(order.name)}${this.apart ? html` · <b data-testid="card-apart">${this.apart}</b>` : nothing}</p>
        ${logo?.uri.startsWith("data:")
          ? html`<img class="card-logo" src=${logo.uri} alt=${logo.alt} />`
          : stranger ? nothing : SEAL}
      </header>
      <div class="card-body">
        ${picture
          ? html`<div class="card-portrait"><img src=${picture} alt=${t("card.portrait", { name })} data-testid="portrait" /></div>`
          : stranger ? nothing : html`<div class="card-portrait empty" aria-hidden="true"></div>`}
        <div class="card-words">
          <p class="card-name" data-testid="card-name">${name}</p>
          ${latin ? html`<p class="card-latin">${latin}</p>` : nothing}
          <p class="card-standing ${face}" data-testid="card-standing"><i aria-hidden="true"></i>${t(`card.${face}`)}</p>
          ${order.unheard ? html`<p class="card-stranger" data-testid="card-unheard">${t("card.unheard", { time: moment(order.standingHeard) })}</p>` : nothing}
          ${stranger ? html`<p class="card-stranger" data-testid="card-stranger">${t("stranger.badge")} · ${stranger}</p>` : nothing}
          ${expiry ? html`<p class="card-until">${t("card.expiry")} <b>${day(expiry)}</b></p>` : nothing}
        </div>
      </div>
      <footer class="card-foot">
        <p class="card-issuer">${pickWords(order.issuerName)}</p>
        <p class="card-clock"><span class="visually-hidden">${t("card.now")}</span><time data-testid="card-clock">${clock(this.now())}</time></p>
      </footer>
      ${stranger ? nothing : html`<div class="card-holo" aria-hidden="true"></div>`}
    </article>`;
  }
}
customElements.define("m-card-face", CardFace);
