import json

import pytest
from measure import Rows, by_turns, times_faster


def written(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def stop_after(path, numbers, **settings):
    with pytest.raises(KeyboardInterrupt), Rows("trial", path, settings) as rows:
        for number in numbers:
            rows.add("one", number=number)
        raise KeyboardInterrupt


def test_a_stopped_run_goes_on_and_the_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "trial.jsonl"
    stop_after(path, [1, 2], size=3)
    assert not path.exists()
    with Rows("trial", path, {"size": 3}) as rows:
        assert [row["number"] for row in rows.find("one")] == [1, 2]
        assert rows.find("one", number=2)
        assert not rows.find("one", number=3)
        rows.add("one", number=3)
    assert [row.get("number") for row in written(path)] == [None, 1, 2, 3]
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_measurement_is_made_again(tmp_path):
    path = tmp_path / "trial.jsonl"
    for number in (1, 2):
        with Rows("trial", path, {}) as rows:
            assert rows.find("one") == []
            rows.add("one", number=number)
    assert [row.get("number") for row in written(path)] == [None, 2]


def test_another_setting_begins_anew(tmp_path, capsys):
    path = tmp_path / "trial.jsonl"
    stop_after(path, [1], size=3)
    with Rows("trial", path, {"size": 4}) as rows:
        assert rows.find("one") == []
    assert "Begun anew" in capsys.readouterr().err
    assert [row["settings"] for row in written(path)] == [{"size": 4}]


def test_a_line_that_was_cut_is_measured_again(tmp_path):
    path = tmp_path / "trial.jsonl"
    stop_after(path, [1, 2])
    unfinished = tmp_path / "trial.unfinished.jsonl"
    unfinished.write_text(unfinished.read_text()[:-5])
    with Rows("trial", path, {}) as rows:
        assert [row["number"] for row in rows.find("one")] == [1]
        rows.add("one", number=2)
    assert [row.get("number") for row in written(path)] == [None, 1, 2]


def test_the_first_row_says_where_it_was_measured(capsys):
    with Rows("trial", None, {"size": 3}):
        pass
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["benchmark"] == "trial"
    assert row["num_cores"] >= 1
    assert {"cpu", "memory_gib", "software", "git_commit", "git_dirty"} <= set(row)


def test_ways_take_turns_and_stages_are_told_apart():
    called = []

    def way(name, num_marks):
        def run(clock):
            called.append(name)
            for _ in range(num_marks):
                clock.mark()

        return run

    found = by_turns({"a": way("a", 0), "b": way("b", 2)}, rounds=3)
    assert called == ["a", "b", "b", "a", "a", "b"]
    assert [len(stages) for stages in found["a"]] == [1, 1, 1]
    assert [len(stages) for stages in found["b"]] == [3, 3, 3]


def test_a_ratio_is_of_times_of_one_round():
    found = times_faster([10.0, 40.0, 20.0], [5.0, 20.0, 10.0])
    assert (found["speed_up"], found["speed_up_low"], found["speed_up_high"]) == (2.0, 2.0, 2.0)
    assert times_faster([3.0], [2.0]) == {
        "speed_up": 1.5,
        "speed_up_low": None,
        "speed_up_high": None,
    }
