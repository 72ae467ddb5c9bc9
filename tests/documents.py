"""The documents as programs: what their code blocks say is run against a demo, what they print is what came out.

A block of ```` ```bash ````, ```` ```python ```` or ```` ```js ```` is run; one of ```` ```graphql ```` is posted by the caller whom a
comment above names (`<!-- as: staff -->`). A block of ```` ```json ```` or ```` ```text ```` right below is its answer. `<!-- not run: why -->`
above leaves a block out. Tables between `<!-- name -->` and `<!-- /name -->` are generated.

`python -m tests.documents` writes answers and tables anew.
"""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from app.cli import settings_table
from app.domain.errors import ErrorCode as RefusalCode
from app.domain.event_catalogue import CATALOGUE
from app.execution.errors import ErrorCode as RequestCode

PROJECT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/api.md")

RUN = ("bash", "graphql", "python", "js")
ANSWERS = ("json", "text")
WIDTH = 100
PATIENCE_S = 60

_BLOCK = re.compile(
    r"^(?:<!-- (?P<word>as|not run): (?P<said>[^\n]*?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SECTION = r"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
_ADDRESS = re.compile(r"http://localhost:\d+")
_TOKEN = re.compile(r"^(?P<who>Customer|Staff member|Administrator) .*\n(?P<token>eyJ[\w.-]+)$", re.MULTILINE)
_CALLERS = {"Customer": "customer", "Staff member": "staff", "Administrator": "administrator"}

_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "TIME"),
    (re.compile(r"\b(PY|RF|TX|WD)-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b"), r"\1-REFERENCE"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"in \d[\d.,]* s \([\d.,]+ a second\)"), "in SOME TIME"),
    # A lot of the demo may expire between two runs.
    (re.compile(r"(wallets|accounts) -?[\d.]+ (?=[A-Z]{3},)"), r"\1 AMOUNT "),
    (re.compile(r"[\d,]+ transactions verified"), "TRANSACTIONS verified"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code that is run, and the answer that the document shows below it."""

    language: str
    text: str
    caller: str | None
    answer: str | None
    answer_language: str | None
    start: int
    answer_span: tuple[int, int] | None


def blocks(document: str) -> list[Block]:
    """The blocks of a document that are run, in their order."""
    found: list[Block] = []
    matches = list(_BLOCK.finditer(document))
    for match, below in zip(matches, [*matches[1:], None], strict=True):
        if match["language"] not in RUN or match["word"] == "not run":
            continue
        is_answer = (
            below is not None
            and below["language"] in ANSWERS
            and not document[match.end() : below.start()].strip()
        )
        answer = below if is_answer else None
        found.append(
            Block(
                language=match["language"],
                text=match["text"],
                caller=match["said"] if match["word"] == "as" else None,
                answer=answer["text"] if answer else None,
                answer_language=answer["language"] if answer else None,
                start=match.start(),
                answer_span=answer.span("text") if answer else None,
            )
        )
    return found


# --- running ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Demo:
    """A running `python -m app demo`, and a shell beside it."""

    origin: str
    tokens: dict[str, str]
    folder: Path

    def run(self, block: Block) -> str:
        """Run a block and return what it printed or was answered."""
        text = _ADDRESS.sub(self.origin, block.text)
        if block.language == "graphql":
            return self._post(text, str(block.caller))
        if block.language == "bash":
            # What a block sets, the next one finds.
            command = [
                "bash",
                "-c",
                f". ./.shell; set -a; {text}\nstatus=$?; declare -x > ./.shell; exit $status",
            ]
        elif block.language == "python":
            command = [sys.executable, "-c", text]
        else:
            script = self.folder / "examples" / "block.mjs"
            script.write_text(
                f"globalThis.freshToken = async () => {json.dumps(self.tokens[str(block.caller)])};\n{text}",
                encoding="utf-8",
            )
            command = ["node", "--no-warnings", "--experimental-websocket", str(script)]
        return self._start(command, token=self.tokens.get(block.caller or "", ""))

    def _post(self, query: str, caller: str) -> str:
        headers = {} if caller == "nobody" else {"authorization": f"Bearer {self.tokens[caller]}"}
        return httpx.post(f"{self.origin}/graphql", json={"query": query}, headers=headers, timeout=60).text

    def _start(self, command: list[str], *, token: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=_environment() | {"TOKEN": token} if token else _environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        # 28: curl's own way to say that the time it was given is over.
        assert done.returncode in {0, 28}, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def demo(seeded: Path | None = None) -> Iterator[Demo]:
    """Run a demo in a folder of its own; a database that is filled already saves the time to fill one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _furnish(folder, seeded)
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "app", "demo", "--port", "0"],
            cwd=folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server:
            try:
                running = _welcome(server, folder)
                # Somebody must read the log, or the server stops when the pipe is full.
                assert server.stdout is not None
                reading = Thread(target=server.stdout.read)
                reading.start()
                yield running
            finally:
                server.terminate()
                server.wait(PATIENCE_S)
            reading.join(PATIENCE_S)


def _furnish(folder: Path, seeded: Path | None) -> None:
    (folder / ".shell").touch()
    (folder / ".var").mkdir()
    if seeded is not None:
        shutil.copyfile(seeded, folder / ".var" / "demo.sqlite3")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    shutil.copytree(PROJECT / "examples", folder / "examples")


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}
    return clean | {"PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _welcome(server: subprocess.Popen[str], folder: Path) -> Demo:
    said = ""
    assert server.stdout is not None
    for line in server.stdout:
        said += line
        if "startup complete" in line:
            break
    origin = _ADDRESS.search(said)
    tokens = {_CALLERS[match["who"]]: match["token"] for match in _TOKEN.finditer(said)}
    assert origin is not None, said
    assert set(tokens) == set(_CALLERS.values()), said
    return Demo(origin[0], tokens, folder)


# --- comparing ----------------------------------------------------------------------------------------------


def normal(answer: str, language: str | None) -> Any:
    """An answer without what differs from run to run: times, references, hashes, durations."""
    for pattern, word in _VOLATILE:
        answer = pattern.sub(word, answer)
    return json.loads(answer) if language == "json" else answer.strip()


def shown(answer: str, language: str | None) -> str:
    """An answer as a document prints it."""
    return _json_lines(json.loads(answer)) + "\n" if language == "json" else answer.strip() + "\n"


def _json_lines(value: Any, indent: str = "") -> str:
    """JSON, with everything on one line that fits on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    deeper = indent + "  "
    if isinstance(value, list):
        lines = [deeper + _json_lines(item, deeper) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    lines = [f"{deeper}{json.dumps(key)}: {_json_lines(item, deeper)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


# --- tables -------------------------------------------------------------------------------------------------


def tables() -> dict[str, str]:
    """The generated tables by the names of their sections."""
    return {
        "settings": settings_table() + "\n",
        "refusals": _codes(RefusalCode),
        "errors": _codes(RequestCode),
        "events": _events(),
    }


def _events() -> str:
    lines = ["| Event | Version | Needs | Means |", "|---|---|---|---|"]
    for name, kind in CATALOGUE.items():
        needs = f"`{kind.needs.value}`" if kind.needs else "-"
        lines.append(f"| `{name.value}` | {kind.version} | {needs} | {kind.description} |")
    return "\n".join(lines) + "\n"


def _codes(enum: type[StrEnum]) -> str:
    lines = ["| Code | Means |", "|---|---|"]
    lines += [f"| `{code.value}` | {meaning} |" for code, meaning in _meanings(enum).items()]
    return "\n".join(lines) + "\n"


def _meanings(enum: type[StrEnum]) -> dict[StrEnum, str]:
    """The sentence below each member, which Python itself forgets."""
    (definition,) = ast.parse(inspect.getsource(enum)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[StrEnum, str] = {}
    for member, sentence in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(sentence, ast.Expr):
            (target,) = member.targets
            assert isinstance(target, ast.Name)
            assert isinstance(sentence.value, ast.Constant)
            found[enum[target.id]] = str(sentence.value.value)
    assert set(found) == set(enum), "every code is explained"
    return found


def section(document: str, name: str) -> str | None:
    """The text of a generated section, if the document has it."""
    match = re.search(_SECTION.format(name=name), document, re.DOTALL)
    return match[0].removeprefix(match[1]).removesuffix(match[2]) if match else None


def with_tables(document: str) -> str:
    """The document with its tables as they are now."""
    for name, table in tables().items():
        old = section(document, name)
        if old is not None:
            document = document.replace(f"<!-- {name} -->\n{old}", f"<!-- {name} -->\n{table}")
    return document


def with_answers(document: str, running: Demo) -> str:
    """The document with the answers that its blocks have now."""
    answers = [(block, running.run(block)) for block in blocks(document)]
    for block, answer in reversed(answers):
        if block.answer_span is not None:
            start, end = block.answer_span
            document = document[:start] + shown(answer, block.answer_language) + document[end:]
    return document


def main() -> None:
    """Write answers and tables of all documents anew."""
    for name in DOCUMENTS:
        file = PROJECT / name
        with demo() as running:
            document = with_answers(file.read_text(encoding="utf-8"), running)
        file.write_text(with_tables(document), encoding="utf-8")


if __name__ == "__main__":
    main()
