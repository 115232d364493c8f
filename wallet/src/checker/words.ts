/**
 * The page's words, which the server rendered into it, and its parts by id.
 * Promises: a word that is missing shows its key, never nothing. Trusts: the page. Keeps: the words. Refuses: a page without a part.
 */
import { particles } from "../particles.ts";
import type { Words } from "../trust.ts";

const root = document.documentElement;
export const language: "ko" | "en" = root.lang === "ko" ? "ko" : "en";

let table: Readonly<Record<string, string>> = {};

export function readWords(): void {
  table = JSON.parse(document.body.dataset["words"] ?? "{}") as Record<string, string>;
}

export const has = (key: string): boolean => Object.hasOwn(table, key);

/** `{name}` in the text takes the argument `name`. */
export function say(key: string, values: Readonly<Record<string, string | number>> = {}): string {
  const said = (table[key] ?? key).replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
  return language === "ko" ? particles(said) : said;
}

export const pick = (words: Words): string => words[language];

/** A calendar day, as it is written here. */
export const dayWords = (day: string): string =>
  new Date(`${day}T00:00:00Z`).toLocaleDateString(language === "ko" ? "ko-KR" : "en-GB", { month: "short", day: "numeric", timeZone: "UTC" });

export function part<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found as E;
}

/** One element with a class and text. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, look: string, text = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (look) made.className = look;
  if (text) made.textContent = text;
  return made;
}

/** What stands in a `<template>` of the page: its first element. */
export function copyOf(id: string): HTMLElement {
  const copy = part<HTMLTemplateElement>(id).content.firstElementChild?.cloneNode(true);
  if (!(copy instanceof HTMLElement)) throw new Error(`the template ${id} is empty`);
  return copy;
}
