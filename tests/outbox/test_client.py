"""Where messages are sent, and where they never are."""

import asyncio
from collections.abc import Sequence

import pytest

from app.addresses import check_url, is_public
from app.domain.errors import FieldInvalid
from app.outbox.client import Poster, Undelivered
from tests.outbox.receiver import receiving

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104 — an address that must be refused
    "10.0.0.7",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.7",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
    "2002:a00:7::1",
    "no address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_open_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_what_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.7]/",
        "https://10.1.2.3:8443/x",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://db.internal/",
        "https://printer.local/",
        "http://shop.example/",
        "https://shop.example:99999/",
        "https://shop.example\\@127.0.0.1/",
        "https://shop.example/\u0000",
        "https:///hooks",
        "javascript:alert(1)",
    ],
)
def test_addresses_that_no_endpoint_has(url: str) -> None:
    with pytest.raises(FieldInvalid):
        check_url(url, private=False)


def test_private_addresses_where_they_are_allowed() -> None:
    for url in ("http://127.0.0.1:8080/hooks", "http://localhost/", "https://10.0.0.7/"):
        assert check_url(url, private=True) == url
    assert check_url("https://shop.example/hooks?of=1", private=False)


def poster_to(*addresses: str, private: bool = False, timeout_s: float = 5.0) -> Poster:
    """A poster for which every name has these addresses."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return Poster(timeout_s=timeout_s, answer_size_max_bytes=100, private=private, resolve=resolve)


@pytest.mark.parametrize("address", [one for one in PRIVATE if one != "no address"])
async def test_a_name_that_leads_to_a_private_address(address: str) -> None:
    """Also where another of its addresses is fine: whichever is connected to was checked."""
    for addresses in ([address], ["1.1.1.1", address], [address, "1.1.1.1"]):
        with pytest.raises(Undelivered, match="private address"):
            await poster_to(*addresses).post("https://shop.example/", b"{}", {})


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"]
)
async def test_this_machine_by_all_its_names_as_the_system_resolves_them(host: str) -> None:
    async with receiving() as receiver:
        poster = Poster(timeout_s=5, answer_size_max_bytes=100)
        with pytest.raises(Undelivered):
            await poster.post(f"https://{host}:{receiver.port}/", b"{}", {})
        assert receiver.came == []


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """The name is asked for once: what it leads to a moment later plays no part."""
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    async with receiving() as receiver:
        poster = Poster(timeout_s=5, answer_size_max_bytes=100, private=True, resolve=resolve)
        url = f"http://nowhere.invalid:{receiver.port}/hooks?of=1"
        answer = await poster.post(url, b'{"a": 1}', {"x-mark": "7"})
        assert answer.status_code == 204
        (came,) = receiver.came
    assert asked == [("nowhere.invalid", receiver.port)]
    assert came.headers["host"] == f"nowhere.invalid:{receiver.port}"
    assert (came.path, came.body, came.headers["x-mark"]) == ("/hooks?of=1", b'{"a": 1}', "7")


async def test_the_next_address_of_a_name_is_tried() -> None:
    async with receiving() as receiver:
        # Nothing listens at the first one.
        poster = poster_to("127.0.0.2", "127.0.0.1", private=True)
        assert (await poster.post(f"http://shop.example:{receiver.port}/", b"", {})).status_code == 204


async def test_redirects_are_not_followed() -> None:
    async with receiving() as secret, receiving(status=307, more={"location": secret.url}) as receiver:
        poster = poster_to("127.0.0.1", private=True)
        answer = await poster.post(receiver.url, b"{}", {})
        assert answer.status_code == 307
        assert secret.came == []
        assert len(receiver.came) == 1


async def test_no_more_of_an_answer_is_read_than_wanted() -> None:
    async with receiving(status=500, text="x" * 1_000_000, more={"retry-after": "120"}) as receiver:
        answer = await poster_to("127.0.0.1", private=True).post(receiver.url, b"{}", {})
    assert (answer.status_code, answer.text, answer.wait_s) == (500, "x" * 100, 120)


async def test_who_does_not_answer_is_left() -> None:
    async with receiving(gate=asyncio.Event()) as receiver:
        with pytest.raises(Undelivered, match="did not answer"):
            await poster_to("127.0.0.1", private=True, timeout_s=0.2).post(receiver.url, b"{}", {})


async def test_nobody_there() -> None:
    async with receiving() as receiver:
        url = receiver.url
    with pytest.raises(Undelivered, match="connection failed"):
        await poster_to("127.0.0.1", private=True).post(url, b"{}", {})
    with pytest.raises(Undelivered, match="no address"):
        await poster_to().post("https://shop.example/", b"{}", {})
    with pytest.raises(Undelivered, match="can't be resolved"):
        await Poster(timeout_s=5, answer_size_max_bytes=9).post("https://nowhere.invalid/", b"", {})
    with pytest.raises(Undelivered, match="HTTPS only"):
        await poster_to("1.1.1.1").post("http://shop.example/", b"{}", {})


@pytest.mark.parametrize("value", ["soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT", ""])
async def test_a_wait_that_is_none(value: str) -> None:
    async with receiving(status=503, more={"retry-after": value}) as receiver:
        answer = await poster_to("127.0.0.1", private=True).post(receiver.url, b"{}", {})
    assert answer.wait_s == 0
