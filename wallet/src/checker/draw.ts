/** The shop's question as a QR code: an SVG, no inline style. Alphanumeric mode, level L: a screen is clean, and the code shall be coarse. */
import qrcode from "qrcode-generator";

const QUIET = 4; // modules, ISO/IEC 18004 6.3.8
const SVG = "http://www.w3.org/2000/svg";

export function drawQr(text: string, label: string): SVGSVGElement {
  const code = qrcode(0, "L");
  code.addData(text, "Alphanumeric");
  code.make();
  const side = code.getModuleCount();
  let path = "";
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) if (code.isDark(y, x)) path += `M${x + QUIET} ${y + QUIET}h1v1h-1z`;
  const make = (name: string, values: Readonly<Record<string, string>>): SVGElement => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    return made;
  };
  const whole = String(side + 2 * QUIET);
  const svg = make("svg", { viewBox: `0 0 ${whole} ${whole}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges", class: "ask-qr" }) as SVGSVGElement;
  svg.append(make("rect", { width: whole, height: whole, fill: "#fff" }), make("path", { d: path, fill: "#000" }));
  return svg;
}
