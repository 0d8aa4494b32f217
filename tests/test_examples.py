"""The examples work as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep, time

import httpx
import pyotp
import pytest

from tests.databases import execute
from tests.factories import PASSWORD, bearer, service_token, sign_up
from tests.services import PATIENCE, UNUSED_TLS, Service

EXAMPLES = Path(__file__).parent.parent / "examples"


def output_of(*command: str | Path, typed: str = "") -> list[str]:
    """Return the lines that a program prints. Raises `CalledProcessError` if it fails."""
    ended = subprocess.run(
        command, input=typed, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return ended.stdout.splitlines()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_script_signs_up_logs_in_and_out(service: Service) -> None:
    lines = output_of("bash", EXAMPLES / "curl.sh", service.url)
    answers = dict(zip(lines[::2], lines[1::2], strict=True))
    (name,) = re.findall(r"^Sign up as (\w+):", lines[0])
    problem = answers.pop("An invalid body; all its errors are reported:")
    assert re.findall(r'"code":"(\w+)"', problem) == ["validation_failed", *["too_short"] * 2]
    assert answers == {
        f"Sign up as {name}:": name,
        "A wrong password:": "invalid_credentials",
        "Who is this:": name,
        "The sessions:": "2",
        "Log out:": "204",
        "The token is dead:": "not_authenticated",
    }


def test_the_mobile_app_keeps_its_session_and_its_device(service: Service) -> None:
    lines = output_of(sys.executable, EXAMPLES / "mobile.py", service.url)
    assert lines[1:] == [
        "still logged in after a restart, on Jane's phone",
        "changed the password, and kept the new token",
        "a wrong password: invalid_credentials",
        "logged in again, on the same device",
    ]


def user_with_app(client: httpx.Client) -> tuple[pyotp.TOTP, list[str]]:
    """Sign Alice up with an authenticator app. Return it, ready for a code, and recovery codes."""
    headers = bearer(sign_up(client, transport="bearer").json()["session"]["token"])
    phone = pyotp.TOTP(client.post("/me/totp", headers=headers).json()["secret"])
    confirmed = client.post("/me/totp/confirm", json={"code": phone.now()}, headers=headers)
    return phone, confirmed.json()["recovery_codes"]


def next_code(phone: pyotp.TOTP) -> str:
    """Return the code after the one that was used: it is accepted for half a minute at least."""
    return phone.at(time(), counter_offset=1)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("by", ["code", "recovery code"])
def test_the_script_completes_a_log_in(service: Service, client: httpx.Client, by: str) -> None:
    phone, recovery_codes = user_with_app(client)
    code = next_code(phone) if by == "code" else recovery_codes[0]
    script, typed = EXAMPLES / "curl.sh", f"{PASSWORD}\n{code}\n"
    lines = output_of("bash", script, service.url, "Alice", typed=typed)
    assert lines[lines.index("Who is this:") + 1] == "Alice"


@pytest.mark.parametrize("by", ["code", "recovery code"])
def test_the_mobile_app_completes_a_log_in(service: Service, client: httpx.Client, by: str) -> None:
    phone, recovery_codes = user_with_app(client)
    code = next_code(phone) if by == "code" else recovery_codes[0]
    script, typed = EXAMPLES / "mobile.py", f"{PASSWORD}\n{code}\n"
    assert output_of(sys.executable, script, service.url, "Alice", typed=typed) == [
        "the account asks for one of totp recovery_code",
        "logged in, on Jane's phone unknown",
    ]


@contextmanager
def application(service: Service, directory: Path) -> Iterator[httpx.Client]:
    """Run the FastAPI application, and return a client of it."""
    path = directory / "application.socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--uds", path],
        cwd=EXAMPLES,
        env={
            **os.environ,
            "AUTH_URL": service.url,
            "SERVICE_TOKEN": service_token(service.database_url, "introspect"),
        },
    )
    try:
        deadline = monotonic() + PATIENCE
        while not path.exists():
            assert process.poll() is None
            assert monotonic() < deadline
            sleep(0.02)
        transport = httpx.HTTPTransport(uds=str(path), verify=UNUSED_TLS)
        with httpx.Client(transport=transport, base_url="http://app", timeout=PATIENCE) as client:
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_the_fastapi_application_knows_its_users_and_their_roles(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    signed_up = sign_up(client, transport="bearer").json()
    session, user_id = signed_up["session"], signed_up["user"]["id"]
    # There are users without a name, and a name can become that of another user.
    execute(service.database_url, "DELETE FROM key")
    with application(service, tmp_path) as app:
        assert app.get("/notes").status_code == 401
        assert app.get("/notes", headers=bearer("unknown")).status_code == 401
        alice = bearer(session["token"])
        assert app.get("/notes", headers=alice).json() == {"of": user_id}
        assert app.delete("/notes", headers=alice).status_code == 403

        execute(service.database_url, """UPDATE "user" SET roles = '{editor}'""")
        assert app.delete("/notes", headers=alice).status_code == 200

        client.post("/logout", headers=alice)
        assert app.get("/notes", headers=alice).status_code == 401


def test_what_protects_the_fastapi_application_fits_in_ten_lines() -> None:
    source = (EXAMPLES / "fastapi_app.py").read_text()
    protection = source.partition("# What protects")[2].partition("# The application.")[0]
    assert len([line for line in protection.splitlines()[1:] if line]) <= 10
