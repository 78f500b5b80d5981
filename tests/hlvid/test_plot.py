"""Lines in one panel."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from hlvid.plot import BOTTOM, HEIGHT, TOP, Axis, Line, log_axis, plot_lines, step_axis

SVG = "{http://www.w3.org/2000/svg}"
NAMES = [f"line {number}" for number in range(9)]


UNIT = Axis({0.0: "0", 1.0: "1"}, (0.0, 1.0))


def drawn(lines, y=UNIT):
    return ElementTree.fromstring(plot_lines(lines, title="a <title>", x=step_axis(10), y=y))


def test_names_of_lines_that_end_alike_stand_apart_and_inside():
    picture = drawn([Line(name, [(0, 0.5), (10, 0.01)]) for name in NAMES])
    heights = sorted(float(t.get("y")) for t in picture.iter(f"{SVG}text") if t.text in NAMES)
    assert len(heights) == len(NAMES)
    assert all(after - before >= 15 for before, after in pairwise(heights))
    assert heights[0] > TOP
    assert heights[-1] <= HEIGHT - BOTTOM + 5


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis():
    picture = drawn([Line("one", [(0, 0.1), (5, 1.0), (10, 10.0)])], log_axis([0.1, 10.0]))
    (line,) = picture.iter(f"{SVG}polyline")
    low, middle, high = (float(at.split(",")[1]) for at in line.get("points").split())
    assert low - middle == pytest.approx(middle - high, abs=0.2)


def test_a_value_of_zero_lies_at_the_foot_of_a_logarithmic_axis():
    picture = drawn([Line("one", [(0, 1.0)], whiskers=[(0.0, 2.0)])], log_axis([1.0, 2.0]))
    (whisker,) = (p for p in picture.iter(f"{SVG}path") if p.get("stroke") != "#e3e5e8")
    assert whisker.get("d").split("V")[0].endswith(f" {HEIGHT - BOTTOM:.1f}")


def test_narrow_ranges_have_ticks_too():
    assert len(log_axis([4.0, 4.5]).ticks) >= 3
