/** Pictures drawn on the face screen and the waiting screens. Without motion they say the same: each has its words beside it. */
import { html, type TemplateResult } from "lit";

/** Round the camera's circle: how much of the film is taken. Lengths are in parts of the whole circle. */
export function ring(stage: string): TemplateResult {
  return html`<svg class="face-ring" viewBox="0 0 100 100" aria-hidden="true" focusable="false">
    <circle cx="50" cy="50" r="46.5"></circle>
    <circle class="face-ring-now" cx="50" cy="50" r="46.5" pathLength="1" stroke-dasharray="1" stroke-dashoffset="1" data-stage=${stage}></circle>
  </svg>`;
}

export function eye(): TemplateResult {
  return html`<svg viewBox="0 0 120 60" focusable="false"><path class="lid" d="M8 26c30 26 74 26 104 0"></path><path class="lash" d="M24 38l-8 10M46 46l-4 11M74 46l4 11M96 38l8 10"></path></svg>`;
}

/** A card on a reader, and what passes between them. */
export function reader(): TemplateResult {
  return html`<svg class="calm" viewBox="0 0 240 130" aria-hidden="true" focusable="false">
    <path class="calm-desk" d="M16 118h208"></path>
    <rect class="calm-reader" x="66" y="84" width="108" height="32" rx="9"></rect>
    <circle class="calm-light" cx="156" cy="100" r="4"></circle>
    <rect class="calm-phone" x="78" y="14" width="84" height="52" rx="7"></rect>
    <rect class="calm-chip" x="88" y="30" width="18" height="14" rx="3"></rect>
    <path class="calm-line" d="M116 32h34M116 42h24M88 55h62"></path>
    <path class="calm-wave" d="M104 72c10 5 22 5 32 0M110 78c7 3 13 3 20 0"></path>
  </svg>`;
}

/** Somebody at a desk and the phone before them: all is well, it takes a moment. */
export function officer(): TemplateResult {
  return html`<svg class="calm" viewBox="0 0 240 130" aria-hidden="true" focusable="false">
    <path class="calm-desk" d="M16 104h208M34 104v18M206 104v18"></path>
    <circle class="calm-head" cx="86" cy="38" r="17"></circle>
    <path class="calm-body" d="M52 102c0-26 14-40 34-40s34 14 34 40z"></path>
    <path class="calm-tie" d="M86 64l-5 9 5 20 5-20z"></path>
    <rect class="calm-phone" x="158" y="52" width="34" height="50" rx="6"></rect>
    <path class="calm-ok" d="M167 77l6 6 11-13"></path>
    <path class="calm-wave" d="M130 72c8 5 12 5 20 0"></path>
  </svg>`;
}
