"""What a site's words about the rights mean, as an SPDX identifier: by whole phrases or not at all.

A condition that is not read would be a licence that nobody gave. Of the licences only those of
Creative Commons are known here, which are what video sites name.
"""

import re

_YOUTUBE = "creative commons attribution license (reuse allowed)"
"""YouTube's only licence beside its own: https://support.google.com/youtube/answer/2797468."""
_CONDITIONS = {
    "NC": r"non[- ]?commercial|nc",
    "SA": r"share[- ]?alike|sa",
    "ND": r"no[- ]?deriv(?:ative)?s?(?: works)?|nd",
}
_CONDITION = "|".join(_CONDITIONS.values())
_JOINED = rf"(?P<conditions>(?:\s*[-,/ ]\s*(?:{_CONDITION}))*)"
_VERSION = r"(?P<version>1\.0|2\.0|2\.5|3\.0|4\.0)"
_PHRASES = tuple(
    re.compile(phrase, re.IGNORECASE | re.ASCII)
    for phrase in (
        rf"(?:creative commons|cc)[- ](?:attribution|by){_JOINED}[- ]{_VERSION}"
        r"(?: (?:international|unported|generic))?(?: licen[cs]e)?",
        rf"https?://creativecommons\.org/licenses/by{_JOINED}/{_VERSION}"
        r"(?:/(?:deed(?:\.[a-z]{2})?|legalcode(?:\.[a-z]{2})?)?)?",
    )
)
_ZERO = re.compile(
    r"(?:(?:creative commons )?cc0|creative commons zero)[- ]1\.0(?: universal)?"
    r"|https?://creativecommons\.org/publicdomain/zero/1\.0(?:/(?:deed|legalcode)?)?",
    re.IGNORECASE | re.ASCII,
)
_ALLOWED = ("", "-NC", "-NC-ND", "-NC-SA", "-ND", "-SA")
_MAX_CHARACTERS = 200


def spdx_of(said: object) -> str | None:
    """The SPDX identifier that a site's words stand for; None where they stand for none known.

    Args:
        said: As the site has it: a phrase with its version ('Creative Commons
            Attribution-ShareAlike 4.0', 'CC BY-NC 4.0', an SPDX identifier), an address of the
            licence, or YouTube's sentence, which is of version 3.0.
    """
    if not isinstance(said, str) or len(said) > _MAX_CHARACTERS:
        return None
    phrase = " ".join(re.sub("[\u2010-\u2015]", "-", said).split())
    if phrase.casefold() == _YOUTUBE:
        return "CC-BY-3.0"
    if _ZERO.fullmatch(phrase):
        return "CC0-1.0"
    for pattern in _PHRASES:
        if found := pattern.fullmatch(phrase):
            return _identifier(found["conditions"], found["version"])
    return None


def _identifier(conditions: str, version: str) -> str | None:
    words = re.findall(_CONDITION, conditions, re.IGNORECASE)
    named = [
        name
        for word in words
        for name, pattern in _CONDITIONS.items()
        if re.fullmatch(pattern, word, re.IGNORECASE)
    ]
    joined = "".join(f"-{name}" for name in sorted(named))
    return f"CC-BY{joined}-{version}" if joined in _ALLOWED else None
