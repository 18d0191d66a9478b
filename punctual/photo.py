"""A photo a customer sends: small enough before it is decoded, drawn anew, without what the camera wrote into it."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from pi_heif import register_heif_opener
from PIL import Image, ImageOps, UnidentifiedImageError

register_heif_opener()

#: Pixels of a photo that is taken at all; longest side and quality of the one that is kept.
MOST_PIXELS, LONGEST, QUALITY = 50_000_000, 1600, 80
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")


@dataclass(frozen=True, slots=True)
class Photo:
    """A JPEG drawn anew, with nothing in it but its pixels."""

    data: bytes
    width: int
    height: int


def redrawn(raw: bytes) -> Photo:
    """The photo as it is kept; raises ValueError for what is no photo of a known kind, or has too many pixels.

    The size is read from the header and refused before any pixel is decoded.
    """
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if image.width * image.height > MOST_PIXELS or not image.width or not image.height:
                raise ValueError("too many pixels")
            image.draft("RGB", (LONGEST, LONGEST))
            upright = ImageOps.exif_transpose(image).convert("RGB")
            upright.thumbnail((LONGEST, LONGEST))
            out = io.BytesIO()
            fresh = Image.new("RGB", upright.size)
            fresh.paste(upright)
            fresh.save(out, "JPEG", quality=QUALITY, optimize=True)
            return Photo(out.getvalue(), *fresh.size)
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        Warning,
        Image.DecompressionBombError,
        OverflowError,
    ) as error:
        raise ValueError("no photo") from error
