"""Reads that are asked for again and again: their SQL is written once, and requests that ask at once share a statement.

Tortoise builds a query anew each time it is asked, which costs several times what the database needs for a row by its id.
The models stay the one definition of columns and types: `Rows` takes them from there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any, Generic, TypeVar, cast
from uuid import UUID
from weakref import WeakKeyDictionary

import asyncpg
import orjson
from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.models import Model

from app.backends.asyncpg import records
from app.backends.patience import DatabaseBusy, DatabaseSlow, no_hurry
from app.db import READER

AT_ONCE = 2
"""Statements of one kind that run at the same time; who asks meanwhile waits for the next one."""

KEYS_MAX = 256
"""Keys of one statement."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
M = TypeVar("M", bound=Model)

Load = Callable[[BaseDBAsyncClient, list[K]], Awaitable[Mapping[K, V]]]

_PLAIN = (fields.BigIntField, fields.IntField, fields.CharField, fields.TextField, fields.BinaryField)


class Row(tuple[Any, ...]):
    """A row as the driver gave it, whose columns are read by the names that the model has for them.

    It can't be changed, so all who read it together have the same one. A column becomes what the model would hold when
    somebody reads it; of a row, most columns are never read.
    """

    __slots__ = ()


class Rows(Generic[M]):
    """How rows of a model are selected and read, without the ORM's way there."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self._columns)

    def names(self, wanted: Set[str] | None = None) -> tuple[str, ...]:
        """Return the names of the columns that are wanted, in the model's order; all where nothing is said."""
        return tuple(name for name in self._columns if wanted is None or name in wanted)

    def columns(self, table: str, names: Iterable[str] | None = None) -> str:
        """Return the columns for a SELECT, of a table by that name."""
        columns = self._columns
        return ", ".join(f"{table}.{columns[name]}" for name in (columns if names is None else names))

    def reader(
        self, dialect: str, start: int = 0, **related: Callable[[Any], Any]
    ) -> Callable[[Iterable[Any]], M]:
        """Return what makes a `Row` of a statement's values: to whoever reads columns, it is the model.

        The columns begin at the place `start`; what belongs to other tables is made by `related` of the row, and has the
        names of the model's relations.
        """
        ways = self._ways(dialect, enumerate(self._columns, start))
        return cast("Callable[[Iterable[Any]], M]", self._class(Row, ways | related))

    def record(self, dialect: str, names: Iterable[str]) -> type:
        """Return the class of rows of these columns alone, for `select`."""
        base = asyncpg.Record if dialect == "postgres" else Row
        kept, fields_map = tuple(names), self._model._meta.fields_map
        found: Any = self._class(base, self._ways(dialect, enumerate(kept)))
        places = enumerate(kept)
        found.places = {name: at for at, name in places if _converter(fields_map[name], dialect) is None}
        return cast("type", found)

    def _ways(self, dialect: str, places: Iterable[tuple[int, str]]) -> dict[str, Callable[[Any], Any]]:
        fields_map = self._model._meta.fields_map
        return {name: _column(place, _converter(fields_map[name], dialect)) for place, name in places}

    def _class(self, base: type, ways: Mapping[str, Callable[[Any], Any]]) -> type:
        properties = {name: property(way) for name, way in ways.items()}
        return type(f"{self._model.__name__}Row", (base,), {"__slots__": (), **properties})

    @property
    def _columns(self) -> Mapping[str, str]:
        # Tortoise knows them once it is started.
        return self._model._meta.fields_db_projection


def _column(place: int, convert: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return what reads the column at a place of a row."""
    if convert is None:
        return itemgetter(place)

    def read(row: Sequence[Any]) -> Any:
        value = row[place]
        return None if value is None else convert(value)

    return read


def model_from(model: type[M], names: Iterable[str], values: Iterable[Any]) -> M:
    """Return a model of a row that is in the database, from values that are what the model holds."""
    instance = model.__new__(model)
    state = instance.__dict__
    state.update(zip(names, values, strict=True))
    state.update(_partial=False, _saved_in_db=True, _custom_generated_pk=True, _await_when_save={})
    return instance


def _converter(field: fields.Field[Any], dialect: str) -> Callable[[Any], Any] | None:
    """Return how what the driver gives becomes what the model holds; nothing where it is that already."""
    if isinstance(field, fields.JSONField):
        return orjson.loads
    if dialect == "postgres" or isinstance(field, _PLAIN):
        return None
    if isinstance(field, fields.UUIDField):
        return UUID
    return _time if isinstance(field, fields.DatetimeField) else field.to_python_value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class Lookup(Generic[K, V]):
    """Finds by key, for all requests that ask while the statement before theirs is under way.

    A statement begins after everybody who shares it has asked, so nobody is told what was true before. Who may see what
    was found is for the caller to say. One who stops waiting stops nobody else.

    `load` gets the reading connection and the keys.
    """

    def __init__(self, load: Load[K, V]) -> None:
        self._load = load
        self._by_client: WeakKeyDictionary[BaseDBAsyncClient, _Together[K, V]] = WeakKeyDictionary()

    async def find(self, key: K) -> V | None:
        """Return what there is by this key; nothing where there is none."""
        client = get_connection(READER)
        together = self._by_client.get(client)
        if together is None:
            together = self._by_client[client] = _Together()
        return await together.asked(key, client, self._load)


class _Together(Generic[K, V]):
    """The keys that wait for one connection's next statement."""

    def __init__(self) -> None:
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def asked(
        self,
        key: K,
        client: BaseDBAsyncClient,
        load: Load[K, V],
    ) -> asyncio.Future[V | None]:
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if len(self._tasks) < AT_ONCE:
            # A task begins in the loop's next turn: whoever asks in this one comes along.
            task = asyncio.create_task(self._work(client, load))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return answer

    async def _work(
        self,
        client: BaseDBAsyncClient,
        load: Load[K, V],
    ) -> None:
        # The task began in the context of one of those who wait, whose time must not end the others' statement.
        no_hurry()
        while self._waiting:
            batch = dict(islice(self._waiting.items(), KEYS_MAX))
            for key in batch:
                del self._waiting[key]
            await self._answer(batch, client, load)

    async def _answer(
        self,
        batch: dict[K, list[asyncio.Future[V | None]]],
        client: BaseDBAsyncClient,
        load: Load[K, V],
    ) -> None:
        answers = [answer for waiting in batch.values() for answer in waiting]
        if all(answer.done() for answer in answers):
            return
        try:
            found = await load(client, list(batch))
        except asyncio.CancelledError:
            _fail(answers, LookupError("the reading of rows was stopped"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer of those who wait
            if len(batch) == 1 or isinstance(error, DatabaseBusy | DatabaseSlow):
                _fail(answers, error)
                return
            # A key that the database can't read must not harm those who asked for others.
            for key, waiting in batch.items():
                await self._answer({key: waiting}, client, load)
            return
        for key, waiting in batch.items():
            for answer in waiting:
                if not answer.done():
                    answer.set_result(found.get(key))


def _fail(answers: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)


async def select(
    client: BaseDBAsyncClient, sql: str, keys: Sequence[Any], *values: Any, record: type | None = None
) -> Sequence[Any]:
    """Run a SELECT with a set of keys, written `{uuids}` or `{texts}` after a column, and values written `{1}`, `{2}` …

    Rows are of the class `record` (see `Rows.record`), or as the driver gives them.
    """
    if client.capabilities.dialect == "postgres":
        given: Any = list(keys)
        marks = {"uuids": "= ANY($1::uuid[])", "texts": "= ANY($1::text[])"}
        places = [f"${number}" for number in range(2, len(values) + 2)]
    else:
        given = orjson.dumps([str(key) for key in keys]).decode()
        marks = dict.fromkeys(("uuids", "texts"), "IN (SELECT value FROM json_each(?1))")
        places = [f"?{number}" for number in range(2, len(values) + 2)]
    sql = sql.format("", *places, **marks)
    if record is not None and issubclass(record, asyncpg.Record):
        found: list[Any] = await records(client, sql, [given, *values], record)
        return found
    _, rows = await client.execute_query(sql, [given, *values])
    return rows if record is None else [record(row) for row in rows]
