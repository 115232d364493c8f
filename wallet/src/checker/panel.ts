/**
 * The verdict on the screen: by colour, shape and words, as the online checker has it; a name for twenty seconds.
 * Promises: what was shown of a person is taken out of the page after `SECONDS`, at once with "next", and when the page is left. Trusts: the
 * verdict. Keeps: nothing. Refuses: to keep a name on the screen longer.
 */
import type { Bytes } from "../bytes.ts";
import { portraitBytes } from "../formats/held.ts";
import { STEPS, type Verdict } from "./check.ts";
import { ageOf, light, type TillPurpose } from "./pack.ts";
import { copyOf, has, language, make, part, pick, say } from "./words.ts";

export const SECONDS = 20;
export type Look = "yes" | "no" | "open";

/** Everything the panel shows. `code` without a step: something that is no verdict about a card. */
export interface Shown extends Verdict {
  readonly purpose: TillPurpose;
}
export const yesOrNo = (purpose: TillPurpose): boolean => purpose.items.every(({ kind }) => kind === "yes_no");

/** Which words say why: `checker.reason.<this>`. */
function reasonOf({ outcome, code }: Verdict): string {
  if (outcome === "accepted") return "accepted_offline";
  if (outcome === "no") return "answer_no";
  const reason = code === "expired" ? "document_expired" : (code ?? "");
  return has(`checker.reason.${reason}`) || has(`basement.reason.${reason}`) ? reason : "malformed";
}

const either = (group: "reason" | "next", name: string): string => (has(`basement.${group}.${name}`) ? say(`basement.${group}.${name}`) : has(`checker.${group}.${name}`) ? say(`checker.${group}.${name}`) : "");

function valueOf(value: unknown, kind: string): string {
  if (kind !== "date" || typeof value !== "string") return String(value);
  return new Intl.DateTimeFormat(language === "ko" ? "ko-KR" : "en-GB", { dateStyle: "long", timeZone: "UTC" }).format(new Date(`${value}T00:00:00Z`));
}

/** For the eyes of whoever compares faces; the browser draws it and runs nothing in it. Gone with the rest of what was shown. */
function pictured(bytes: Bytes, label: string): HTMLElement {
  const [value, drawn] = [make("dd", ""), make("img", "shown-picture")];
  drawn.src = `data:image/jpeg;base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
  drawn.alt = label;
  value.append(drawn);
  return value;
}

export interface Told {
  readonly look: Look;
  readonly outcome: string;
  readonly reason: string;
}

export function told(verdict: Verdict): Told {
  return { look: verdict.outcome === "accepted" ? "yes" : "no", outcome: say(`checker.outcome.${verdict.outcome}`), reason: either("reason", reasonOf(verdict)) };
}

/** One word about each age, with its light. */
export function agesOf(trust: number, status: number, key: string): string {
  const [a, b] = [ageOf(trust), ageOf(status)].map(([unit, count]) => say(`checker.age.${unit}`, { count }));
  return a === b ? say(`checker.${key}.age`, { age: a ?? "" }) : say(`checker.${key}.ages`, { trust: a ?? "", status: b ?? "" });
}

export class Panel {
  private timers: ReturnType<typeof setTimeout>[] = [];

  constructor(private readonly done: () => void) {
    addEventListener("pagehide", () => this.erase());
    document.addEventListener("visibilitychange", () => document.hidden && this.erase());
  }

  show(shown: Shown): Told {
    this.clear();
    const { purpose, claims, step, code, outcome } = shown;
    const { look, outcome: title, reason } = told(shown);
    const values = look === "yes" && !yesOrNo(purpose);
    const panel = copyOf(`panel-${look}`);
    const inner = panel.querySelector<HTMLElement>("#verdict") ?? panel;
    Object.assign(inner.dataset, { outcome, step: step ?? "", code: code ?? "", format: shown.format ?? "", tier: shown.grounds?.tier ?? "" });
    panel.classList.toggle("verdict-with-values", values);
    const fill = (id: string, text: string): void => {
      const at = panel.querySelector<HTMLElement>(`#${id}`);
      if (at) at.textContent = text;
      if (at) at.hidden = text === "";
    };
    fill("verdict-purpose", pick(purpose.name));
    fill("verdict-title", title);
    fill("verdict-reason", reason);
    fill("verdict-next", look === "yes" ? "" : either("next", reasonOf(shown)));
    const facts = panel.querySelector("#verdict-facts");
    if (!values && outcome !== "refused") {
      for (const { name, label } of purpose.items) {
        const line = make("span", "", `${pick(label)}: `);
        line.append(make("strong", "", say(claims.get(name) === true ? "checker.yes" : "checker.no")));
        facts?.append(line);
      }
    }
    if (values) facts?.replaceWith(this.person(shown));
    const lamp = panel.querySelector<HTMLElement>("#offline");
    if (shown.grounds && lamp) {
      const { tier, trust, status } = shown.grounds;
      const lit = light(Math.max(trust, status));
      lamp.classList.add(`verdict-offline-${tier}`, `pack-${lit}`);
      Object.assign(lamp.dataset, { tier, light: lit });
      lamp.append(make("strong", "", say(`checker.offline.${tier}`)), make("br", ""), agesOf(trust, status, "offline"));
      lamp.hidden = false;
    }
    fill("renew", shown.renew ? say("checker.renew") : "");
    fill("verdict-step", step ? `${say("checker.verdict.step", { number: STEPS.indexOf(step) + 1 })} ${say(`checker.step.${step}`)} · ${code ?? ""}` : look === "yes" ? say("checker.verdict.all_steps") : (code ?? ""));
    this.leave(panel, values);
    part("verdict-place").replaceChildren(panel);
    panel.querySelector<HTMLElement>("#next")?.focus();
    return { look, outcome: title, reason };
  }

  private person({ purpose, claims }: Shown): HTMLElement {
    const list = make("dl", "shown");
    list.id = "person";
    for (const { name, kind, label } of purpose.items) {
      const row = make("div", "");
      const picture = kind === "image" ? portraitBytes(claims.get(name)) : null;
      const value = picture ? pictured(picture, pick(label)) : make("dd", "", kind === "yes_no" ? say(claims.get(name) === true ? "checker.yes" : "checker.no") : valueOf(claims.get(name), kind));
      value.id = `shown-${name}`;
      row.append(make("dt", "", pick(label)), value);
      list.append(row);
    }
    return list;
  }

  /** Back to the start by itself; a name goes even where the clerk stays. */
  private leave(panel: HTMLElement, values: boolean): void {
    const keep = panel.querySelector<HTMLButtonElement>("#keep");
    const timer = panel.querySelector<HTMLElement>("#verdict-timer");
    panel.querySelector("#next")?.addEventListener("click", () => this.done());
    if (keep) keep.hidden = values;
    const going = setTimeout(() => this.done(), SECONDS * 1000);
    this.timers.push(going);
    keep?.addEventListener("click", () => {
      clearTimeout(going);
      keep.hidden = true;
      panel.querySelector<HTMLElement>("#next")?.focus(); // what is hidden loses the focus, and its reader the place
      if (timer) timer.hidden = true;
    });
  }

  /** What was shown of a person. */
  erase(): void {
    document.getElementById("person")?.remove();
  }

  clear(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers = [];
    this.erase();
    part("verdict-place").replaceChildren();
  }
}
