r"""Which scripts a user name may mix (UTS 39, section 5.2, "highly restrictive").

Names that mix others look like names they are not: ``admin`` with a Cyrillic ``\u0430``.
"""

from __future__ import annotations

from collections.abc import Iterator

# The standard library does not know the scripts of characters.
import regex

# Scripts in everyday use: tables 5 (recommended) and 7 (limited use) of UAX 31. The others are
# historic; hardly any font shows them.
_SCRIPTS = """
Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han
Hangul Hebrew Hiragana Kannada Katakana Khmer Lao Latin Malayalam Myanmar Oriya Sinhala Tamil Telugu
Thaana Thai Tibetan
Adlam Balinese Bamum Batak Canadian_Aboriginal Chakma Cham Cherokee Hanifi_Rohingya Javanese
Kayah_Li Lepcha Limbu Lisu Mandaic Meetei_Mayek Miao Newa Nko Nyiakeng_Puachue_Hmong Ol_Chiki Osage
Saurashtra Sundanese Syloti_Nagri Syriac Tai_Le Tai_Tham Tai_Viet Tifinagh Vai Wancho Yi
"""

# Scripts that are usually mixed: those of Japanese, Chinese and Korean, with Latin.
_MIXED = ["Latin Han Hiragana Katakana", "Latin Han Bopomofo", "Latin Han Hangul"]


def _groups() -> Iterator[str]:
    for group in [*_SCRIPTS.split(), *_MIXED]:
        # Digits and most punctuation belong to no script, and most accents to any.
        scripts = ["Common", "Inherited", *group.split()]
        yield "[" + "".join(rf"\p{{Script_Extensions={script}}}" for script in scripts) + "]*"


_PATTERN = regex.compile("|".join(_groups()))


def has_one_script(text: str) -> bool:
    """Return whether a text has one script in everyday use, or scripts that are usually mixed."""
    return _PATTERN.fullmatch(text) is not None
