"""The vault: what it seals is opened by its keys and for its row, and by nothing else."""

import base64

import pytest
from hypothesis import given, strategies as st

from app.vault import CannotOpen, Vault, read_key

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
IBAN = {"iban": "DE89370400440532013000", "holder": "Ada King"}


@given(st.dictionaries(st.text(), st.text()))
def test_what_is_sealed_is_opened(details: dict[str, str]) -> None:
    vault = Vault([NEW])
    assert vault.open(vault.seal(details, owner="m1"), owner="m1") == details


def test_nothing_of_it_can_be_read() -> None:
    vault = Vault([NEW])
    sealed = vault.seal(IBAN, owner="m1")
    assert b"DE89" not in sealed
    assert b"Ada" not in sealed
    assert vault.seal(IBAN, owner="m1") != sealed, "equal details look different"
    assert "32" not in repr(vault)


def test_keys_take_turns() -> None:
    sealed = Vault([OLD]).seal(IBAN, owner="m1")
    both = Vault([NEW, OLD])
    assert both.open(sealed, owner="m1") == IBAN
    assert Vault([NEW]).open(both.seal(IBAN, owner="m1"), owner="m1") == IBAN
    with pytest.raises(CannotOpen):
        Vault([NEW]).open(sealed, owner="m1")


def test_it_opens_for_its_own_row_only() -> None:
    vault = Vault([NEW])
    with pytest.raises(CannotOpen):
        vault.open(vault.seal(IBAN, owner="m1"), owner="m2")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_tampering_is_noticed(place: int, by: int) -> None:
    vault = Vault([NEW])
    sealed = bytearray(vault.seal(IBAN, owner="m1"))
    sealed[place % len(sealed)] ^= by
    with pytest.raises(CannotOpen):
        vault.open(bytes(sealed), owner="m1")
    with pytest.raises(CannotOpen):
        vault.open(bytes(sealed[: place % len(sealed)]), owner="m1")


def test_fingerprints_are_found_under_every_key() -> None:
    (old,) = Vault([OLD]).fingerprints("x")
    assert old in Vault([NEW, OLD]).fingerprints("x")
    assert old not in Vault([NEW]).fingerprints("x")
    assert old not in Vault([OLD]).fingerprints("y")


def test_keys_have_32_bytes() -> None:
    assert read_key(base64.b64encode(NEW).decode()) == NEW
    for text in ("", "AAAA", "not base64!"):
        with pytest.raises(ValueError, match=r"."):
            read_key(text)
    for keys in ([], [b"short"]):
        with pytest.raises(ValueError, match="32 bytes"):
            Vault(keys)
