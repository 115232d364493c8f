/*
 * The mapae button: any <button data-mapae-purpose="..."> or <button data-mapae-start="..."> of a page asks a wallet.
 * Promises: nothing of what a server says becomes markup, code or an address of another kind than expected; what the page
 * sees is for display, and counts only once the page's own server has redeemed the code (docs/integrate.md).
 * Trusts: the server this script came from. Keeps: nothing. Refuses: to ask twice at a time. No cookies, no postMessage.
 */
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script || window.mapaeButton) return;
  Object.defineProperty(window, "mapaeButton", { value: true });
  const home = new URL("./", script.src);
  const FINAL = ["accepted", "no", "refused", "declined", "expired", "cancelled"];
  const WORDS = {
    en: {
      wait: "One moment", scan: "Scan this code with your wallet.", open: "Open the wallet", here: "My wallet is on this device",
      there: "My wallet is on another device", other: "Another wallet app", cancel: "Cancel", close: "Close", asked: "Asked for",
      seen: "The wallet is showing the question.", answered: "The wallet has answered.", left: "{n} seconds left",
      plain: "The site learns this and nothing else.", failed: "This did not work. Please try again.", qr: "QR code for your wallet",
      type: "Type the code that the phone shows", check: "Check the code", wrong: "That is not the code. Tries left: {n}", shape: "Six letters and digits.",
    },
    ko: {
      wait: "잠시만 기다려 주세요", scan: "지갑으로 이 코드를 찍어 주세요.", open: "지갑 열기", here: "지갑이 이 기기에 있어요",
      there: "지갑이 다른 기기에 있어요", other: "다른 지갑 앱", cancel: "취소", close: "닫기", asked: "묻는 것",
      seen: "지갑이 질문을 보여 주고 있습니다.", answered: "지갑이 답했습니다.", left: "{n}초 남음",
      plain: "사이트는 이것만 알게 됩니다.", failed: "잘되지 않았습니다. 다시 시도해 주세요.", qr: "지갑으로 찍을 QR 코드",
      type: "휴대전화에 보이는 코드를 넣어 주세요", check: "코드 확인", wrong: "코드가 다릅니다. 남은 횟수: {n}", shape: "글자와 숫자 여섯 자리입니다.",
    },
  };

  // Own members of the expected type only: a __proto__ in an answer is a name like any other.
  const text = (from, name) => (from !== null && typeof from === "object" && Object.hasOwn(from, name) && typeof from[name] === "string" ? from[name] : "");
  const member = (from, name) => (from !== null && typeof from === "object" && Object.hasOwn(from, name) ? from[name] : null);
  const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

  function element(name, words, attributes = {}) {
    const made = document.createElement(name);
    if (words) made.textContent = words;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  async function send(url, body, more = {}) {
    const options = { method: "POST", body: JSON.stringify(body), ...more, headers: { "Content-Type": "application/json", ...more.headers } };
    const answer = await fetch(url, options);
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  }

  /** The path inside the SVG the server drew, as elements of our own. */
  function code(uri, label) {
    const svg = decodeURIComponent(uri.replace(/^data:image\/svg\+xml[^,]*,/, "").replaceAll("+", " "));
    const size = /width=["'](\d+)["']/.exec(svg)?.[1];
    const drawn = /class=["']qrline["'][^>]*\sd=["']([Mmhvz0-9 .-]+)["']|\sd=["']([Mmhvz0-9 .-]+)["'][^>]*class=["']qrline["']/.exec(svg);
    const scale = /scale\((\d+)\)/.exec(svg)?.[1];
    if (!size || !drawn || !scale) return null;
    const space = "http://www.w3.org/2000/svg";
    const [picture, back, path] = ["svg", "rect", "path"].map((name) => document.createElementNS(space, name));
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label, class: "mapae-qr", "shape-rendering": "crispEdges" })) picture.setAttribute(key, value);
    for (const [key, value] of Object.entries({ width: size, height: size, fill: "#ffffff" })) back.setAttribute(key, value);
    for (const [key, value] of Object.entries({ d: drawn[1] ?? drawn[2], stroke: "#0b1f4b", transform: `scale(${scale})` })) path.setAttribute(key, value);
    picture.append(back, path);
    return picture;
  }

  class Check {
    constructor(button) {
      this.button = button;
      const said = (button.closest("[lang]")?.lang || navigator.language || "ko").toLowerCase();
      this.lang = said.startsWith("ko") ? "ko" : "en";
      this.t = WORDS[this.lang];
      this.over = false;
    }

    both(said) {
      return text(said, this.lang) || text(said, "en");
    }

    async run() {
      this.show();
      try {
        const started = await this.start();
        this.id = text(started, "id");
        this.page = text(started, "page");
        this.typedBack = member(started, "typed_back") === true;
        if (this.over) return this.cancel(); // left before there was anything to leave
        this.ask(started);
        await this.follow();
      } catch {
        if (!this.over) this.end("refused", this.t.failed);
      }
    }

    start() {
      const { mapaePurpose: purpose, mapaeStart: url, mapaeSession: session } = this.button.dataset;
      const here = matchMedia("(pointer: coarse)").matches;
      this.here = here;
      if (url) return send(new URL(url, location.href), { purpose: purpose ?? "", same_device: here }, { credentials: "same-origin" });
      const credentials = home.origin === location.origin ? "same-origin" : "omit"; // a gate of the page's own site has its cookie
      return send(new URL("anyone/checks", home), { purpose, ...(session ? { session } : {}) }, { credentials });
    }

    show() {
      this.dialog = element("dialog", "", { class: "mapae-dialog", lang: this.lang });
      this.title = element("h2", this.t.wait, { class: "mapae-title", id: "mapae-title" });
      this.dialog.setAttribute("aria-labelledby", "mapae-title");
      this.body = element("div", "", { class: "mapae-body" });
      this.status = element("p", "", { class: "mapae-status", role: "status" });
      this.clock = element("p", "", { class: "mapae-small" }); // for the eyes: read aloud every few seconds it would drown the rest
      this.quit = element("button", this.t.cancel, { type: "button", class: "mapae-button mapae-quiet" });
      this.quit.addEventListener("click", () => this.leave());
      this.dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.leave(); });
      this.dialog.append(this.title, this.body, this.status, this.clock, this.quit);
      this.button.after(this.dialog);
      this.dialog.showModal();
    }

    ask(started) {
      const purpose = member(started, "purpose");
      this.title.textContent = this.both(member(purpose, "name"));
      const items = member(purpose, "items");
      const list = element("ul", "", { class: "mapae-items" });
      for (const item of Array.isArray(items) ? items : []) list.append(element("li", this.both(item)));
      const picture = element("div", "", { class: "mapae-code" });
      const drawn = code(text(started, "qr"), this.t.qr);
      if (drawn) picture.append(element("p", this.t.scan), drawn);
      const links = this.links(started);
      const more = element("details", "", { class: "mapae-more" });
      more.append(element("summary", this.here ? this.t.there : this.t.here), this.here ? picture : links);
      const asked = list.childElementCount ? [element("p", this.t.asked, { class: "mapae-small" }), list] : [];
      this.body.replaceChildren(...asked, element("p", this.t.plain, { class: "mapae-small" }), this.here ? links : picture, more);
    }

    /** Two kinds of address and no other. */
    links(started) {
      const [wallet, any] = [text(started, "wallet_link"), text(started, "link")];
      const made = element("p", "", { class: "mapae-links" });
      if (URL.canParse(wallet) && (new URL(wallet).protocol === "https:" || new URL(wallet).origin === home.origin)) made.append(element("a", this.t.open, { class: "mapae-button", href: wallet, target: "_blank", rel: "noopener" }));
      if (any.startsWith("openid4vp://")) made.append(element("a", this.t.other, { class: "mapae-button mapae-quiet", href: any }));
      return made;
    }

    async follow() {
      const url = new URL(`pages/${encodeURIComponent(this.id)}?wait=0`, home);
      for (let quiet = 0; !this.over && quiet < 20; ) {
        const answer = await fetch(url, { credentials: "omit", headers: { Authorization: `Bearer ${this.page}` } }).catch(() => null);
        if (answer?.status === 404) throw new Error("gone");
        if (!answer?.ok) {
          quiet += 1;
          await pause(Math.min(30, Number(answer?.headers.get("Retry-After")) || 2) * 1000);
          continue;
        }
        quiet = 0;
        const seen = await answer.json();
        const state = text(seen, "state");
        if (this.over) return;
        if (FINAL.includes(state)) return this.finish(seen, state);
        if (state === "answered" && this.typedBack) this.askForCode();
        const left = Number(member(seen, "seconds_left")) || 0;
        const news = Object.hasOwn(this.t, state) && ["seen", "answered"].includes(state) ? this.t[state] : "";
        if (this.status.textContent !== news) this.status.textContent = news;
        this.clock.textContent = this.t.left.replace("{n}", `${left}`);
        url.search = "?wait=5";
        await pause(200);
      }
      if (!this.over) throw new Error("no answer");
    }

    /** Another device has answered: its browser shows six characters, and they count here. */
    askForCode() {
      this.typedBack = false;
      const form = element("form", "", { class: "mapae-type" });
      const label = element("label", this.t.type, { for: "mapae-code" });
      const field = element("input", "", { id: "mapae-code", autocomplete: "off", autocapitalize: "characters", maxlength: "12", required: "" });
      const error = element("p", "", { class: "mapae-small", role: "alert" });
      form.append(label, field, error, element("button", this.t.check, { class: "mapae-button" }));
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const headers = { Authorization: `Bearer ${this.page}` };
        let words = "";
        try {
          const told = await send(new URL(`pages/${encodeURIComponent(this.id)}/code`, home), { code: field.value }, { credentials: "omit", headers });
          const left = Number(member(told, "tries_left"));
          if (left !== 0) words = this.t.wrong.replace("{n}", `${left}`);
        } catch (failure) {
          words = ["400", "422"].includes(failure.message) ? this.t.shape : this.t.failed; // not every failure is of whoever types
        }
        error.textContent = words;
        field.focus();
      });
      this.body.replaceChildren(form);
      field.focus();
    }

    /** The verdict of the page's own server, where it has one to ask. */
    async finish(seen, state) {
      const [url, result] = [this.button.dataset.mapaeFinish, text(seen, "result_code")];
      if (!url || !result) return this.end(state, this.both(member(seen, "words")));
      const told = await send(new URL(url, location.href), { id: this.id, code: result }, { credentials: "same-origin" });
      const counted = text(told, "state");
      return this.end(FINAL.includes(counted) ? counted : "refused", this.both(member(told, "words")) || this.both(member(seen, "words")));
    }

    leave() {
      if (!this.over && this.id) this.cancel();
      if (!this.over) this.tell("cancelled", "");
      this.over = true;
      this.dialog.close();
      this.dialog.remove();
      this.button.focus();
    }

    cancel() {
      const headers = { Authorization: `Bearer ${this.page}` };
      send(new URL(`pages/${encodeURIComponent(this.id)}/cancel`, home), {}, { credentials: "omit", headers }).catch(() => null);
    }

    end(state, words) {
      this.body.replaceChildren(element("p", words || this.t.failed, { class: "mapae-verdict", "data-state": state }));
      this.status.textContent = words || this.t.failed; // for who hears it: the panel above says the same
      this.status.classList.add("mapae-unseen");
      this.clock.textContent = "";
      this.quit.textContent = this.t.close;
      this.quit.focus();
      this.tell(state, words);
      this.over = true;
    }

    tell(state, words) {
      this.button.dataset.mapaeState = state;
      this.button.dispatchEvent(new CustomEvent("mapae", { bubbles: true, detail: { id: this.id ?? "", state, words } }));
    }
  }

  const style = element("link", "", { rel: "stylesheet", href: new URL("button.css", home).href });
  document.head.append(style);
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button[data-mapae-purpose], button[data-mapae-start]") : null;
    if (button && !document.querySelector("dialog.mapae-dialog")) void new Check(button).run();
  });
})();
