"""The five complaints that must not happen again, lived through in the running product.

All five happen on one day to one company of real processes (web and worker, their clock, a mail server, HTTP); what
counts is what the mail server kept and what the pages show. Each story says at which time it goes on; a story that
goes wrong ends there, the others go on.

To see what each was like before, start the product as it was when the main job worked and nothing of this did:

    git worktree add ../before 8133b8d && cd ../before
    python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e . && cd -
    STORY_CHECKOUT=../before .venv/bin/python -m pytest tests/stories -n0

All five fail there, each as it was told:

* the meeting: she is warned, but "Another time" keeps nothing for her (405): what is offered may be gone when she presses;
* the outage: nothing holds the promised restore time, so it passes in silence;
* two truths: a visit moved without a word is shown nowhere, and there is no button to say so;
* the installation: nobody gives anything, or asks whether it is done;
* the order: nothing holds "I'll take care of it", so nobody is reminded.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import fresh_postgres
from tests.stories.company import DANA, DAY, EVE, MARIA, Company, company, instant

#: A story goes on at the times it yields: ("09:27", DAY).
Story = Iterator[tuple[str, str]]


def the_meeting(c: Company) -> Story:
    """Due at nine; at 9:27 the visit before is not over for an hour and more; she must leave at ten."""
    c.press("Grace", "deadline", leave_by="10:00", kind="done")
    c.hears("Grace", "you must leave at 10:00", "Her limit is noted")
    yield "08:02", DAY
    c.tap("Priya", "arrived", "08:01")
    yield "08:47", DAY
    warned = c.hears("Grace", "please choose", "The warning while the visit before is still running")
    assert warned.at < instant("09:00"), "before she is left waiting, though nobody has tapped anything"
    assert "You do not have to wait for us" in warned.text and "- Wednesday 25 November" in warned.text
    yield "09:27", DAY
    c.tap("Priya", "late", "09:27", minutes=60)
    assert "This works" not in c.page("Grace") and c.press("Grace", "keep").status_code == 409, "never wait in vain"
    kept = c.press("Grace", "times")
    assert kept.status_code == 200, "pressing Another time keeps some times free for her"
    slots = c.slots("Grace")
    assert slots and all(s.split("|")[1] >= "2026-11-24T10:00" for s in slots)
    assert c.press("Lewis", "choice", slot=slots[0]).status_code == 409, "what is kept for her nobody else can take"
    assert "Your new time is confirmed" in c.press("Grace", "choice", slot=slots[0]).text
    c.hears("Grace", "your new time is confirmed", "The confirmation")


def the_outage(c: Company) -> Story:
    """A restore time that would pass in silence, a technician who does not show up, a help line that is closed."""
    yield "08:02", DAY
    c.promise("Helen", "restore", "09:45")
    moved = c.hears("Helen", "now by", "The word that the restore time does not hold")
    assert moved.at < instant("09:45"), "before it has passed"
    yield "17:05", DAY
    missed = c.hears("Helen", "we did not come", "The word that nobody came and none can come today")
    assert "You do not have to call us" in missed.text
    yield "22:15", DAY
    c.press("Helen", "note", note="The main tap is behind the fridge.")
    c.press("Helen", "times")
    chosen = c.press("Helen", "choice", slot=c.slots("Helen")[0]).text
    assert "Your new time is confirmed" in chosen, "another day, at night, without a person"
    with c.desk() as desk:
        assert "The main tap is behind the fridge." in desk.text(f"/board/visits/{c.visits['Helen']}"), "it travels"


def two_truths(c: Company) -> Story:
    """Her mail says one time, the plan another; she says so while there is time to mend it."""
    c.move("Lewis", "15:00", "15:30", tell=True)
    c.hears("Lewis", "15:00", "The told move")
    yield "08:02", DAY
    c.move("Lewis", "16:00", "16:30", tell=False)
    with c.desk() as desk:
        shown = c.until_true(lambda: "Promised one time, told another" in desk.text("/board/differences"))
    assert shown, "somebody sees that what he was told is not what is planned, and what will be done"
    said = c.press("Lewis", "wrong", about="time", text="My mail says 15:00.")
    assert said.status_code == 200, "he can say that something looks wrong"
    c.hears("Lewis", "cannot be closed without an answer to you", "The word who answers by when")
    yield "09:27", DAY
    c.hears(MARIA, "a customer says something is wrong", "The concern reaches somebody who can decide")
    yield "10:20", DAY
    c.hears("Lewis", "we did not keep our promise", "The word that the answer is late")
    (waiting,) = [x for x in c.running.api("GET", "/concerns")["concerns"] if x["answered_at"] is None]
    path = f"/concerns/{waiting['id']}/answer"
    assert c.running.ask("POST", path, {"answer": " "}).status_code == 422, "it cannot be closed without a word"
    c.running.api("POST", path, {"answer": "It is 16:00, and we should have written."})
    c.hears("Lewis", "It is 16:00, and we should have written.", "The answer")
    assert "It is 16:00, and we should have written." in c.page("Lewis")


def the_installation(c: Company) -> Story:
    """Late, not done, no apology, no say."""
    with c.desk(MARIA) as desk:
        desk.post("/board/making-good/rules", kind="late", late_min="15", credit="20")
    yield "10:20", DAY
    c.tap("Iris", "arrived", "10:10")
    c.tap("Iris", "done", "10:19")
    yield "11:05", DAY
    given = c.hears("Iris", "£20.00", "The credit, without being asked")
    assert "sorry" in given.text and "traffic" not in given.text
    c.hears("Iris", "you have the last word", "The question whether it is done")
    again = c.press("Iris", "not-done")
    assert again.status_code == 200 and "We have reopened it" in again.text
    c.hears("Iris", "the work is not done", "The word what happens next")
    yield "12:20", DAY
    c.hears("Iris", "we did not keep our promise", "The word that the promised call was not made")


def the_order(c: Company) -> Story:
    """ "I'll take care of it" - and nobody does."""
    yield "08:02", DAY
    c.promise("Olive", "part", "12:00")
    yield "10:20", DAY
    c.hears(DANA, "spare part", "The reminder to who promised")
    yield "11:05", DAY
    c.hears(MARIA, "spare part", "The next one up hears before it is due")
    yield "12:20", DAY
    broken = c.hears("Olive", "we did not keep our promise", "The word at due time")
    assert "You do not have to ask again." in broken.text and "Maria" in broken.text
    assert "Not kept. We are sorry" in c.page("Olive")
    with c.desk() as desk:
        assert "promises other than arrivals kept" in desk.text("/board/promises")


STORIES = (the_meeting, the_outage, two_truths, the_installation, the_order)


Told = Callable[[Company], Story]


def live(folder: Path, stories: Sequence[Told], database: str = "") -> dict[Told, BaseException | None]:
    """The day, some stories side by side; what went wrong in each."""
    ends: dict[Told, BaseException | None] = dict.fromkeys(stories)
    with company(folder, database) as made:
        going = [(instant("13:30", EVE), n, ("09:30", EVE), x(made)) for n, x in enumerate(stories)]
        while going:
            _, n, (clock, day), story = heapq.heappop(going)
            made.at(clock, day)
            try:
                clock, day = next(story)
            except StopIteration:
                continue
            except (Exception, pytest.fail.Exception) as wrong:  # whatever it is, it is this story that went wrong
                ends[stories[n]] = wrong
            else:
                heapq.heappush(going, (instant(clock, day), n, (clock, day), story))
    return ends


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> dict[Told, BaseException | None]:
    return live(tmp_path_factory.mktemp("stories"), STORIES)


@pytest.mark.parametrize("story", STORIES)
def test_it_does_not_happen_again(lived: dict[Told, BaseException | None], story: Told) -> None:
    if (wrong := lived[story]) is not None:
        raise wrong


@pytest.mark.pg
@pytest.mark.soak
def test_nor_on_postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for wrong in live(tmp_path, STORIES, fresh_postgres(request)).values():
        if wrong is not None:
            raise wrong
