"""A link as a QR code: one SVG path without styles, to be scanned from the screen."""

from __future__ import annotations

import segno
from markupsafe import Markup

#: Modules left white around the code, as the standard asks.
QUIET = 4


def picture(url: str) -> Markup:
    """The code as an <svg> element; black on white whatever the theme, or scanners fail."""
    rows = list(segno.make(url, error="m", micro=False).matrix)
    size = len(rows) + 2 * QUIET
    path = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    return Markup(
        f'<svg class="qr" viewBox="0 0 {size} {size}" role="img" aria-label="QR code of the link" '
        f'shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{size}v{size}H0z"/><path fill="#000" d="{path}"/></svg>'
    )
