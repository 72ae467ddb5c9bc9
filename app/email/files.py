"""The files that e-mails are made of: those of the package, and those of the store that stand before them.

All are read once, when the server starts, so that nobody's half-saved file is ever sent.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from app.domain.email_kind import EmailKind
from app.email.locales import ENGLISH, chain

FILE_SIZE_MAX_BYTES = 262_144
"""A larger template is a mistake."""

FILES_MAX = 500

_NAME = re.compile(r"(?:[A-Za-z0-9-]{2,35}/)?[a-z0-9_-]+\.(?:html|txt)", re.ASCII)
_LANGUAGE_FILE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*\.toml", re.ASCII)
_SECTIONS = frozenset({"common", "labels", "reasons", *EmailKind})

Sentences = Mapping[str, Mapping[str, Any]]
"""What a language's file holds: sections, and the sentences in them."""


class BrokenTemplate(Exception):
    """A template or a sentence that can't be used; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Files:
    """Templates by name, such as `de/layout.html`, and sentences by language."""

    templates: Mapping[str, str]
    sentences: Mapping[str, Sentences]
    problems: tuple[str, ...] = ()

    def candidates(self, name: str, tag: str) -> Iterator[str]:
        """Return the names under which a template may stand for a language, the most special one first."""
        yield from (f"{language}/{name}" for language in chain(tag))
        yield name


@lru_cache
def packaged() -> Files:
    """Return the files of the package; each of its languages is whole."""
    folder = files("app.email") / "packaged"
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()}
    return Files(
        templates={name: text for name, text in found.items() if name.endswith((".html", ".txt"))},
        sentences={
            name.removesuffix(".toml"): tomllib.loads(text)
            for name, text in found.items()
            if name.endswith(".toml")
        },
    )


def of_store(folder: Path) -> Files:
    """Read the store's files; one that can't be read is a problem, and the others count."""
    templates: dict[str, str] = {}
    sentences: dict[str, Sentences] = {}
    problems: list[str] = []
    if not folder.is_dir():
        return Files({}, {}, (f"{folder} is no folder: the templates of the package are used.",))
    for path in sorted(folder.rglob("*"))[:FILES_MAX]:
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.name.startswith("."):
            continue
        try:
            if _LANGUAGE_FILE.fullmatch(name):
                sentences[name.removesuffix(".toml")] = _sentences(_text(path))
            elif _NAME.fullmatch(name):
                templates[name] = _text(path)
            else:
                raise BrokenTemplate(
                    "this is neither a template nor a language's file; name it like layout.html or de.toml"
                )
        except (BrokenTemplate, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            problems.append(f"{name}: {error.strerror if isinstance(error, OSError) else error}")
    return Files(templates, sentences, tuple(problems))


def _text(path: Path) -> str:
    if path.stat().st_size > FILE_SIZE_MAX_BYTES:
        raise BrokenTemplate(f"it is larger than {FILE_SIZE_MAX_BYTES} bytes")
    return path.read_text(encoding="utf-8")


def _sentences(text: str) -> Sentences:
    found = tomllib.loads(text)
    english = packaged().sentences[ENGLISH]
    for section, given in found.items():
        if section not in _SECTIONS or not isinstance(given, dict):
            raise BrokenTemplate(f"[{section}] is no section; there are {', '.join(sorted(_SECTIONS))}")
        for key, value in given.items():
            if section != "reasons" and key not in english[section]:
                raise BrokenTemplate(f"[{section}] has no {key}; it has {', '.join(english[section])}")
            wanted = list if key == "text" else str
            if not isinstance(value, wanted) or not all(isinstance(one, str) for one in value):
                raise BrokenTemplate(
                    f"[{section}] {key}: write {'a list of texts' if wanted is list else 'a text'}"
                )
    return found
