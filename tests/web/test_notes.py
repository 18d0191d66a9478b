"""Tell it once: notes and photos reach everybody on the visit, a repeat visit starts from all of it, the page shows no words."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select

from punctual import clock, photo
from punctual.actions import access, dispatcher, note, schedule, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.models import Answer, Photo, Visit, db
from tests.build import wall
from tests.web.desk import sit
from tests.web.visitor import Page, everything, visitor

#: Left half blue, right half red, 2400 × 1200, with a sentence in what the camera wrote.
HEIC = Path(__file__).resolve().parent.parent / "data" / "photo.heic"


def picture(kind: str = "JPEG", size: tuple[int, int] = (2400, 1200)) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGB", size, (200, 30, 30))
    exif = image.getexif()
    exif[0x010E] = "secret place 51.4545,-2.5879"
    image.save(out, kind, exif=exif)
    return out.getvalue()


def send(grace: Page, text: str, *files: bytes, status: int = 303) -> str:
    data = {"note": text, "photo": [(io.BytesIO(raw), f"{i}.jpg") for i, raw in enumerate(files)]}
    answer = grace.client.post(f"/c/{grace.token}/note", data=data, content_type="multipart/form-data")
    assert answer.status_code == status, answer.text
    return str(answer.text)


def phone_of(app: Flask, grace: Page, name: str):  # type: ignore[no-untyped-def]
    browser = app.test_client()
    key = app.config["SETTINGS"].key("link")
    link = access.enrol_link(grace.built.technicians[name].id, key=key, at=clock.now())
    browser.post(f"/t/enrol/{link}")
    return browser


def test_a_photo_is_drawn_anew_smaller_and_without_what_the_camera_wrote(lite: Flask) -> None:
    grace = visitor(lite)
    raw = picture()
    send(grace, "The valve drips.", raw)
    kept = db.session.scalars(select(Photo)).one()
    assert (kept.width, kept.height) == (1600, 800)
    assert b"secret place" in raw and b"secret place" not in kept.data
    assert not Image.open(io.BytesIO(kept.data)).getexif()


def test_a_telephones_heic_is_taken_and_drawn_anew_too(lite: Flask) -> None:
    grace = visitor(lite)
    raw = HEIC.read_bytes()
    assert raw[4:12] == b"ftypheic" and b"secret place" in raw
    send(grace, "The valve drips.", raw)
    kept = db.session.scalars(select(Photo)).one()
    drawn = Image.open(io.BytesIO(kept.data))
    assert (drawn.format, drawn.size, len(drawn.getexif())) == ("JPEG", (1600, 800), 0)
    left, right = drawn.getpixel((200, 400)), drawn.getpixel((1400, 400))
    assert left[2] > 150 > left[0] and right[0] > 150 > right[2], "blue on the left, red on the right"  # type: ignore[index,operator]


def test_a_damaged_heic_is_a_photo_or_none_and_nothing_else() -> None:
    raw, dice, refused = HEIC.read_bytes(), random.Random(1), 0
    for _ in range(60):
        bad = bytearray(raw)
        for _ in range(dice.randint(1, 8)):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        try:
            made = photo.redrawn(bytes(bad[: dice.randint(20, len(bad))]))
            assert max(made.width, made.height) <= photo.LONGEST
        except ValueError:
            refused += 1
    assert refused > 30
    huge = raw.replace((2400).to_bytes(4, "big") + (1200).to_bytes(4, "big"), (60_000).to_bytes(4, "big") * 2)
    assert huge != raw
    with pytest.raises(ValueError, match=r"photo|pixels"):
        photo.redrawn(huge)


def test_everybody_on_the_visit_sees_it_and_nobody_else(lite: Flask) -> None:
    grace = visitor(lite)
    send(grace, "Key under the mat.", picture())
    photo_id = db.session.scalars(select(Photo.id)).one()
    page = grace.text()
    assert "Your note: received Tue 24 Nov, 8:30. Not read yet." in page and "Key under" not in page
    tom, ana, day = phone_of(lite, grace, "Tom"), phone_of(lite, grace, "Ana"), sit(lite)
    assert "Customer wrote: Key under the mat." in tom.get("/t/").text
    assert tom.get(f"/t/photos/{photo_id}").mimetype == "image/jpeg"
    assert ana.get(f"/t/photos/{photo_id}").status_code == 404
    assert "Key under the mat." in day.text(f"/board/visits/{grace.visit.id}")
    assert day.get(f"/board/photos/{photo_id}").status_code == 200
    assert lite.test_client().get(f"/board/photos/{photo_id}").status_code == 303
    assert tom.post(f"/t/visits/{grace.visit.id}/read").status_code == 303
    assert day.post(f"/board/visits/{grace.visit.id}/read").status_code == 303
    page = grace.text()
    assert "Read by Tom at 8:30." in page and "Read by Dana at 8:30." in page


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GIF89a" + b"x" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture()[:400],
        b"\xff\xd8\xff" + b"0" * 99,
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"0" * 99,
    ],
)
def test_what_is_no_photo_is_refused_whole(lite: Flask, raw: bytes) -> None:
    grace = visitor(lite)
    before = everything()
    assert "This one was not saved." in send(grace, "Look.", raw or b"x", status=422)
    assert everything() == before


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    with pytest.raises(ValueError, match=r"photo|pixels"):
        photo.redrawn(bomb.getvalue())


def test_a_visit_takes_five_photos(lite: Flask) -> None:
    grace = visitor(lite)
    send(grace, "One", *[picture(size=(40, 40))] * 5)
    assert "takes 5 photos" in send(grace, "Two", picture(size=(40, 40)), status=422)
    assert len(db.session.scalars(select(Answer).where(Answer.kind == "note")).all()) == 1


def test_a_repeat_visit_starts_from_the_whole_story(lite: Flask) -> None:
    grace = visitor(lite)
    send(grace, "The boiler loses pressure each night.", picture())
    with transaction() as s:
        first = s.get_one(Visit, grace.visit.id)
        window = Window(wall("15:00"), wall("15:30"))
        ana = grace.built.technicians["Ana"].id
        schedule.add(
            s, customer=first.customer, job_type=first.job_type, technician_id=ana, place=first.place,
            planned_start=window.start, planned_min=60, window=window, at=wall("08:31"), by="test", tell=False,
        )  # fmt: skip
    second = db.session.scalars(select(Visit.id).order_by(Visit.id.desc())).first()
    day = sit(lite)
    assert "Customer: The boiler loses pressure each night." in day.text(f"/board/visits/{second}")
    browser = phone_of(lite, grace, "Ana")
    dispatcher.cancel(grace.built.visits["Lewis"].id, tell=False, at=wall("08:32"), by=By(day.user.id, "Dana Price"))
    text = browser.get("/t/").text
    assert "Earlier visits: 1" in text and "The boiler loses pressure each night." in text
    assert browser.get(f"/t/photos/{db.session.scalars(select(Photo.id)).one()}").status_code == 200


def test_a_strangers_technician_cannot_mark_it_read(lite: Flask) -> None:
    grace = visitor(lite)
    note.write(grace.visit.id, "Hello", at=wall("08:31"))
    assert phone_of(lite, grace, "Ana").post(f"/t/visits/{grace.visit.id}/read").status_code == 403


def test_what_was_written_beside_a_refused_photo_is_not_lost_and_nothing_else_opens(lite: Flask) -> None:
    grace = visitor(lite)
    page = send(grace, "Mind the <dog>.", b"no photo", status=422)
    assert '<textarea id="note" name="note" rows="3" maxlength="1000">Mind the &lt;dog&gt;.</textarea>' in page
    assert "<details open>" not in page
    assert "<dog>" not in grace.get() and "Mind the" not in grace.get(), "it was an answer to them, and is kept nowhere"


@pytest.mark.parametrize(
    ("path", "fields", "kept"),
    [
        ("deadline", {"leave_by": "99:00"}, 'value="99:00"'),
        ("wrong", {"about": "time", "text": "x" * 1001}, ">" + "x" * 1001 + "</textarea>"),
        ("wish", {"wish": "y" * 501}, ">" + "y" * 501 + "</textarea>"),
    ],
)
def test_what_was_refused_stands_in_its_field_again(lite: Flask, path: str, fields: dict[str, str], kept: str) -> None:
    answer = visitor(lite).post(path, 422, **fields).text
    assert kept in answer and answer.count("<details open>") == (path != "wish")
