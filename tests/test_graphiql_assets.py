"""The files of the GraphiQL page are exactly those that were vendored, and none of them fetches another."""

import hashlib
import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "app" / "static" / "graphiql"
VENDORED: list[dict[str, str]] = json.loads((FOLDER / "VENDORED.json").read_text(encoding="utf-8"))
OWN = {"VENDORED.json", "favicon.svg", "page.css", "page.html", "page.js"}


@pytest.mark.parametrize("entry", VENDORED, ids=lambda entry: entry["file"])
def test_vendored_file_is_unmodified(entry: dict[str, str]) -> None:
    content = (FOLDER / entry["file"]).read_bytes()

    assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_every_file_is_either_vendored_or_our_own() -> None:
    present = {str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*") if file.is_file()}

    assert present == OWN | {entry["file"] for entry in VENDORED}


@pytest.mark.parametrize("package", sorted({entry["package"] for entry in VENDORED}))
def test_every_vendored_package_has_its_licence(package: str) -> None:
    assert "MIT License" in (FOLDER / f"{package}.LICENSE").read_text(encoding="utf-8")


def test_page_refers_only_to_its_own_files() -> None:
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    references = re.findall(r"""(?:href|src)\s*=\s*["']([^"']*)["']""", page)

    assert references
    assert all((FOLDER / reference.removeprefix("$assets/")).is_file() for reference in references)


@pytest.mark.parametrize("name", ["page.html", "page.css", "page.js", "favicon.svg"])
def test_own_file_names_no_other_host(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")

    assert re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.\w+|@import", text) == []


def test_page_has_no_script_of_its_own_text() -> None:
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script([^>]*)>", page)

    assert all("src=" in script or 'type="application/json"' in script for script in scripts)
    assert re.search(r"\son\w+\s*=|\sstyle\s*=|<style", page) is None


def test_vendored_styles_fetch_nothing() -> None:
    styles = (FOLDER / "graphiql.min.css").read_text(encoding="utf-8")
    targets = re.findall(r"""url\(\s*["']?([^"')]{0,40})""", styles)

    assert [target for target in targets if not target.startswith(("data:", "#"))] == []
    assert "@import" not in styles
