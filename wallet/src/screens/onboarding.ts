/** First start: what we ask for, who you are, the code by text message. Promises nothing is stored before it is confirmed. */
import { html, nothing, type TemplateResult } from "lit";
import type { Check } from "../device.ts";
import { type Notifying, turnOn } from "../notify.ts";
import { Problem } from "../problem.ts";
import { minutes, spoken, t } from "../words.ts";
import { heading, icon, Screen, triesLeft } from "./screen.ts";

class Welcome extends Screen {
  private notified: Notifying | null = null;

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
  private name = "";
  private front = "";
  private back = "";
  private mobile = "";
  private missing: Partial<Record<Field, string>> = {};
  private check: Check | null = null;
  private ends = 0;
  private tries = 0;
  private code = "";
  private codeMissing = false;
  private timer: ReturnType<typeof setInterval> | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private readonly send = (event: Event): void => {
    event.preventDefault();
    this.missing = {
      ...(this.name.trim() ? {} : { name: t("identity.need.name") }),
      ...(/^\d{6}$/.test(this.front) && /^\d{7}$/.test(this.back) ? {} : { number: t("identity.need.number") }),
      ...(this.mobile.replace(/\D/g, "").length >= 9 ? {} : { phone: t("identity.need.phone") }),
    };
    const [first] = Object.keys(this.missing);
    if (first) {
      this.requestUpdate();
      void this.updateComplete.then(() => this.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
      return;
    }
    void this.request();
  };

  private readonly request = (): Promise<void> =>
    this.attempt(async () => {
      const number = `${this.front}-${this.back}`;
      this.check = await this.wallet.phone.startCheck(this.name.trim(), number, this.mobile.trim(), spoken());
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
    this.codeMissing = !/^\d{4,10}$/.test(this.code);
    if (this.codeMissing) {
      this.requestUpdate();
      this.querySelector<HTMLElement>("#code")?.focus();
      return;
    }
    void this.attempt(async () => {
      try {
        const identified = await this.wallet.phone.answerCheck(this.check?.check_id ?? "", this.code);
        this.wallet.device = await this.wallet.phone.register(identified);
        this.host.avoid = [this.mobile.replace(/\D/g, ""), this.front, this.back];
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
    return this.check ? this.codeView(this.check) : this.formView();
  }

  private error(field: Field): TemplateResult | typeof nothing {
    const words = this.missing[field];
    return words ? html`<p class="field-error" id="${field}-error">${icon("warn")}${words}</p>` : nothing;
  }

  private formView(): TemplateResult {
    const wrong = (field: Field): "true" | "false" => (this.missing[field] ? "true" : "false");
    return html`${heading(t("identity.title"))}
      <p class="lead">${t("identity.lead")}</p>
      ${this.trouble()}
      <form class="form" @submit=${this.send} novalidate>
        <div class="field">
          <label for="name">${t("identity.name")}</label>
          <input id="name" data-testid="name" autocomplete="name" required aria-invalid=${wrong("name")} aria-describedby="name-error"
            .value=${this.name} @input=${(event: InputEvent) => { this.name = (event.target as HTMLInputElement).value; }} />
          ${this.error("name")}
        </div>
        <fieldset class="field">
          <legend>${t("identity.number")}</legend>
          <div class="pair">
            <input id="number-front" data-testid="number-front" inputmode="numeric" maxlength="6" autocomplete="off" required
              aria-label=${t("identity.number.front")} aria-invalid=${wrong("number")} aria-describedby="number-error"
              .value=${this.front} @input=${this.typedFront} />
            <span aria-hidden="true">–</span>
            <input id="number-back" data-testid="number-back" type="password" inputmode="numeric" maxlength="7" autocomplete="off" required
              aria-label=${t("identity.number.back")} aria-invalid=${wrong("number")} aria-describedby="number-error"
              .value=${this.back} @input=${(event: InputEvent) => { this.back = (event.target as HTMLInputElement).value.replace(/\D/g, ""); }} />
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

  private readonly typedFront = (event: InputEvent): void => {
    this.front = (event.target as HTMLInputElement).value.replace(/\D/g, "");
    if (this.front.length === 6) this.querySelector<HTMLElement>("#number-back")?.focus();
  };

  private codeView(check: Check): TemplateResult {
    const left = (this.ends - this.wallet.now()) / 1000;
    const over = left <= 0 || this.tries === 0;
    return html`${heading(t("code.title"))}
      <p class="lead">${t("code.lead", { phone: check.phone_hint })}</p>
      ${this.trouble()}
      <form class="form" @submit=${this.confirm} novalidate>
        <div class="field">
          <label for="code">${t("code.label")}</label>
          <input id="code" data-testid="code" class="code" inputmode="numeric" maxlength="10" autocomplete="one-time-code" ?disabled=${over}
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
customElements.define("s-welcome", Welcome);
customElements.define("s-identity", Identity);
