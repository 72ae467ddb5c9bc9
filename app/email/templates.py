"""Templates and sentences, rendered: the store's before the package's, and the package's where the store's are broken.

Templates are run in Jinja's sandbox, without access to anything but the facts of one e-mail. HTML is escaped; a variable
that there is not is an error, and no blank.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import FunctionLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from app.domain.email_kind import EmailKind
from app.email.facts import Body, Reader, facts_of, rows_of
from app.email.files import BrokenTemplate, Files, Sentences, of_store, packaged
from app.email.locales import ENGLISH, Formatter, chain
from app.email.samples import CUSTOMER_NAME, sample, sample_note

PACKAGED = "packaged/"
"""What a store's template writes before the name of one of the package, to extend it."""

SUBJECT_MAX = 200
"""Characters of a subject; what is longer is cut."""

SENTENCES_KEPT = 5_000
"""Sentences that are kept compiled."""

_UTC = ZoneInfo("UTC")
_NOTHING = Files({}, {})


@dataclass(frozen=True, slots=True)
class Rendered:
    """An e-mail as it reads; `problems` say why the package's templates were used instead of the store's."""

    kind: EmailKind
    language: str
    subject: str
    text: str
    html: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Occasion:
    """What an e-mail is about, and who reads it: `language` is theirs, `fallback` the store's."""

    kind: EmailKind
    body: Body
    reader: Reader
    language: str = ""
    fallback: str = ENGLISH
    zone: ZoneInfo = _UTC


class Templates:
    """Renders e-mails of the package's files and the store's."""

    def __init__(self, store: Files = _NOTHING) -> None:
        self._package = _Set(packaged(), _NOTHING)
        self._store = _Set(packaged(), store)
        self._has_own = bool(store.templates or store.sentences)
        self.problems = store.problems
        """Which of the store's files are not used, and why."""

    @classmethod
    def load(cls, folder: Path | None, *, currency: str = "USD") -> "Templates":
        """Read the store's templates, try every one of them out, and remember what is wrong with them."""
        found = cls(_NOTHING if folder is None else of_store(folder))
        found.problems += tuple(dict.fromkeys(found._tried(currency)))
        return found

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that there are sentences for."""
        return tuple(sorted(self._store.languages))

    def _tried(self, currency: str) -> Iterator[str]:
        if not self._has_own:
            return
        reader = Reader("A store", CUSTOMER_NAME, "", "https://shop.example/emails")
        for language in self.languages:
            for kind in EmailKind:
                for note, page in (("", ""), (sample_note(kind), reader.preferences_url)):
                    known = Reader(reader.store_name, CUSTOMER_NAME if note else "", note, page)
                    tried = self.render(Occasion(kind, sample(kind, currency), known, language))
                    yield from tried.problems

    def render(self, occasion: Occasion) -> Rendered:
        """Return the e-mail; by the package's templates where the store's fail."""
        try:
            return self._store.render(occasion)
        except BrokenTemplate as error:
            found = self._package.render(occasion)
            return Rendered(found.kind, found.language, found.subject, found.text, found.html, (str(error),))


class _Set:
    """The package's files with others before them."""

    def __init__(self, package: Files, own: Files) -> None:
        self._package = package
        self._own = own
        self.languages = {*package.sentences, *own.sentences}
        self._environment: Callable[[str, bool], ImmutableSandboxedEnvironment] = lru_cache(self._made)
        self._compiled: Callable[[str, bool, str], Template] = lru_cache(SENTENCES_KEPT)(self._parsed)
        self._sentences: Callable[[str], Sentences] = lru_cache(self._merged)

    def render(self, occasion: Occasion) -> Rendered:
        """Return the e-mail, or raise `BrokenTemplate`."""
        language, tag = self._language(occasion)
        write = Formatter(tag, occasion.zone)
        facts = facts_of(occasion.kind, occasion.body, reader=occasion.reader, write=write)
        facts |= {"language": tag, "direction": write.direction}
        subject = self._variables(occasion.kind, language, facts, html=False)["subject"]
        facts["subject"] = " ".join(subject.split())[:SUBJECT_MAX]
        text, html = (
            self._rendered(
                occasion.kind,
                language,
                facts | self._variables(occasion.kind, language, facts, html=of_html),
                of_html,
            )
            for of_html in (False, True)
        )
        return Rendered(occasion.kind, tag, facts["subject"], text.strip() + "\n", html)

    def _language(self, occasion: Occasion) -> tuple[str, str]:
        """Return the language whose sentences are used, and the tag whose rules amounts and days are written by."""
        for wanted in (occasion.language, occasion.fallback, ENGLISH):
            for candidate in chain(wanted):
                if candidate in self.languages:
                    return candidate, wanted
        return ENGLISH, ENGLISH

    def _merged(self, language: str) -> Sentences:
        """Return a language's sentences; what it lacks is taken from what stands in for it, and last from English."""
        found: dict[str, dict[str, Any]] = {}
        for tag in [ENGLISH, *reversed(list(chain(language)))]:
            for source in (self._package.sentences, self._own.sentences):
                for section, sentences in source.get(tag, {}).items():
                    found.setdefault(section, {}).update(sentences)
        return found

    def _variables(
        self, kind: EmailKind, language: str, facts: Mapping[str, Any], *, html: bool
    ) -> dict[str, Any]:
        """Return the sentences of an e-mail, rendered, and the lines of its table."""
        known = self._sentences(language)
        own = known[kind]

        def said(section: str, key: str, sentence: str) -> str:
            where = f"{language}.toml, [{section}] {key}"
            with _telling(where):
                shown = self._compiled(language, html, sentence).render(facts)
            return Markup(shown) if html else shown  # noqa: S704 — made of escaped values

        common = {key: said("common", key, known["common"][key]) for key in known["common"]}
        return common | {
            "subject": facts.get("subject") or said(kind, "subject", own["subject"]),
            "title": said(kind, "title", own["title"]),
            "paragraphs": [said(kind, "text", paragraph) for paragraph in own["text"]],
            "rows": list(rows_of(facts, known["labels"], known["reasons"])),
        }

    def _rendered(self, kind: EmailKind, language: str, variables: Mapping[str, Any], html: bool) -> str:
        ending = "html" if html else "txt"
        special = f"{kind.lower()}.{ending}"
        name = special if self._found(special, language) else f"layout.{ending}"
        where = next(
            (path for path in self._own.candidates(name, language) if path in self._own.templates), name
        )
        with _telling(where):
            return self._environment(language, html).get_template(name).render(variables)

    def _found(self, name: str, language: str) -> str | None:
        if name.startswith(PACKAGED):
            return self._package.templates.get(name.removeprefix(PACKAGED))
        for source in (self._own, self._package):
            for candidate in source.candidates(name, language):
                if candidate in source.templates:
                    return source.templates[candidate]
        return None

    def _parsed(self, language: str, html: bool, sentence: str) -> Template:
        return self._environment(language, html).from_string(sentence)

    def _made(self, language: str, html: bool) -> ImmutableSandboxedEnvironment:
        return ImmutableSandboxedEnvironment(
            loader=FunctionLoader(lambda name: self._found(name, language)),
            autoescape=html,
            undefined=StrictUndefined,
            trim_blocks=False,
            keep_trailing_newline=True,
            cache_size=100,
        )


class _telling:  # noqa: N801 — it reads as a word in `with`
    """Turns whatever a template does wrong into `BrokenTemplate`, with the place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TemplateSyntaxError):
            name = error.name if error.name and not self._where.endswith(error.name) else self._where
            place = f"{name}, line {error.lineno}"
            raise BrokenTemplate(f"{place}: {error.message}") from None
        if isinstance(error, TemplateError):
            raise BrokenTemplate(f"{self._where}: {error.message or type(error).__name__}") from None
        if isinstance(error, Exception):
            # Its words may hold what stood in the e-mail.
            raise BrokenTemplate(f"{self._where}: {type(error).__name__}") from None
