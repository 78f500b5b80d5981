"""Whatever a valid record says, the page is well formed and the text in it is only text."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hlvid import datasets, runs
from hlvid.types import ArmSettings, TokenCounts
from leaderboard.entries import read_entries
from leaderboard.exams import exam_of
from leaderboard.summary import text_table

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["</style><script>alert(1)</script>", "{{ 7*7 }}{% raw %}", "\u202e\u2066", "'\"><a href=x>"]
)
numbers = st.floats(0, 1e300)
counts = st.integers(0, 10**300)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@#+-]{0,60}", fullmatch=True)
arm_settings = st.just(ArmSettings(gaze="off")) | st.builds(
    ArmSettings,
    gaze=st.just("on"),
    selector=names,
    weights=st.none() | texts,
    budget=st.none() | st.floats(0, 1, exclude_min=True),
    threshold=st.none() | st.floats(-1e300, 1e300),
    seed=st.integers(-(10**300), 10**300),
    mapping=texts,
    privileged=st.booleans(),
    notes=st.lists(texts, max_size=2).map(tuple),
)


@st.composite
def answers_of(draw, lab, exam, arm):
    """Answers with any timings, counts and errors."""
    stages = st.dictionaries(st.sampled_from(["end_to_end", "decode", "gaze"]) | texts, numbers)
    tokens = st.none() | st.builds(
        TokenCounts,
        selector=counts,
        encoded=counts,
        visual=counts,
        text=counts,
        visual_off=counts,
    )
    return [
        answer.model_copy(
            update={
                "stage_ms": draw(stages),
                "tokens": draw(tokens),
                "peak_memory_bytes": draw(st.none() | counts),
                "temporal_hit": draw(st.none() | st.booleans()),
                "spatial_cover": draw(st.none() | st.floats(0, 1)),
            }
        )
        for answer in lab.predictions(exam, lab.MODELS["qwen"], arm)
    ]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_valid_record_gives_a_well_formed_page(lab, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    exam = lab.exam(num_videos=2, per_video=2)
    model = lab.MODELS["qwen"].model_copy(
        update={
            "name": data.draw(names),
            "weights": data.draw(texts),
            "license": data.draw(texts),
            "kind": data.draw(st.sampled_from(["mllm", "reader", "language", "control"])),
            "load_format": data.draw(st.sampled_from(["weights", "dummy", "none"])),
        }
    )
    chosen = data.draw(st.lists(arm_settings, min_size=1, max_size=4))
    generation = data.draw(st.dictionaries(texts, texts | st.integers(-(10**300), 10**300)))
    for arm in {arm.name: arm for arm in chosen}.values():
        answers = data.draw(answers_of(lab, exam, arm))
        made = lab.record(exam, model, arm, answers, generation=generation)
        runs.write_run(folder / "runs" / made.run_id, made, answers)
    datasets.write(folder / "exam", exam)
    site = lab.build_pages(folder)
    pages = {path: lab.Reader(path.read_text()) for path in site.rglob("*.html")}
    for path, reader in pages.items():
        tags = [tag for tag, _ in reader.tags]
        assert tags.count("script") == (path.name == "index.html")
        assert set(tags).isdisjoint(("img", "iframe"))
        assert len(reader.attributes("http-equiv")) == 1
        anchors = [link[1:] for link in reader.attributes("href") if link.startswith("#")]
        assert set(anchors) <= reader.ids
    entries, _ = read_entries(sorted((folder / "runs").iterdir()), [exam_of(exam)])
    assert "\u202e" not in text_table(entries)
