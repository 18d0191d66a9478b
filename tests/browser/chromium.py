"""The browser that pages are opened in, and what axe is asked of them."""

from __future__ import annotations

from pathlib import Path

#: Painted by the processor itself: emulating a graphics card first took a quarter of its time.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-software-rasterizer"]
AXE = Path(__file__).parents[2] / ".test/node/node_modules/axe-core/axe.min.js"
#: WCAG 2.5.3, which axe leaves out unless asked: whoever speaks to the page says what they read on the button.
NAMES = {"label-content-name-mismatch": {"enabled": True}}
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
