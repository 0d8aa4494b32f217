"""Mail of the whole service: its processes, and what a bad SMTP server does to it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import psutil

from tests.cli.running import run
from tests.databases import execute, fetch_value, wait_until
from tests.factories import sign_up
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import family_of, running, wait_for
from tests.smtp_server import SMTPServer, serving

ADD = """
INSERT INTO mail (id, kind, recipient, language, expires_at)
VALUES ($1, 'password_changed', 'a@example.org', 'en', now() + interval '1 day')
"""


def environment(smtp: SMTPServer) -> dict[str, str]:
    return mail_environment(plain_url(smtp), OSTIARY_MAIL_POLL_INTERVAL="1s")


def test_a_mail_of_another_process_is_sent(services: ServicePool, smtp: SMTPServer) -> None:
    service = services.service(environment(smtp))
    execute(service.database_url, ADD, uuid4())
    wait_for(lambda: smtp.mails, "the mail has arrived")
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")


def test_a_service_that_dies_when_the_server_has_taken_a_mail_sends_the_same_again(
    database_url: str, tmp_path: Path, smtp: SMTPServer
) -> None:
    with running(database_url, tmp_path / "first.log", environment(smtp)) as service:

        def kill() -> None:
            for process in family_of(service.process):
                process.kill()
            psutil.wait_procs([service.process], timeout=60)

        smtp.on_data = kill
        execute(database_url, ADD, uuid4())
        wait_for(lambda: smtp.mails, "the mail has arrived")
        wait_for(lambda: not service.is_running(), "the service has died")
    smtp.on_data = lambda: None
    assert fetch_value(database_url, "SELECT next_attempt_at > now() FROM mail")
    execute(database_url, "UPDATE mail SET next_attempt_at = now()")
    with running(database_url, tmp_path / "second.log", environment(smtp)):
        wait_for(lambda: len(smtp.mails) == 2, "the mail has arrived again")
        wait_until(database_url, "NOT EXISTS (SELECT FROM mail)")
    first, second = smtp.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]


def test_a_silent_server_changes_no_answer_and_no_stop(database_url: str, tmp_path: Path) -> None:
    silent = SMTPServer()
    silent.is_silent = True
    with (
        serving(silent),
        running(database_url, tmp_path / "service.log", environment(silent)) as service,
        service.client() as client,
    ):
        for _ in range(10):
            execute(database_url, ADD, uuid4())
        wait_until(database_url, "(SELECT count(*) FROM mail WHERE attempts > 0) = 4")
        assert client.get("/readyz").status_code == 200
        assert sign_up(client).status_code == 201
    assert fetch_value(database_url, "SELECT count(*) FROM mail") == 10


def test_mails_are_listed_and_dead_letters_sent_again(database_url: str) -> None:
    dead, waiting = uuid4(), uuid4()
    for each in (dead, waiting):
        execute(database_url, ADD, each)
    execute(
        database_url,
        "UPDATE mail SET failed_at = now(), error = E'550 \\x1b[2J', "
        "expires_at = now() - interval '1 day' WHERE id = $1",
        dead,
    )
    listed = run("mail", "list", DATABASE_URL=database_url).stdout
    assert len(listed.splitlines()) == 2
    assert f"{dead}  dead     password_changed  a@example.org" in listed
    assert f"{waiting}  waiting  password_changed  a@example.org" in listed
    assert "\x1b" not in listed
    as_json = run("mail", "list", "--json", DATABASE_URL=database_url).stdout
    assert '"attempts":0' in as_json
    unknown = run("mail", "retry", str(waiting), DATABASE_URL=database_url)
    assert (unknown.returncode, unknown.stderr) == (1, "There is no dead letter with that id.\n")
    retried = run("mail", "retry", str(dead), "--json", DATABASE_URL=database_url)
    assert retried.stdout == '{"retried":1}\n'
    due = "SELECT count(*) FROM mail WHERE failed_at IS NULL AND expires_at > now()"
    assert fetch_value(database_url, due) == 2
    execute(database_url, "UPDATE mail SET failed_at = now()")
    assert run("mail", "retry", DATABASE_URL=database_url).stdout.startswith("2 mails")
    again = run("mail", "retry", DATABASE_URL=database_url)
    assert (again.returncode, again.stdout[:7]) == (0, "0 mails")


def test_production_without_mail_says_so_at_the_start(database_url: str) -> None:
    """It stops there, for want of a free port."""
    result = run(
        *("serve", "--port", "1", "--host", "192.0.2.1"),
        DATABASE_URL=database_url,
        OSTIARY_ENV="production",
    )
    assert result.stderr.count("mail_unavailable") == 1


def test_a_template_that_cannot_be_used_stops_the_start(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "notice.jinja").write_text("{% if %}")
    result = run("serve", DATABASE_URL=database_url, OSTIARY_MAIL_TEMPLATES=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("The template of en/email_requested cannot be used")
