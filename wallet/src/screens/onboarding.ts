/** First start: what we ask for, who you are, the code by text message. Promises nothing is stored before it is confirmed. */
import { html, nothing, type TemplateResult } from "lit";
import type { Check } from "../device.ts";
import { digitsIn, type IdentityForm, onlyDigits, type Part, written } from "../identity_form.ts";
import { type Notifying, turnOn } from "../notify.ts";
import { Problem } from "../problem.ts";
import { minutes, spoken, t } from "../words.ts";
import { heading, icon, Screen, triesLeft } from "./screen.ts";

class Welcome extends Screen {
  private notified: Notifying | null = null;

  /** The next screen's form is on its way while this one is read; should it not arrive, that screen says so. */
  override connectedCallback(): void {
    super.connectedCallback();
    void this.wallet.phone.form().catch(() => undefined);
  }

  private readonly start = (): Promise<void> =>
    this.attempt(async () => {
      await navigator.storage?.persist?.().catch(() => false);
      await this.wallet.store.setMeta("welcomed", true);
      this.host.go({ name: "identity" }, true);
    });

  private readonly notify = async (): Promise<void> => {
    this.notified = await turnOn(this.wallet.store);
    this.requestUpdate();
  };

  private ask(mark: "camera" | "bell" | "lock", title: string, why: string): TemplateResult {
    return html`<li class="ask-item"><span class="ask-mark">${icon(mark)}</span><div><h3>${title}</h3><p>${why}</p></div></li>`;
  }

  protected view(): TemplateResult {
    const may = typeof Notification !== "undefined" && Notification.permission === "default" && this.notified === null;
    return html`<div class="hero">
        <img src="/wallet/icon.svg" alt="" width="88" height="88" />
        ${heading(t("welcome.title"))}
        <p class="lead">${t("welcome.lead")}</p>
      </div>
      <section class="panel" aria-labelledby="asks">
        <h2 id="asks">${t("welcome.asks")}</h2>
        <ul class="ask-list">
          ${this.ask("camera", t("welcome.camera"), t("welcome.camera.why"))}
          ${this.ask("lock", t("welcome.storage"), t("welcome.storage.why"))}
          ${this.ask("bell", t("welcome.notify"), t("welcome.notify.why"))}
        </ul>
        ${may ? html`<button class="button quiet small" id="notify" data-testid="notify" @click=${this.notify}>${t("welcome.notify.on")}</button>` : nothing}
        ${this.notified ? html`<p class="fine" role="status">${t(this.notified === "on" ? "welcome.notify.ok" : "welcome.notify.no")}</p>` : nothing}
      </section>
      <p class="promise">${icon("shield")}<span>${t("welcome.promise")}</span></p>
      <div class="actions"><button class="button" id="start" data-testid="start" @click=${this.start}>${t("welcome.start")}</button></div>`;
  }
}

type Field = "name" | "number" | "phone";

/** Identity and code are one screen in two steps, so that the details can be corrected without typing them again. */
class Identity extends Screen {
  private form: IdentityForm | null = null;
  private name = "";
  private typed: string[] = [];
  private mobile = "";
  private missing: Partial<Record<Field, string>> = {};
  private check: Check | null = null;
  private ends = 0;
  private tries = 0;
  private code = "";
  private codeMissing = false;
  private timer: ReturnType<typeof setInterval> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private readonly load = (): Promise<void> =>
    this.attempt(async () => {
      const form = await this.wallet.phone.form();
      this.typed = form.number.parts.map(() => "");
      this.form = form;
    });

  private send(event: Event, { number, phone }: IdentityForm): void {
    event.preventDefault();
    const whole = number.parts.every(({ digits }, at) => this.typed[at]?.length === digits) ? written(number.layout, this.typed.join("")) : null;
    const mobile = written(phone.layout, onlyDigits(this.mobile));
    this.missing = {
      ...(this.name.trim() ? {} : { name: t("identity.need.name") }),
      ...(whole ? {} : { number: t("identity.need.number", { n: digitsIn(number.layout) }) }),
      ...(mobile ? {} : { phone: t("identity.need.phone", { n: digitsIn(phone.layout) }) }),
    };
    const [first] = Object.keys(this.missing);
    if (first) {
      this.requestUpdate();
      void this.updateComplete.then(() => this.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
      return;
    }
    void this.request();
  }

  private readonly request = (): Promise<void> =>
    this.attempt(async () => {
      if (!this.form) return;
      const number = written(this.form.number.layout, this.typed.join("")) ?? "";
      const mobile = written(this.form.phone.layout, onlyDigits(this.mobile)) ?? "";
      this.check = await this.wallet.phone.startCheck(this.name.trim(), number, mobile, spoken());
      this.ends = this.wallet.now() + this.check.expires_in * 1000;
      this.tries = this.check.tries;
      this.code = "";
      clearInterval(this.timer);
      this.timer = setInterval(() => this.requestUpdate(), 1000);
      this.host.announce(t("code.lead", { phone: this.check.phone_hint }));
      void this.updateComplete.then(() => this.querySelector<HTMLElement>("#code")?.focus());
    });

  private readonly confirm = (event: Event): void => {
    event.preventDefault();
    this.codeMissing = this.code.length !== this.form?.codeDigits;
    if (this.codeMissing) {
      this.requestUpdate();
      this.querySelector<HTMLElement>("#code")?.focus();
      return;
    }
    void this.attempt(async () => {
      try {
        const identified = await this.wallet.phone.answerCheck(this.check?.check_id ?? "", this.code);
        this.wallet.device = await this.wallet.phone.register(identified);
        this.host.avoid = [onlyDigits(this.mobile), ...this.typed];
        await this.wallet.store.dropMeta("erased");
        this.host.go({ name: "pin" }, true);
      } catch (thrown) {
        if (thrown instanceof Problem && thrown.code === "wrong_code") this.tries = triesLeft(thrown) ?? Math.max(0, this.tries - 1);
        if (thrown instanceof Problem && thrown.code === "code_spent") this.tries = 0;
        this.code = "";
        throw thrown;
      }
    });
  };

  private readonly edit = (): void => {
    this.check = null;
    this.problem = null;
    clearInterval(this.timer);
    this.requestUpdate();
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  };

  protected view(): TemplateResult {
    if (!this.form) return this.waitView();
    return this.check ? this.codeView(this.check, this.form) : this.formView(this.form);
  }

  private error(field: Field): TemplateResult | typeof nothing {
    const words = this.missing[field];
    return words ? html`<p class="field-error" id="${field}-error">${icon("warn")}${words}</p>` : nothing;
  }

  private waitView(): TemplateResult {
    return html`${heading(t("identity.title"))}
      <p class="lead">${t("identity.lead")}</p>
      ${this.trouble()}
      ${this.busy ? html`<p class="lead" role="status">${t("identity.loading")}</p>` : nothing}
      ${this.problem ? html`<div class="actions"><button class="button" id="retry" data-testid="retry" @click=${this.load}>${t("do.retry")}</button></div>` : nothing}`;
  }

  private formView(form: IdentityForm): TemplateResult {
    const wrong = (field: Field): "true" | "false" => (this.missing[field] ? "true" : "false");
    return html`${heading(t("identity.title"))}
      <p class="lead">${t("identity.lead")}</p>
      ${this.trouble()}
      <form class="form" @submit=${(event: Event) => this.send(event, form)} novalidate>
        <div class="field">
          <label for="name">${t("identity.name")}</label>
          <input id="name" data-testid="name" autocomplete="name" required aria-invalid=${wrong("name")} aria-describedby="name-error"
            .value=${this.name} @input=${(event: InputEvent) => { this.name = (event.target as HTMLInputElement).value; }} />
          ${this.error("name")}
        </div>
        <fieldset class="field">
          <legend>${t("identity.number")}</legend>
          <div class="pair">
            ${form.number.parts.map((part, at, all) => this.box(part, at, all.length, wrong("number")))}
          </div>
          ${this.error("number")}
        </fieldset>
        <div class="field">
          <label for="phone">${t("identity.phone")}</label>
          <input id="phone" data-testid="phone" type="tel" inputmode="tel" autocomplete="tel" required aria-invalid=${wrong("phone")}
            aria-describedby="phone-hint phone-error" .value=${this.mobile}
            @input=${(event: InputEvent) => { this.mobile = (event.target as HTMLInputElement).value; }} />
          <p class="hint" id="phone-hint">${t("identity.phone.hint")}</p>
          ${this.error("phone")}
        </div>
        <div class="actions"><button class="button" id="send-code" data-testid="send-code" type="submit" ?disabled=${this.busy}>${t("identity.send")}</button></div>
      </form>`;
  }

  /** One part of the number. A full box hands the focus on. */
  private box({ digits, hidden }: Part, at: number, of: number, wrong: "true" | "false"): TemplateResult {
    const id = boxId(at, of);
    const typed = (event: InputEvent): void => {
      const now = onlyDigits((event.target as HTMLInputElement).value);
      this.typed = this.typed.with(at, now);
      if (now.length === digits && at + 1 < of) this.querySelector<HTMLElement>(`#${boxId(at + 1, of)}`)?.focus();
    };
    const label = of === 1 ? t("identity.number") : t("identity.number.part", { at: at + 1, of, n: digits });
    return html`${at === 0 ? nothing : html`<span aria-hidden="true">–</span>`}
      <input id=${id} data-testid=${id} type=${hidden ? "password" : "text"} inputmode="numeric" maxlength=${digits} autocomplete="off" required
        aria-label=${label} aria-invalid=${wrong} aria-describedby="number-error"
        .value=${this.typed[at] ?? ""} @input=${typed} />`;
  }

  private codeView(check: Check, form: IdentityForm): TemplateResult {
    const left = (this.ends - this.wallet.now()) / 1000;
    const over = left <= 0 || this.tries === 0;
    return html`${heading(t("code.title"))}
      <p class="lead">${t("code.lead", { phone: check.phone_hint })}</p>
      ${this.trouble()}
      <form class="form" @submit=${this.confirm} novalidate>
        <div class="field">
          <label for="code">${t("code.label")}</label>
          <input id="code" data-testid="code" class="code" inputmode="numeric" maxlength=${form.codeDigits} autocomplete="one-time-code" ?disabled=${over}
            aria-invalid=${this.codeMissing ? "true" : "false"} aria-describedby="code-left"
            .value=${this.code} @input=${(event: InputEvent) => { this.code = (event.target as HTMLInputElement).value.replace(/\D/g, ""); }} />
          <p class="hint row" id="code-left">
            <span data-testid="countdown" class=${left < 30 ? "soon" : ""}>${left > 0 ? t("code.left", { time: minutes(left) }) : t("code.over")}</span>
            <span data-testid="tries">${t("code.tries", { n: this.tries })}</span>
          </p>
          ${this.codeMissing ? html`<p class="field-error">${icon("warn")}${t("code.need")}</p>` : nothing}
        </div>
        <div class="actions">
          <button class="button" id="check-code" data-testid="check-code" type="submit" ?disabled=${this.busy || over}>${t("code.check")}</button>
          <button class="button secondary" id="resend" data-testid="resend" type="button" ?disabled=${this.busy} @click=${this.request}>${t("code.resend")}</button>
          <button class="button quiet" id="edit" data-testid="edit" type="button" @click=${this.edit}>${t("code.edit")}</button>
        </div>
      </form>`;
  }
}
const boxId = (at: number, of: number): string => (at === 0 ? "number-front" : at === of - 1 ? "number-back" : `number-${at + 1}`);

customElements.define("s-welcome", Welcome);
customElements.define("s-identity", Identity);
