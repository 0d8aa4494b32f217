"""Who is next, and who has to leave."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from service.auth.hashing.fair_queue import (
    KEPT_TIMES,
    FairQueue,
    Requester,
    SharedQueue,
    Turn,
    address_block_of,
)


def turn(address: str, name: str, *, cost: float = 1.0, is_known: bool = False) -> Turn:
    return Turn(Requester(address.encode(), name, is_known), cost)


def test_turns_of_one_requester_are_in_the_order_of_their_arrival() -> None:
    queue = FairQueue(10)
    turns = [turn("a", "alice") for _ in range(3)]
    for each in turns:
        queue.add(each)
    assert [queue.take() for _ in range(4)] == [*turns, None]


@pytest.mark.parametrize(
    "flood",
    [
        [turn("flood", f"name{n}") for n in range(20)],
        [turn(f"bot{n}", "victim") for n in range(20)],
        [turn("flood", "victim") for _ in range(20)],
    ],
    ids=["one address", "one name", "both"],
)
def test_whoever_was_served_least_is_next(flood: list[Turn]) -> None:
    queue = FairQueue(100)
    for each in flood:
        queue.add(each)
    served = [queue.take() for _ in range(3)]
    late = [turn("home", "owner"), turn("office", "another")]
    for each in late:
        queue.add(each)
    assert served == flood[:3]
    assert [queue.take() for _ in range(2)] == late


def test_two_floods_take_turns() -> None:
    queue = FairQueue(100)
    for n in range(10):
        queue.add(turn("a", f"a{n}"))
    for n in range(10):
        queue.add(turn("b", f"b{n}"))
    taken = [queue.take() for _ in range(10)]
    addresses = [each.requester.address_block for each in taken if each is not None]
    assert addresses.count(b"a") == addresses.count(b"b") == 5


def test_nobody_waits_for_ever_for_those_who_come_later() -> None:
    queue = FairQueue(10)
    early = turn("office", "b")
    queue.add(turn("office", "a"))
    queue.add(early)
    queue.take()
    taken = []
    for n in range(10):
        queue.add(turn(f"bot{n}", f"name{n}"))
        taken.append(queue.take())
    assert early in taken


def test_costly_passwords_get_fewer_turns() -> None:
    queue = FairQueue(100)
    for n in range(20):
        queue.add(turn("costly", f"c{n}", cost=4.0))
    for n in range(20):
        queue.add(turn("cheap", f"d{n}", cost=1.0))
    taken = [queue.take() for _ in range(10)]
    addresses = [each.requester.address_block for each in taken if each is not None]
    assert addresses.count(b"cheap") == 8


def test_a_full_queue_drops_the_newest_of_whoever_has_most() -> None:
    queue = FairQueue(3)
    mine, first, second = turn("home", "owner"), turn("flood", "x"), turn("flood", "y")
    for each in (first, mine, second):
        assert queue.add(each) is None
    another, newest = turn("office", "another"), turn("flood", "z")
    assert queue.has_place_for(another)
    assert not queue.has_place_for(newest)
    assert queue.add(another) is second
    assert queue.add(newest) is newest
    assert set(queue) == {first, mine, another}


def test_a_queue_without_places_refuses_everybody() -> None:
    only = turn("home", "owner")
    assert not FairQueue(0).has_place_for(only)
    assert FairQueue(0).add(only) is only


def test_a_queue_that_is_not_full_has_a_place_for_whoever_has_most() -> None:
    queue = FairQueue(2)
    queue.add(turn("flood", "x"))
    assert queue.has_place_for(turn("flood", "x"))


def test_known_devices_have_every_other_turn_and_places_of_their_own() -> None:
    queue = SharedQueue(length=4, known_length=4)
    strangers = [turn(f"bot{n}", f"name{n}") for n in range(4)]
    owners = [turn(f"bot{n}", f"owner{n}", is_known=True) for n in range(3)]
    for each in (*strangers, *owners):
        assert queue.add(each) is None
    kinds = [each.requester.is_known for each in (queue.take() for _ in range(7)) if each]
    assert kinds == [True, False, True, False, True, False, False]
    assert queue.take() is None


def test_a_turn_that_was_given_up_is_not_counted() -> None:
    queue = SharedQueue(length=4, known_length=4)
    given_up, kept = turn("home", "owner"), turn("home", "owner")
    queue.add(given_up)
    queue.add(kept)
    queue.discard(given_up)
    queue.discard(given_up)
    assert len(queue) == 1
    assert queue.take() is kept


@pytest.mark.parametrize("waiting", [0, 1])
def test_served_times_do_not_accumulate(waiting: int) -> None:
    queue = FairQueue(10)
    for _ in range(waiting):
        queue.add(turn("address", "name"))
    for n in range(KEPT_TIMES):
        queue.add(turn(f"address{n}", f"name{n}"))
        queue.take()
    assert len(queue._served) <= KEPT_TIMES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:1::1", "2001:db8:1:2::1", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
    ],
)
def test_an_address_block_is_an_ipv4_address_or_an_ipv6_site(
    one: str, other: str, *, same: bool
) -> None:
    blocks = {address_block_of(ip_address(each)) for each in (one, other)}
    assert (len(blocks) == 1) is same


def test_an_unknown_address_is_a_block_too() -> None:
    assert address_block_of(None) == b""
