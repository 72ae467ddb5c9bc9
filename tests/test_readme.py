"""What the documents show is what happens: their blocks are run, their tables compared, their links followed.

When one of these fails because the program has changed on purpose: `python -m tests.documents` writes them anew.
"""

import re
import shutil
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from tests.conftest import require
from tests.documents import DOCUMENTS, PROJECT, blocks, demo, normal, section, tables

GRAPHQL = re.compile(r"^ *```graphql\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def read(name: str) -> str:
    """The text of a document."""
    return (PROJECT / name).read_text(encoding="utf-8")


def play(name: str, seeded: Path) -> None:
    """Run all blocks of a document, one after the other, as a reader would."""
    document = read(name)
    with demo(seeded) as running:
        for block in blocks(document):
            answer = running.run(block)
            if block.answer is not None:
                line = document.count("\n", 0, block.start) + 1
                expected = normal(block.answer, block.answer_language)
                assert normal(answer, block.answer_language) == expected, f"{name}, line {line}"


@pytest.mark.slow
def test_readme_does_what_it_says(seeded_sqlite: Path) -> None:
    if shutil.which("curl") is None:
        require("curl", "the README's blocks call it")
    play("README.md", seeded_sqlite)


@pytest.mark.slow
@pytest.mark.node
def test_guide_does_what_it_says(seeded_sqlite: Path, node: str) -> None:
    assert node
    play("docs/api.md", seeded_sqlite)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_graphql_blocks_name_their_caller_and_show_an_answer(name: str) -> None:
    operations = [block for block in blocks(read(name)) if block.language == "graphql"]

    assert operations
    for block in operations:
        assert block.caller in {"customer", "staff", "administrator", "nobody"}, block.text
        assert block.answer_language == "json", block.text


@pytest.mark.parametrize("name", tables())
def test_tables_are_up_to_date(name: str) -> None:
    found = {document: section(read(document), name) for document in DOCUMENTS}
    present = {document: text for document, text in found.items() if text is not None}

    assert present, f"no document has the table {name}"
    for document, text in present.items():
        assert text == tables()[name], f"{name} in {document}"


@pytest.mark.parametrize("guide", sorted((PROJECT / "docs").glob("*.md")), ids=lambda guide: guide.name)
def test_every_graphql_block_fits_the_schema(guide: Path) -> None:
    schema = build_schema(read("schema.graphql"))
    for text in GRAPHQL.findall(guide.read_text(encoding="utf-8")):
        assert validate(schema, parse(text)) == [], text


def test_links_lead_somewhere() -> None:
    for file in [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").glob("*.md"))]:
        for target in LINK.findall(file.read_text(encoding="utf-8")):
            assert (file.parent / target).exists(), f"{file.name}: {target}"
