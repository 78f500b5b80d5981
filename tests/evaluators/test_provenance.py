"""What a record says of the code that made it."""

import subprocess

from evaluators.provenance import git_state


def test_code_that_differs_from_its_commit_is_told_but_not_results_in_docs(tmp_path):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    code, results = tmp_path / "package" / "code.py", tmp_path / "docs" / "table" / "run.json"
    for path in (code, results):
        path.parent.mkdir(parents=True)
        path.write_text("first")
    assert git_state(code) == (None, None)
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    commit, is_dirty = git_state(code)
    assert len(commit) == 40 and is_dirty is False
    results.write_text("second")
    assert git_state(code) == (commit, False)
    code.write_text("second")
    assert git_state(code) == (commit, True)
    (tmp_path / "package" / "other.py").write_text("untracked")
    assert git_state(tmp_path / "package" / "other.py") == (None, None)
