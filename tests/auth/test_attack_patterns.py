"""What attackers get, and what owners get meanwhile, with limits a few times lower than usual."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Rate
from service.storage.database import Database
from tests.attack_patterns import PATTERNS, Outcome, Pattern, Simulation

LIMITS = RateLimitSettings(
    log_in_failures_per_name=Rate.parse("2/15m"),
    log_in_failures_per_address=Rate.parse("4/15m"),
    log_in_failures_per_device=Rate.parse("2/15m"),
    log_in_failures_total=Rate.parse("12/15m"),
)


async def outcome(database: Database, pattern: Pattern) -> Outcome:
    fewer = replace(pattern, addresses=pattern.addresses[:6])
    return await Simulation(database, LIMITS, fewer).run(hours=0)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda each: each.title)
async def test_an_owner_gets_in_on_a_known_device_and_in_a_session(
    database: Database, pattern: Pattern
) -> None:
    """Whatever the attack, unless the device's own token was stolen."""
    found = await outcome(database, pattern)
    assert found.password_change == "in"
    if pattern.device is None:
        assert found.known_device == "in"


@pytest.mark.parametrize(
    ("title", "guesses"),
    [
        ("one IPv4 address", 4),
        ("one IPv6 /64, the owner in the same /56", 4),
        ("one IPv6 /56, the owner in the same /48", 6),
        ("one IPv6 /48, the owner in it", 8),
        ("distributed: 100 addresses", 14),
        ("spraying, one IPv4 address", 8),
        ("spraying, one IPv6 /48", 20),
        ("a stolen token of a known device", 4),
        ("a stolen session (current password)", 4),
    ],
)
async def test_an_attacker_has_no_more_guesses_than_this_in_a_quarter_of_an_hour(
    database: Database, title: str, guesses: int
) -> None:
    """Twice the limit: what is there at first, and what is restored meanwhile."""
    (pattern,) = (each for each in PATTERNS if each.title == title)
    assert (await outcome(database, pattern)).burst <= guesses + 4


async def test_an_owner_gets_in_on_a_new_device_elsewhere(database: Database) -> None:
    for pattern in PATTERNS:
        if pattern.owner_address == "192.0.2.1":
            assert (await outcome(database, pattern)).new_device.startswith("in")


async def test_distributed_spraying_is_limited_in_total(database: Database) -> None:
    """Without the limit six addresses would have eight guesses each."""
    (pattern,) = (each for each in PATTERNS if each.title == "spraying, 100 addresses")
    found = await outcome(database, pattern)
    assert found.burst < 6 * 8 * 2 / 3
    assert "after" in found.new_device
