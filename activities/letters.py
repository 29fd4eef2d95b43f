"""The texts of mails, in Chinese and English: an organisation's digest, and a letter to one teacher.

A digest brings many notices at once, grouped by type, so that 300 nominations are one roster and not 300 mails. It
names people by their numbers only. A letter to a teacher names him, and goes to nobody else.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import jinja2
import yaml

from activities.outbox import QueuedNotice
from activities.sms import TextMessage
from domain.refusals import in_words

TEMPLATES = Path(__file__).parent / "templates"
VALUE_LENGTH_MAX = 200
LIST_LENGTH_MAX = 20
TEMPLATE_VERSION_LENGTH = 16
LINK = "link"
BETWEEN_LANGUAGES = "\n" + "-" * 60 + "\n\n"
REFERENCES = ("trainee", "restriction", "training_class", "campaign")
"""What a line of a roster begins with: the first of these that the notice names."""

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
_YES_NO: dict[Language, tuple[str, str]] = {"zh": ("是", "否"), "en": ("yes", "no")}
_LIST_SEPARATOR: dict[Language, str] = {"zh": "、", "en": ", "}
_FACT_SEPARATOR: dict[Language, str] = {"zh": "；", "en": "; "}
_COLON: dict[Language, str] = {"zh": "：", "en": ": "}


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and text of a mail."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """The notices of one type: a line for each, and what the teacher is told, where it is for him."""

    title: str
    text: str
    lines: tuple[str, ...]


def digest(
    organisation: str,
    notices: Sequence[QueuedNotice],
    handovers: Sequence[QueuedNotice],
    endpoint_disabled: bool = False,
) -> Letter:
    """One mail for an organisation: what it is told, and what it shall hand over to teachers without an address."""
    parts = [
        _render(
            f"digest.{language}.txt",
            organisation=organisation,
            endpoint_disabled=endpoint_disabled,
            count=len(notices),
            groups=_groups(notices, language),
            handovers=_groups(handovers, language),
        )
        for language in LANGUAGES
    ]
    count = len(notices) + len(handovers)
    return Letter(f"[训迹] {count} 条通知 / {count} notices", BETWEEN_LANGUAGES.join(parts))


def to_teacher(name: str, notice: QueuedNotice) -> Letter:
    """A letter to the teacher himself. `name` is his name, in the clear."""
    parts = [
        _render(
            f"teacher.{language}.txt",
            name=name,
            title=title_of(notice.type, language),
            text=_teacher_text(notice.type, language),
            facts=[_fact(key, value, language) for key, value in sorted(notice.data.items())],
        )
        for language in LANGUAGES
    ]
    titles = " / ".join(title_of(notice.type, language) for language in LANGUAGES)
    return Letter(f"[训迹] {titles}", BETWEEN_LANGUAGES.join(parts))


def to_telephone(id_: UUID, telephone: str, notice: QueuedNotice) -> TextMessage:
    """The text message to one teacher: what it is about, and his number in the campaign."""
    return TextMessage(id_, telephone, title_of(notice.type, "zh"), str(notice.data.get("trainee", "")))


@cache
def template_version() -> str:
    """Which words and templates a mail was made of: the beginning of their SHA-256."""
    digest = hashlib.sha256()
    for path in sorted(TEMPLATES.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:TEMPLATE_VERSION_LENGTH]


def title_of(type_: str, language: Language) -> str:
    """What a type of notice is called; a type without words is shown by its own name."""
    return str(_words()["notices"].get(type_, {}).get(language, type_))


def _teacher_text(type_: str, language: Language) -> str:
    return str(_words()["teacher"].get(type_, {}).get(language, ""))


def _groups(notices: Iterable[QueuedNotice], language: Language) -> list[Group]:
    lines: dict[str, list[str]] = {}
    for notice in notices:
        lines.setdefault(notice.type, []).append(_line(notice, language))
    return [
        Group(title_of(type_, language), _teacher_text(type_, language), tuple(each)) for type_, each in lines.items()
    ]


def _line(notice: QueuedNotice, language: Language) -> str:
    reference = next((key for key in REFERENCES if key in notice.data), None)
    rest = sorted((key, value) for key, value in notice.data.items() if key != reference)
    facts = _FACT_SEPARATOR[language].join(_fact(key, value, language) for key, value in rest)
    named = _value(notice.data[reference], language) if reference else ""
    return f"{named}  {facts}".strip()


def _fact(key: str, value: Any, language: Language) -> str:
    name = _words()["fields"].get(key, {}).get(language, key)
    if key == LINK:
        # Cut short it would lead nowhere.
        return f"{name}{_COLON[language]}{value}"
    return f"{name}{_COLON[language]}{_value(value, language)}"


def _value(value: Any, language: Language) -> str:
    if isinstance(value, bool):
        yes, no = _YES_NO[language]
        return yes if value else no
    if isinstance(value, list):
        return _LIST_SEPARATOR[language].join(_value(each, language) for each in value[:LIST_LENGTH_MAX])
    text = " ".join(str(value).split())[:VALUE_LENGTH_MAX]
    return _instant_in_words(text) or text


def _instant_in_words(text: str) -> str:
    """`2022-08-31T16:00:00+00:00` as the bureau writes it; empty when `text` is no instant."""
    if "T" not in text:
        return ""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return in_words(instant) if instant.tzinfo is not None else ""


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        # These are plain texts; the day somebody adds an HTML one, it is escaped.
        autoescape=jinja2.select_autoescape(("html",), default_for_string=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _words() -> dict[str, Any]:
    words: dict[str, Any] = yaml.safe_load((TEMPLATES / "words.yaml").read_text(encoding="utf-8"))
    return words
