/** A QR code on the screen, as a drawing: no picture file, no inline style. */
import { html, type TemplateResult } from "lit";
import qrcode from "qrcode-generator";
import { Problem } from "../problem.ts";

const QUIET = 4; // modules, ISO/IEC 18004 section 6.3.8
const LONGEST = 400; // bytes: more would be too fine for a phone's camera

/** Rows of dark modules, level M. Throws Problem(too_large). */
export function qr(text: string): boolean[][] {
  if (new TextEncoder().encode(text).length > LONGEST) throw new Problem("too_large", "too long for a QR code");
  const code = qrcode(0, "M");
  code.addData(text, "Byte");
  code.make();
  const side = Array.from({ length: code.getModuleCount() }, (_one, at) => at);
  return side.map((y) => side.map((x) => code.isDark(y, x)));
}

export function qrCode(text: string, label: string): TemplateResult {
  const modules = qr(text);
  const side = modules.length + 2 * QUIET;
  const path = modules
    .flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : "")))
    .join("");
  return html`<svg class="qr" viewBox="0 0 ${side} ${side}" role="img" aria-label=${label} shape-rendering="crispEdges" data-testid="tap-qr">
    <rect width=${side} height=${side} fill="#fff"></rect><path d=${path} fill="#000"></path>
  </svg>`;
}
