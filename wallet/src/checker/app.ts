/**
 * The checker that works offline: choose, scan or be scanned, see green or red.
 * Promises: a check asks the network nothing; anything that names a person only on an enrolled till; one verdict for one code. Trusts: the
 * page's own server for code and pack. Keeps: what store.ts says; a person only in the page, for twenty seconds. Refuses: to check
 * without a pack, with a pack too old, a code twice.
 */
import { asProblem, Problem } from "../problem.ts";
import { same, token } from "../bytes.ts";
import { Awake } from "./awake.ts";
import { codesIn, Eyes, type Lost, useReader } from "./camera.ts";
import { check } from "./check.ts";
import { type Ask, ASK_LIFE, askAnonymously, askSigned, Collector, plainName, SHOW, type Show } from "./codes.ts";
import { drawQr } from "./draw.ts";
import { clock, Known, light, type TillPurpose } from "./pack.ts";
import { agesOf, Panel, type Shown, yesOrNo } from "./panel.ts";
import { SettingsScreen } from "./settings.ts";
import { mustBeAble, Shelf } from "./shelf.ts";
import { type Till, TillStore } from "./store.ts";
import { PATIENT, Sync, unpack, untilNext, type Wants } from "./sync.ts";
import { hush, shake, speak } from "./voice.ts";
import { Wedge } from "./wedge.ts";
import { copyOf, has, make, part, pick, readWords, say } from "./words.ts";

const DAY = 86_400; // seconds
const SCREENS = ["home", "ask", "scan", "verdict", "how", "settings"] as const;
type Screen = (typeof SCREENS)[number];

interface Put extends Ask {
  readonly at: number;
}

class Checker {
  private known: Known | null = null;
  private packId = "";
  private till: Till | null = null;
  private settings!: SettingsScreen;
  private highWater = 0;
  private purpose: TillPurpose | null = null;
  private asks: Put[] = [];
  private collector = new Collector();
  private syncing = false;
  private readonly awake = new Awake();
  private readonly panel = new Panel(() => this.home());
  private readonly eyes = new Eyes(
    part<HTMLVideoElement>("video"),
    (text) => void this.saw(text).catch((thrown: unknown) => console.error(asProblem(thrown).code)),
    (why) => this.blind(why),
  );
  private readonly sync: Sync;
  private countdown: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly store: TillStore,
    private readonly shelf: Shelf,
    base: string,
  ) {
    this.sync = new Sync(store, base);
  }

  async start(): Promise<void> {
    this.settings = new SettingsScreen(this.store, await this.store.settings(), (code) => this.trouble(code));
    this.eyes.camera = this.settings.now.camera;
    this.wire();
    await this.reload().catch((thrown: unknown) => this.trouble(asProblem(thrown).code));
    this.home();
    void this.refresh();
    setInterval(() => this.showReady(), 30_000);
    addEventListener("online", () => void this.refresh());
    addEventListener("offline", () => this.showReady());
    document.addEventListener("visibilitychange", () => this.seen());
    await this.shelf.open(
      () => this.showReady(),
      () => this.renew(),
    );
  }

  private renewing = false;

  /** A newer version has taken over, here or in another tab: not in the middle of a check. */
  private renew(): void {
    this.renewing = true;
    if (!part("home").hidden) location.reload();
  }

  /** What does not concern the card before us: said on the start page, until it is over. */
  private trouble(code: string): void {
    const key = `basement.trouble.${code}`;
    part("trouble").textContent = has(key) ? say(key) : "";
    part("trouble").hidden = !has(key);
  }

  /** Nobody looks: no camera, which costs battery and trust. Somebody looks again: it goes on, and what went by is caught up with. */
  private seen(): void {
    if (document.hidden) return this.eyes.stop();
    void this.awake.again();
    if (!part("scan").hidden) void this.watch();
    this.showReady();
    if (Date.now() > this.due) void this.refresh();
  }

  // --- time and pack ----------------------------------------------------------------------------------------------------------------------

  /** Seconds; never behind a moment this till has heard of. */
  private now(): number {
    return clock(Date.now() / 1000, this.known?.pack.newest ?? 0, this.highWater);
  }

  private async reload(): Promise<void> {
    const kept = await this.store.pack();
    if (kept && kept.id !== this.packId) {
      this.known = new Known(kept.pack, async (digest) => {
        const packed = await this.store.list(digest);
        if (!packed) throw new Problem("status_unknown", "the list is not here");
        return unpack(packed);
      });
      this.packId = kept.id;
    }
    if (kept) this.highWater = await this.store.noteTime(Date.now() / 1000, kept.pack.as_of);
    const till = await this.store.till();
    this.till = till && till.until > this.now() ? till : null;
  }

  private next: ReturnType<typeof setTimeout> | undefined;
  /** When the next look is due, also where the timer slept with the tablet. */
  private due = 0;
  private wants: Wants = "pack";
  private looks = 0;
  /** The server is there, and has no data yet: not for long, or it is its operator's matter. */
  private beginning = false;

  private async refresh(): Promise<void> {
    if (this.syncing) return;
    clearTimeout(this.next);
    this.syncing = true;
    this.showReady();
    let code = "";
    try {
      const { ahead } = await this.sync.run();
      const off = Math.abs(ahead) > 60;
      part("clock").hidden = !off;
      if (off) part("clock").textContent = say("basement.clock", { minutes: Math.max(1, Math.round(Math.abs(ahead) / 60)) });
    } catch (thrown) {
      ({ code } = asProblem(thrown));
    }
    this.syncing = false;
    await this.reload().catch((thrown: unknown) => ({ code } = asProblem(thrown)));
    this.beginning = code === "beginning" && this.looks <= PATIENT;
    this.trouble(code === "beginning" && !this.beginning ? "unavailable" : code);
    if (code !== "offline") void this.shelf.seek(code === "unsupported");
    this.showReady();
    this.showPurposes();
    const wants = !this.known ? "pack" : this.known.begun !== "ready" || this.known.ages(this.now()).late > 0 ? "lists" : "nothing";
    this.looks = wants === this.wants ? this.looks + 1 : 0;
    this.wants = wants;
    const pause = untilNext(wants, this.looks);
    this.due = Date.now() + pause;
    this.next = setTimeout(() => void this.refresh(), pause);
  }

  private showReady(): void {
    const ready = part("ready");
    const ages = this.known?.ages(this.now());
    const lit = ages ? light(Math.max(ages.trust, ages.status)) : "too_old";
    // A server that has just begun has a pack without status lists: on that every card would be red.
    const begun = this.known?.begun ?? "collecting";
    const shelf = this.shelf.state === "ready" ? (begun === "collecting" ? "getting" : begun) : this.shelf.state;
    const soon = this.known ? begun !== "ready" : this.beginning;
    ready.className = `pack ready pack-${soon ? "days" : lit}`;
    Object.assign(ready.dataset, { state: shelf, light: lit });
    part("ready-title").textContent = say(`basement.state.${shelf}`);
    part("ready-light").textContent = say(`basement.light.${!this.known ? (this.beginning ? "beginning" : "none") : begun === "ready" ? lit : begun === "nobody" ? "nobody" : this.looks > PATIENT ? "silent" : "waiting"}`);
    part("ready-ages").textContent = ages && begun === "ready" ? agesOf(ages.trust, ages.status, "pack") + (ages.late > 0 ? ` ${say("checker.pack.late", { count: ages.late })}` : "") : "";
    part("line").textContent = say(this.syncing ? "basement.line.syncing" : navigator.onLine ? "basement.line.on" : "basement.line.off");
    part("update").hidden = !this.shelf.waiting;
  }

  // --- screens ----------------------------------------------------------------------------------------------------------------------------

  private go(screen: Screen): void {
    for (const one of SCREENS) part(one === "verdict" ? "verdict-screen" : one).hidden = one !== screen;
    document.body.dataset["screen"] = screen;
    clearInterval(this.countdown);
    if (screen !== "scan") this.eyes.stop();
    void this.awake.want(screen === "scan" || screen === "ask");
    if (screen !== "verdict") {
      this.panel.clear();
      part("spoken").textContent = "";
      hush();
    }
    part("torch").hidden = true;
    scrollTo(0, 0);
    if (screen !== "verdict") part(`${screen}-title`).focus({ preventScroll: true });
  }

  private home(): void {
    if (this.renewing) return location.reload();
    this.purpose = null;
    this.collector = new Collector();
    this.showPurposes();
    this.showReady();
    this.go("home");
  }

  /** The country's purposes, and those of the shop's own; one the shop has registered otherwise is the shop's. */
  private get purposes(): readonly TillPurpose[] {
    const own = this.till?.own ?? [];
    return [...(this.known?.pack.purposes ?? []).filter(({ id }) => !own.some((one) => one.id === id)), ...own];
  }

  /** What this till may ask, and on what ground. */
  private may(purpose: TillPurpose): "registered" | "anyone" | null {
    if (this.till?.purposes.includes(purpose.id)) return "registered";
    return purpose.anyone && yesOrNo(purpose) ? "anyone" : null;
  }

  private drawn = "";

  /** Drawn anew only where something changed: a button that is replaced loses the focus, and its reader the place. */
  private showPurposes(): void {
    const every = this.purposes;
    const what = JSON.stringify([every, this.till]);
    if (what === this.drawn) return;
    this.drawn = what;
    const focused = document.activeElement?.id ?? "";
    const rows = every.filter((one) => this.may(one)).map((purpose) => {
      const row = copyOf(yesOrNo(purpose) ? "purpose-yes-no" : "purpose-values");
      const button = row.querySelector("button");
      const law = row.querySelector(".purpose-law");
      if (button) {
        button.id = `purpose-${purpose.id}`;
        button.setAttribute("aria-describedby", `about-${purpose.id}`);
        button.dataset["ground"] = this.may(purpose) ?? "";
        button.addEventListener("click", () => void this.choose(purpose).catch((thrown: unknown) => this.say(asProblem(thrown).code, purpose)));
      }
      const name = row.querySelector(".purpose-name");
      if (name) name.textContent = pick(purpose.name);
      const learn = row.querySelector(".purpose-learn");
      if (learn && !yesOrNo(purpose)) learn.textContent = say("checker.start.learn_items", { items: purpose.items.map(({ label }) => pick(label)).join(", ") });
      if (law) {
        law.id = `about-${purpose.id}`;
        law.textContent = `${pick(purpose.legal_basis)} · ${say(`basement.ground.${this.may(purpose)}`)}`;
      }
      return row;
    });
    part("purposes").replaceChildren(...rows);
    if (focused.startsWith("purpose-")) document.getElementById(focused)?.focus({ preventScroll: true });
    part("none").hidden = rows.length > 0;
    const others = every.filter((one) => !this.may(one));
    part("others").hidden = others.length === 0 || rows.length === 0;
    part("others-list").replaceChildren(...others.map((one) => make("li", "", pick(one.name))));
    part("others-title").textContent = say(this.till ? "basement.others.not_ours" : "basement.others.title");
    part("others-text").textContent = say(this.till ? "basement.others.not_ours_text" : "basement.others.text");
    part("enrol").hidden = this.till !== null;
    part("who-name").textContent = this.till ? pick(this.till.shop) : say("basement.who.nobody");
    part("who-text").textContent = say(this.till ? "basement.who.enrolled" : "basement.who.anyone");
    part("who").dataset["till"] = this.till ? "enrolled" : "anyone";
  }

  private async choose(purpose: TillPurpose): Promise<void> {
    this.purpose = purpose;
    for (const id of ["scan-purpose", "ask-purpose"]) part(id).textContent = pick(purpose.name);
    part("to-ask").hidden = false;
    if (purpose.by_holder) await this.scan("unasked");
    else await this.ask();
  }

  // --- the shop asks ----------------------------------------------------------------------------------------------------------------------

  private async ask(): Promise<void> {
    const { purpose } = this;
    if (!purpose) return;
    const items = purpose.items.map(({ name }) => name);
    const signed = this.may(purpose) === "registered" ? await this.store.takeAsk(purpose.id, this.now()) : undefined;
    if (!signed && !(purpose.anyone && yesOrNo(purpose))) return this.say("no_questions", purpose);
    const name = plainName(this.settings.now.name) || plainName(this.till ? pick(this.till.shop) : "") || say("basement.name_default");
    const ask = await (signed ? askSigned(signed) : askAnonymously(purpose.id, items, name));
    const put: Put = { ...ask, at: Math.floor(this.now()) };
    this.asks = [put, ...this.asks.filter((one) => put.at - one.at <= ASK_LIFE)];
    part("ask-ground").textContent = say(signed ? "basement.ask.signed" : "basement.ask.anyone", { name });
    part("qr").replaceChildren(drawQr(ask.text, say("checker.waiting.qr")));
    part("qr").dataset["ask"] = ask.text;
    part("ask-items").replaceChildren(...purpose.items.map(({ label }) => make("li", "", pick(label))));
    this.go("ask");
    const tick = (): void => {
      const left = Math.max(0, Math.ceil(put.at + ASK_LIFE - this.now()));
      part("left").textContent = String(left);
      part<HTMLProgressElement>("left-bar").value = left;
      if (left === 0) this.home();
    };
    this.countdown = setInterval(tick, 500);
    tick();
  }

  // --- the phone shows --------------------------------------------------------------------------------------------------------------------

  private async scan(how: "unasked" | "answer"): Promise<void> {
    this.collector = new Collector();
    this.go("scan");
    part("scan-title").textContent = say(`basement.scan.${how}`);
    part("scan-lead").textContent = say(`basement.scan.${how}_lead`);
    part("to-ask").hidden = how === "answer";
    this.showProgress();
    await this.watch();
  }

  private async watch(): Promise<void> {
    this.lit(false);
    part("other-camera").hidden = true;
    const sight = await this.eyes.start();
    if (sight === "left" || part("scan").hidden) return;
    const seen = sight === "seeing";
    part("finder").hidden = !seen;
    part("no-camera").hidden = seen;
    if (!seen) part("no-camera").textContent = say(sight === "denied" ? "basement.scan.camera_denied" : "basement.scan.no_camera");
    if (!seen) part<HTMLDetailsElement>("other-ways").open = true;
    part("torch").hidden = !this.eyes.hasTorch;
    part("other-camera").hidden = !seen || (await this.eyes.others()).length === 0;
  }

  /** The camera is off although nobody left. */
  private blind(why: Lost): void {
    if (part("scan").hidden) return;
    if (why === "rest") return this.home();
    part("finder").hidden = true;
    part("no-camera").hidden = false;
    part("no-camera").textContent = say("basement.scan.camera_gone");
    part<HTMLDetailsElement>("other-ways").open = true;
  }

  private readonly lit = (on: boolean): void => part("torch").setAttribute("aria-pressed", String(on));

  private async turn(): Promise<void> {
    const [next] = await this.eyes.others();
    if (next === undefined) return;
    this.eyes.camera = next;
    this.settings.set({ camera: next });
    await this.watch();
  }

  private showProgress(): void {
    const [got, all] = this.collector.progress;
    part("progress").textContent = all > 1 ? say("basement.scan.progress", { got, all }) : say("basement.scan.looking");
    part("progress").dataset["got"] = String(got);
    const bar = part<HTMLProgressElement>("progress-bar");
    bar.hidden = all < 2;
    bar.max = Math.max(1, all);
    bar.value = got;
  }

  private reading: Promise<void> = Promise.resolve();
  private waiting = 0;

  /** One after the other, so that a code seen twice is not two codes. A camera sees more than it needs; what others bring is read whole. */
  private saw(text: string, from: "camera" | "clerk" = "camera"): Promise<void> {
    if (from === "camera" && this.waiting > 2) return Promise.resolve();
    this.waiting++;
    this.reading = this.reading.then(() => this.read(text)).finally(() => this.waiting--);
    return this.reading;
  }

  private async read(text: string): Promise<void> {
    if (part("scan").hidden) return;
    if (!text.startsWith(SHOW)) {
      part("scan-note").textContent = say("basement.scan.other");
      return;
    }
    part("scan-note").textContent = "";
    try {
      const show = await this.collector.add(text);
      if (!show) return this.showProgress();
      await this.judge(show);
    } catch (thrown) {
      const problem = asProblem(thrown);
      // A frame read askew is not worth a red screen: the camera sees the next one in a moment. What is whole and bad is.
      if (problem.code === "malformed") part("scan-note").textContent = say("basement.scan.damaged");
      else if (this.purpose) await this.end({ ...nothing("refused", problem.code), purpose: this.purpose });
    }
  }

  private async judge(show: Show): Promise<void> {
    const { purpose } = this;
    if (!purpose) return;
    await this.reload(); // another tab may have taken a newer pack, and put this one's lists away
    const { known } = this;
    if (!known) return this.say("no_pack", purpose);
    const now = this.now();
    const answered = this.asks.find(({ nonce }) => same(nonce, show.nonce));
    const ask = answered ?? (purpose.by_holder ? null : (this.asks[0] ?? null));
    const verdict = await check(show, { purpose, ask }, known, now, (nonce, until) => this.store.spend(nonce, until, now));
    await this.end({ ...verdict, purpose });
  }

  /** Something that stops a check before there was a card. */
  private say(code: string, purpose: TillPurpose): void {
    void this.end({ ...nothing("refused", code), purpose });
  }

  private async end(shown: Shown): Promise<void> {
    this.go("verdict");
    const { look, outcome, reason } = this.panel.show(shown);
    part("spoken").textContent = `${outcome}. ${reason}`;
    if (this.settings.now.voice) speak(`${outcome}. ${reason}`);
    if (this.settings.now.vibration) shake(look);
    await this.note(shown).catch((thrown: unknown) => this.trouble(asProblem(thrown).code));
  }

  /** For the counter, and for a receipt where the shop wants one. */
  private async note(shown: Shown): Promise<void> {
    const day = new Date(this.now() * 1000).toLocaleDateString("sv-SE"); // YYYY-MM-DD where the till stands
    await this.store.count(day, shown.purpose.id, shown.outcome);
    if (this.settings.now.receipts && this.till && this.known && (shown.step || shown.outcome !== "refused")) {
      const { registry, epochs: status } = this.known.pack;
      const { purpose, outcome, step, code, grounds } = shown;
      const how = { outcome, step: step ?? "", code: code ?? "", tier: grounds?.tier ?? null };
      const at = Math.floor(this.now() / DAY) * DAY; // a receipt is dated to the day: nothing finer is written down
      await this.store.putFacts({ id: token(), purpose: purpose.id, ...how, at, registry, status });
    }
  }

  // --- what can be pressed ----------------------------------------------------------------------------------------------------------------

  private wire(): void {
    const on = (id: string, deed: () => unknown): void =>
      part(id).addEventListener("click", () => void Promise.resolve(deed()).catch((thrown: unknown) => this.failed(asProblem(thrown).code)));
    for (const back of document.querySelectorAll<HTMLElement>("[data-home]")) back.addEventListener("click", () => this.home());
    on("to-ask", () => this.ask());
    on("to-answer", () => this.scan("answer"));
    on("to-how", () => this.go("how"));
    on("print", () => print());
    const settings = async (): Promise<void> => {
      await this.settings.show(this.purposes, this.till);
      if (part("settings").hidden) this.go("settings");
    };
    on("to-settings", settings);
    this.settings.wire(settings);
    on("other-camera", () => this.turn());
    on("sync", () => this.refresh());
    on("use-now", () => this.shelf.useNow());
    on("torch", () => {
      const on = part("torch").getAttribute("aria-pressed") !== "true";
      this.lit(on);
      return this.eyes.light(on);
    });
    part<HTMLFormElement>("typed-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const field = part<HTMLTextAreaElement>("typed");
      void this.feed(field.value.split(/[\r\n]+/));
      field.value = "";
    });
    part<HTMLInputElement>("picture").addEventListener("change", (event) => {
      const input = event.target as HTMLInputElement;
      void this.look([...(input.files ?? [])]).then(() => (input.value = ""));
    });
    const wedge = new Wedge((text) => void this.feed([text]));
    document.addEventListener("keydown", (event) => {
      if (part("scan").hidden || (event.target as HTMLElement | null)?.closest("input, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (wedge.press(event)) event.preventDefault();
    });
  }

  /** A button that could not do its work says so: on the screen of the check it belongs to, or on the start page. */
  private failed(code: string): void {
    if (this.purpose) return this.say(code, this.purpose);
    this.trouble(code);
  }

  private async look(pictures: readonly File[]): Promise<void> {
    for (const one of pictures) {
      const found = await codesIn(one);
      if (found.length === 0) part("scan-note").textContent = say("basement.scan.no_code");
      await this.feed(found);
    }
  }

  private async feed(texts: readonly string[]): Promise<void> {
    for (const text of texts) if (text.trim()) await this.saw(text.replaceAll(/^\s+|[\r\n\t]+$/g, ""), "clerk");
  }
}

function nothing(outcome: "refused", code: string): Omit<Shown, "purpose"> {
  return { outcome, step: null, code, format: null, claims: new Map(), renew: false, grounds: null };
}

async function main(): Promise<void> {
  readWords();
  const base = document.body.dataset["base"] ?? "/checker/offline/";
  useReader(document.body.dataset["wasm"] ?? "");
  document.documentElement.classList.add("script");
  try {
    mustBeAble();
    await new Checker(await TillStore.open(), new Shelf(base), base).start();
  } catch (thrown) {
    const problem = asProblem(thrown);
    for (const id of SCREENS) part(id === "verdict" ? "verdict-screen" : id).hidden = id !== "home";
    part("ready").className = "pack ready pack-too_old";
    Object.assign(part("ready").dataset, { state: "cannot", code: problem.code });
    part("ready-title").textContent = say("basement.state.cannot");
    part("ready-light").textContent = say("basement.light.old_browser");
    part("sync").hidden = true;
  }
}

void main();
