"""The Common Expression Language for cashback rules: typed, limited, and without floats, regular expressions or clocks.

The library checks types when it compiles, and limits nesting (32) and iterations (10,000) by itself. What it has no limit
for is refused here before it gets there. Why this library, and what was measured: docs/adr/0014-cashback-evaluation.md.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from time import thread_time

from cel_expr_python import cel

from app.domain.cashback.expression import SOURCE_MAX, VARIABLES, Expression, ExpressionFailed, VariableType
from app.domain.errors import FieldInvalid

MACROS_MAX = 4
"""Macros (`all`, `exists`, `exists_one`, `map`, `filter`) in one expression, none within another."""

TRIAL_MAX_S = 0.05
"""Processor time that the largest order may take when somebody writes an expression."""

_FIELD = ("expression",)
# Lists grow without end by adding, and regular expressions and floats have no place where money is decided.
_CONFIG = """
stdlib:
  exclude_functions:
    - name: matches
    - name: double
    - name: dyn
    - name: _+_
      overloads:
        - id: add_list
        - id: add_double
"""
_TYPES = {
    VariableType.BOOL: cel.Type.BOOL,
    VariableType.INT: cel.Type.INT,
    VariableType.STRING: cel.Type.STRING,
    VariableType.TIMESTAMP: cel.Type.TIMESTAMP,
    VariableType.STRINGS: cel.Type.List(cel.Type.STRING),
    VariableType.NUMBERS: cel.Type.Map(cel.Type.STRING, cel.Type.INT),
}
_TOKEN = re.compile(
    r"(?P<text>[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"))"
    r"|(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|(?<![\w\])])\.\d+)"
    r"|(?P<macro>\.\s*(?:all|exists|exists_one|map|filter|transformList|transformMap)\s*\()"
    r"|(?P<open>\()|(?P<close>\))",
    re.DOTALL,
)
_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_ITERATIONS = "budget exceeded"


class Cel:
    """The language with the variables of cashback rules."""

    def __init__(self) -> None:
        variables = {name: _TYPES[kind] for name, kind in VARIABLES.items()}
        self._environment = cel.NewEnv(config=cel.NewEnvConfigFromYaml(_CONFIG), variables=variables)
        self._compiled = lru_cache(maxsize=1_024)(self._compile)

    def compile(self, source: str) -> Expression:
        """Return the compiled expression, or raise `FieldInvalid` with the place of the fault."""
        return self._compiled(source)

    def bind(self, variables: dict[str, object]) -> object:
        """Return the variables in the library's own form, which is most of the cost of asking."""
        return self._environment.Activation(variables)

    def check(self, source: str) -> Expression:
        """Compile what somebody wrote, and try it on an order as large as orders get; raises `FieldInvalid`.

        How long that takes depends on the machine. So it is asked here, once, and never where cashback is decided.
        """
        expression = self.compile(source)
        bound = self.bind(_largest())
        began = thread_time()
        try:
            expression.holds(bound)
        except ExpressionFailed as error:
            if _ITERATIONS in str(error):
                raise FieldInvalid(
                    "The expression repeats too much for a large order. Use fewer macros.", field=_FIELD
                ) from None
        if thread_time() - began > TRIAL_MAX_S:
            raise FieldInvalid(
                "The expression takes too long for a large order. Use fewer lists, or fewer macros.",
                field=_FIELD,
            )
        return expression

    def _compile(self, source: str) -> Expression:
        _check_source(source)
        try:
            compiled = self._environment.compile(source)
        except RuntimeError as error:
            raise FieldInvalid(_explained(str(error)), field=_FIELD) from None
        if compiled.return_type() != cel.Type.BOOL:
            raise FieldInvalid(
                "The expression is no yes or no. Use a comparison, such as amount_minor >= 5000.",
                field=_FIELD,
            )
        return _Compiled(compiled)


class _Compiled:
    def __init__(self, compiled: cel.Expression) -> None:
        self._compiled = compiled

    def holds(self, bound: object) -> bool:
        try:
            value = self._compiled.eval(bound).value()
        except RuntimeError as error:
            raise ExpressionFailed(str(error)[:200]) from None
        if not isinstance(value, bool):
            # Errors come back as values, whose text says what is wrong.
            raise ExpressionFailed(str(value)[:200])
        return value


def _check_source(source: str) -> None:
    if len(source) > SOURCE_MAX:
        raise FieldInvalid(
            f"The expression is too long: at most {SOURCE_MAX} characters. Say a part of it by the other fields.",
            field=_FIELD,
        )
    macros = 0
    opened: list[bool] = []
    for token in _TOKEN.finditer(source):
        if token["float"]:
            raise FieldInvalid(
                f"{_place(source, token.start())}. Use whole numbers: money is in minor units (1050 for 10.50).",
                field=_FIELD,
            )
        if token["macro"]:
            macros += 1
            if any(opened) or macros > MACROS_MAX:
                raise FieldInvalid(
                    f"{_place(source, token.start())}: at most {MACROS_MAX} macros, none within another. "
                    "Use && between conditions instead.",
                    field=_FIELD,
                )
        if token["macro"] or token["open"]:
            opened.append(bool(token["macro"]))
        elif token["close"] and opened:
            opened.pop()


def _place(source: str, offset: int) -> str:
    before = source[:offset]
    return f"Line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def _explained(message: str) -> str:
    found = _PLACE.search(message)
    if found is None or int(found[1]) < 0:
        return "The expression is nested too deeply. Say a part of it by the other fields."
    line, column, fault = found.groups()
    fault = fault.replace(" (in container '')", "").removesuffix(" [INVALID_ARGUMENT]")
    hint = " Use one of the documented variables." if "undeclared reference" in fault else " Check it there."
    return f"Line {line}, column {column}: {fault}.{hint}"


def _largest() -> dict[str, object]:
    """Return variables of an order with as many lines as orders have at most."""
    names = [f"{'n' * 120}{place}" for place in range(500)]
    values: dict[VariableType, object] = {
        VariableType.BOOL: True,
        VariableType.INT: 1_000,
        VariableType.STRING: "n" * 120,
        VariableType.TIMESTAMP: datetime(2026, 1, 1, tzinfo=UTC),
        VariableType.STRINGS: names,
        VariableType.NUMBERS: dict.fromkeys(names, 1_000),
    }
    return {name: values[kind] for name, kind in VARIABLES.items()}
