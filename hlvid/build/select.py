"""Which candidates are worth fetching, by what is known of them without their media.

What is not known yet is not held against a candidate: `probe` decides by decoding.
"""

from collections.abc import Iterator, Sequence

from hlvid.build.codes import Ended
from hlvid.build.discover import DISCOVER
from hlvid.build.records import Format, Selection, Source
from hlvid.build.spec import ANY, SelectRules, Spec
from hlvid.build.stage import Desk, Item, Stage
from hlvid.build.work import Work

_SDR = (None, "SDR")


def _inputs(work: Work) -> Iterator[Item[Source]]:
    for item, source in work.passed(DISCOVER):
        yield Item(item.id, item.candidate, source)


def _rules(spec: Spec) -> SelectRules:
    return spec.select


def _select(source: Source, rules: SelectRules, desk: Desk) -> Selection:
    if source.live_status in ("is_live", "post_live"):
        raise Ended("live", source.live_status)
    if source.live_status == "is_upcoming":
        raise Ended("upcoming")
    if ANY not in rules.licenses and source.license not in rules.licenses:
        raise Ended("license", f"{source.license} (by {source.license_evidence})")
    length = source.duration_seconds
    if length is not None and length < rules.min_seconds:
        raise Ended("too_short", f"{length:g} s; at least {rules.min_seconds:g} s are asked for")
    return Selection(format_id=_choose(source.formats, rules))


def _choose(formats: Sequence[Format], rules: SelectRules) -> str | None:
    """The format to fetch: never one that is weaker than the rules; None where none is described.

    Of several, the codec that the rules name first, then the smallest frame that is large enough,
    then the most frames.
    """
    if all(each.height is None for each in formats):
        return None
    large = [each for each in formats if (each.height or 0) >= rules.min_height]
    if not large:
        best = max(each.height or 0 for each in formats)
        raise Ended("no_uhd_format", f"the largest has {best} lines; {rules.min_height} are asked")
    known = [each for each in large if each.codec in rules.codecs]
    if not known:
        raise Ended("codec", ", ".join(sorted({str(each.codec) for each in large})))
    plain = [each for each in known if each.dynamic_range in _SDR]
    if not plain:
        raise Ended("hdr", ", ".join(sorted({str(each.dynamic_range) for each in known})))
    codecs: tuple[str | None, ...] = rules.codecs
    chosen = min(
        plain,
        key=lambda e: (codecs.index(e.codec), e.height or 0, -(e.fps or 0.0), e.format_id),
    )
    return chosen.format_id


SELECT: Stage[Source, Selection] = Stage(
    name="select",
    version=1,
    output=Selection,
    inputs=_inputs,
    parameters=_rules,
    perform=_select,
    runs_on="here",
    after=DISCOVER,
)
