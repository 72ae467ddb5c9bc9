"""Websockets by the table: the classes of cases of RFC 6455, in any pieces, read by the client of a well-kept library.

A conversation is a list of frames of a client. What must come of it is said by `ought`, a model that knows frames and no bytes.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings, strategies as st
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame as Told
from websockets.protocol import State
from websockets.uri import parse_uri

from app.sockets import SocketProtocol, keeper_of

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MESSAGE_BYTES_MAX = 70_000
WHOLE = 1 << 30
"""In one piece."""


class Frame(NamedTuple):
    """What a client sends, sound or not."""

    opcode: int
    content: bytes = b""
    is_last: bool = True
    reserved: int = 0
    is_masked: bool = True

    @property
    def encoded(self) -> bytes:
        """The frame as bytes."""
        size, bit = len(self.content), 0x80 if self.is_masked else 0
        first = self.is_last << 7 | self.reserved << 4 | self.opcode
        if size < 126:
            head = bytes((first, bit | size))
        elif size < 65_536:
            head = bytes((first, bit | 126)) + size.to_bytes(2)
        else:
            head = bytes((first, bit | 127)) + size.to_bytes(8)
        if not self.is_masked:
            return head + self.content
        mask = os.urandom(4)
        long_mask = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(self.content) ^ int.from_bytes(long_mask)
        return head + mask + masked.to_bytes(size)


@dataclass
class Outcome:
    """What came of a conversation."""

    heard: list[str | bytes] = field(default_factory=list)
    """By the application."""
    pongs: list[bytes] = field(default_factory=list)
    closed_with: int | None = None
    """The code of the closing frame that was sent; 1005 for one without."""
    left_with: int | None = None
    """The code that the application was told."""


def closing(code: int, reason: bytes = b"") -> Frame:
    return Frame(CLOSE, code.to_bytes(2) + reason)


# --- the model --------------------------------------------------------------------------------------------------


def ought(frames: Iterable[Frame]) -> Outcome:
    """Return what must come of these frames; a client that says nothing more is lost, which is 1005."""
    outcome, parts, is_text = Outcome(left_with=1005), None, False
    for frame in frames:
        code = _fault(frame, parts)
        if code is None and frame.opcode == CLOSE:
            code = Close.parse(frame.content).code
        if code is not None:
            outcome.closed_with = outcome.left_with = code
            return outcome
        if frame.opcode == PING:
            outcome.pongs.append(frame.content)
        if frame.opcode >= CLOSE:
            continue
        if parts is None:
            parts, is_text = b"", frame.opcode == TEXT
        parts += frame.content
        if frame.is_last:
            whole, parts = parts, None
            if is_text and not _is_utf8(whole):
                outcome.closed_with = outcome.left_with = 1007
                return outcome
            outcome.heard.append(whole.decode() if is_text else whole)
    return outcome


def _fault(frame: Frame, parts: bytes | None) -> int | None:
    is_control, size = frame.opcode >= CLOSE, len(frame.content)
    if (
        frame.reserved
        or not frame.is_masked
        or frame.opcode not in {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}
        or (is_control and (size > 125 or not frame.is_last))
    ):
        return 1002
    if not is_control:
        if size + len(parts or b"") > MESSAGE_BYTES_MAX:
            return 1009
        return 1002 if (frame.opcode == CONTINUATION) != (parts is not None) else None
    if frame.opcode == CLOSE and size:
        # Where both are wrong, either may be said.
        if not _is_utf8(frame.content[2:]):
            return 1007
        return 1002 if size == 1 or not _may_be_sent(int.from_bytes(frame.content[:2])) else None
    return None


def _may_be_sent(code: int) -> bool:
    return code in {1000, 1001, 1002, 1003, *range(1007, 1015)} or 3000 <= code <= 4999


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- the real one -----------------------------------------------------------------------------------------------


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_paused = self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed, "nothing is written to a transport that was closed"
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Conversation:
    """One socket, whose application repeats what it hears."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.transport = Transport()
        config: Any = SimpleNamespace(
            loaded_app=self._app, ws_max_size=MESSAGE_BYTES_MAX, ws_ping_interval=20.0
        )
        transport: Any = self.transport
        self._state = ServerState()
        self.protocol = SocketProtocol(config, self._state, transport, b"dGhlIHNhbXBsZSBub25jZQ==")
        self._keeper = keeper_of(self._state, config)
        self._task = asyncio.create_task(self.protocol._run({}))

    async def _app(self, _scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            content = message.get("text", message.get("bytes"))
            self.outcome.heard.append(content)
            with suppress(ClientDisconnected):
                await send({**message, "type": "websocket.send"})
        self.outcome.left_with = message["code"]

    async def open(self) -> None:
        """Shake hands."""
        await self._settled()
        assert self.transport.written.endswith(b"\r\n\r\n")
        self.transport.written.clear()

    async def say(self, pieces: Iterable[bytes]) -> None:
        """Send bytes in these pieces; a server that doesn't read is waited for."""
        for piece in pieces:
            await self._settled(until_read=True)
            if self.transport.is_closed:
                return
            self.protocol.data_received(piece)
        await self._settled()

    async def end(self) -> list[Told]:
        """Hang up, and return what a client has read of the server."""
        self.protocol.connection_lost(None)
        await self._task
        if self._keeper._timer is not None:
            self._keeper._timer.cancel()
        client = ClientProtocol(parse_uri("ws://shop/"), state=State.OPEN, max_size=None)
        client.receive_data(bytes(self.transport.written))
        assert client.parser_exc is None
        return [event for event in client.events_received() if isinstance(event, Told)]

    async def _settled(self, *, until_read: bool = False) -> None:
        for _ in range(100):
            if until_read and not self.transport.is_paused:
                return
            await asyncio.sleep(0)
            if not until_read and self.protocol._receiver is not None:
                # The application waits for the next message.
                return


def in_pieces(content: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut bytes into pieces of these sizes, again and again."""
    at = number = 0
    while at < len(content):
        size = sizes[number % len(sizes)]
        yield content[at : at + size]
        at, number = at + size, number + 1


async def conversed(frames: Sequence[Frame], sizes: Sequence[int]) -> tuple[Outcome, list[str | bytes]]:
    """Return what came of a conversation, and the messages that the client was sent back."""
    conversation = Conversation()
    await conversation.open()
    await conversation.say(in_pieces(b"".join(frame.encoded for frame in frames), sizes))
    echoes: list[str | bytes] = []
    outcome = conversation.outcome
    for told in await conversation.end():
        if told.opcode == CLOSE:
            outcome.closed_with = Close.parse(bytes(told.data)).code
        elif told.opcode == PONG:
            outcome.pongs.append(bytes(told.data))
        else:
            assert told.fin
            echoes.append(bytes(told.data).decode() if told.opcode == TEXT else bytes(told.data))
    return outcome, echoes


async def require_what_ought_to_be(frames: Sequence[Frame], sizes: Sequence[int]) -> Outcome:
    outcome, echoes = await conversed(frames, sizes)
    assert outcome == ought(frames)
    if outcome.closed_with is None:
        assert echoes == outcome.heard
    else:
        # Who breaks the protocol, or leaves, isn't told what was still on its way.
        assert echoes == outcome.heard[: len(echoes)]
    return outcome


# --- the table --------------------------------------------------------------------------------------------------

SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536, MESSAGE_BYTES_MAX)
GREEK = "Hello-µ@ßöäüàá-UTF-8!! κόσμε 𐍈".encode()
MAY_BE_SENT = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
MAY_NOT_BE_SENT = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
NOT_UTF8 = (
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",  # half a surrogate pair
    b"\xf4\x90\x80\x80",  # beyond the last code point
    b"\xc0\xaf",  # longer than need be
    b"\xe0\x80\xaf",
    b"\x80",  # the end of nothing
    b"\xf5",
    b"\xfe",
    b"\xce",  # the beginning of something
    b"\xf0\x9d\x84",
)

SOUND: dict[str, list[Frame]] = {
    **{f"text of {size}": [Frame(TEXT, b"*" * size)] for size in SIZES},
    **{f"bytes of {size}": [Frame(BINARY, b"\xfe" * size)] for size in SIZES},
    **{f"ping of {size}": [Frame(PING, b"\xfe" * size)] for size in (0, 1, 125)},
    "ten pings": [Frame(PING, b"%d" % n) for n in range(10)],
    "a pong that nobody asked for": [Frame(PONG), Frame(PONG, b"so"), Frame(TEXT, b"on")],
    "a pong, then a ping": [Frame(PONG, b"unasked"), Frame(PING, b"asked")],
    "two parts": [Frame(TEXT, b"one", is_last=False), Frame(CONTINUATION, b"two")],
    "parts of nothing": [
        Frame(TEXT, is_last=False),
        Frame(CONTINUATION, is_last=False),
        Frame(CONTINUATION),
    ],
    "something between nothings": [
        Frame(BINARY, is_last=False),
        Frame(CONTINUATION, b"something", is_last=False),
        Frame(CONTINUATION),
    ],
    "a ping between parts": [
        Frame(TEXT, b"one", is_last=False),
        Frame(PING, b"?"),
        Frame(CONTINUATION, b"two"),
    ],
    "many pings and pongs between many parts": [
        Frame(TEXT, b"0", is_last=False),
        *(
            frame
            for n in range(1, 6)
            for frame in (Frame(PING, b"%d" % n), Frame(PONG), Frame(CONTINUATION, b"%d" % n, is_last=False))
        ),
        Frame(CONTINUATION, b"6"),
    ],
    "parts, and a message after them": [
        Frame(BINARY, b"a", is_last=False),
        Frame(CONTINUATION, b"b"),
        Frame(TEXT, b"c"),
        Frame(TEXT, b"d", is_last=False),
        Frame(CONTINUATION, b"e"),
    ],
    "UTF-8": [Frame(TEXT, GREEK)],
    "UTF-8, in the middle of whose characters parts begin": [
        Frame(TEXT, GREEK[:1], is_last=False),
        *(Frame(CONTINUATION, GREEK[at : at + 1], is_last=False) for at in range(1, len(GREEK))),
        Frame(CONTINUATION),
    ],
    "the first and last characters of each length": [
        Frame(TEXT, character.encode())
        for character in ("\0", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U00010000", "\U0010ffff")
    ],
    "bytes that are no UTF-8": [Frame(BINARY, content) for content in NOT_UTF8],
    "the most that a message may hold, in parts": [
        Frame(BINARY, b"x" * (MESSAGE_BYTES_MAX - 1), is_last=False),
        Frame(CONTINUATION, b"x"),
    ],
    "a ping that the message has no room for": [
        Frame(BINARY, b"x" * MESSAGE_BYTES_MAX, is_last=False),
        Frame(PING, b"it needs none"),
        Frame(CONTINUATION),
    ],
    "a close without a code": [Frame(CLOSE)],
    "a close within a message": [Frame(TEXT, b"one", is_last=False), closing(1000)],
    "a close with the longest reason": [closing(1000, b"x" * 123)],
    "a close with a reason of UTF-8": [closing(1000, GREEK)],
    **{f"a close with {code}": [closing(code, b"bye")] for code in MAY_BE_SENT},
}  # fmt: skip

AFTER_THE_END: dict[str, list[Frame]] = {
    "a message": [Frame(TEXT, b"after")],
    "a ping": [Frame(PING, b"after")],
    "another close": [closing(1001)],
    "nonsense": [Frame(5, b"after", reserved=7)],
}

BROKEN: dict[str, tuple[list[Frame], int]] = {
    "a ping of 126": ([Frame(PING, b"x" * 126)], 1002),
    "a pong of 126": ([Frame(PONG, b"x" * 126)], 1002),
    "a close of 126": ([closing(1000, b"x" * 124)], 1002),
    **{
        f"reserved bits {bits:03b} of {name}": ([Frame(TEXT, b"sound"), Frame(opcode, reserved=bits)], 1002)
        for bits in range(1, 8)
        for name, opcode in (("a message", TEXT), ("a ping", PING), ("a close", CLOSE))
    },
    **{f"opcode {code}": ([Frame(TEXT, b"sound"), Frame(code)], 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "an unknown frame with content, and a ping behind it": ([Frame(5, b"x" * 70), Frame(PING)], 1002),
    **{
        f"no mask on {name}": ([Frame(opcode, b"", is_masked=False)], 1002)
        for name, opcode in (("a message", TEXT), ("a ping", PING), ("a close", CLOSE))
    },
    "a ping in parts": ([Frame(PING, b"a", is_last=False), Frame(CONTINUATION, b"b")], 1002),
    "a pong in parts": ([Frame(PONG, b"a", is_last=False)], 1002),
    "a close in parts": ([Frame(CLOSE, is_last=False)], 1002),
    "the continuation of nothing": ([Frame(CONTINUATION, b"a")], 1002),
    "the continuation of nothing, to be continued": ([Frame(CONTINUATION, is_last=False)], 1002),
    "the continuation of a whole message": ([Frame(TEXT, b"a"), Frame(CONTINUATION, b"b")], 1002),
    "a message within a message": ([Frame(TEXT, b"a", is_last=False), Frame(TEXT, b"b")], 1002),
    "a message of parts within a message": ([Frame(TEXT, is_last=False), Frame(BINARY, is_last=False)], 1002),
    **{f"text {content!r}": ([Frame(TEXT, content)], 1007) for content in NOT_UTF8},
    **{
        f"text {content!r} in parts": (
            [Frame(TEXT, content[:1], is_last=False), Frame(PING), Frame(CONTINUATION, content[1:])], 1007,
        )
        for content in NOT_UTF8
    },
    "a close of one byte": ([Frame(CLOSE, b"x")], 1002),
    **{f"a close with {code}": ([Frame(CLOSE, code.to_bytes(2))], 1002) for code in MAY_NOT_BE_SENT},
    **{f"a close with a reason {content!r}": ([closing(1000, content)], 1007) for content in NOT_UTF8},
    "a message that is too long": ([Frame(TEXT, b"x" * (MESSAGE_BYTES_MAX + 1))], 1009),
    "parts that are too long together": (
        [Frame(BINARY, b"x" * MESSAGE_BYTES_MAX, is_last=False), Frame(PING), Frame(CONTINUATION, b"x")], 1009,
    ),
}  # fmt: skip

PIECES = {"one piece": [WHOLE], "pieces of 997": [997], "bytes": [1], "2, 3, 5": [2, 3, 5]}


@pytest.mark.parametrize("sizes", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("frames", SOUND.values(), ids=SOUND)
async def test_what_is_sound_is_heard_and_answered(frames: list[Frame], sizes: list[int]) -> None:
    outcome = await require_what_ought_to_be(frames, sizes)
    assert outcome.closed_with not in {1007, 1009} or frames[-1].opcode == CLOSE


@pytest.mark.parametrize("sizes", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize(("frames", "code"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_the_protocol_ends_it(frames: list[Frame], code: int, sizes: list[int]) -> None:
    outcome = await require_what_ought_to_be(frames, sizes)
    assert outcome.closed_with == code


@pytest.mark.parametrize("sizes", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("after", AFTER_THE_END.values(), ids=AFTER_THE_END)
@pytest.mark.parametrize(
    "end", [closing(1000), Frame(CLOSE, b"x"), Frame(TEXT, b"\xff")], ids=("close", "1002", "1007")
)
async def test_nothing_is_heard_after_the_end(end: Frame, after: list[Frame], sizes: list[int]) -> None:  # fmt: skip
    await require_what_ought_to_be([Frame(TEXT, b"before"), end, *after], sizes)


@pytest.mark.parametrize(
    "head", [b"\x83\x80", b"\xc1\x80", b"\x81\x00", b"\x89\xfe", b"\x09\x80", b"\x81\xff\x80" + bytes(11)],
    ids=("opcode", "reserved", "no mask", "long ping", "ping in parts", "a size of 64 bits"),
)  # fmt: skip
async def test_a_head_is_enough_to_fail(head: bytes) -> None:
    """Nothing is waited for, nor kept, of a frame that can't be taken."""
    conversation = Conversation()
    await conversation.open()
    await conversation.say([head])
    assert conversation.transport.is_closed
    (told,) = await conversation.end()
    assert Close.parse(bytes(told.data)).code == (1009 if head[1] == 0xFF else 1002)


async def test_parts_of_nothing_cost_nothing() -> None:
    """However many parts a message has: what is kept of them, and looked at for the next one, is what is in them."""
    conversation = Conversation()
    await conversation.open()
    nothing = Frame(CONTINUATION, is_last=False).encoded
    await conversation.say([Frame(TEXT, b"a", is_last=False).encoded, nothing * 100_000])
    assert bytes(conversation.protocol._parts or b"") == b"a"
    await conversation.say([Frame(CONTINUATION, b"b").encoded])
    assert conversation.outcome.heard == ["ab"]
    await conversation.end()


# --- anything at all --------------------------------------------------------------------------------------------

CONTENTS = st.one_of(
    st.binary(max_size=130),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"", *NOT_UTF8]),
    st.sampled_from([125, 126, 127, 65_535, 65_536]).map(lambda size: b"x" * size),
)
USUAL = st.sampled_from([CONTINUATION, CONTINUATION, TEXT, TEXT, BINARY, PING, PONG])
CLOSINGS = st.builds(closing, st.one_of(st.sampled_from(MAY_BE_SENT), st.integers(0, 65_535)), CONTENTS)
FRAMES = st.one_of(
    st.tuples(USUAL, CONTENTS, st.booleans()).map(lambda made: Frame(*made)),
    st.tuples(st.integers(0, 15), CONTENTS, st.booleans(), st.integers(0, 7), st.booleans()).map(
        lambda made: Frame(*made)
    ),
    CLOSINGS,
)


@st.composite
def messages(draw: st.DrawFn) -> list[Frame]:
    """Return a message that is sound, in any parts, with pings between them."""
    is_text = draw(st.booleans())
    content = draw(st.text(max_size=60)).encode() if is_text else draw(st.binary(max_size=200))
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=4)))
    bounds = [0, *cuts, len(content)]
    frames: list[Frame] = []
    for number, (start, end) in enumerate(pairwise(bounds)):
        opcode = CONTINUATION if number else TEXT if is_text else BINARY
        frames.append(Frame(opcode, content[start:end], is_last=number == len(cuts)))
        if draw(st.booleans()):
            frames.append(Frame(draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=125))))
    return frames


SIZES_OF_PIECES = st.lists(
    st.one_of(st.integers(1, 20), st.integers(1, 100_000)), min_size=1, max_size=8
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(messages(), max_size=4), st.lists(FRAMES, max_size=4), SIZES_OF_PIECES)
def test_any_frames_in_any_pieces(sound: list[list[Frame]], any_: list[Frame], sizes: list[int]) -> None:
    frames = [frame for message in sound for frame in message] + any_
    asyncio.run(_any(frames, sizes))


async def _any(frames: list[Frame], sizes: list[int]) -> None:
    await require_what_ought_to_be(frames, sizes)


@settings(deadline=None)
@given(st.binary(max_size=300), SIZES_OF_PIECES)
def test_any_bytes_at_all(content: bytes, sizes: list[int]) -> None:
    asyncio.run(_any_bytes(content, sizes))


async def _any_bytes(content: bytes, sizes: list[int]) -> None:
    outcomes = []
    for pieces in ([content], in_pieces(content, sizes)):
        conversation = Conversation()
        await conversation.open()
        await conversation.say(pieces)
        await conversation.end()
        outcomes.append((conversation.outcome, conversation.transport.is_closed))
    # Whatever they are, how they come makes no difference.
    assert outcomes[0] == outcomes[1]
