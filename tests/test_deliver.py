"""Delivery: still true, still useful, written fresh, sent once - whatever fails in between."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select

from punctual import acceptance, clock, deliver, outbox
from punctual.actions import delivery, transaction
from punctual.actions import technician as taps
from punctual.core.day import Window
from punctual.models import Attempt, Company, Customer, Message, Notice, Visit, db
from punctual.sender import MISCOUNTED, PAUSES_S
from punctual.transports import Envelope, Receipt, TransportError
from tests import build
from tests.build import wall
from tests.sender import BUSY, CLOSED, GONE, UNSURE, Asked, Keeper, Killed, attempts, send, states, tasks, worker

AT = wall("08:40")
TAKEN_OVER = AT + timedelta(seconds=outbox.LEASE_S + 30)


@pytest.fixture
def day(app: Flask) -> dict[str, int]:
    """The ids of the built morning's visits, on a clock that shows the morning."""
    clock.configure("2026-11-24T08:40+00:00 x1")
    with transaction() as s:
        return {name: v.id for name, v in build.day(s).visits.items()}


def put(visit: int, kind: str = "booked", *, at: datetime = AT, **facts: str) -> int:
    with transaction() as s:
        row = s.get_one(Visit, visit)
        told = Window(wall("10:40"), wall("11:15"))
        key = f"{visit}:1:{kind}:{at:%H%M}"
        outbox.put(s, key=key, kind=kind, at=at, reason="late", visit=row, told=told, facts=dict(facts))
        return s.scalars(select(Message.id).order_by(Message.id.desc())).first() or 0


def change(visit: int, **values: object) -> None:
    with transaction() as s:
        row = s.get_one(Visit, visit)
        for name, value in values.items():
            setattr(row, name, value)


def visit(id_: int) -> Visit:
    db.session.rollback()
    return db.session.get_one(Visit, id_)


def mail(body: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(body, policy=email.policy.SMTP)  # type: ignore[return-value]


def test_an_accepted_message_is_sent_and_the_visit_knows_what_was_told(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    put(day["Grace"], "late_first")
    assert send(worker(app, keeper), AT) == 1
    assert states() == [("late_first", "sent", "")]
    grace = visit(day["Grace"])
    assert (grace.told_start, grace.told_end) == (wall("10:40"), wall("11:15"))
    assert (grace.told_at, grace.told_kind) == (AT, "late_first")
    kept = db.session.scalars(select(Attempt)).one()
    assert kept.body == keeper.kept[0].body and kept.recipient == "grace@example.com"
    assert kept.provider_id == "kept 1" and "10:40" in kept.text


def test_saying_that_we_do_not_know_takes_back_the_range_told_before(app: Flask, day: dict[str, int]) -> None:
    sender = worker(app, Keeper())
    put(day["Grace"], "late_first")
    send(sender, AT)
    later = AT + timedelta(minutes=25)
    put(day["Grace"], "deadline_done", at=later)
    send(sender, later)
    grace = visit(day["Grace"])
    assert (grace.told_kind, grace.told_at, grace.told_start) == ("deadline_done", later, wall("10:40"))
    with transaction() as s:
        s.get_one(Company, 1).rules = {"max_delay": 9}
    last = AT + timedelta(minutes=50)
    put(day["Grace"], "no_time_yet", at=last, due=wall("10:30").isoformat())
    send(sender, last)
    grace = visit(day["Grace"])
    assert (grace.told_kind, grace.told_at, grace.told_start) == ("no_time_yet", last, None)


def test_the_recipient_is_read_when_it_leaves_not_when_it_was_put(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    put(day["Grace"])
    with transaction() as s:
        s.get_one(Customer, s.get_one(Visit, day["Grace"]).customer_id).email = "new@example.com"
    send(worker(app, keeper), AT)
    assert [e.recipient for e in keeper.kept] == ["new@example.com"]


def test_an_invitation_raises_the_sequence_and_only_then_a_late_note_has_a_calendar(
    app: Flask, day: dict[str, int]
) -> None:
    keeper = Keeper()
    put(day["Helen"], "late_first")
    put(day["Grace"], "booked")
    send(worker(app, keeper), AT)
    put(day["Grace"], "late_first", at=AT + timedelta(minutes=1))
    send(worker(app, keeper), AT + timedelta(minutes=1))
    has = ["text/calendar" in [p.get_content_type() for p in mail(e.body).walk()] for e in keeper.kept]
    assert has == [False, True, True]
    assert attempts() == [("accepted", None), ("accepted", 0), ("accepted", 1)]
    grace = visit(day["Grace"])
    assert (grace.invited_at, grace.sequence, grace.window_sequence) == (AT, 2, 0)


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        ("late_first", {"state": "cancelled"}, "the visit is cancelled"),
        ("late_first", {"state": "arrived", "arrived_at": AT}, "we have arrived"),
        ("reminder", {"state": "done", "finished_at": AT}, "the visit is done"),
        ("booked", {"state": "nobody_home"}, "the visit is nobody home"),
        ("on_my_way", {"state": "planned"}, "on my way was taken back"),
        ("deadline_done", {"deadline": None}, "the customer has changed when they must leave"),
        ("deadline_done", {"deadline_kind": "arrive"}, "the customer has changed when they must leave"),
    ],
)
def test_what_is_no_longer_true_is_dropped_with_its_reason(
    app: Flask, day: dict[str, int], kind: str, values: dict[str, object], why: str
) -> None:
    keeper = Keeper()
    put(day["Grace"], kind)
    change(day["Grace"], **values)
    send(worker(app, keeper), AT)
    assert states() == [(kind, "dropped", why)]
    assert keeper.kept == []


def test_a_cancellation_goes_although_the_visit_is_cancelled(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    put(day["Grace"], "cancelled_us")
    change(day["Grace"], state="cancelled")
    send(worker(app, keeper), AT)
    assert len(keeper.kept) == 1


def test_a_nudge_is_dropped_when_the_technician_has_reported_meanwhile(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    with transaction() as s:
        priya = s.get_one(Visit, day["Priya"])
        tom = priya.technician
        outbox.put(
            s, key="n", kind="tech_nudge", at=AT, reason="silent", visit=priya, to="technician", person=tom
        )  # fmt: skip
        tom_id = priya.technician_id or 0
    later = AT + timedelta(minutes=1)
    taps.report(day["Priya"], "on_my_way", technician_id=tom_id, key="tap-0001", tapped_at=later, at=later)
    send(worker(app, keeper), later)
    assert ("tech_nudge", "dropped", "the technician has reported since") in states()
    assert keeper.kept == []


def test_what_is_too_late_is_dropped_and_a_warning_becomes_a_call(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    put(day["Grace"], "late_first")
    put(day["Helen"], "reminder")
    send(worker(app, keeper), AT + timedelta(hours=3))
    assert states() == [("late_first", "dropped", "too_late"), ("reminder", "dropped", "too_late")]
    assert tasks() == [("call", "too_late")]


def test_at_night_it_is_held_until_the_morning_and_decided_again(app: Flask, day: dict[str, int]) -> None:
    keeper, night, morning = Keeper(), wall("05:00"), wall("08:00")
    put(day["Helen"], "moved_by_us", at=night, old_start=AT.isoformat(), old_end=AT.isoformat())
    put(day["Grace"], "booked", at=night)
    send(worker(app, keeper), night)
    assert states() == [("moved_by_us", "held", "night"), ("booked", "held", "night")]
    change(day["Grace"], state="cancelled")
    assert send(worker(app, keeper), morning) == 1
    assert states() == [("moved_by_us", "sent", ""), ("booked", "dropped", "the visit is cancelled")]


def test_an_answer_to_the_customers_own_act_goes_at_any_hour(app: Flask, day: dict[str, int]) -> None:
    put(day["Helen"], "deadline_noted", at=wall("05:00"))
    change(day["Helen"], deadline=wall("15:00"))
    assert send(worker(app, Keeper()), wall("05:00")) == 1


def test_a_busy_server_is_asked_again_with_growing_waits_and_the_same_message_id(
    app: Flask, day: dict[str, int]
) -> None:
    keeper = Keeper([BUSY, BUSY])
    id_ = put(day["Grace"])
    sender, at = worker(app, keeper), AT
    for longest in deliver.BACKOFF_S[:2]:
        assert send(sender, at) == 0
        db.session.rollback()
        message = db.session.get_one(Message, id_)
        assert message.state == "queued" and "451" in message.state_reason
        assert 0 < (message.due_at - clock.now()).total_seconds() <= longest
        at = message.due_at
        clock.configure(f"{at.isoformat()} x1")
    assert send(sender, at) == 1
    assert attempts() == [("refused", 0), ("refused", 1), ("accepted", 2)]
    assert len({a.mail_id for a in db.session.scalars(select(Attempt))}) == 1


def test_waits_between_tries_never_pass_their_limit() -> None:
    assert all(0 < deliver.wait_s(tries) <= 5 for tries in (0, 1) for _ in range(50))
    assert max(deliver.wait_s(9) for _ in range(50)) <= 300


def test_a_refused_address_fails_is_remembered_and_somebody_calls(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper([GONE])
    put(day["Grace"])
    send(worker(app, keeper), AT)
    assert states() == [("booked", "failed", GONE.sentence)]
    assert tasks() == [("call", "failed")]
    assert visit(day["Grace"]).customer.email_bad == GONE.sentence
    put(day["Grace"], "late_first")
    assert tasks() == [("call", "failed"), ("call", "no_contact")]


def test_one_message_that_breaks_the_worker_never_stops_the_others(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    with transaction() as s:
        s.get_one(Customer, s.get_one(Visit, day["Priya"]).customer_id).name = " "
        s.get_one(Customer, s.get_one(Visit, day["Lewis"]).customer_id).email = "a@b.example>,<c@d.example"
    for name in ("Priya", "Lewis", "Grace", "Helen"):
        put(day[name])
    assert send(worker(app, keeper), AT) == 2
    assert [e.recipient for e in keeper.kept] == ["grace@example.com", "helen@example.com"]
    assert [state for _, state, _ in states()] == ["failed", "failed", "sent", "sent"]
    assert tasks() == [("call", "failed")] * 2


@pytest.mark.parametrize("state", ["accepted", "refused", "intent"])
def test_a_message_with_more_attempts_than_it_counts_is_shown_and_can_be_sent_again(
    app: Flask, day: dict[str, int], state: str
) -> None:
    """As databases have them from before a fault was mended: it could never be written, at every lease anew."""
    keeper = Keeper()
    ids = [put(day[name]) for name in ("Grace", "Helen")]
    with transaction() as s:
        lost = {"transport": "file", "recipient": "grace@example.com", "mail_id": "<x@y>", "body": b"x", "at": AT}
        s.add(Attempt(message_id=ids[0], number=1, state=state, **lost))
    assert send(worker(app, keeper), AT) == 1, "the other one"
    assert states() == [("booked", "uncertain", MISCOUNTED), ("booked", "sent", "")]
    assert send(worker(app, keeper), TAKEN_OVER) == 0
    delivery.send_again(ids[0], at=TAKEN_OVER)
    assert send(worker(app, keeper), TAKEN_OVER) == 1
    assert [s for _, s, _ in states()] == ["sent", "sent"]


def killed_between(app: Flask, visit_id: int, kind: str) -> Keeper:
    """The message was handed over, and the worker died before it could write that down."""
    keeper = Keeper([Killed()], lost=True)
    put(visit_id, kind)
    with pytest.raises(Killed):
        send(worker(app, keeper), AT)
    db.session.rollback()
    assert attempts()[-1][0] == "intent"
    return keeper


def test_killed_after_the_intent_a_warning_is_shown_as_uncertain_and_not_sent_again(
    app: Flask, day: dict[str, int]
) -> None:
    keeper = killed_between(app, day["Grace"], "late_first")
    send(worker(app, keeper), TAKEN_OVER)
    assert len(keeper.kept) == 1
    assert states() == [("late_first", "uncertain", "sent, but no answer came; not sent again")]
    assert attempts() == [("uncertain", None)]


def test_killed_after_the_intent_a_booking_is_sent_again_as_the_very_same_bytes(
    app: Flask, day: dict[str, int]
) -> None:
    keeper = killed_between(app, day["Grace"], "booked")
    change(day["Grace"], notes="changed since")
    send(worker(app, keeper), TAKEN_OVER)
    assert keeper.kept[0] == keeper.kept[1] and len(keeper.kept) == 2
    assert mail(keeper.kept[0].body)["Message-ID"] == mail(keeper.kept[1].body)["Message-ID"]
    assert states() == [("booked", "sent", "")]
    assert attempts() == [("accepted", 0)]


def test_a_provider_that_can_be_asked_is_asked_and_nothing_is_doubled_or_lost(app: Flask, day: dict[str, int]) -> None:
    taken, lost = Asked([Killed()], lost=True), Asked([Killed()])
    for keeper, name in ((taken, "Grace"), (lost, "Helen")):
        put(day[name], "late_first")
        with pytest.raises(Killed):
            send(worker(app, keeper), AT)
        send(worker(app, keeper), TAKEN_OVER)
        send(worker(app, keeper), TAKEN_OVER)
        assert [e.recipient for e in keeper.kept] == [f"{name.lower()}@example.com"]
    assert states() == [("late_first", "sent", "")] * 2
    assert attempts() == [("accepted", None), ("refused", None), ("accepted", None)]


@pytest.mark.parametrize(
    ("make", "then"),
    [
        (lambda: Keeper(), ("sent", "")),
        (lambda: Keeper([BUSY]), ("dropped", "superseded: held back")),
        (lambda: Keeper([GONE]), ("dropped", "superseded: held back")),
        (lambda: Keeper([Killed()], lost=True), ("uncertain", "sent, but no answer came; not sent again")),
        (lambda: Asked([Killed()]), ("dropped", "superseded: held back")),
        (lambda: Asked([Killed()], lost=True), ("sent", "")),
    ],
    ids=["accepted", "refused for now", "refused for good", "killed", "killed, not there", "killed, there"],
)
def test_what_is_superseded_while_it_is_handed_over_is_never_sent_again(
    app: Flask, day: dict[str, int], make: Callable[[], Keeper], then: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = make()
    real = keeper.send

    def meanwhile(envelope: Envelope) -> Receipt:
        with transaction() as s:
            outbox.supersede(s, day["Grace"], at=AT, why="held back")
        return real(envelope)

    monkeypatch.setattr(keeper, "send", meanwhile)
    put(day["Grace"])
    with suppress(Killed):
        send(worker(app, keeper), AT)
    for later in (timedelta(), timedelta(minutes=10)):
        send(worker(app, keeper), TAKEN_OVER + later)
    assert states() == [("booked", *then)]
    assert len(keeper.kept) == (then[0] != "dropped")
    assert tasks() == []


def test_a_provider_that_does_not_answer_is_asked_until_the_message_is_of_no_use(
    app: Flask, day: dict[str, int]
) -> None:
    keeper = Asked([Killed()], lost=True, silent=True)
    put(day["Grace"], "late_first")
    with pytest.raises(Killed):
        send(worker(app, keeper), AT)
    sender, at = worker(app, keeper), TAKEN_OVER
    for _ in range(5):
        clock.configure(f"{at.isoformat()} x1")
        send(sender, at)
        at += timedelta(minutes=6)
    assert states() == [("late_first", "uncertain", BUSY.sentence)]
    assert len(keeper.kept) == 1


def test_an_answer_that_comes_after_all_is_the_truth(app: Flask, day: dict[str, int]) -> None:
    """A worker frozen after handing over wakes when another has given the message up as uncertain."""
    keeper = Keeper()
    put(day["Grace"], "late_first")
    with transaction() as s:
        outbox.claim(s, at=AT, by="frozen")
        id_ = s.scalars(select(Message.id)).one()
    with transaction() as s:
        ready = deliver.prepare(s, id_, app.config["SETTINGS"], ways={"email": "keeper"}, by="frozen", at=AT)
    assert ready is not None
    send(worker(app, keeper), TAKEN_OVER)
    assert states()[0][1] == "uncertain"
    with transaction() as s:
        acceptance.accepted(s, ready.attempt_id, Receipt("7"), at=TAKEN_OVER)
    assert states() == [("late_first", "sent", "")]
    assert visit(day["Grace"]).told_start == wall("10:40")


def test_a_worker_without_intents_is_caught_by_that_test(app: Flask, day: dict[str, int]) -> None:
    """Negative control: forget the intent, and the same crash sends a warning twice."""
    keeper = killed_between(app, day["Grace"], "late_first")
    with transaction() as s:
        s.execute(delete(Attempt))
    send(worker(app, keeper), TAKEN_OVER)
    assert len(keeper.kept) == 2


def test_nothing_in_doubt_is_touched_before_its_lease_is_over(app: Flask, day: dict[str, int]) -> None:
    keeper = killed_between(app, day["Grace"], "booked")
    send(worker(app, keeper), AT + timedelta(seconds=30))
    assert len(keeper.kept) == 1


def test_a_booking_in_doubt_whose_visit_was_cancelled_is_not_sent_again(app: Flask, day: dict[str, int]) -> None:
    keeper = killed_between(app, day["Grace"], "booked")
    change(day["Grace"], state="cancelled")
    send(worker(app, keeper), TAKEN_OVER)
    assert len(keeper.kept) == 1
    assert states()[0][1] == "uncertain"


def test_an_answer_that_never_comes_is_held_or_sent_again_a_few_times_by_kind(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper([UNSURE] * 20, lost=True)
    put(day["Helen"], "late_first")
    put(day["Grace"], "booked")
    sender, at = worker(app, keeper), AT
    for _ in range(12):
        clock.configure(f"{at.isoformat()} x1")
        send(sender, at)
        at += timedelta(minutes=6)
    assert states() == [("late_first", "uncertain", UNSURE.sentence), ("booked", "uncertain", UNSURE.sentence)]
    assert [e.kind for e in keeper.kept] == ["late_first"] + ["booked"] * (1 + deliver.RESENDS)


def test_when_the_way_out_is_closed_the_rest_waits_untried_and_then_all_go(
    app: Flask, day: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("punctual.sender.WRITING_S", 0.0)  # however fast the machine: one a commit
    keeper = Keeper([CLOSED])
    for name in ("Priya", "Grace", "Helen", "Lewis"):
        put(day[name])
    sender = worker(app, keeper)
    assert sender.deliver(AT) == (4, 0)
    assert sender.deliver(AT) == (0, 0), "nothing is tried while it is closed"
    assert [s for _, s, _ in states()] == ["queued"] * 4
    assert len(attempts()) == 1
    clock.configure("2026-11-24T08:42+00:00 x1")
    later = AT + timedelta(seconds=120 + PAUSES_S[0])
    assert send(sender, later) == 4


def test_a_frozen_worker_leaves_alone_what_another_has_taken_over(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    put(day["Grace"])
    frozen, awake = worker(app, keeper), worker(app, keeper)
    with transaction() as s:
        ids = outbox.claim(s, at=AT, by=frozen.name)
    assert send(awake, TAKEN_OVER) == 1
    assert frozen.sender._one(ids[0], TAKEN_OVER) == 0
    assert len(keeper.kept) == 1


def test_a_message_at_the_end_of_a_long_batch_gets_its_lease_renewed_before_it_leaves(
    app: Flask, day: dict[str, int]
) -> None:
    id_ = put(day["Grace"])
    with transaction() as s:
        outbox.claim(s, at=AT, by="slow")
    clock.configure("2026-11-24T08:41:55+00:00 x1")
    with transaction() as s:
        ready = deliver.prepare(s, id_, app.config["SETTINGS"], ways={"email": "file"}, by="slow", at=AT)
        assert ready is not None and ready.envelope.mine()
    with transaction() as s:
        assert outbox.claim(s, at=AT + timedelta(seconds=outbox.LEASE_S + 5), by="other") == []


def test_over_the_cap_a_warning_is_dropped_and_somebody_calls(app: Flask, day: dict[str, int]) -> None:
    with transaction() as s:
        s.get_one(Company, 1).rules = {"max_delay": 1, "gap_min": 0}
    keeper = Keeper()
    put(day["Grace"], "late_first")
    send(worker(app, keeper), AT)
    later = AT + timedelta(minutes=30)
    put(day["Grace"], "late_update", at=later)
    send(worker(app, keeper), later)
    assert states()[1] == ("late_update", "dropped", "cap")
    assert tasks() == [("call", "cap")]


def test_what_the_night_stops_on_its_way_and_at_the_next_look_is_one_call(app: Flask, day: dict[str, int]) -> None:
    """Put right before the night: the sender drops it, and the watch would tell it again."""
    with transaction() as s:
        s.get_one(Company, 1).rules = {"quiet_from": 9 * 60 + 30}
        grace = s.get_one(Visit, day["Grace"])
        grace.planned_start = grace.window_start = wall("10:00")
    put(day["Grace"], "late_first", at=wall("09:25"))
    send(worker(app, Keeper()), wall("09:31"))
    assert states() == [("late_first", "dropped", "night")] and tasks() == [("call", "night")]
    at = wall("09:32")
    with transaction() as s:
        tom_id = s.get_one(Visit, day["Priya"]).technician_id or 0
    taps.report(day["Priya"], "late", technician_id=tom_id, minutes=120, key="tap-0009", tapped_at=at, at=at)
    silent = select(Notice.reason).where(Notice.decision == "silent", Notice.visit_id == day["Grace"])
    assert db.session.scalars(silent).all() == ["night"]
    calls = select(Notice.key).where(Notice.decision == "task", Notice.visit_id == day["Grace"])
    assert db.session.scalars(calls).all() == [f"{day['Grace']}:1:call:night"]


def test_two_messages_too_close_together_are_spaced(app: Flask, day: dict[str, int]) -> None:
    keeper = Keeper()
    put(day["Grace"], "late_first")
    send(worker(app, keeper), AT)
    put(day["Grace"], "late_update", at=AT + timedelta(minutes=5))
    send(worker(app, keeper), AT + timedelta(minutes=5))
    assert states()[1] == ("late_update", "held", "too_soon")
    send(worker(app, keeper), AT + timedelta(minutes=21))
    assert states()[1][1] == "sent"


def test_an_error_of_a_way_out_says_in_a_sentence_what_happened() -> None:
    assert all(e.sentence.endswith(".") and isinstance(e, TransportError) for e in (BUSY, GONE, UNSURE, CLOSED))
