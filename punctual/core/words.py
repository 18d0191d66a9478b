"""Words that no text to a customer uses: excuses, blame, false certainty - in the languages customers are written to."""

from __future__ import annotations

import re

FORBIDDEN = {
    "en": re.compile(
        r"unfortunately|inconvenien|due to|because of|circumstance|beyond our control|traffic"
        r"|technical (issue|problem|error)|system error|our system|previous (job|customer|appointment|visit)"
        r"|another customer|other appointment|overran|colleague|trainee|new (guy|starter)|should be (there|with you)"
        r"|as soon as possible|\basap\b|shortly|\bsoon\b|any minute|momentarily|guarantee|definitely|\bexactly\b"
        r"|bear with us|patien(ce|t)\b|valued customer|high demand|busy|very sorry|deeply|sincerely"
        r"|you (failed|missed|forgot)|you were (not|absent)|no.?show|as stated|our policy|please note|kindly"
        r"|rest assured|do not reply|no-?reply|oops|whoops|back on time|\bETA\b|\bSLA\b|ticket|overrun|\bslot\b"
        r"|reply (yes|cancel)|text (yes|cancel)|or cancel\b|click here",
        re.IGNORECASE,
    ),
    "es": re.compile(
        r"lamentablemente|desafortunad|desgraciadamente|molestias|debido a|a causa de|por culpa|circunstancias|ajen[oa]s? a"
        r"|tr[aá]fico|atasco|problema t[eé]cnico|error del sistema|nuestro sistema|(cliente|trabajo|cita|visita) anterior se"
        r"|otro cliente|compañer[oa]|aprendiz|en pr[aá]cticas|deber[ií]a (llegar|estar)|lo antes posible|cuanto antes"
        r"|en breve|pronto|en cualquier momento|garantiza|seguro que|exactamente|paciencia|estimado cliente|mucha demanda"
        r"|no se present|usted (olvid|no estaba|fall)|nuestra pol[ií]tica|tenga en cuenta|no responda"
        r"|responda (s[ií]|cancelar|cancel)\b|\bETA\b|\bticket\b|haga clic aqu",
        re.IGNORECASE,
    ),
    "de": re.compile(
        r"leider|bedauerlicherweise|unannehmlichkeit|aufgrund|wegen (des|der|eines|einer)|umst[aä]nde|h[oö]here gewalt"
        r"|verkehr|\bstau\b|technische[rsn]? (problem|st[oö]rung|fehler)|systemfehler|unser system"
        r"|vorherige[rn]? (kunde|termin|auftrag)|ein anderer kunde|kolleg|azubi|auszubildend|neue[rn]? mitarbeiter"
        r"|sollte .{0,20}(da sein|ankommen)|so bald wie m[oö]glich|schnellstm[oö]glich|baldm[oö]glichst|\bbald\b|in k[uü]rze"
        r"|gleich da|jeden moment|garantier|auf jeden fall|p[uü]nktlich um|geduld|sehr geehrte(r)? kund|hohe[sn]? aufkommen"
        r"|sie haben (vers[aä]umt|vergessen|verpasst)|nicht angetroffen|unsere richtlinie|bitte beachten|nicht antworten"
        r"|antworten sie (ja|stornieren|cancel)|\bETA\b|\bticket\b|hier klicken",
        re.IGNORECASE,
    ),
}
#: A cause of the delay, however it begins; an amount or a number belongs nowhere in a text.
CAUSE = re.compile(r"\b(because|since our|as our|weil|porque)\b", re.IGNORECASE)


def fault(text: str, language: str) -> str:
    """The first word of a text that makes an excuse, blames, or raises its voice; "" for a text that may go."""
    found = FORBIDDEN.get(language.split("-")[0], FORBIDDEN["en"]).search(text) or CAUSE.search(text)
    if found:
        return found[0]
    return "!" if "!" in text else ""
