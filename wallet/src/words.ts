/**
 * Words, dates and values in the holder's language.
 * Promises: every key exists in both languages (the type checker says so). Keeps: nothing but the language now in use, and the words that
 * came later with the screens that need them.
 */
import { isPicture, linesOf } from "./claims.ts";
import { particles } from "./particles.ts";
import type { Words } from "./trust.ts";
import { en } from "./words/en.ts";
import { ko } from "./words/ko.ts";

export type Language = "ko" | "en";
export type Key = keyof typeof ko | keyof typeof import("./words/checks.ts").checksKo | keyof typeof import("./words/citizen.ts").citizenKo | keyof typeof import("./words/meet.ts").meetKo
  | keyof typeof import("./words/push.ts").pushKo;

const words: Record<Language, Record<string, string>> = { ko: { ...ko }, en: { ...en } };

/** Words that come with a screen. */
export function learn(more: Readonly<Record<Language, Readonly<Record<string, string>>>>): void {
  Object.assign(words.ko, more.ko);
  Object.assign(words.en, more.en);
}

let language: Language = "ko";

export function speak(next: Language): void {
  language = next;
}
export const spoken = (): Language => language;

export function firstLanguage(kept: unknown, offered: readonly string[]): Language {
  if (kept === "ko" || kept === "en") return kept;
  return offered.find((tag) => tag.startsWith("ko") || tag.startsWith("en"))?.startsWith("en") ? "en" : "ko";
}

export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  const phrase = words[language][key] ?? key;
  const said = phrase.replace(/\{(\w+)\}/g, (hole, name: string) => String(values[name] ?? hole));
  return language === "ko" ? particles(said) : said;
}

export const has = (key: string): key is Key => Object.hasOwn(words.ko, key);
export const pickWords = (words: Words): string => words[language] || words.ko || words.en;

/** What a problem means, in words; an unknown code gets the general sentence, and the code is printed beside it. */
export function problemWords(code: string): string {
  const key = `problem.${code}`;
  return has(key) ? t(key) : t("problem.other");
}

const locale = (): string => (language === "ko" ? "ko-KR" : "en-GB");

/** YYYY-MM-DD is a civil date and must not shift with the time zone. */
export function day(raw: string): string {
  const date = new Date(`${raw}T00:00:00Z`);
  if (Number.isNaN(date.getTime())) return raw;
  return new Intl.DateTimeFormat(locale(), { dateStyle: "long", timeZone: "UTC" }).format(date);
}

export const moment = (ms: number): string =>
  new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(ms);

export const clock = (ms: number): string =>
  new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);

export function minutes(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

/** The issuer's word, else ours, else the raw name: for a part of an item, after the item it is a part of. */
export function claimLabel(name: string, labels: Readonly<Record<string, Words>> = {}): string {
  const own = labels[name];
  if (own && pickWords(own) !== name) return pickWords(own);
  const key = `claim.${name}`;
  if (has(key)) return t(key);
  const [whole = "", ...parts] = name.split(".");
  return parts.length === 0 ? name.replaceAll("_", " ") : [claimLabel(whole, labels), ...parts.map((part) => claimLabel(part))].join(" · ");
}

export function claimValue(name: string, value: unknown): string {
  if (typeof value === "boolean") return t(value ? "value.yes" : "value.no");
  // By the log-in number the bridge knows somebody again: nothing to read, and nothing to read out to a caller.
  if (value === null || value === undefined || name === "login_id") return t("value.hidden");
  if (isPicture(name, value)) return t("card.picture");
  if (Array.isArray(value) || typeof value === "object") {
    return linesOf({ [name]: value }).map((line) => claimValue(line.name, line.value)).join(", ");
  }
  if (name === "sex") {
    const sex = String(value).toLowerCase();
    if (["1", "m", "male"].includes(sex)) return t("value.male");
    if (["2", "f", "female"].includes(sex)) return t("value.female");
  }
  if (typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value)) return day(value);
  return String(value as string | number);
}

/** An amount as its currency writes it, with the currency's code: no symbol stands for two currencies. */
export function money(amount: string, currency: string): string {
  const decimals = amount.split(".")[1]?.length ?? 0;
  const style = { style: "currency", currency, currencyDisplay: "code", minimumFractionDigits: decimals, maximumFractionDigits: decimals } as const;
  return new Intl.NumberFormat(locale(), style).format(amount as never); // text, so that no digit is lost
}

/** The later half of the digits is hidden, however the country writes its numbers. */
export function maskNumber(raw: string): string {
  let shown = Math.ceil(raw.replace(/\D/g, "").length / 2);
  return raw.replace(/\d/g, (digit) => (shown-- > 0 ? digit : "•"));
}
