"""What Tortoise works out each time that a database is opened, remembered for the next test.

A program opens its database once; tests do it thousands of times, and always with the same models on one of two kinds of
databases.
"""

from typing import Any

from tortoise.models import MetaInfo

MODELS = "app.models."


def remember_filters() -> None:
    """Have Tortoise look up once, not in each test, by which function a database filters by each field of the models."""
    work_out = MetaInfo._generate_filters
    known: dict[tuple[MetaInfo, type], dict[str, Any]] = {}

    def generate_filters(self: MetaInfo) -> None:
        # The models of a migration's state are made anew for each of them.
        if not self._model.__module__.startswith(MODELS):
            work_out(self)
            return
        key = (self, self.db.executor_class)
        if key not in known:
            work_out(self)
            known[key] = dict(self.filters)
        self.filters.update(known[key])

    MetaInfo._generate_filters = generate_filters  # type: ignore[method-assign]
