"""Issuers for tests: keys, tokens of every shape, and a real server on loopback that publishes keys."""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

START = datetime(2030, 1, 1, tzinfo=UTC)
SECRET = "a secret of the store, long enough for each of the three HMACs, and more"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key of this name; made once, because making one takes long."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    assert name
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key(name: str) -> ed25519.Ed25519PrivateKey:
    assert name
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key: PrivateKey, kid: str | None = None, **more: object) -> dict[str, object]:
    public: dict[str, object]
    if isinstance(key, rsa.RSAPrivateKey):
        public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        public.pop("key_ops", None)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        public = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, **({} if kid is None else {"kid": kid}), **more}


def at(seconds: float) -> float:
    """Return the time this many seconds after the start, as tokens write it."""
    return START.timestamp() + seconds


def sign(
    claims: Mapping[str, object],
    key: PrivateKey | str = SECRET,
    *,
    alg: str = "HS256",
    lasting_s: int | None = 600,
    **header: object,
) -> str:
    """Sign the claims; `exp` is added unless `lasting_s` is None."""
    ends = {} if lasting_s is None else {"exp": at(lasting_s)}
    return jwt.encode({**ends, **claims}, key, algorithm=alg, headers=header)


def b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class KeyServer:
    """A server on loopback that answers what the test tells it to."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.requests: list[str] = []
        self.answers: dict[str, bytes] = {}
        self.status = 200
        self.delay_s = 0.0
        self.headers: dict[str, str] = {}

    def publish(self, *keys: Mapping[str, object]) -> None:
        self.status = 200
        self.answers["/keys"] = json.dumps({"keys": list(keys)}).encode()

    @property
    def url(self) -> str:
        return f"{self.base}/keys"


@contextmanager
def key_server() -> Iterator[KeyServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            time.sleep(state.delay_s)
            body = state.answers.get(self.path, b"")
            self.send_response(state.status if self.path in state.answers else 404)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden one
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = KeyServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
