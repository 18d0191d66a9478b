"""An address to degrees, by a Nominatim server (geopy); the network, and no table."""

from __future__ import annotations

from urllib.parse import urlsplit

from punctual.config import Settings

TIMEOUT_S = 10.0


class NoAnswer(Exception):
    """The server did not answer usefully: nothing is known about the address; ask again later."""


def find(address: str, settings: Settings) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, None for an address the server does not know; raises NoAnswer.

    A public server wants to be asked once a second at most, by a name that reaches somebody (geocoder_agent), and never
    twice the same: the caller keeps answers and pace.
    """
    # Loaded when an address is asked about: geopy brings half of a second of HTTP clients with it.
    from geopy.exc import GeopyError
    from geopy.geocoders import Nominatim

    parts = urlsplit(settings.geocoder_url)
    server = Nominatim(
        domain=(parts.netloc + parts.path).rstrip("/"),
        scheme=parts.scheme or "https",
        user_agent=settings.geocoder_agent,
        timeout=TIMEOUT_S,
    )
    try:
        found = server.geocode(address, exactly_one=True)
    except (GeopyError, ValueError, KeyError) as error:
        raise NoAnswer(f"The geocoder did not answer ({type(error).__name__}).") from error
    if found is None:
        return None
    return float(found.latitude), float(found.longitude)
