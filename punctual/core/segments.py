"""How a text travels: GSM-7 or UCS-2, in how many segments, and the fold that keeps it GSM-7."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

#: GSM 03.38: letters of one septet, and those of two (behind an escape).
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[]~|€\f")
#: Most septets of a text that is one segment, and of each part of a longer one; the same in UCS-2 units.
GSM_ONE, GSM_PART, UCS_ONE, UCS_PART = 160, 153, 70, 67
#: A text has at most this many segments.
MOST = 2
_LINK = re.compile(r"https?://\S+")

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u202f\u2007\u2009\u200a\u2002\u2003\t", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""),
        "…": "...",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ı": "i",
        "œ": "oe",
        "Œ": "OE",
    }
)


@dataclass(frozen=True, slots=True)
class Size:
    """Length of a text on the air: `units` are septets of GSM-7, or 16-bit units of UCS-2."""

    coding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int


def size(text: str) -> Size:
    """In which coding and how many segments a text travels."""
    if set(text) <= BASIC | EXTENDED:
        units = len(text) + sum(c in EXTENDED for c in text)
        return Size("GSM-7", units, _parts(units, GSM_ONE, GSM_PART))
    units = len(text.encode("utf-16-be", "surrogatepass")) // 2
    return Size("UCS-2", units, _parts(units, UCS_ONE, UCS_PART))


def _parts(units: int, one: int, part: int) -> int:
    return 1 if units <= one else -(-units // part)


def fold(text: str) -> str:
    """The text without what forces UCS-2 for nothing: accents GSM-7 lacks, curly quotes, dashes, narrow spaces.

    Letters of other scripts stay as they are (a name is never spelt wrongly to save a segment).
    """
    return "".join(c if c in BASIC or c in EXTENDED else _bare(c) for c in text.translate(_PLAIN))


def _bare(letter: str) -> str:
    """A Latin letter without its accents, where that is one of GSM-7; any other as it is."""
    base = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    return base if base and all(c in BASIC for c in base) else letter


def cut(text: str, after: str = "") -> str:
    """The text and what comes `after` it within `MOST` segments, its link whole.

    What follows the link is left out first, then words before it (or at the end, without a link) give way to "...";
    letters, where there are no words (Japanese).
    """
    found = _LINK.search(text)
    head, link = (text[: found.start()], found[0]) if found else (text, "")
    words = [m.end() for m in re.finditer(r"\S+", head)]
    gap = " " if link else ""
    made = head + link + after
    for end in (*reversed(words[:-1]), *range(min(words[:1], default=0), -1, -1)):
        if size(made).segments <= MOST:
            break
        made = head[:end].rstrip(",;:.") + "..." + gap + link + after
    return made
