/** A QR code on the screen, as a drawing: no picture file, no inline style. */
import { html, type TemplateResult } from "lit";
import { qr } from "../qr.ts";

const QUIET = 4; // modules, ISO/IEC 18004 section 6.3.8

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
