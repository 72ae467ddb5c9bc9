"""The customers: believable names from several countries, e-mail addresses that belong to nobody (RFC 2606)."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice

from faker import Faker

DEMO_CUSTOMER = "demo-customer"
"""The store's id of the customer whom the demo's tokens and examples name."""

CUSTOMERS = 200
FIRST_NUMBER = 1001
SEED = 20_260_101

_LOCALES = (
    "en_US",
    "de_DE",
    "en_GB",
    "fr_FR",
    "es_ES",
    "en_US",
    "it_IT",
    "ja_JP",
    "pl_PL",
    "sv_SE",
    "pt_BR",
    "nl_NL",
    "cs_CZ",
    "tr_TR",
)
_DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "post.example")
_SPELLED = str.maketrans({"ß": "ss", "ł": "l", "\u0131": "i", "ø": "o", "æ": "ae", "đ": "d"})


@dataclass(frozen=True, slots=True)
class Person:
    """One made-up customer."""

    external_id: str
    name: str
    email: str


def people() -> list[Person]:
    """Return the customers, the same ones every time; the demo's customer is the first."""
    found = [Person(DEMO_CUSTOMER, "Nora Lindqvist", "nora.lindqvist@example.com")]
    taken = {found[0].email}
    for number, (name, local_part) in enumerate(islice(_names(), CUSTOMERS - 1), FIRST_NUMBER):
        domain = _DOMAINS[number % len(_DOMAINS)]
        email = f"{local_part}@{domain}"
        if email in taken:
            email = f"{local_part}.{number}@{domain}"
        taken.add(email)
        found.append(Person(str(number), name, email))
    return found


def _names() -> Iterator[tuple[str, str]]:
    fakers = {}
    for locale in dict.fromkeys(_LOCALES):
        fakers[locale] = Faker(locale)
        fakers[locale].seed_instance(f"{SEED}:{locale}")
    for locale in cycle(_LOCALES):
        fake = fakers[locale]
        if locale == "ja_JP":
            # The family's name stands first; each pair is written in kanji, kana and Latin letters.
            family, given = fake.last_name_pair(), fake.first_name_pair()
            yield f"{family[0]} {given[0]}", _local_part(f"{given[2]} {family[2]}")
        else:
            name = f"{fake.first_name()} {fake.last_name()}"
            yield name, _local_part(name)


def names_of(*, first: int, last: int) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Return so many given and so many family names, each with how it is written in an address; the same every time."""
    fakers = [Faker(locale) for locale in dict.fromkeys(_LOCALES) if locale != "ja_JP"]
    for number, fake in enumerate(fakers):
        fake.seed_instance(SEED + number)
    return (
        _different([fake.first_name for fake in fakers], first),
        _different([fake.last_name for fake in fakers], last),
    )


def _different(ways: list[Callable[[], str]], size: int) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for way in cycle(ways):
        name = way()
        found.setdefault(name, _local_part(name))
        if len(found) == size:
            return tuple(found.items())
    raise AssertionError("names never end")


def _local_part(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_SPELLED))
    letters = plain.encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]+", ".", letters).strip(".")
