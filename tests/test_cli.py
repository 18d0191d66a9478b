"""The command line: what an operator types, and sentences instead of tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from punctual.cli import main

BIN = Path(sys.executable).parent / "punctual"
INIT = (
    "init", "--name", "Northside Heating", "--zone", "Europe/London", "--origin", "https://visits.example.com",
    "--mail-from", "visits@northside.example", "--phone", "0117 496 0118", "--hours", "Mon-Fri 8-18", "--country", "GB",
    "--smtp", "", "--dispatcher", "ana@northside.example", "--dispatcher-name", "Ana", "--password", "a long password",
)  # fmt: skip


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance folder that nothing has been written to, and no setting but its address."""
    for name in [n for n in os.environ if n.startswith(("PUNCTUAL", "DATABASE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PUNCTUAL_INSTANCE", str(tmp_path / "instance"))
    return tmp_path / "instance"


def punctual(*arguments: str, stdin: str = "") -> Result:
    """What `punctual ...` does, in this process: starting one takes longer than most commands."""
    done = CliRunner().invoke(main, arguments, input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_company_is_made_once_and_doctor_says_what_is_left(instance: Path) -> None:
    made = punctual(*INIT)
    assert made.exit_code == 0, made.stderr
    assert 'origin = "https://visits.example.com"' in (instance / "config.toml").read_text()
    again = punctual(*INIT)
    assert again.exit_code == 1 and "There is a company" in again.stderr

    changed = punctual("rules", "max_delay=1", "quiet_until=420")
    assert "max_delay              1        *  Delay notices per visit." in changed.stdout, changed.stderr
    assert "gap_min                20 " in punctual("rules").stdout
    wrong = punctual("rules", "max_dealy=1")
    assert wrong.exit_code == 1 and '"max_dealy" is no rule. The rules are:' in wrong.stderr

    sick = punctual("doctor")
    assert sick.exit_code == 1 and "run `punctual run`" in sick.stdout
    assert "ok     a company is made" in sick.stdout and "mails are left in a folder" in sick.stdout
    mailed = punctual("doctor", "--test-mail", "me@northside.example")
    assert "left by file" in mailed.stdout and list((instance / "outbox").glob("*.eml"))

    link = punctual("user", "ben@northside.example", "--name", "Ben").stdout.strip()
    assert link.startswith("https://visits.example.com/board/enter/")
    token = punctual("token", "till", "--scopes", "read", "--days", "1")
    assert token.exit_code == 0 and len(token.stdout.split()[-1]) > 30
    assert "Nothing" not in punctual("outbox").stdout

    lines = "kind,id,date,from,to,minutes,customer,job,address\nvisit,A1,2026-11-24,9:00,10:00,60,Maria,boiler,Hill 1\n"
    (instance / "good.csv").write_text(lines)
    assert punctual("import", str(instance / "good.csv")).exit_code == 0
    assert "addresses without a place, and no geocoder is set: 1" in punctual("doctor").stdout

    punctual("outbox", "pause")
    assert "somebody paused them; `punctual outbox resume`" in punctual("doctor").stdout
    punctual("outbox", "resume")
    assert "paused" not in punctual("doctor").stdout

    bad = instance / "bad.csv"
    bad.write_text("kind,id,customer,job,date,from,to\nvisit,A1,Maria,boiler,31.02.2026,9:00,10:00\n")
    refused = punctual("import", str(bad))
    assert refused.exit_code == 1 and "Row 2" in refused.stderr and "Nothing was imported" in refused.stderr


def test_doctor_says_what_to_do_where_nothing_is_made_yet(instance: Path) -> None:
    sick = punctual("doctor", "--test-mail", "me@northside.example")
    assert sick.exit_code == 1 and "run `punctual init`" in sick.stdout and "left by file" in sick.stdout


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--dispatcher", "nobody", "is not an e-mail address"), ("--zone", "Mars/Base", "is not a known zone"),
     ("--origin", "visits.example.com", "write it like https://"), ("--country", "England", "Write its two letters")],
)  # fmt: skip
def test_a_wrong_answer_makes_nothing_and_can_be_mended(instance: Path, option: str, value: str, words: str) -> None:
    wrong = list(INIT)
    wrong[wrong.index(option) + 1] = value
    refused = punctual(*wrong)
    assert refused.exit_code == 1 and words in refused.stderr
    assert not (instance / "config.toml").exists()
    assert punctual(*INIT).exit_code == 0


def test_a_mistyped_answer_is_asked_for_again_by_itself(instance: Path) -> None:
    typed = ("Northside Heating", "Europe/Lundon", "Europe/London", "visits.example.com", "https://visits.example.com",
             "visits", "visits@northside.example", "", "", "England", "gb", "", "ana", "ana@northside.example", "Ana",
             "too short", "a long password", "a long password")  # fmt: skip
    made = punctual("init", stdin="\n".join(typed) + "\n")
    assert made.exit_code == 0 and "Your company is made" in made.stdout, made.output
    for sentence in ("is not a known zone", "write it like https://", "is not an e-mail address", "its two letters"):
        assert sentence in made.output


def test_the_database_that_a_company_was_made_in_is_kept(
    instance: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert punctual(*INIT).exit_code == 0
    monkeypatch.delenv("DATABASE_URL")
    assert "ok     a company is made" in punctual("doctor").stdout
    assert not (instance / "punctual.db").exists()


def test_doctor_names_the_database_and_says_what_its_driver_said(
    instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://pia:secret@127.0.0.1:1/firm")
    sick = punctual("doctor")
    assert "WRONG  the instance folder is there  -> run `punctual init`" in sick.stdout
    assert "WRONG  the database postgresql+psycopg://pia:***@127.0.0.1:1/firm answers" in sick.stdout
    assert "Connection refused" in sick.stdout and "secret" not in sick.stdout


def test_the_mail_server_is_asked_for_whole(instance: Path) -> None:
    made = punctual(*INIT, "--smtp", "mail.example.com:587", "--smtp-user", "", stdin="\n")
    assert made.exit_code == 0, made.stderr
    written = (instance / "config.toml").read_text()
    assert 'smtp_host = "mail.example.com"' in written and 'smtp_tls = "starttls"' in written


def test_previews_show_words_without_a_company(instance: Path) -> None:
    shown = punctual("preview", "late_first")
    assert shown.exit_code == 0 and "We are running late" in shown.stdout and "10:40" in shown.stdout
    unknown = punctual("preview", "love_letter")
    assert unknown.exit_code == 1 and "There is no kind love_letter" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "no-such-file.csv"), "does not exist"),
        (("explain", "12"), "There is no visit 12"),
        (("explain", "A-102"), "There is no visit A-102"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(instance: Path, arguments: tuple[str, ...], words: str) -> None:
    done = punctual(*arguments)
    assert done.exit_code != 0 and words in done.stderr


def test_the_installed_command_is_the_same(instance: Path) -> None:
    done = subprocess.run([BIN, "explain", "12"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "There is no visit 12" in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(instance: Path) -> None:
    instance.mkdir()
    (instance / "config.toml").write_text('mial = "smtp"\n')
    done = punctual("upgrade")
    assert done.exit_code == 1 and '"mial" is no setting' in done.stderr


@pytest.mark.parametrize(
    "command", [("doctor",), ("explain", "12"), ("upgrade",), ("demo",), ("rules",), INIT, ("run",), ("outbox",)]
)
@pytest.mark.parametrize("spec", ["nonsense", "2026-11-24T08:40 x20", "2026-11-24T08:40+00:00 x0", "12 x1 @x"])
def test_a_clock_that_cannot_be_read_is_a_sentence_with_its_form(
    instance: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], spec: str
) -> None:
    instance.mkdir()
    monkeypatch.setenv("PUNCTUAL_CLOCK", spec)
    done = punctual(*command)
    assert done.exit_code == 1 and '"2026-11-24T08:40+00:00 x20"' in done.output


def test_importing_before_init_says_what_to_do(instance: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("kind,id,name\ntechnician,T1,Tom Hale\n")
    done = punctual("import", str(file))
    assert done.exit_code == 1 and "punctual init" in done.stderr
