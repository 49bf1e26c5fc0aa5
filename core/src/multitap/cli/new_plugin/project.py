"""A new plugin's project: the template's files, under the new name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from multitap.config.values import check_endpoint
from multitap.errors import ConfigError, LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("checked_endpoint", "checked_name", "checked_title", "write_project")

NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
TEMPLATE = Path(__file__).parent / "template"
SUFFIX = ".tmpl"  # so that nobody takes a template's modules and tests for ours


def checked_name(name: str) -> str:
    """A provider's name, without ``multitap-`` before it.

    >>> checked_name("multitap-acme-cloud")
    'acme-cloud'

    Raises:
        ConfigError: It cannot be the name of a provider.
    """
    known = name.removeprefix("multitap-")
    if not NAME.fullmatch(known):
        raise ConfigError(
            f"{name!r} cannot be a provider's name",
            hint="Use lower-case letters, digits and single hyphens, such as acme-cloud.",
        )
    return known


def checked_title(title: str) -> str:
    """A title that can stand between quotation marks; ``ConfigError`` where it cannot."""
    if not title.strip() or not title.isprintable() or set(title) & set('"\\'):
        raise ConfigError(
            f"{title!r} cannot be a title", hint='Use words, without quotation marks: "Big Lark".'
        )
    return title


def checked_endpoint(endpoint: str) -> str:
    """An http(s) URL; ``ConfigError`` where it is none."""
    try:
        check_endpoint(endpoint)
    except ValueError as error:
        raise ConfigError(f"--endpoint: {error}") from None
    return endpoint.rstrip("/")


def write_project(folder: Path, name: str, title: str, endpoint: str) -> list[Path]:
    """Write the project of a provider into a folder that is not there yet; the files it has.

    Raises:
        ConfigError: There is something already; nothing is written over.
        LocalError: The disk refuses.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(
            f"{folder} is there already", hint="Remove it, or pass another --folder."
        ) from None
    except OSError as error:
        raise LocalError(f"{folder} cannot be made: {error.strerror}") from error
    return [_write(folder, path, text, name, title, endpoint) for path, text in _template()]


def _template() -> Iterator[tuple[str, str]]:
    """Path and text of each file."""
    for file in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        path = file.relative_to(TEMPLATE).as_posix()
        yield path.removesuffix(SUFFIX), file.read_text("utf-8")


def _write(folder: Path, path: str, text: str, name: str, title: str, endpoint: str) -> Path:
    module = name.replace("-", "_")
    target = folder / path.replace("acme", module)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_renamed(text, name, title, endpoint), "utf-8")
    return target


def _renamed(text: str, name: str, title: str, endpoint: str) -> str:
    """The template's text for another provider."""
    module = name.replace("-", "_")
    camel = "".join(word.capitalize() for word in name.split("-"))
    words = {
        "http://127.0.0.1:8000": endpoint,
        "multitap_acme": f"multitap_{module}",
        "ACME": module.upper(),
        "AcmeChat": f"{camel}Chat",
        "TestAcme": f"Test{camel}",
        "https://acme.example": "https://acme.example",  # nobody's address stays nobody's
        "Acme": title,
        "acme": name,
    }
    pattern = re.compile("|".join(map(re.escape, words)))
    return pattern.sub(lambda found: words[found[0]], text)
