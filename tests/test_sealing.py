"""What is sealed is opened by its keys and for its place, and by nothing else."""

import base64

import pytest
from hypothesis import given, strategies as st

from app.sealing import Sealer, Unreadable

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
IBAN = "DE89370400440532013000, Ada King"


@given(st.text())
def test_what_is_sealed_is_opened(text: str) -> None:
    sealer = Sealer([NEW])
    assert sealer.open(sealer.seal(text, "m1"), "m1") == text


def test_nothing_of_it_can_be_read() -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal(IBAN, "m1")
    assert b"DE89" not in base64.b64decode(sealed.removeprefix("v1."))
    assert sealer.seal(IBAN, "m1") != sealed, "equal texts look different"
    assert "32" not in repr(sealer)


def test_keys_take_turns() -> None:
    sealed = Sealer([OLD]).seal(IBAN, "m1")
    both = Sealer([NEW, OLD])
    assert both.open(sealed, "m1") == IBAN
    assert Sealer([NEW]).open(both.seal(IBAN, "m1"), "m1") == IBAN, "the newest one seals"
    with pytest.raises(Unreadable):
        Sealer([NEW]).open(sealed, "m1")


def test_it_opens_for_its_own_place_only() -> None:
    sealer = Sealer([NEW])
    with pytest.raises(Unreadable):
        sealer.open(sealer.seal(IBAN, "m1"), "m2")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_tampering_is_noticed(place: int, by: int) -> None:
    sealer = Sealer([NEW])
    sealed = bytearray(base64.b64decode(sealer.seal(IBAN, "m1").removeprefix("v1.")))
    sealed[place % len(sealed)] ^= by
    for content in (sealed, sealed[: place % len(sealed)]):
        with pytest.raises(Unreadable):
            sealer.open("v1." + base64.b64encode(content).decode(), "m1")


@pytest.mark.parametrize("text", ["", "v1.", "v1.!", "v2.AAAA", "DE89", "v1.ÄÖ"])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(Unreadable):
        Sealer([NEW]).open(text, "m1")


def test_fingerprints_are_found_under_every_key() -> None:
    (old,) = Sealer([OLD]).fingerprints("x")
    assert old in Sealer([NEW, OLD]).fingerprints("x")
    assert old not in Sealer([NEW]).fingerprints("x")
    assert old not in Sealer([OLD]).fingerprints("y")


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b"short"]])
def test_keys_have_32_bytes(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(keys)
