import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaze.grid import Pyramid

pyramids = st.builds(
    lambda sides: Pyramid(tuple(sorted(sides))),
    st.sets(st.integers(1, 30), min_size=1, max_size=5),
)


def test_released_ids_go_from_coarse_to_fine() -> None:
    pyramid = Pyramid()
    assert pyramid.starts == (0, 4, 20, 69, 265)
    place = pyramid.locate([0, 3, 4, 19, 20, 68, 69, 83, 264, 265])
    assert place.frame.tolist() == [0] * 9 + [1]
    assert place.scale.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 0]
    assert place.row.tolist() == [0, 1, 0, 3, 0, 6, 0, 1, 13, 0]
    assert place.col.tolist() == [0, 1, 0, 3, 0, 6, 0, 0, 13, 0]


@given(pyramids, st.integers(0, 40))
def test_positions_undo_locate(pyramid: Pyramid, frame: int) -> None:
    cells = np.arange(pyramid.num_cells) + frame * pyramid.num_cells
    place = pyramid.locate(cells)
    assert np.array_equal(pyramid.positions(*place), cells)
    assert np.array_equal(np.unique(place.frame), [frame])
    assert np.all(np.diff(place.scale) >= 0)


@given(pyramids, st.integers(1, 4), st.data())
def test_masks_hold_the_positions_and_nothing_else(
    pyramid: Pyramid, num_frames: int, data: st.DataObject
) -> None:
    last = num_frames * pyramid.num_cells - 1
    chosen = data.draw(st.lists(st.integers(0, last), max_size=50))
    masks = pyramid.masks(chosen, num_frames)
    assert sum(int(mask.sum()) for mask in masks) == len(set(chosen))
    assert pyramid.chosen(masks).tolist() == sorted(set(chosen))
    for position in chosen:
        frame, scale, row, col = (int(part) for part in pyramid.locate(position))
        assert masks[scale][frame, row, col]


def test_an_empty_choice_gives_empty_masks() -> None:
    assert [mask.any() for mask in Pyramid().masks([], 2)] == [False] * 4


@pytest.mark.parametrize("sides", [(), (0, 2), (2, 2), (4, 2)])
def test_sides_that_are_no_pyramid_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="strictly growing"):
        Pyramid(sides)


def test_places_and_positions_that_do_not_exist_are_refused() -> None:
    pyramid = Pyramid()
    with pytest.raises(ValueError, match="negative"):
        pyramid.locate([-1])
    with pytest.raises(ValueError, match="outside 2 frames"):
        pyramid.masks([530], 2)
    with pytest.raises(ValueError, match="outside its scale"):
        pyramid.positions(0, 0, 2, 0)
    with pytest.raises(ValueError, match="4 scales"):
        pyramid.positions(0, 4, 0, 0)
    with pytest.raises(ValueError, match="do not fit"):
        pyramid.chosen(pyramid.masks([0], 1)[::-1])
