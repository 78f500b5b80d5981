"""The parts of docs/benchmarks.md about the builder, one function a result file."""

from __future__ import annotations

from collections.abc import Sequence

from measure import Row
from table import markdown


def build_part(rows: Sequence[Row]) -> list[str]:
    """The builder against tools that check nothing."""
    settings = rows[0]["settings"]
    rates = {(row["way"], row["num_workers"]): row["films_an_hour"] for row in _of(rows, "rate")}
    found = [
        [
            f"{num}",
            f"{rates['build', num]:,.0f}",
            f"{rates['plain', num]:,.0f}",
            f"{row['speed_up']:.1f} [{row['speed_up_low']:.1f}, {row['speed_up_high']:.1f}]",
        ]
        for row in _of(rows, "plain against build")
        for num in [row["num_workers"]]
    ]
    header = ("workers", "films an hour", "plain ways, films an hour", "plain ways as fast")
    return [
        f"{settings['films']} films of {settings['seconds']} s at 3840x2160, {settings['rounds']} "
        "rounds, all ways in turns: probe, clip and index with every check and digest, against "
        "`ffprobe` and `ffmpeg -c copy`, which decode, check and read back nothing:",
        "",
        *markdown(header, found),
        "",
    ]


def copies_part(rows: Sequence[Row]) -> list[str]:
    """Which films the builder takes for copies of others, and which not."""
    called = "{num_called_duplicates} of {num}".format
    pairs = [
        [row["kind"], called(num=row["num_films"], **row), f"{quantiles[2]:g}, {quantiles[3]:g}"]
        for row in _of(rows, "dedup")
        for quantiles in [row["distance_quantiles_0_5_50_95_100"]]
    ]
    long = _of(rows, "long film")
    kinds = list(dict.fromkeys(row["kind"] for row in long))
    cells = {(row["kind"], row["copy"]): called(num=row["num_pairs"], **row) for row in long}
    films = [
        [copy, *(cells[kind, copy] for kind in kinds)]
        for copy in dict.fromkeys(row["copy"] for row in long)
    ]
    unrelated = max(max(row["shares"]) for row in long if row["copy"] == "another of its kind")
    rules, settings = _of(rows, "dedup")[0], rows[0]["settings"]
    return [
        f"Two films are called duplicates where {100 * rules['min_share']:g} % of the frames of "
        "the one with fewer, at one a second, are seen in the other in the same order, each on a "
        f"run of several. Rendered films of {settings['seconds']} s, two frames a second, against "
        "copies of themselves and others of their kind. The nearly black ones show one logo and "
        "some seconds of their own, too little to be told by, unless the files are the same. Two "
        f"of a kind that are not copies have at most {100 * unrelated:.0f} % in common:",
        "",
        *markdown(("the other film", *kinds), films),
        "",
        "Films of a few windows of a photograph. Frames count as alike up to "
        f"{rules['max_distance']} of 256 bits apart; so far, at most, are half of the pairs of "
        "frames, and 95 % of them:",
        "",
        *markdown(("the other film", "called duplicates", "bits apart, half and 95 %"), pairs),
        "",
    ]


def thresholds_part(rows: Sequence[Row]) -> list[str]:
    """What the builder's threshold of detail tells apart, and what not."""
    pictures = [
        [row["kind"], f"{row['num_called_upscaled']} of {row['num_pictures']}"]
        for row in _of(rows, "detail")
    ]
    return [
        "On photographs that ship. A film is called enlarged where its frames hold too little "
        "detail for their size, whether a scaler or a lens took it. What is told is quarantined, "
        "for a person to look at and let through where it is sound. Captions, clocks and bars were "
        "laid over a picture after it was enlarged, on every frame. How little is too little was "
        "chosen on these pictures:",
        "",
        *markdown(("pictures", "called enlarged"), pictures),
        "",
    ]


def _of(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["row"] == kind]
