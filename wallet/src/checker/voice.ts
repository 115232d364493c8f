/**
 * The verdict for whoever is not looking: spoken in the page's language, felt in the hand.
 * Promises: what is spoken is outcome and reason, never a name. Trusts, keeps: nothing. Refuses: nothing; a device that cannot stays silent.
 */
import { language } from "./words.ts";

const LOCALES = { ko: "ko-KR", en: "en-US" } as const;
/** Milliseconds on, off, on: one long for yes, three short for no, one short for neither. */
export const PATTERNS: Readonly<Record<"yes" | "no" | "open", readonly number[]>> = { yes: [400], no: [120, 90, 120, 90, 120], open: [80] };

export function speak(text: string): void {
  if (!("speechSynthesis" in globalThis)) return;
  speechSynthesis.cancel();
  const said = new SpeechSynthesisUtterance(text);
  said.lang = LOCALES[language];
  const voice = speechSynthesis.getVoices().find(({ lang }) => lang.replace("_", "-").startsWith(language));
  if (voice) said.voice = voice;
  speechSynthesis.speak(said);
}

export function hush(): void {
  if ("speechSynthesis" in globalThis) speechSynthesis.cancel();
}

export function shake(look: "yes" | "no" | "open"): void {
  if ("vibrate" in navigator) navigator.vibrate([...PATTERNS[look]]);
}
