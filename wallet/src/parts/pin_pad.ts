/**
 * Six digits, by keyboard, by number pad on the screen, or by screen reader.
 * Promises: fires `pin` once with six digits and empties itself. Keeps: the digits until then, nowhere else.
 */
import { html, LitElement, type TemplateResult } from "lit";
import { t } from "../words.ts";

export class PinPad extends LitElement {
  static override properties = { label: { attribute: false }, locked: { attribute: false } };
  declare label: string;
  declare locked: boolean;
  private digits = "";

  constructor() {
    super();
    this.label = "";
    this.locked = false;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  clear(): void {
    this.digits = "";
    this.requestUpdate();
  }

  private press(digit: string): void {
    this.change(this.digits + digit);
  }

  private change(raw: string): void {
    if (this.locked) return;
    this.digits = raw.replace(/\D/g, "").slice(0, 6);
    this.requestUpdate();
    if (this.digits.length < 6) return;
    const pin = this.digits;
    this.clear();
    this.dispatchEvent(new CustomEvent("pin", { detail: pin }));
  }

  private readonly typed = (event: InputEvent): void => {
    this.change((event.target as HTMLInputElement).value);
  };

  private point(): void {
    if (matchMedia("(hover: hover)").matches) this.querySelector("input")?.focus({ preventScroll: true });
  }

  /** After a wrong PIN the field is free again, and a keyboard should find it. */
  protected override updated(changed: Map<string, unknown>): void {
    if (changed.has("locked") && !this.locked) this.point();
  }

  protected override render(): TemplateResult {
    const rows = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    return html`<div class="pin" data-filled=${this.digits.length}>
      <label class="pin-field">
        <span class="visually-hidden">${this.label || t("pin.label")}</span>
        <input id="pin" data-testid="pin" type="password" inputmode="none" autocomplete="off" maxlength="6" pattern="[0-9]*"
          aria-describedby="pin-count" ?disabled=${this.locked} .value=${this.digits} @input=${this.typed} />
        <span class="pin-dots" aria-hidden="true">${[0, 1, 2, 3, 4, 5].map((at) => html`<i class=${at < this.digits.length ? "on" : ""}></i>`)}</span>
      </label>
      <p id="pin-count" class="visually-hidden" aria-live="polite">${t("pin.entered", { n: this.digits.length })}</p>
      <div class="pin-keys">
        ${rows.map((digit) => this.key(digit))}
        <button type="button" class="pin-key quiet" data-testid="pin-clear" ?disabled=${this.locked} @click=${() => this.change("")}>
          ${t("pin.clear")}
        </button>
        ${this.key("0")}
        <button type="button" class="pin-key quiet" data-testid="pin-erase" aria-label=${t("pin.erase")} ?disabled=${this.locked}
          @click=${() => this.change(this.digits.slice(0, -1))}>
          <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M9 6h10.500v12H9l-5-6zM12 10l4 4M16 10l-4 4"></path></svg>
        </button>
      </div>
    </div>`;
  }

  private key(digit: string): TemplateResult {
    return html`<button type="button" class="pin-key" data-testid="pin-${digit}" ?disabled=${this.locked} @click=${() => this.press(digit)}>${digit}</button>`;
  }
}
customElements.define("m-pin-pad", PinPad);
