"""Where the program may send what leaves it: addresses of the open internet, unless the settings say otherwise.

An endpoint is named by whoever sets it up, and the server stands inside the store's network: without these checks it could
be made to talk to the machines beside it.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from app.domain.errors import FieldInvalid
from app.domain.webhook_endpoint import URL_MAX

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def is_public(address: str) -> bool:
    """Tell whether an address is of the open internet; an address that carries another one is as public as that."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(_is_global(part) for part in _carried(found))


def _carried(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[IPv4Address | IPv6Address] = [address]
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner += address.teredo
    if any(address in network for network in _NAT64):
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return inner


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def check_url(url: str, *, private: bool, field: str = "url") -> str:
    """Return the address of an endpoint, or raise `FieldInvalid`.

    With `private`, addresses of the store's own network and plain HTTP are fine. A name that leads to such an address is
    found out when a message is sent.
    """
    path = (field,)
    if len(url) > URL_MAX:
        raise FieldInvalid(f"The address is too long. Use one of at most {URL_MAX} characters.", field=path)
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if not host or not plain or parts.scheme not in {"http", "https"}:
        raise FieldInvalid(
            "This is no address of an endpoint. Use one such as https://shop.example/webhooks.", field=path
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise FieldInvalid(
            "The address has a name, a password or a fragment. Leave them out: messages are signed instead.",
            field=path,
        )
    if not private and parts.scheme != "https":
        raise FieldInvalid("Messages are sent by HTTPS only. Use an address with https.", field=path)
    if not private and _is_local(host):
        raise FieldInvalid(
            "This address is not of the open internet. Use one that is, or ask the server's operator to allow private "
            "addresses.",
            field=path,
        )
    return url


def _is_local(host: str) -> bool:
    name = host.rstrip(".").lower()
    try:
        ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(_LOCAL_NAMES)
    return not is_public(name)
