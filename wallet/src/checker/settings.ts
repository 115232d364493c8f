/**
 * The settings screen of the till: how a verdict is told, receipts, what the shop calls itself, and the counter.
 * Promises: what is set is kept, or the screen says that it was not. Trusts: `TillStore`. Keeps: the settings in force.
 * Refuses: nothing; a name is made one plain line.
 */
import { asProblem } from "../problem.ts";
import { plainName } from "./codes.ts";
import type { TillPurpose } from "./pack.ts";
import type { Settings, Till, TillStore } from "./store.ts";
import { shake, speak } from "./voice.ts";
import { dayWords, make, part, pick, say } from "./words.ts";

export class SettingsScreen {
  constructor(
    private readonly store: TillStore,
    public now: Settings,
    private readonly failed: (code: string) => void,
  ) {}

  wire(shown: () => Promise<void>): void {
    const anew = (work: () => Promise<unknown>) => (): void => void work().then(shown).catch((thrown: unknown) => this.failed(asProblem(thrown).code));
    for (const name of ["voice", "vibration", "receipts"] as const) {
      const input = part<HTMLInputElement>(`set-${name}`);
      input.checked = this.now[name];
      input.addEventListener("change", () => this.set({ [name]: input.checked }));
    }
    const name = part<HTMLInputElement>("set-name");
    name.value = this.now.name;
    name.addEventListener("change", () => {
      name.value = plainName(name.value);
      this.set({ name: name.value });
    });
    part("try-voice").addEventListener("click", () => {
      speak(say("basement.voice_try"));
      shake("yes");
    });
    part("save-receipts").addEventListener("click", anew(() => this.save()));
    part("clear-receipts").addEventListener("click", anew(() => this.store.clearSigned()));
    part("clear-counts").addEventListener("click", anew(() => this.store.clearCounts()));
  }

  set(change: Partial<Settings>): void {
    this.now = { ...this.now, ...change };
    void this.store.setSettings(this.now).catch((thrown: unknown) => this.failed(asProblem(thrown).code));
  }

  /** One receipt a line, for the shop's books. */
  private async save(): Promise<void> {
    const link = make("a", "");
    link.href = URL.createObjectURL(new Blob([(await this.store.signed()).join("\n"), "\n"], { type: "text/plain" }));
    link.download = `receipts-${new Date().toISOString().slice(0, 10)}.txt`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async show(purposes: readonly TillPurpose[], till: Till | null): Promise<void> {
    const names = new Map(purposes.map(({ id, name }) => [id, pick(name)]));
    const rows = (await this.store.counts()).sort((a, b) => b.day.localeCompare(a.day)).map(({ day, purpose, outcome, count }) => {
      const row = make("tr", "");
      for (const text of [dayWords(day), names.get(purpose) ?? purpose, say(`checker.outcome.${outcome}`), String(count)]) row.append(make("td", "", text));
      return row;
    });
    part("counts").replaceChildren(...rows);
    part("counts-table").hidden = rows.length === 0;
    part("counts-none").hidden = rows.length > 0;
    part("clear-counts").hidden = rows.length === 0;
    part("set-receipts-row").hidden = !till;
    const waiting = (await this.store.facts()).length;
    part("receipts-waiting").textContent = waiting > 0 ? say("basement.settings.waiting", { count: waiting }) : "";
    const ready = (await this.store.signed()).length;
    part("receipts-ready").hidden = ready === 0;
    part("receipts-count").textContent = say("basement.settings.signed", { count: ready });
  }
}
