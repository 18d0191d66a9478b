"""Short answers: exact words, clear wishes, and nothing read into the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from punctual.core import reply


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "stop",
        " Stop. ",
        "S\u200bTOP",
        "STOP ALL",
        "stopall!",
        "Unsubscribe",
        "end",
        "QUIT",
        "revoke",
        "optout",
        "opt out",
        "Opt-Out",
        "remove",
        "arrêt",
        "ARRET",
        "please stop texting me",
        "Stop sending me messages",
        "don't text this number",
        "Don’t contact me again",
        "Wrong number, mate",
        "you have the wrong person",
        "take me off your list",
    ],
)
def test_a_word_or_a_clear_wish_to_stop_stops(text: str) -> None:
    assert reply.read(text).meaning == "stop"


@pytest.mark.parametrize(
    "text",
    [
        "I can't stop the leak",
        "The bus stop is outside",
        "ended",
        "please cancel my visit",
        "STOPP",
        "I will remove it",
    ],
)
def test_a_sentence_that_only_holds_such_a_word_goes_to_a_person(text: str) -> None:
    assert reply.read(text) == reply.Read("unknown", to_person=True)


@pytest.mark.parametrize("text", ["Earlier", "come earlier!", "antes", "Früher", "YES", "Ja bitte!", "sí"])
def test_the_earlier_time_is_taken_in_words_or_by_a_yes_while_it_is_offered(text: str) -> None:
    assert reply.read(text, asked=True, earlier=True).meaning == "earlier"


@pytest.mark.parametrize("text", ["OK", "vale", "y", "could you come earlier?"])
def test_what_may_mean_either_time_goes_to_a_person(text: str) -> None:
    assert reply.read(text, asked=True, earlier=True) == reply.Read("unknown", to_person=True)
    assert reply.read("1", asked=True, earlier=True).meaning == "keep"
    assert reply.read("yes", asked=True).meaning == "keep"


def test_cancel_stops_texts_and_is_shown_to_a_person_because_it_may_mean_the_visit() -> None:
    assert reply.read("Cancel") == reply.Read("stop", to_person=True)


def test_a_company_adds_stop_words_of_its_language() -> None:
    assert reply.read("¡Alto!").meaning == "unknown"
    assert reply.read("alto", frozenset({"ALTO"})).meaning == "stop"


@pytest.mark.parametrize(
    "text",
    [
        "no me envíen más mensajes",
        "Dejen de escribirme",
        "Número equivocado",
        "Bitte keine SMS mehr",
        "falsche Nummer!",
        "Hören Sie auf",
    ],
)
def test_a_clear_wish_in_spanish_or_german_stops(text: str) -> None:
    assert reply.read(text).meaning == "stop"


@pytest.mark.parametrize(
    ("text", "language"), [("¡Alto!", "es"), ("baja", "es_MX"), ("Stopp.", "de"), ("Ende", "de-AT")]
)
def test_each_language_has_its_words_and_they_are_nothing_in_another(text: str, language: str) -> None:
    assert reply.read(text, reply.stop_words("en", language)).meaning == "stop"
    assert reply.read(text, reply.stop_words("en")).meaning == "unknown"


@pytest.mark.parametrize(
    "text", ["please cancel my visit", "Quiero anular", "Termin absagen bitte", "CANCEL", "stornieren"]
)
def test_whoever_may_want_to_cancel_the_visit_is_noticed(text: str) -> None:
    assert reply.may_cancel(text)


@pytest.mark.parametrize("text", ["I can wait", "the annual service", "ja", "2"])
def test_others_are_not(text: str) -> None:
    """Negative control."""
    assert not reply.may_cancel(text)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("ayuda", "help"),
        ("Hilfe!", "help"),
        ("behalten", "keep"),
        ("otra hora", "new_time"),
        ("Anruf", "call"),
        ("1", "keep"),
        ("keep", "keep"),
        ("2.", "new_time"),
        ("Another time", "new_time"),
        ("3", "call"),
        ("Call me!", "call"),
    ],
)
def test_one_keeps_two_asks_for_a_new_time_three_for_a_call(text: str, meaning: str) -> None:
    assert reply.read(text).meaning == meaning


@pytest.mark.parametrize(
    ("text", "meaning"), [("START", "start"), ("unstop", "start"), ("help", "help"), ("HELP?", "help")]
)
def test_start_lifts_a_stop_and_help_helps(text: str, meaning: str) -> None:
    assert reply.read(text).meaning == meaning


@pytest.mark.parametrize("text", ["Yes", "ok", "yes please"])
def test_yes_answers_only_an_open_question_of_ours(text: str) -> None:
    assert reply.read(text).meaning == "unknown"
    assert reply.read(text, asked=True).meaning == "keep"


@pytest.mark.parametrize("text", ["", "   ", "12", "1 2", "2 pm works", "call me after 5", "?", "👍", "1" * 5000])
def test_what_is_not_exactly_an_answer_goes_to_a_person(text: str) -> None:
    assert reply.read(text) == reply.Read("unknown", to_person=True)


@given(st.text(max_size=400))
def test_any_text_has_a_meaning_and_never_an_error(text: str) -> None:
    assert reply.read(text).meaning
    assert reply.technician(text).kind


@given(st.sampled_from(sorted(reply.STOP)), st.text(alphabet=" .!?\u200b\u200d\ufeff\t\n\"'", max_size=6))
def test_punctuation_case_and_invisible_characters_do_not_hide_a_stop(word: str, around: str) -> None:
    assert reply.read(around + word.lower() + around).meaning == "stop"
    assert reply.read(around + word.title() + around).meaning == "stop"


@pytest.mark.parametrize(
    ("text", "tapped"),
    [
        ("LATE 30", reply.Tapped("late", 30)),
        ("late 15.", reply.Tapped("late", 15)),
        ("Late +60", reply.Tapped("late", 60)),
        ("running late 45 min", reply.Tapped("late", 45)),
        ("DONE", reply.Tapped("done")),
        ("omw", reply.Tapped("on_my_way")),
        ("On my way!", reply.Tapped("on_my_way")),
        ("here", reply.Tapped("arrived")),
    ],
)
def test_a_technicians_text_is_a_tap(text: str, tapped: reply.Tapped) -> None:
    assert reply.technician(text) == tapped


@pytest.mark.parametrize("text", ["LATE", "LATE 0", "LATE 999", "LATE 30 DONE", "not done", "30", "late -15 or so"])
def test_a_technicians_text_that_is_not_exact_is_not_taken(text: str) -> None:
    assert reply.technician(text) == reply.Tapped("unknown")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("I must leave at 10:00", (10, 0, "done")),
        ("have to go by 10.30!", (10, 30, "done")),
        ("must leave at 2", (14, 0, "done")),
        ("leave by 9 am", (9, 0, "done")),
        ("please be done by 5pm", (17, 0, "done")),
        ("I must leave at 10, I can't wait", (10, 0, "done")),
        ("please arrive by 10", (10, 0, "arrive")),
        ("come no later than 11", (11, 0, "arrive")),
        ("be here before 12 pm", (12, 0, "arrive")),
        ("Ich muss um 10 Uhr weg", (10, 0, "done")),
        ("muss bis 10:30 los", (10, 30, "done")),
        ("bitte bis 11 Uhr da sein", (11, 0, "arrive")),
        ("Debo salir a las 10", (10, 0, "done")),
        ("tengo que irme a las 10:30", (10, 30, "done")),
        ("por favor lleguen antes de las 11", (11, 0, "arrive")),
    ],
)
def test_a_limit_in_a_text_is_read_in_three_languages(text: str, meant: tuple[int, int, str]) -> None:
    found = reply.limit(text)
    assert found is not None
    assert (found.hour, found.minute, found.kind) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("1", "STOP", "leave me alone", "arrive soon", "leave at 25:00", "leave at 10:75", "10:00", ""),
        # another time is wished for
        *(
            "Can you come at 2pm instead? I have a meeting",
            "could you come at 14:00",
            "please arrive at 3",
            "come by 10 or 11",
        ),
        *(
            "Können Sie um 14 Uhr da sein?",
            "lieber bis 11 Uhr da sein",
            "¿Pueden venir a las 14?",
            "mejor vengan antes de las 11",
        ),
        # it is denied, or turned round
        *(
            "I don't have to leave at 10 any more",
            "we cannot leave before 10",
            "come after I leave at 10",
            "not done by 10",
        ),
        *(
            "Ich muss nicht um 10 Uhr weg",
            "Ich kann erst um 10 Uhr weg",
            "no tengo que salir a las 10",
            "bis 10 Uhr wegen Arzt",
        ),
    ],
)
def test_what_says_no_limit_is_none(text: str) -> None:
    assert reply.limit(text) is None
