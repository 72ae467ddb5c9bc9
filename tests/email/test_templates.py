"""E-mails as they read: every kind in every language, the store's own templates, and what becomes of broken ones."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.domain.email_kind import EmailKind
from app.email.facts import Reader
from app.email.files import packaged
from app.email.locales import Formatter
from app.email.samples import CUSTOMER_NAME, sample, sample_note
from app.email.templates import Occasion, Rendered, Templates

LANGUAGES = sorted(packaged().sentences)
UTC = ZoneInfo("UTC")
PACKAGED = Templates()


def rendered(
    templates: Templates = PACKAGED,
    kind: EmailKind = EmailKind.ADJUSTMENT,
    language: str = "en",
    *,
    name: str = CUSTOMER_NAME,
    note: str | None = None,
    page: str = "",
    fallback: str = "en",
    currency: str = "EUR",
) -> Rendered:
    """A made-up e-mail."""
    told = sample_note(kind) if note is None else note
    reader = Reader("Müller & Söhne", name, told, page)
    return templates.render(Occasion(kind, sample(kind, currency), reader, language, fallback))


def with_files(folder: Path, **files: str) -> Templates:
    """The store's templates; in names, two underscores are a slash and the last one is a dot."""
    for name, text in files.items():
        stem, _, ending = name.replace("__", "/").rpartition("_")
        path = folder / f"{stem}.{ending}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Templates.load(folder)


# --- the package's own --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", EmailKind)
def test_every_kind_reads_well_in_every_language(kind: EmailKind, language: str) -> None:
    for note, page, name in (("", "", ""), (sample_note(kind), "https://shop.example/emails", "Ada")):
        found = rendered(kind=kind, language=language, note=note, page=page, name=name)
        assert found.problems == ()
        assert found.language == language
        assert found.subject.startswith("Müller & Söhne: ")
        assert "\n" not in found.subject
        for text in (found.text, found.html):
            assert "{{" not in text
            assert "{%" not in text
            assert "None" not in text
            assert page in text
        assert "\n\n\n" not in found.text
        assert f'<html lang="{language}" dir="ltr">' in found.html
        assert "prefers-color-scheme: dark" in found.html


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_sentences(language: str) -> None:
    english, other = packaged().sentences["en"], packaged().sentences[language]
    assert {name: set(section) for name, section in english.items()} == {
        name: set(section) for name, section in other.items()
    }
    assert set(english) - {"common", "labels", "reasons"} == set(EmailKind)


def test_an_adjustment_tells_what_changed_why_and_what_is_there_now() -> None:
    found = rendered()
    for fact in ("+€25.00", "Damaged or missing goods", "arrived broken", "€1,240.00", "TX-7K3M-9QPA-2F6D"):
        assert fact in found.text
        assert fact in found.html
    assert found.subject == "Müller & Söhne: your wallet balance changed by +€25.00"


def test_html_is_escaped_and_text_is_not() -> None:
    found = rendered(name="<script>alert(1)</script>", note='<img src=x onerror="x">')
    assert "<script>" in found.text
    assert "<script>" not in found.html
    assert "<img" not in found.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found.html
    assert "&amp;amp;" not in found.html


@given(name=st.text(max_size=50), note=st.text(max_size=100))
def test_no_name_and_no_note_is_a_template(name: str, note: str) -> None:
    found = rendered(name="{{ 7 * 7 }}" + name, note="{% raw %}" + note)
    assert found.problems == ()
    assert "{{ 7 * 7 }}" in found.text
    assert "{% raw %}" in found.text


@pytest.mark.parametrize(
    ("tag", "currency", "amount", "shown"),
    [
        ("en", "USD", "1234.50", "$1,234.50"),
        ("de", "EUR", "1234.50", "1.234,50\xa0€"),
        ("de-AT", "EUR", "1234.50", "€\xa01.234,50"),
        ("fr", "EUR", "1234.50", "1\u202f234,50\xa0€"),
        ("ja", "JPY", "1234", "\uffe51,234"),
        ("en", "JPY", "1234", "¥1,234"),
        ("en", "KWD", "1.250", "KWD\xa01.250"),
        ("en", "HUF", "100.25", "HUF\xa0100.25"),
        ("xx", "USD", "0.01", "$0.01"),
        ("pt-BR", "BRL", "10.00", "R$\xa010,00"),
    ],
)
def test_amounts_are_written_as_the_language_has_it(tag: str, currency: str, amount: str, shown: str) -> None:
    assert Formatter(tag, UTC).money({"amount": amount, "currency": currency}) == shown


def test_days_go_by_the_stores_clock() -> None:
    late = "2027-03-30T23:30:00Z"
    assert Formatter("en", UTC).day_of(late) == "March 30, 2027"
    assert Formatter("de", ZoneInfo("Europe/Berlin")).day_of(late) == "31. März 2027"


@pytest.mark.parametrize(
    ("language", "fallback", "word", "tag"),
    [
        ("de-AT", "en", "Guten Tag", "de-AT"),
        ("nl", "de", "Guten Tag", "de"),
        ("nl", "sv", "Hello", "en"),
        ("", "de", "Guten Tag", "de"),
        ("", "", "Hello", "en"),
    ],
)
def test_the_readers_language_then_the_stores_then_english(
    language: str, fallback: str, word: str, tag: str
) -> None:
    found = rendered(language=language, fallback=fallback)
    assert word in found.text
    assert found.language == tag


# --- the store's own ----------------------------------------------------------------------------------------

DUTCH = (
    '[ADJUSTMENT]\nsubject = "Uw saldo: {{ change }}"\ntitle = "Uw saldo is gewijzigd"\ntext = ["Hoera."]\n'
)


def test_a_store_translates_and_what_it_lacks_is_english(tmp_path: Path) -> None:
    templates = with_files(tmp_path, nl_toml=DUTCH)
    assert templates.problems == ()
    assert "nl" in templates.languages
    found = rendered(templates, language="nl-BE")
    assert found.subject == "Uw saldo: +€ 25,00"
    assert "Uw saldo is gewijzigd." in found.text
    assert "Hello" in found.text
    assert rendered(templates, EmailKind.REFUND, "nl").subject.endswith("refunded to your wallet")


def test_a_store_says_one_sentence_otherwise(tmp_path: Path) -> None:
    templates = with_files(tmp_path, en_toml='[common]\ngreeting = "Hi {{ customer.name }}!"\n')
    assert "Hi Ada!" in rendered(templates, name="Ada").text
    assert "Guten Tag Ada" in rendered(templates, language="de", name="Ada").text


def test_a_store_gives_a_layout_of_its_own(tmp_path: Path) -> None:
    own = '{% extends "packaged/layout.html" %}{% block header %}<b>{{ store.name }}</b>{% endblock %}'
    templates = with_files(tmp_path, layout_html=own, de__layout_html="<p>{{ title }}</p>")
    assert templates.problems == ()
    assert "<b>Müller &amp; Söhne</b>" in rendered(templates).html
    assert rendered(templates, language="de-CH").html.startswith("<p>Wir haben Ihnen")
    assert "<b>" not in rendered(templates).text


def test_a_store_writes_one_kind_wholly(tmp_path: Path) -> None:
    templates = with_files(tmp_path, adjustment_txt="{{ customer.name }}: {{ change }} ({{ reference }})")
    assert rendered(templates, name="Ada").text == "Ada: +€25.00 (TX-7K3M-9QPA-2F6D)\n"
    assert "Hello" in rendered(templates, EmailKind.REFUND).text


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"layout_html": "<p>{{ amonut }}</p>"}, "layout.html: 'amonut' is undefined"),
        ({"de__layout_txt": "{{ title"}, "de/layout.txt, line 1: "),
        ({"layout_html": "a\n\n{% if %}"}, "layout.html, line 3: "),
        ({"layout_html": '{% extends "nothing.html" %}'}, "layout.html: nothing.html"),
        ({"layout_html": '{{ "".__class__.__mro__ }}'}, "layout.html: access to attribute '__class__'"),
        ({"layout_html": "{% for n in range(10000000) %}{% endfor %}"}, "layout.html: OverflowError"),
        ({"layout_html": "{{ 1 / 0 }}"}, "layout.html: ZeroDivisionError"),
        ({"en_toml": '[ADJUSTMENT]\ntitle = "{{ amonut }}"'}, "en.toml, [ADJUSTMENT] title: 'amonut'"),
        ({"en_toml": '[ADJUSTMENT]\ntitle = "{% if %}"'}, "en.toml, [ADJUSTMENT] title, line 1: "),
        ({"en_toml": "[ADJUSTMENT"}, "en.toml: "),
        ({"en_toml": "[PARTY]\ntitle = 'x'"}, "en.toml: [PARTY] is no section"),
        ({"en_toml": "[REFUND]\ntitel = 'x'"}, "en.toml: [REFUND] has no titel"),
        ({"en_toml": "[REFUND]\ntext = 'x'"}, "en.toml: [REFUND] text: write a list of texts"),
        ({"notes_md": "hello"}, "notes.md: this is neither"),
    ],
)
def test_what_is_broken_is_told_at_the_start_and_not_used(
    tmp_path: Path, files: dict[str, str], told: str
) -> None:
    templates = with_files(tmp_path, **files)
    assert [problem for problem in templates.problems if problem.startswith(told)], templates.problems
    for language in LANGUAGES:
        broken, whole = rendered(templates, language=language), rendered(language=language)
        assert (broken.subject, broken.text, broken.html) == (whole.subject, whole.text, whole.html)


def test_a_broken_kind_leaves_the_others(tmp_path: Path) -> None:
    templates = with_files(tmp_path, refund_txt="{{ nothing }}", top_up_txt="Thanks for {{ amount }}")
    assert rendered(templates, EmailKind.TOP_UP).text == "Thanks for €25.00\n"
    assert rendered(templates, EmailKind.REFUND) != rendered(kind=EmailKind.REFUND)
    assert rendered(templates, EmailKind.REFUND).text == rendered(kind=EmailKind.REFUND).text
    assert rendered(templates, EmailKind.REFUND).problems == ("refund.txt: 'nothing' is undefined",)


def test_a_folder_that_is_none_and_a_file_that_is_too_large(tmp_path: Path) -> None:
    assert "is no folder" in Templates.load(tmp_path / "nothing").problems[0]
    (tmp_path / "layout.html").write_text("x" * 300_000)
    (tmp_path / "layout.txt").write_bytes(b"\xff\xfe")
    problems = Templates.load(tmp_path).problems
    assert [problem.partition(":")[0] for problem in problems] == ["layout.html", "layout.txt"]
    assert rendered(Templates.load(tmp_path)).text == rendered().text
