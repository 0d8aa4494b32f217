"""CPU time in which a program checks an access token by itself, with PyJWT.

To be compared with that of `GET /me` and of `POST /introspect`, which a program asks instead. As
the example of `docs/jwt.md` does it: the keys are cached, and fetched once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from threading import Thread
from uuid import uuid4

import jwt
from cost import positive
from joserfc.jwk import ECKey
from machine import machine

ISSUER, AUDIENCE, KID = "https://auth.example.com", "billing", str(uuid4())
CHECKS = 1000


def signed(key: ECKey) -> str:
    """Return a token with the claims of the service, which does not expire meanwhile."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": str(uuid4()),
        "aud": AUDIENCE,
        "client_id": AUDIENCE,
        "jti": str(uuid4()),
        "sid": str(uuid4()),
        "amr": ["pwd", "otp", "mfa"],
        "auth_time": now,
        "roles": ["editor"],
        "iat": now,
        "exp": now + 3600,
    }
    header = {"typ": "at+jwt", "kid": KID}
    return jwt.encode(claims, key.as_pem(private=True), "ES256", headers=header)


@contextmanager
def serving(key: ECKey) -> Iterator[str]:
    """Serve the public key; yield the address."""
    keys = [{**key.as_dict(private=False), "kid": KID, "alg": "ES256", "use": "sig"}]
    body = json.dumps({"keys": keys}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def measure(rounds: int) -> list[float]:
    """Return the CPU time of a check in each round, in microseconds."""
    key = ECKey.generate_key("P-256")
    token, found = signed(key), []
    with serving(key) as url:
        client = jwt.PyJWKClient(url, lifespan=300)
        for _ in range(rounds):
            began = time.process_time()
            for _ in range(CHECKS):
                check(client, token)
            found.append((time.process_time() - began) / CHECKS * 1e6)
    return found


def check(client: jwt.PyJWKClient, token: str) -> None:
    """Check a token, as a program does at each request."""
    verified = jwt.decode_complete(
        token,
        client.get_signing_key_from_jwt(token).key,
        algorithms=["ES256"],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=5,
        options={"require": ["iss", "aud", "exp", "sub"]},
    )
    if verified["header"].get("typ") != "at+jwt":
        raise SystemExit("not an access token")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=positive, default=9, help=f"of {CHECKS} checks (default: 9)"
    )
    found = measure(parser.parse_args().rounds)
    print(f"{datetime.now(UTC).date().isoformat()}, {machine()}\n")
    print("| CPU time per request, µs | the program | of the rounds |\n| --- | ---: | ---: |")
    print(f"| JWT check with PyJWT | {median(found):.1f} | {min(found):.1f} to {max(found):.1f} |")


if __name__ == "__main__":
    main()
