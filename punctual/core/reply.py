"""What a short answer means: keep, new time, call me, stop, help, start - and a technician's LATE 30, DONE, OMW."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Meaning = Literal["stop", "start", "help", "keep", "earlier", "new_time", "call", "unknown"]
Tap = Literal["late", "done", "on_my_way", "arrived", "undo", "unknown"]

LimitKind = Literal["done", "arrive"]

STOP = frozenset(
    {
        "STOP",
        "STOPALL",
        "STOP ALL",
        "UNSUBSCRIBE",
        "END",
        "QUIT",
        "CANCEL",
        "REVOKE",
        "OPTOUT",
        "OPT OUT",
        "REMOVE",
        "ARRET",
    }
)
#: The same in other languages a company may speak; the provider does not know these, we do.
STOP_IN = {
    "es": frozenset({"ALTO", "PARAR", "PARE", "BAJA", "DETENER", "NO MAS"}),
    "de": frozenset({"STOPP", "HALT", "ENDE", "ABMELDEN", "ABBESTELLEN", "AUFHOREN"}),
}
START = frozenset({"START", "UNSTOP", "INICIAR", "ALTA"})
HELP = frozenset({"HELP", "INFO", "AYUDA", "HILFE"})
KEEP = frozenset({"1", "KEEP", "MANTENER", "BEHALTEN"})
#: YES and its like answer a question of ours that is not older than a day; they never lift an opt-out (policy 1).
YES = frozenset({"YES", "Y", "OK", "OKAY", "YES PLEASE", "SI", "VALE", "JA", "JA BITTE"})
#: Taking the earlier time that was offered: in words, or a yes that can mean nothing else. "OK" could mean either.
EARLIER = frozenset({"EARLIER", "COME EARLIER", "YES EARLIER", "ANTES", "VENGAN ANTES", "FRUHER", "FRUHER KOMMEN"})
CLEAR_YES = frozenset({"YES", "YES PLEASE", "SI", "JA", "JA BITTE"})
NEW_TIME = frozenset({"2", "NEW TIME", "ANOTHER TIME", "OTRA HORA", "NEUE ZEIT", "ANDERE ZEIT"})
CALL = frozenset({"3", "CALL", "CALL ME", "LLAMADA", "LLAMENME", "ANRUF", "BITTE ANRUFEN"})

#: Clear wishes in free text; whoever writes one of these wants no more texts (policy 1).
WISHES = re.compile(
    r"\b(?:STOP|QUIT|NO MORE) (?:TEXT|MESSAG|SEND|CONTACT|WRIT|SPAM)\w*"
    r"|\bSTOP (?:ALL )?(?:THE |THESE |YOUR )?(?:TEXT|MESSAGE)S?\b"
    r"|\bDO(?:N'?T| NOT) (?:TEXT|MESSAGE|CONTACT|WRITE)\b"
    r"|\b(?:TAKE|REMOVE) ME (?:OFF|FROM)\b|\bREMOVE MY NUMBER\b|\bUNSUBSCRIBE ME\b"
    r"|\b(?:WRONG|NOT MY|INCORRECT) (?:PHONE )?NUMBER\b|\bWRONG PERSON\b"
    r"|\b(?:NO (?:ME )?(?:ENVI|MAND|ESCRIB)\w+ MAS|NO QUIERO (?:RECIBIR )?MAS|DEJ\w+ DE (?:ENVIAR|MANDAR|ESCRIBIR))"
    r"|\b(?:NUMERO EQUIVOCADO|SE (?:HA|HAN) EQUIVOCADO DE NUMERO)\b"
    r"|\bKEINE? (?:SMS|NACHRICHT\w*|TEXTE) MEHR\b|\bNICHT MEHR (?:SCHREIBEN|SENDEN|TEXTEN)\b"
    r"|\bFALSCHE (?:NUMMER|PERSON)\b|\bHOREN SIE AUF\b"
)
#: May mean the visit, not the texts: a person looks.
CANCELS = re.compile(r"\b(?:CANCEL\w*|ANUL\w+|STORNIER\w*|ABSAG\w*|CALL (?:IT )?OFF)\b")
_LATE = re.compile(r"(?:RUNNING )?LATE[ :+]*(\d{1,3})(?: ?(?:M|MIN|MINS|MINUTES))?")
#: A clock in a text without accents and points: 10, 10:30, 10 30 UHR, 2 PM, LAS 10.
_CLOCK = r"(?:LAS )?(?P<hour>\d{1,2})(?:[: H](?P<minute>\d{2}))?(?: ?(?P<half>AM|PM|A M|P M|UHR|H))?"
_LIMITS: tuple[tuple[LimitKind, re.Pattern[str]], ...] = (
    ("arrive", re.compile(rf"\b(?:ARRIVE|BE HERE|COME|GET HERE) (?:BY|BEFORE|NO LATER THAN) {_CLOCK}\b")),
    ("arrive", re.compile(rf"\b(?:BIS|VOR) {_CLOCK} (?:DA SEIN|HIER SEIN|DA|HIER|ANKOMMEN)\b")),
    ("arrive", re.compile(rf"\b(?:LLEGAR|LLEGUEN|VENGAN|VENIR) (?:ANTES DE|COMO (?:MUY )?TARDE A) {_CLOCK}\b")),
    ("done", re.compile(rf"\b(?:LEAVE|GO|BE GONE|GO OUT|BE DONE|FINISH(?:ED)?|DONE) (?:BY|BEFORE|AT) {_CLOCK}\b")),
    ("done", re.compile(rf"\b(?:BIS|VOR|UM|AB) {_CLOCK} (?:WEG|WEGMUSS|LOS|LOSMUSS|GEHEN|FORT|FERTIG)\b")),
    ("done", re.compile(rf"\b(?:SALIR|IRME|TERMINAR|ACABAR) (?:ANTES DE|A|COMO (?:MUY )?TARDE A) {_CLOCK}\b")),
)
#: What turns a limit round when it stands before it ("I need not leave at 10"), and what asks for another time beside it.
_NOT = re.compile(r"\b(?:NOT?|NEVER|CANNOT|CANT|DONT|AFTER|WHEN|NICHT|KEIN\w*|ERST|NUNCA|CUANDO)\b|N'T\b")
_OTHER = re.compile(r"\b(?:INSTEAD|RATHER|LATER|AFTER|STATT\w*|LIEBER|SPATER|MEJOR|DESPUES)\b|\b\d{1,2}\b")
_WIDTHLESS = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD])
#: Longer texts are read by a person.
LONGEST = 1600


@dataclass(frozen=True, slots=True)
class Read:
    """What a customer's text means. `to_person`: somebody must look at it (a CANCEL may mean the visit)."""

    meaning: Meaning
    to_person: bool = False


@dataclass(frozen=True, slots=True)
class Tapped:
    """What a technician's text reports; `minutes` belongs to late."""

    kind: Tap
    minutes: int = 0


def bare(text: str) -> str:
    """A text in capitals without punctuation at its ends, spaces doubled or zero-width characters; accents removed."""
    plain = unicodedata.normalize("NFKD", text[:LONGEST].translate(_WIDTHLESS)).upper()
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("’", "'")
    words = " ".join("".join(" " if c in "-_/." else c for c in plain).split())
    return words.strip(" !?¡¿,;:'\"()[]*#<>")


def read(text: str, extra_stop: frozenset[str] = frozenset(), *, asked: bool = False, earlier: bool = False) -> Read:
    """The meaning of a customer's text. `asked`: a question of ours from the last 24 hours is open (for YES);
    `earlier`: it is whether we may come earlier.

    `extra_stop`: the company's own words for STOP, in capitals. CANCEL stops texts, because the provider does so, and
    goes to a person: it may mean the visit. Anything not understood exactly is for a person.
    """
    words = bare(text)
    if words in STOP or words in extra_stop or WISHES.search(words):
        return Read("stop", to_person=words == "CANCEL")
    if words in START:
        return Read("start")
    if words in HELP:
        return Read("help")
    if words in EARLIER or (earlier and words in CLEAR_YES):
        return Read("earlier")
    if words in KEEP or (asked and not earlier and words in YES):
        return Read("keep")
    if words in NEW_TIME:
        return Read("new_time")
    if words in CALL:
        return Read("call")
    return Read("unknown", to_person=True)


def stop_words(*languages: str) -> frozenset[str]:
    """The words for STOP of these languages, beside those that always count."""
    return frozenset().union(*(STOP_IN.get(x.replace("_", "-").split("-")[0], frozenset()) for x in languages))


def may_cancel(text: str) -> bool:
    """Whether the writer may want to cancel the visit."""
    return CANCELS.search(bare(text)) is not None


@dataclass(frozen=True, slots=True)
class Limit:
    """A customer's own limit from a text: the work is done by then, or we have arrived; wall time of the visit."""

    hour: int
    minute: int
    kind: LimitKind


def limit(text: str) -> Limit | None:
    """ "I must leave at 10:30", "please arrive by 10", "muss um 10 Uhr weg", "debo salir a las 10"; None: says no limit.

    An hour from 1 to 6 without AM is in the afternoon: nobody is visited at night. "Come at 2 instead" is a wish and no
    limit; wherever a text denies, compares or names two times, a person reads it. Refuse nothing else here: whether
    the time has passed is for who knows the visit.
    """
    words = bare(text)
    for kind, pattern in _LIMITS:
        found = pattern.search(words)
        if found is None:
            continue
        before, beside = words[: found.start()], words[: found.start()] + " " + words[found.end() :]
        if _NOT.search(before) or _OTHER.search(beside):
            return None
        hour, minute, half = int(found["hour"]), int(found["minute"] or 0), (found["half"] or "").replace(" ", "")
        if half == "AM":
            hour %= 12
        elif half == "PM" or (1 <= hour <= 6 and half == ""):
            hour = hour % 12 + 12
        return Limit(hour, minute, kind) if hour < 24 and minute < 60 else None
    return None


def technician(text: str) -> Tapped:
    """The report in a technician's text: LATE 15, LATE 30, DONE, OMW (or ON MY WAY), HERE (or ARRIVED), UNDO."""
    words = bare(text)
    late = _LATE.fullmatch(words)
    if late and 1 <= int(late[1]) <= 600:
        return Tapped("late", int(late[1]))
    if words in ("DONE", "FINISHED"):
        return Tapped("done")
    if words in ("OMW", "ON MY WAY"):
        return Tapped("on_my_way")
    if words in ("HERE", "ARRIVED"):
        return Tapped("arrived")
    if words == "UNDO":
        return Tapped("undo")
    return Tapped("unknown")
