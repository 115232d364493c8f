/**
 * How an issuer wants its cards to look and their items to be called (credential_metadata and display, OpenID4VCI 1.0 section 12.2.4).
 * Promises: whatever the metadata says, the words can be read on the card and the picture is only a picture. Trusts nothing in it.
 * Keeps nothing. Refuses: colours too close to each other, pictures that are neither https: nor an image as data:.
 */
import { b64u } from "./bytes.ts";
import { itemName, type Path } from "./dcql.ts";
import type { Format } from "./formats/held.ts";
import type { IssuerMetadata } from "./metadata.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import type { Words } from "./trust.ts";

export interface Logo {
  readonly uri: string;
  readonly alt: string;
}
export interface Look {
  readonly name: Words;
  readonly colors: { readonly background: string; readonly text: string };
  readonly labels: Readonly<Record<string, Words>>;
  readonly logo: Logo | null;
}

export interface Configuration {
  readonly id: string;
  readonly format: Format;
  readonly type: string;
  readonly scope: string | null;
}

interface Display {
  readonly name?: unknown;
  readonly locale?: unknown;
  readonly background_color?: unknown;
  readonly text_color?: unknown;
  readonly logo?: { readonly uri?: unknown; readonly alt_text?: unknown } | undefined;
}
export function configurationOf(metadata: IssuerMetadata, id: string): Configuration {
  const all = metadata.credential_configurations_supported;
  const { format, vct, doctype, scope } = (Object.hasOwn(all, id) ? all[id] : {}) as Record<string, unknown>;
  const type = format === "dc+sd-jwt" ? vct : doctype;
  if ((format !== "dc+sd-jwt" && format !== "mso_mdoc") || typeof type !== "string") {
    throw new Problem("unknown_credential_configuration", id);
  }
  return { id, format, type, scope: typeof scope === "string" ? scope : null };
}

/** A line of print: nothing in it may turn round or hide what stands beside it. */
const printable = (value: unknown): string => (typeof value === "string" ? value.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "").trim().slice(0, 80) : "");

function byLocale(entries: unknown, fallback: string): Words {
  const list = Array.isArray(entries) ? (entries as readonly Display[]) : [];
  const of = (tag: string): string => printable(list.find(({ locale }) => typeof locale === "string" && locale.toLowerCase().startsWith(tag))?.name);
  const any = list.map(({ name }) => printable(name)).find((name) => name !== "") ?? fallback;
  return { ko: of("ko") || any, en: of("en") || any };
}

export const issuerName = (metadata: IssuerMetadata, fallback: string): Words => byLocale(metadata.display, fallback);
export const issuerLogo = (metadata: IssuerMetadata): Logo | null => logoOf(metadata.display);

export function lookOf(metadata: IssuerMetadata, what: Configuration): Look {
  const { credential_metadata: said } = metadata.credential_configurations_supported[what.id] as {
    credential_metadata?: { display?: Display[]; claims?: { path?: Path; display?: Display[] }[] };
  };
  const display = Array.isArray(said?.display) ? said.display : [];
  const claims = Array.isArray(said?.claims) ? said.claims : [];
  return {
    // A type without a name is called by its last word, not by its whole address.
    name: byLocale(display, display.length > 0 ? what.id : typeName(what)),
    colors: colorsOf(display[0]),
    labels: Object.fromEntries(
      claims.filter(({ path }) => Array.isArray(path)).map(({ path, display: words }) => {
        const name = itemName(path as Path, what.format);
        return [name, byLocale(words, name)];
      }),
    ),
    logo: logoOf(display),
  };
}

/**
 * The items by which two cards of one configuration are two cards (our issuer's own word: a guardian has one for each ward); none
 * where a new card takes the place of the one held.
 */
export function tellsApart(metadata: IssuerMetadata, what: Configuration): string[] {
  const { credential_metadata: said } = metadata.credential_configurations_supported[what.id] as {
    credential_metadata?: { claims?: { path?: Path; mapae_tells_apart?: unknown }[] };
  };
  const claims = Array.isArray(said?.claims) ? said.claims : [];
  return claims.flatMap(({ path, mapae_tells_apart: flag }) => (flag === true && Array.isArray(path) ? [itemName(path, what.format)] : []));
}

/** "urn:eudi:pid:1" is "pid"; "https://a.test/credentials/identity" is "identity"; "org.iso.18013.5.1.mDL" is "mDL". */
export function typeName({ type, id }: Pick<Configuration, "type" | "id">): string {
  const words = type.split(/[:/.#]/).filter((word) => /\p{L}/u.test(word));
  return printable(words.at(-1)) || printable(id);
}

const PLAIN = { background: "#123a7a", text: "#ffffff" };

/** Both as #rrggbb and 4.5:1 apart (WCAG 2.2 1.4.3); else the background with black or white on it, whichever can be read. */
export function colorsOf(display: Display | undefined): Look["colors"] {
  const hex = (raw: unknown): string | null => (typeof raw === "string" && /^#[0-9a-f]{6}$/i.test(raw) ? raw : null);
  const background = hex(display?.background_color);
  if (!background) return PLAIN;
  const text = hex(display?.text_color);
  if (text && contrast(text, background) >= 4.5) return { background, text };
  return { background, text: contrast("#ffffff", background) >= contrast("#000000", background) ? "#ffffff" : "#000000" };
}

export function contrast(one: string, other: string): number {
  const light = (hex: string): number => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [dark = 0, bright = 0] = [light(one), light(other)].toSorted((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}

const PICTURE = /^data:image\/(png|jpeg|svg\+xml|webp)[;,]/i;
const LARGEST = 262_144;

/** HAIP 1.0 section 4.1: PNG and SVG, by data: and by https:. An <img> runs no script in either. */
function logoOf(display: unknown): Logo | null {
  const logo = (Array.isArray(display) ? (display as readonly Display[]) : []).find((entry) => entry.logo?.uri)?.logo;
  const uri = logo?.uri;
  if (typeof uri !== "string" || uri.length > LARGEST) return null;
  const fits = PICTURE.test(uri) || (URL.canParse(uri) && new URL(uri).protocol === "https:");
  return fits ? { uri, alt: printable(logo?.alt_text) } : null;
}

/**
 * The picture itself, so that showing the card later asks nobody (and tells nobody that it was shown). Null where the server does not
 * hand it to a page of another origin.
 */
export async function fetched(logo: Logo | null, net: Net): Promise<Logo | null> {
  if (!logo || PICTURE.test(logo.uri)) return logo;
  const response = await net.fetch(logo.uri).catch(() => null);
  const type = (response?.headers.get("content-type") ?? "").split(";")[0]?.trim() ?? "";
  if (!response?.ok || !PICTURE.test(`data:${type};`)) return null;
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > LARGEST) return null;
  return { ...logo, uri: `data:${type};base64,${b64u(bytes).replaceAll("-", "+").replaceAll("_", "/")}` };
}
