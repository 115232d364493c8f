/**
 * A scanner that types: fast, without a field that has the focus, and Enter at the end.
 * Promises: the same text under every keyboard layout and with Caps Lock, for base45 has capitals only. Trusts nothing. Keeps: what was
 * typed last, no more than a code can hold. Refuses: what is not typed without a pause.
 */
import { MAX_TEXT, SHOW } from "./codes.ts";

/** A scanner types without a pause; a busy tablet hears it with some. */
const TYPED_MS = 2_000;
/** Keys by their place, as a scanner that believes in an American keyboard presses them. */
const PLACES: Readonly<Record<string, readonly [string, string]>> = {
  Space: [" ", " "], Minus: ["-", "-"], Period: [".", "."], Slash: ["/", "/"], Equal: ["+", "+"], Semicolon: [":", ":"],
  Digit4: ["4", "$"], Digit5: ["5", "%"], Digit8: ["8", "*"],
};

export type Pressed = Pick<KeyboardEvent, "key" | "code" | "shiftKey" | "timeStamp">;

export class Wedge {
  private keys = "";
  private at = 0;

  constructor(private readonly typed: (text: string) => void) {}

  /** Whether the key is a part of a code, and shall do nothing else. */
  press(event: Pressed): boolean {
    if (event.timeStamp - this.at > TYPED_MS) this.keys = "";
    this.at = event.timeStamp;
    if (event.key === "Enter") {
      if (this.keys.length <= SHOW.length) return false;
      const text = this.keys.slice(Math.max(0, this.keys.lastIndexOf(SHOW)));
      this.keys = "";
      this.typed(text);
      return true;
    }
    const character = characterOf(event);
    if (character === "") return false;
    this.keys = (this.keys + character).slice(-MAX_TEXT);
    return this.keys.length > 2; // a space would press the button that has the focus
  }
}

/** Under a Korean layout a scanner's M arrives as ㅡ, or as nothing at all: then its place says which it was. */
function characterOf({ key, code, shiftKey }: Pressed): string {
  if (key.length === 1 && key >= " " && key <= "~") return key.toUpperCase();
  if (key.length > 1 && !["Process", "Unidentified"].includes(key)) return "";
  const place = PLACES[code];
  return place ? place[shiftKey ? 1 : 0] : (/^(?:Key([A-Z])|Digit(\d))$/.exec(code)?.slice(1).find(Boolean) ?? "");
}
