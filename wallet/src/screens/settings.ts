/** Language, locks, this phone, what to do when it is lost, and erasing the wallet. */
import { html, nothing, type TemplateResult } from "lit";
import { type Notifying, notifying, turnOff, turnOn } from "../notify.ts";
import { passkeySupported } from "../passkey.ts";
import { asProblem } from "../problem.ts";
import { EVERYBODY } from "../push.ts";
import { moment, pickWords, spoken, t } from "../words.ts";
import "../words/push.ts";
import { heading, icon, Screen } from "./screen.ts";

class Settings extends Screen {
  private hasPasskey = false;
  private supported = false;
  private persisted: boolean | null = null;
  private sure = false;
  private notices: Notifying = "off";
  private askers = new Map<string, string>();

  override connectedCallback(): void {
    super.connectedCallback();
    void this.look();
  }

  private async look(): Promise<void> {
    this.hasPasskey = (await this.wallet.vault.passkey()) !== undefined;
    this.supported = await passkeySupported();
    this.notices = await notifying(this.wallet.store);
    for (const party of this.wallet.pushes.muted) {
      const asker = await this.wallet.pushes.asker({ party, purpose: "" });
      if (asker) this.askers.set(party, pickWords(asker.name));
    }
    this.persisted = (await navigator.storage?.persisted?.().catch(() => false)) ?? null;
    this.requestUpdate();
  }

  private readonly dropPasskey = (): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.vault.removePasskey();
      this.host.announce(t("passkey.disabled"));
      await this.look();
    });

  private readonly erase = (): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.giveUp();
      this.host.go({ name: "welcome" }, true);
    });

  private language(code: "ko" | "en", words: string): TemplateResult {
    return html`<button class="segment" lang=${code} data-testid="language-${code}" aria-pressed=${spoken() === code} @click=${() => this.host.speak(code)}>${words}</button>`;
  }

  private readonly toggleNotices = (): Promise<void> =>
    this.attempt(async () => {
      if (this.notices === "on") {
        await turnOff(this.wallet.store);
        await this.wallet.pushes.unsubscribe().catch(asProblem);
      } else if ((await turnOn(this.wallet.store)) === "on") await this.wallet.pushes.subscribe();
      await this.look();
      this.host.announce(t(this.notices === "on" ? "settings.notify.is_on" : "settings.notify.is_off"));
    });

  private notifications(): TemplateResult {
    const { notices } = this;
    const fixed = notices === "denied" || notices === "unsupported";
    return html`<section class="panel"><h2>${t("settings.notify")}</h2>
      <p class="fine">${fixed ? t(`settings.notify.${notices}`) : t("welcome.notify.why")}</p>
      ${fixed
        ? nothing
        : html`<button class="row-button" id="notices" data-testid="notices" data-state=${notices} ?disabled=${this.busy} @click=${this.toggleNotices}>
            ${icon("bell")}<span>${t("settings.notify")}</span><b>${t(notices === "on" ? "settings.notify.off" : "settings.notify.on")}</b></button>`}
    </section>`;
  }

  private mute(parties: readonly string[]): Promise<void> {
    return this.attempt(async () => {
      await this.wallet.pushes.mute(parties);
      this.host.announce(t(parties.includes(EVERYBODY) ? "settings.push.is_none" : "settings.push.is_again"));
      await this.look();
    });
  }

  private byName(): TemplateResult {
    const { muted, subscribed } = this.wallet.pushes;
    const none = muted.includes(EVERYBODY);
    return html`<section class="panel"><h2>${t("settings.push")}</h2>
      <p class="fine">${t("settings.push.lead")} ${t(subscribed ? "settings.push.woken" : "settings.push.open")}</p>
      <div class="stack">
        <button class="row-button" id="pushes" data-testid="pushes" data-state=${none ? "none" : "taken"} ?disabled=${this.busy}
          @click=${() => this.mute(none ? muted.filter((one) => one !== EVERYBODY) : [...muted, EVERYBODY])}>
          ${icon("bell")}<span>${t("settings.push")}</span><b>${t(none ? "settings.push.again" : "settings.push.none")}</b></button>
        ${muted.filter((one) => one !== EVERYBODY).map((party) => html`<button class="row-button" data-testid="unmute" ?disabled=${this.busy}
          @click=${() => this.mute(muted.filter((one) => one !== party))}>
          ${icon("no")}<span>${t("settings.push.muted", { party: this.askers.get(party) ?? party })}</span><b>${t("settings.push.again")}</b></button>`)}
      </div>
    </section>`;
  }

  protected view(): TemplateResult {
    const { device } = this.wallet;
    const state = device?.state ?? "active";
    return html`${heading(t("settings.title"))}
      ${this.trouble()}
      <section class="panel"><h2>${t("settings.language")}</h2>
        <div class="segments" role="group" aria-label=${t("settings.language")}>${this.language("ko", "한국어")}${this.language("en", "English")}</div>
      </section>
      <section class="panel"><h2>${t("settings.security")}</h2>
        <div class="stack">
          <button class="row-button" id="change-pin" data-testid="change-pin" @click=${() => this.host.go({ name: "change-pin" })}>${icon("lock")}<span>${t("settings.pin")}</span>${icon("next")}</button>
          ${this.supported || this.hasPasskey
            ? html`<button class="row-button" id="passkey" data-testid="passkey" ?disabled=${this.busy}
                @click=${() => (this.hasPasskey ? this.dropPasskey() : this.host.go({ name: "add-passkey" }))}>
                ${icon("finger")}<span>${t("settings.passkey")}</span><b>${t(this.hasPasskey ? "passkey.off" : "passkey.on")}</b></button>`
            : html`<p class="fine" data-testid="passkey-unsupported">${t("settings.passkey")}: ${t("passkey.unsupported")}</p>`}
          <button class="row-button" id="lock" data-testid="lock" @click=${() => { this.wallet.lock(); this.host.go({ name: "unlock" }, true); }}>${icon("shield")}<span>${t("settings.lock")}</span>${icon("next")}</button>
        </div>
      </section>
      ${this.notifications()}
      ${state === "active" ? this.byName() : nothing}
      <section class="panel"><h2>${t("settings.phone")}</h2>
        <dl class="facts">
          <div><dt>${t("settings.phone.state")}</dt><dd data-testid="device-state" data-state=${state}>${t(`settings.phone.${state}`)}
            ${device ? html`<span class="fine">(${t("settings.phone.heard", { time: moment(device.heard) })})</span>` : nothing}</dd></div>
          ${this.persisted === null ? nothing : html`<div><dt>${t("settings.phone.stored")}</dt><dd>${t(this.persisted ? "settings.phone.stored.yes" : "settings.phone.stored.no")}</dd></div>`}
        </dl>
      </section>
      <section class="panel"><h2>${t("settings.lost")}</h2><p>${t("settings.lost.lead")}</p>
        <a class="button secondary small" id="lost" data-testid="lost" href="/portal/lost">${t("settings.lost.link")}</a>
      </section>
      <section class="panel"><h2>${t("settings.erase")}</h2>
        <p>${this.sure ? t("settings.erase.sure") : t("settings.erase.lead")}</p>
        ${this.sure
          ? html`<div class="actions"><button class="button danger" id="erase-yes" data-testid="erase-yes" ?disabled=${this.busy} @click=${this.erase}>${t("settings.erase.yes")}</button>
              <button class="button secondary" id="erase-no" data-testid="erase-no" @click=${() => { this.sure = false; this.requestUpdate(); }}>${t("do.cancel")}</button></div>`
          : html`<button class="button danger small" id="erase" data-testid="erase" @click=${() => { this.sure = true; this.requestUpdate(); }}>${t("settings.erase")}</button>`}
      </section>`;
  }
}
customElements.define("s-settings", Settings);
