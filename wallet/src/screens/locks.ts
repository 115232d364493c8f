/** PIN, passkey, unlock, and the screens of a phone that may not be used. */
import { html, nothing, type TemplateResult } from "lit";
import { passkeySupported } from "../passkey.ts";
import "../parts/pin_pad.ts";
import type { PinPad } from "../parts/pin_pad.ts";
import { asProblem, Problem } from "../problem.ts";
import { weakPin } from "../vault.ts";
import { type Key, t } from "../words.ts";
import { heading, icon, Screen } from "./screen.ts";

/** A new PIN, twice. Also used to change it: then the current one is asked first. */
class NewPin extends Screen {
  private old: string | null = null;
  private first: string | null = null;

  protected get changing(): boolean {
    return false;
  }

  private readonly entered = (event: CustomEvent<string>): void => {
    void this.attempt(() => this.step(event.detail));
  };

  private async step(pin: string): Promise<void> {
    if (this.changing && this.old === null) {
      await this.wallet.vault.confirm(pin).catch(async (thrown: unknown) => {
        if (!(await this.host.retire())) throw thrown;
      });
      this.old = pin;
    } else if (this.first === null) {
      if (weakPin(pin, this.host.avoid) || pin === this.old) throw new Problem("weak_pin");
      this.first = pin;
    } else if (this.first !== pin) {
      this.first = null;
      throw new Problem("pin_differs");
    } else {
      await this.finish(pin);
    }
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  }

  private async finish(pin: string): Promise<void> {
    if (this.changing) {
      await this.wallet.vault.changePin(this.old ?? "", pin);
      this.host.announce(t("pin.changed"));
      this.host.go({ name: "settings" }, true);
      return;
    }
    try {
      await this.wallet.setPin(pin, this.host.avoid);
    } catch (thrown) {
      const phase = await this.wallet.phase();
      if (asProblem(thrown).code !== "conflict" || phase === "pin") throw thrown;
      this.host.go({ name: phase === "ready" ? "unlock" : phase }, true);
      return;
    }
    this.host.avoid = [];
    this.host.go({ name: "passkey" }, true);
  }

  protected view(): TemplateResult {
    const stage: [Key, Key | null] =
      this.changing && this.old === null
        ? ["pin.old.title", null]
        : this.first === null
          ? ["pin.new.title", "pin.new.lead"]
          : ["pin.again.title", "pin.again.lead"];
    const name = this.changing && this.old === null ? "old" : this.first === null ? "first" : "again";
    return html`<div class="centred" data-testid="pin-stage" data-stage=${name}>
      ${heading(t(stage[0]))}
      ${stage[1] ? html`<p class="lead">${t(stage[1])}</p>` : nothing}
      ${this.trouble()}
      <m-pin-pad .label=${t(stage[0])} .locked=${this.busy} @pin=${this.entered}></m-pin-pad>
    </div>`;
  }
}
class ChangePin extends NewPin {
  protected override get changing(): boolean {
    return true;
  }
}

class Passkey extends Screen {
  private supported: boolean | null = null;
  private asking = false;

  override connectedCallback(): void {
    super.connectedCallback();
    void passkeySupported().then((supported) => {
      this.supported = supported;
      this.requestUpdate();
    });
  }

  protected leave(): void {
    this.host.go({ name: "home" }, true);
    void this.host.afterUnlock();
  }

  private readonly turnOn = (event: CustomEvent<string>): Promise<void> =>
    this.attempt(async () => {
      try {
        await this.wallet.addPasskey(event.detail, t("app.name"));
        this.host.announce(t("passkey.enabled"));
        this.leave();
      } catch (thrown) {
        if (await this.host.retire()) return;
        if (thrown instanceof Problem && thrown.code.startsWith("passkey")) this.asking = false;
        if (thrown instanceof Problem && thrown.code === "passkey_unsupported") this.supported = false;
        throw thrown;
      }
    });

  protected view(): TemplateResult {
    if (this.asking) {
      return html`<div class="centred">
        ${heading(t("passkey.title"))}
        <p class="lead">${t("passkey.confirm")}</p>
        ${this.trouble()}
        <m-pin-pad .locked=${this.busy} @pin=${this.turnOn}></m-pin-pad>
      </div>`;
    }
    return html`<div class="centred">
      <span class="big-mark">${icon("finger")}</span>
      ${heading(t("passkey.title"))}
      <p class="lead">${t("passkey.lead")}</p>
      ${this.trouble()}
      ${this.supported === false ? html`<p class="note" data-testid="passkey-unsupported">${t("passkey.unsupported")}</p>` : nothing}
      <div class="actions">
        ${this.supported
          ? html`<button class="button" id="passkey-on" data-testid="passkey-on" @click=${() => { this.asking = true; this.requestUpdate(); }}>${t("passkey.on")}</button>`
          : nothing}
        <button class="button ${this.supported ? "secondary" : ""}" id="passkey-skip" data-testid="passkey-skip" @click=${() => this.leave()}>
          ${t("passkey.skip")}
        </button>
      </div>
    </div>`;
  }
}
class AddPasskey extends Passkey {
  protected override leave(): void {
    this.host.go({ name: "settings" }, true);
  }
}

class Unlock extends Screen {
  private hasPasskey = false;
  private left = 5;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.look();
  }

  private async look(): Promise<void> {
    this.hasPasskey = (await this.wallet.vault.passkey()) !== undefined;
    this.left = await this.wallet.vault.triesLeft();
    this.requestUpdate();
  }

  private readonly byPin = (event: CustomEvent<string>): Promise<void> =>
    this.attempt(async () => {
      try {
        await this.wallet.unlock(event.detail);
      } catch (thrown) {
        await this.look();
        if (await this.host.retire()) return;
        this.querySelector<PinPad>("m-pin-pad")?.clear();
        throw thrown;
      }
      await this.host.afterUnlock();
    });

  private readonly byPasskey = (): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.unlockByPasskey();
      await this.host.afterUnlock();
    });

  protected view(): TemplateResult {
    return html`<div class="centred">
      <span class="big-mark"><img src="/wallet/icon.svg" alt="" width="64" height="64" /></span>
      ${heading(t("unlock.title"))}
      <p class="lead" data-testid="tries" data-left=${this.left}>
        ${this.with ? t("unlock.waiting") : this.left < 5 ? t("pin.tries", { n: this.left }) : t("unlock.lead")}
      </p>
      ${this.trouble()}
      <m-pin-pad .locked=${this.busy} @pin=${this.byPin}></m-pin-pad>
      <div class="actions">
        ${this.hasPasskey
          ? html`<button class="button secondary" id="unlock-passkey" data-testid="unlock-passkey" ?disabled=${this.busy} @click=${this.byPasskey}>
              ${icon("finger")}${t("unlock.passkey")}
            </button>`
          : nothing}
        <button class="button quiet small" id="forgot" data-testid="forgot"
          @click=${() => this.host.go({ name: "blocked", with: "forgot" })}>${t("unlock.forgot")}</button>
      </div>
    </div>`;
  }
}

export type Blocked = "lost" | "suspended" | "ended" | "moved" | "unknown" | "pin" | "forgot";

class BlockedScreen extends Screen {
  private get why(): Blocked {
    return this.with as Blocked;
  }

  private readonly askAgain = (): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.obey();
      if (!(await this.host.retire())) this.host.go({ name: "unlock" }, true);
    });

  private readonly restart = (): Promise<void> =>
    this.attempt(async () => {
      if (this.why === "pin" || this.why === "forgot") await this.wallet.forgetPin();
      else await this.wallet.eraseAll(null);
      this.host.go({ name: this.why === "pin" || this.why === "forgot" ? "identity" : "welcome" }, true);
    });

  protected view(): TemplateResult {
    const { why } = this;
    const title: Record<Blocked, Key> = {
      lost: "blocked.lost.title",
      suspended: "blocked.suspended.title",
      ended: "blocked.ended.title",
      moved: "blocked.moved.title",
      unknown: "blocked.unknown.title",
      pin: "blocked.pin.title",
      forgot: "blocked.forgot.title",
    };
    const lead: Record<Blocked, Key> = {
      lost: "blocked.lost.lead",
      suspended: "blocked.suspended.lead",
      ended: "blocked.ended.lead",
      moved: "blocked.moved.lead",
      unknown: "blocked.unknown.lead",
      pin: "blocked.pin.lead",
      forgot: "blocked.forgot.lead",
    };
    const visit = why === "lost" || why === "suspended";
    return html`<div class="centred" data-testid="blocked" data-why=${why}>
      <span class="big-mark stop">${icon("lock")}</span>
      ${heading(t(title[why]))}
      <p class="lead">${t(lead[why])}</p>
      ${this.trouble()}
      ${visit
        ? html`<section class="panel left">
            <h2>${t("blocked.next")}</h2>
            <ol class="steps-list">
              <li>${t("blocked.next.visit")}</li>
              <li>${t("blocked.next.ask")}</li>
              ${why === "lost" ? html`<li>${t("blocked.next.scan")}</li>` : nothing}
            </ol>
          </section>`
        : nothing}
      ${why === "moved" ? this.notYou() : nothing}
      <div class="actions">
        ${visit
          ? html`<button class="button" id="check-again" data-testid="check-again" ?disabled=${this.busy} @click=${this.askAgain}>${t("blocked.again")}</button>`
          : html`<button class="button ${why === "forgot" ? "danger" : ""}" id="restart" data-testid="restart" ?disabled=${this.busy} @click=${this.restart}>
              ${t(why === "pin" || why === "forgot" ? "blocked.pin.go" : "blocked.restart")}
            </button>`}
        ${why === "forgot"
          ? html`<button class="button secondary" data-testid="back" @click=${() => history.back()}>${t("do.back")}</button>`
          : nothing}
      </div>
    </div>`;
  }

  private notYou(): TemplateResult {
    return html`<section class="panel left" data-testid="not-you">
      <h2>${t("blocked.moved.not_you")}</h2>
      <ol class="steps-list">
        <li>${t("blocked.moved.sms")}</li>
        <li>${t("blocked.moved.report")}</li>
        <li>${t("blocked.moved.visit")}</li>
      </ol>
      <a class="button secondary small" data-testid="report" href="/portal/lost">${t("blocked.moved.portal")}</a>
    </section>`;
  }
}
customElements.define("s-pin", NewPin);
customElements.define("s-change-pin", ChangePin);
customElements.define("s-passkey", Passkey);
customElements.define("s-add-passkey", AddPasskey);
customElements.define("s-unlock", Unlock);
customElements.define("s-blocked", BlockedScreen);
