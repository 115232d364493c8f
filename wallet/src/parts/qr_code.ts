/** QR codes on the screen, as drawings: no picture file, no inline style. */
import { html, type TemplateResult } from "lit";
import qrcode from "qrcode-generator";
import { Problem } from "../problem.ts";

export const QUIET = 4; // modules, ISO/IEC 18004 section 6.3.8
const LONGEST = 400; // bytes: more would be too fine for a phone's camera

type Version = Parameters<typeof qrcode>[0];

function modules(text: string, mode: "Byte" | "Alphanumeric", level: "L" | "M", version: Version = 0): boolean[][] {
  const code = qrcode(version, level);
  code.addData(text, mode);
  code.make();
  const side = Array.from({ length: code.getModuleCount() }, (_one, at) => at);
  return side.map((y) => side.map((x) => code.isDark(y, x)));
}

/** Rows of dark modules, level M. Throws Problem(too_large). */
export function qr(text: string): boolean[][] {
  if (new TextEncoder().encode(text).length > LONGEST) throw new Problem("too_large", "too long for a QR code");
  return modules(text, "Byte", "M");
}

/**
 * The codes of one sequence, in the alphabet QR packs tightest and all of one size, so that nothing jumps while they change. Level L: a
 * screen has no scratches, and fewer modules are larger ones.
 */
export function sequence(texts: readonly string[]): boolean[][][] {
  const longest = texts.toSorted((one, other) => other.length - one.length)[0] ?? "";
  const version = ((modules(longest, "Alphanumeric", "L").length - 17) / 4) as Version;
  return texts.map((text) => modules(text, "Alphanumeric", "L", version));
}

/** The dark modules as one path, runs of them as one rectangle each. */
export function pathOf(rows: readonly (readonly boolean[])[]): string {
  let path = "";
  for (const [y, row] of rows.entries()) {
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue;
      const start = x;
      while (row[x + 1]) x += 1;
      const run = x - start + 1;
      path += `M${start + QUIET} ${y + QUIET}h${run}v1h-${run}z`;
    }
  }
  return path;
}

export function qrCode(text: string, label: string): TemplateResult {
  const rows = qr(text);
  return drawing(rows.length, pathOf(rows), label, "tap-qr");
}

export function drawing(count: number, path: string, label: string, testId: string): TemplateResult {
  const side = count + 2 * QUIET;
  return html`<svg class="qr" viewBox="0 0 ${side} ${side}" role="img" aria-label=${label} shape-rendering="crispEdges" data-testid=${testId}>
    <rect width=${side} height=${side} fill="#fff"></rect><path d=${path} fill="#000"></path>
  </svg>`;
}
