// The proof check on an entry's page: fetches what the log publishes, computes, and shows each step and the path.
//
// Promises: green only if every step held, red if one did not, and amber, with words, where this browser cannot tell.
// Trusts: the policy this browser kept before, or one the visitor brings; the page's own script, which the operator
// sent (the page says so). Keeps: in this browser, the policy and the newest checkpoint, to notice when they change.

import { met, parseCheckpoint, parseNote, parsePolicy, readStatement, verify } from "./note.mjs";
import { drawPath } from "./picture.mjs";
import { Refused, Tiles, climb, hex, leafHash, same, sha256 } from "./tree.mjs";

const KEPT_POLICY = "mapae-log-policy";
const STEPS = ["policy", "checkpoint", "signature", "witnesses", "entry", "path", "earlier", "statement", "document"];
const ICONS = { good: "✓", bad: "✗", cannot: "?", running: "…", skipped: "–" };
const short = (digest) => `${hex(digest).slice(0, 8)}…`;
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

export class Check {
  constructor(section) {
    this.section = section;
    this.facts = section.dataset;
    this.words = new Map(
      [...section.querySelector("template").content.children].map((one) => [one.dataset.word, one.textContent]),
    );
    this.list = section.querySelector("[data-steps]");
    this.verdict = section.querySelector("[data-verdict]");
    this.figure = section.querySelector("[data-drawing]");
    this.button = section.querySelector("[data-start]");
    this.button.addEventListener("click", () => this.run());
    section.querySelector("[data-live]").hidden = false;
  }

  say(key, values = {}) {
    return this.words.get(key).replace(/\[(\w+)\]/g, (whole, name) => values[name] ?? whole);
  }

  when(seconds) {
    const form = { dateStyle: "medium", timeStyle: "medium", timeZone: this.facts.zone };
    return new Intl.DateTimeFormat(document.documentElement.lang, form).format(new Date(seconds * 1000));
  }

  async run() {
    this.button.disabled = true;
    this.list.replaceChildren();
    this.figure.replaceChildren();
    this.verdict.replaceChildren();
    this.found = {};
    const states = [];
    if (!globalThis.crypto?.subtle) {
      this.conclude(["cannot"], this.say("insecure"));
      return;
    }
    for (const name of STEPS) {
      if (name === "document" && !this.facts.document) continue;
      states.push(await this.step(name));
    }
    this.conclude(states);
    if (!states.includes("bad")) this.remember();
  }

  async step(name) {
    const item = document.createElement("li");
    item.dataset.step = name;
    this.list.append(item);
    this.show(item, name, { state: "running", text: "" });
    let result;
    try {
      result = await this[name]();
    } catch (error) {
      if (error instanceof Refused) result = { state: "bad", text: this.say("refused", { why: error.message }) };
      else if (error instanceof Missing) result = { state: "skipped", text: this.say("skipped") };
      else result = { state: "bad", text: this.say("unreadable") };
    }
    this.show(item, name, result);
    return result.state;
  }

  show(item, name, { state, text, more = [] }) {
    item.className = `proof-${state}`;
    const mark = element("span", "proof-mark", ICONS[state]);
    mark.setAttribute("aria-hidden", "true");
    const words = element("div", "proof-words");
    const head = element("p", "proof-head", this.say(`step_${name}`));
    head.append(element("span", "proof-state", this.say(`state_${state}`)));
    words.append(head);
    if (text) words.append(element("p", "", text));
    if (more.length) {
      const lines = document.createElement("ul");
      lines.append(...more.map((line) => element("li", "", line)));
      words.append(lines);
    }
    item.replaceChildren(mark, words);
  }

  conclude(states, why = "") {
    const bad = states.includes("bad") || states.includes("skipped");
    const kind = bad ? "refused" : states.includes("cannot") ? "warn" : "ok";
    const box = element("div", `alert alert-${kind}`);
    box.setAttribute("role", kind === "refused" ? "alert" : "status");
    box.dataset.outcome = kind;
    const words = document.createElement("div");
    words.append(element("p", "alert-title", this.say(`verdict_${kind}`)));
    words.append(element("p", "", why || this.say(`verdict_${kind}_why`, { index: this.facts.index })));
    const mark = element("span", "proof-mark", { ok: ICONS.good, refused: ICONS.bad, warn: ICONS.cannot }[kind]);
    mark.setAttribute("aria-hidden", "true");
    box.append(mark, words);
    this.verdict.replaceChildren(box);
    this.button.disabled = false;
    this.button.textContent = this.say("again");
  }

  // --- the steps ------------------------------------------------------------------------------------------------

  async policy() {
    const own = this.section.querySelector("[data-own-policy]").value;
    const served = await this.text(this.facts.policy);
    const chosen = own.trim() ? own.replaceAll("\r\n", "\n") : served;
    this.found.policy = await parsePolicy(chosen.endsWith("\n") ? chosen : `${chosen}\n`);
    this.found.served = served;
    if (own.trim()) {
      const agrees = own.trim() === served.trim();
      return { state: "good", text: this.say(agrees ? "policy_own_same" : "policy_own") };
    }
    const kept = recall(KEPT_POLICY);
    if (!kept) return { state: "good", text: this.say("policy_first") };
    if (kept.text === served) return { state: "good", text: this.say("policy_kept", { when: this.when(kept.at) }) };
    return { state: "bad", text: this.say("policy_changed", { when: this.when(kept.at) }) };
  }

  async checkpoint() {
    this.found.note = parseNote(await this.text(`${this.facts.prefix}/checkpoint`));
    const head = parseCheckpoint(this.found.note.text);
    const keys = this.need("policy").logs.filter((one) => one.name === head.origin);
    // More than one while a log changes its key.
    const key = keys.find((one) => this.found.note.signatures.some((line) => line.id === one.id)) ?? keys[0];
    if (!key || !head.origin.endsWith(`/${this.facts.log}`)) {
      return { state: "bad", text: this.say("checkpoint_stranger", { origin: head.origin }) };
    }
    this.found.head = head;
    this.found.key = key;
    const state = Number(this.facts.index) < head.size ? "good" : "bad";
    const values = { origin: head.origin, size: head.size, root: short(head.root), index: this.facts.index };
    return { state, text: this.say(state === "good" ? "checkpoint" : "checkpoint_small", values) };
  }

  async signature() {
    const { state } = await verify(this.need("note"), this.need("key"));
    if (state === "cannot") return { state, text: this.say("no_algorithm", { name: this.found.key.name }) };
    return { state: state === "good" ? "good" : "bad", text: this.say(state === "good" ? "signature" : "signature_bad") };
  }

  async witnesses() {
    const policy = this.need("policy");
    const note = this.need("note");
    const [good, maybe, more] = [new Set(), new Set(), []];
    for (const [name, key] of policy.witnesses) {
      const { state: fits, at } = await verify(note, key);
      const state = fits === "good" && !at ? "bad" : fits; // without a time it says nothing of how new this is
      if (state === "good") good.add(name);
      if (state === "good" || state === "cannot") maybe.add(name);
      more.push(this.say(`witness_${state}`, { name, when: at ? this.when(at) : "" }));
      if (state === "bad") return { state: "bad", text: this.say("witnesses_bad", { name }), more };
    }
    const values = { count: good.size, all: policy.witnesses.size };
    if (met(policy, good)) return { state: "good", text: this.say("witnesses", values), more };
    if (met(policy, maybe)) return { state: "cannot", text: this.say("witnesses_cannot", values), more };
    return { state: "bad", text: this.say("witnesses_few", values), more };
  }

  async entry() {
    const head = this.need("head");
    this.found.tiles = new Tiles((path) => this.bytes(`${this.facts.prefix}/${path}`), head.size);
    const raw = await this.found.tiles.entry(Number(this.facts.index));
    this.found.entry = raw;
    const agrees = hex(raw) === this.facts.entry;
    return { state: agrees ? "good" : "bad", text: this.say(agrees ? "entry" : "entry_other", { bytes: raw.length }) };
  }

  async path() {
    const [head, raw, tiles] = [this.need("head"), this.need("entry"), this.need("tiles")];
    const leaf = await leafHash(raw);
    const path = await tiles.path(Number(this.facts.index));
    const way = await climb(leaf, path);
    const good = same(way[way.length - 1], head.root);
    const drawing = { path, way, good, root: head.root, index: this.facts.index };
    this.figure.replaceChildren(...drawPath(drawing, (key, values) => this.say(key, values)));
    const values = { count: path.length, root: short(way[way.length - 1]), signed: short(head.root) };
    return { state: good ? "good" : "bad", text: this.say(good ? "path" : "path_other", values) };
  }

  async earlier() {
    const [head, tiles] = [this.need("head"), this.need("tiles")];
    const kept = recall(`mapae-log-${this.found.key.text}`);
    if (!kept) return { state: "good", text: this.say("earlier_none") };
    const values = { size: kept.size, when: this.when(kept.at) };
    if (kept.size > head.size) return { state: "bad", text: this.say("earlier_shrunk", values) };
    const good = hex(await tiles.root(kept.size)) === kept.root;
    return { state: good ? "good" : "bad", text: this.say(good ? "earlier" : "earlier_other", values) };
  }

  async statement() {
    const raw = this.need("entry");
    const digest = raw.subarray(128, 160); // its fifth word
    const text = await this.text(`/trust/statements/${hex(digest)}`);
    if (!same(await sha256(new TextEncoder().encode(text)), digest)) {
      return { state: "bad", text: this.say("statement_other") };
    }
    const read = await readStatement(text);
    const state = read.good ? "good" : "bad";
    return { state, text: this.say(read.good ? "statement" : "statement_bad", { voice: short(read.thumbprint) }) };
  }

  async document() {
    const named = fromHex(this.facts.document);
    const bytes = await this.bytes(`/trust/documents/${this.facts.document}`);
    const inside = hex(this.need("entry")).includes(this.facts.document);
    const good = inside && same(await sha256(bytes), named);
    return { state: good ? "good" : "bad", text: this.say(good ? "document" : "document_other") };
  }

  // --- what they need ---------------------------------------------------------------------------------------------

  need(name) {
    if (!this.found[name]) throw new Missing(name);
    return this.found[name];
  }

  async text(path) {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await this.bytes(path));
  }

  async bytes(path) {
    const answer = await fetch(path, { credentials: "omit", cache: "no-cache" });
    if (!answer.ok) throw new Refused(`${path} (${answer.status})`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  remember() {
    const at = Math.floor(Date.now() / 1000);
    const kept = recall(KEPT_POLICY);
    if (!kept || kept.text !== this.found.served) keep(KEPT_POLICY, { text: this.found.served, at });
    const { head, key } = this.found;
    const name = `mapae-log-${key.text}`;
    const before = recall(name);
    if (!before || before.size < head.size) keep(name, { size: head.size, root: hex(head.root), at });
  }
}

class Missing extends Error {}

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null; // storage is switched off, or not ours
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // storage is switched off: the next visit is a first one again
  }
}
