"""What axe finds wrong with a page as it is shown, and whether it scrolls sideways."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

WIDTHS = (1360, 390)
_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = """rules => axe.run(document, {runOnly: rules, resultTypes: ['violations'], elementRef: false})
  .then(found => found.violations.map(rule => rule.id + ' ' + rule.nodes.map(node => node.target.join(' ')).join(', ')))"""


def wrong_with(page: Page, *, width: int, scheme: str) -> list[str]:
    """The page in one look, to axe; and its width on a desk and in a hand."""
    found = []
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for each in sorted(WIDTHS, key=lambda one: one == width):  # the look's own width last
        page.set_viewport_size({"width": each, "height": 900})
        if (wide := page.evaluate("document.documentElement.scrollWidth")) > each:
            found.append(f"at {each}: {wide} wide")
    page.evaluate(_AXE + ";0")
    return [*found, *(f"{width} {scheme}: {fault}" for fault in page.evaluate(_RUN, _RULES))]
