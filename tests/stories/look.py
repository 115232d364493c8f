"""What is asked of every page a story passes: no axe violation, no tiny text, nothing wider than the screen, and its
picture."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, ViewportSize

AXE = (Path(__file__).resolve().parents[2] / "wallet/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]  # best practice is advice, not law
SIZES = {"phone": ViewportSize(width=390, height=844), "desktop": ViewportSize(width=1280, height=800)}
NARROW = 320  # WCAG 2.2, 1.4.10: content reflows at 320 CSS pixels
MOST = 150_000  # bytes of one picture

_RUN_AXE = """async (rules) => {
  const found = await axe.run(document, { runOnly: { type: "tag", values: rules }, resultTypes: ["violations"] });
  return found.violations.map((one) => ({ id: one.id, help: one.help,
    nodes: one.nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary}`) }));
}"""
# What fades in has not its colours yet. A page that draws no frames never ends a fade: it is looked at as it stands.
_AT_REST = """() => Promise.race([
  Promise.all(document.getAnimations()
    .filter((one) => (one.effect?.getComputedTiming().endTime ?? Infinity) < 3000)
    .map((one) => one.finished.catch(() => null))).then(() => null),
  new Promise((done) => { setTimeout(done, 5000, null); })])"""
_STICKS_OUT = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const seen = (node) => { const box = node.getBoundingClientRect(); return box.width > 0 && box.right > wide + 1; };
  const all = [...document.querySelectorAll("body *")].filter(seen);
  return all.map((node) => `${node.localName}.${node.className} ${Math.round(node.getBoundingClientRect().right)}`);
}"""

SMALLEST = 14  # pixels; drawings (SVG) may label themselves smaller
_TINY = """(smallest) => {
  const said = (node) => [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
  const seen = (node) => { const box = node.getBoundingClientRect(); return box.width > 2 && box.height > 2; };
  const tiny = (node) => parseFloat(getComputedStyle(node).fontSize) < smallest - 0.01;
  return [...document.querySelectorAll("body *:not(svg *, option, script, style)")]
    .filter((node) => said(node) && seen(node) && tiny(node))
    .map((node) => `${node.localName}.${node.className} ${getComputedStyle(node).fontSize}`);
}"""


@dataclass
class Album:
    """The pictures of one language; `folder` None takes none. `kept`: which ones the documentation shows."""

    language: str
    folder: Path | None = None
    kept: frozenset[str] = frozenset()
    everything: bool = False
    trouble: list[str] = field(default_factory=list)

    def look(self, page: Page, name: str, *sizes: str, whole: bool = False) -> None:
        """Check the page as it stands, at these sizes (none: as it is, a phone), and take its picture."""
        if not sizes:
            self._check(page, f"{name}-{self.language}-phone")
            self._picture(page, f"{name}-{self.language}-phone", whole)
            self._narrow(page, name, SIZES["phone"])
            return
        # Axe is slow: Korean pages at a desk, English ones on a phone; each size and each language is covered.
        slow = {"ko": "desktop", "en": "phone"}[self.language]
        for size in sizes:
            page.set_viewport_size(SIZES[size])
            self._check(page, f"{name}-{self.language}-{size}", axe=size == slow or slow not in sizes)
            self._picture(page, f"{name}-{self.language}-{size}", whole)
        self._narrow(page, name, SIZES["desktop"])

    def _narrow(self, page: Page, name: str, after: ViewportSize) -> None:
        page.set_viewport_size(ViewportSize(width=NARROW, height=800))
        self._reflows(page, f"{name}-{self.language}-narrow")
        page.set_viewport_size(after)

    def _check(self, page: Page, name: str, *, axe: bool = True) -> None:
        page.evaluate(_AT_REST)
        self._reflows(page, name)
        tiny: list[str] = page.evaluate(_TINY, SMALLEST)
        if tiny and not name.startswith("button-"):  # the page around the button is an example's own
            self.trouble.append(f"{name}: text under {SMALLEST} px: {sorted(set(tiny))[:5]}")
        if not axe:
            return
        if not page.evaluate("() => 'axe' in window"):
            page.evaluate(AXE)  # by the debugger: the page's own content security policy stays in force
        found = page.evaluate(_RUN_AXE, RULES)
        if any(one["id"] == "color-contrast" for one in found):  # something may have begun to fade in meanwhile
            page.evaluate(_AT_REST)
            found = page.evaluate(_RUN_AXE, RULES)
        for one in found:
            self.trouble.append(f"{name}: {one['id']}: {one['help']}\n    " + "\n    ".join(one["nodes"]))

    def _reflows(self, page: Page, name: str) -> None:
        wide: list[Any] = page.evaluate(_STICKS_OUT)
        if wide:
            self.trouble.append(f"{name}: wider than the screen: {wide[:5]}")

    def _picture(self, page: Page, name: str, whole: bool) -> None:
        if self.folder is None or not (self.everything or name in self.kept):
            return
        raw = page.screenshot(full_page=whole, animations="disabled", caret="hide")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.png").write_bytes(_small(raw))

    def close(self) -> None:
        assert not self.trouble, "\n" + "\n".join(self.trouble)


def _small(raw: bytes) -> bytes:
    """A PNG of at most `MOST` bytes: fewer colours, and only then fewer pixels."""
    picture = Image.open(io.BytesIO(raw)).convert("RGB")
    while True:
        out = io.BytesIO()
        picture.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= MOST:
            return out.getvalue()
        picture = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS)
