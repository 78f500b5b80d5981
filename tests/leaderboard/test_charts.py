"""Plots: nothing leaves the drawing, no two labels collide, ticks are round."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.bars import forest_axis, share_axis
from leaderboard.charts import LABEL_HEIGHT, Point, scatter
from leaderboard.projections import SECONDS

shares = st.floats(0, 1)
points = st.builds(
    lambda series, x, ys: Point(series, "selector", x, ys[1], ys[0], ys[2]),
    st.sampled_from(["off", "detail", "text", "random-matched:autogaze", "a" * 60]),
    st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.11, 0.25, 0.5, 1.0, 1.2]),
    st.tuples(shares, shares, shares).map(sorted),
)


@settings(deadline=None)
@given(st.lists(points, min_size=1, max_size=40), st.none() | shares, st.sampled_from([350, 740]))
def test_nothing_leaves_the_drawing_and_no_labels_collide(drawn, chance, width):
    plot = scatter(drawn, chance=chance, width=width)
    assert len(plot.marks) == len(drawn)
    for mark in plot.marks:
        assert 0 <= mark.x <= plot.width
        assert plot.top <= mark.high_y <= mark.y <= mark.low_y <= plot.bottom
    boxes = []
    for label in plot.labels:
        right = label.x + 6 * len(label.text)
        assert label.x >= 0 and right <= plot.width
        assert 0 < label.y < plot.height
        boxes.append((label.x, right, label.y))
    for i, (left, right, y) in enumerate(boxes):
        for other_left, other_right, other_y in boxes[:i]:
            apart = right <= other_left or other_right <= left
            assert apart or abs(y - other_y) >= LABEL_HEIGHT - 1e-6


@settings(deadline=None)
@given(st.lists(points, min_size=1, max_size=20))
def test_every_series_has_one_label(drawn):
    plot = scatter(drawn, chance=None)
    assert len(plot.labels) == len({point.series for point in drawn})


@given(st.lists(st.floats(-1, 1), max_size=10))
def test_forest_axis_holds_zero_and_every_bound(bounds):
    axis = forest_axis(bounds)
    values = [int(tick.text.replace("−", "-")) for tick in axis.ticks]
    assert 0 in values and len(values) <= 6
    assert len({b - a for a, b in itertools.pairwise(values)}) == 1
    for bound in bounds:
        bar = axis.bar(bound, bound, bound)
        exact = axis.ticks[0].at + (100 * bound - values[0]) * (
            axis.ticks[-1].at - axis.ticks[0].at
        ) / (values[-1] - values[0])
        assert abs(bar.at - exact) < 1e-6


def test_the_band_is_that_of_the_one_off_and_of_none_where_there_are_several():
    off, other, gaze = (
        Point(series, role, x, 0.5, low, 0.6, is_off=role == "off")
        for series, role, x, low in (
            ("off", "off", 1.0, 0.4),
            ("off of another model", "off", 1.0, 0.3),
            ("detail", "selector", 0.1, 0.45),
        )
    )
    plot = scatter([gaze, off], chance=None)
    assert plot.band == plot.marks[1]
    assert scatter([gaze, off, other], chance=None).band is None
    assert scatter([gaze], chance=None).band is None


def test_extreme_ratios_still_have_ticks():
    plot = scatter([Point("a", "selector", 1e-300, 0.5, 0.4, 0.6)], chance=None)
    assert 1 <= len(plot.x_ticks) <= 12


def test_times_of_any_length_can_be_drawn():
    far, near = (Point("a", "selector", x, 0.5, 0.4, 0.6) for x in (1.7e308, 1.0))
    assert scatter([far, near], chance=None, projection=SECONDS).x_ticks
    assert scatter([far], chance=None, projection=SECONDS).marks


def test_share_axis_runs_from_nothing_to_all():
    axis = share_axis()
    assert [tick.text for tick in axis.ticks] == ["0", "50", "100"]
    assert axis.bar(0.5, 0.0, 1.0, 0.25).at == axis.ticks[1].at
