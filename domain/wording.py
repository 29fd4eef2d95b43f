"""What a refusal's words are made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts of one code."""

    zh: str
    en: str
    remedy_zh: str
    remedy_en: str
    source: str = ""
