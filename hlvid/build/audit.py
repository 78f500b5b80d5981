"""What each question's answer depends on, as models show it when they are asked in several ways.

The models are commands that the spec names. They read a file of `hlvid.types.Probe` and write one
of `hlvid.types.ProbeAnswer`; what they replied is kept beside what people wrote, by the digests of
the command and of the probe: nothing is asked twice, and everything here can be made again without
a model.
"""

import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hlvid.build.codes import Ended, as_sentence
from hlvid.build.engine import Shard
from hlvid.build.lint import LINT, Flag, Linted
from hlvid.build.measuring import Measured, has_replied, judge
from hlvid.build.probes import probes_of
from hlvid.build.questions import ANSWERS_FOLDER, MAX_ANSWERS, add, read_answers, read_file
from hlvid.build.records import Output
from hlvid.build.set_rules import AuditRules
from hlvid.build.spec import Spec
from hlvid.build.stage import Desk, Item, Stage, scratch_name
from hlvid.build.work import Work
from hlvid.errors import UserError
from hlvid.files import digest, shown, write_jsonl
from hlvid.processes import end_with_parent
from hlvid.types import Identifier, Probe, ProbeAnswer, Record

_STDERR = 2
NOWHERE = "-"
"""Stands for the path of the clip where only digests matter."""


class Replied(Record):
    """What one model replied to a question's probes."""

    model: Identifier
    answers: tuple[ProbeAnswer, ...]


class Heard(Record):
    """A question with all that models replied to it."""

    linted: Linted
    replies: tuple[Replied, ...]


class Audited(Output):
    """A question and what models show of it."""

    linted: Linted
    flags: tuple[Flag, ...]
    """Of lint and audit."""
    measured: tuple[Measured, ...]


def _inputs(work: Work) -> Iterator[Item[Heard]]:
    folder, rules = answers_folder(work), work.spec.audit
    known = {model: _known(folder, model, rules) for model in sorted(rules.models)}
    for item, linted in work.passed(LINT):
        wanted = [probe.probe_id for probe in probes_of(linted, rules, path=NOWHERE)]
        replies = tuple(
            Replied(model=model, answers=tuple(by[p] for p in wanted if p in by))
            for model, by in known.items()
        )
        yield Item(item.id, item.candidate, Heard(linted=linted, replies=replies))


def _rules(spec: Spec) -> AuditRules:
    return spec.audit


def answers_folder(work: Work) -> Path:
    """Where what models replied is kept: with what people wrote."""
    return work.bench.spec_folder / work.spec.questions.folder


def answers_name(model: str, rules: AuditRules) -> str:
    """Of the folder of what a model replied; another command under its name has another one."""
    return f"{model}/{digest(rules.models[model])[:16]}"


def _known(folder: Path, model: str, rules: AuditRules) -> dict[str, ProbeAnswer]:
    """Probe -> what the model's command of now replied."""
    return _of_one_model(model, read_answers(folder / ANSWERS_FOLDER / answers_name(model, rules)))


def _of_one_model(model: str, answers: dict[str, ProbeAnswer]) -> dict[str, ProbeAnswer]:
    """Refuse answers under one name of which some are another model's."""
    models = {answer.model for answer in answers.values()}
    if len(models) > 1:
        raise UserError(
            f"audit: {model} has answers of {len(models)} models. Give each a name of its own in "
            f"[audit.models], or remove the folder answers/{model} to ask again.",
            exit_code=1,
        )
    return answers


# --- asking --------------------------------------------------------------------------------------


def ask_all(
    work: Work,
    *,
    shard: Shard | None = None,
    only: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> int:
    """Ask every model of the spec what it was not asked yet.

    Args:
        work: The work folder.
        shard: Whose questions to ask; all by default.
        only: One question, or a candidate; None for all.
        tell: Called with a sentence after each model that was asked.

    Returns:
        How many probes were asked.

    Raises:
        UserError: As `ask`.
    """
    total = 0
    for model in sorted(work.spec.audit.models):
        num_asked = ask(work, model, shard=shard, only=only)
        total += num_asked
        if num_asked and tell:
            tell(f"{model}: {num_asked} probes asked")
    if total:
        work.refresh()
    return total


def ask(
    work: Work,
    model: str,
    *,
    shard: Shard | None = None,
    only: str | None = None,
    timeout_seconds: float | None = None,
) -> int:
    """Ask a model what it has not replied to yet, and keep what it replies.

    Args:
        work: The work folder.
        model: A name of the spec's.
        shard: Whose questions to ask; all by default. Each shard has a file of its own.
        only: One question, or a candidate; None for all.
        timeout_seconds: After which the command is ended; None to wait.

    Returns:
        How many probes were asked.

    Raises:
        UserError: The command cannot be started, fails, its file is not in order, or it is another
            model than the one that answered before.
    """
    folder, rules, shard = answers_folder(work), work.spec.audit, shard or Shard()
    known = _known(folder, model, rules)
    probes: list[Probe] = []
    for item, linted in work.passed(LINT):
        if shard.holds(item.id) and only in (None, item.id, item.candidate):
            with as_sentence(f"audit: clip {linted.clip.clip_id}"):
                path = str(work.store.path(linted.clip.file).absolute())
            asked = probes_of(linted, rules, path=path)
            probes += [p for p in asked if not has_replied(p, known.get(p.probe_id))]
    if not probes:
        return 0
    name = digest([rules.models[model], [probe.probe_id for probe in probes]])
    # What a command that is killed leaves here, it may go on with.
    with Desk(work.bench, scratch_name("asking", name)).scratch(keep=True) as scratch:
        files = scratch / "probes.jsonl", scratch / "answers.jsonl"
        files[1].unlink(missing_ok=True)
        write_jsonl(files[0], probes)
        _run(rules.models[model], *files, timeout_seconds=timeout_seconds)
        said = read_file(files[1], ProbeAnswer, max_lines=MAX_ANSWERS)
    new = _checked(said, probes, model)
    _of_one_model(model, known | new)
    place = folder / ANSWERS_FOLDER / answers_name(model, rules)
    mine = place / shard.file_name
    before = read_file(mine, ProbeAnswer, max_lines=MAX_ANSWERS) if mine.exists() else []
    kept = {answer.probe_id: answer for answer in before} | new
    add(place, mine.stem, [kept[key] for key in sorted(kept)])
    return len(probes)


def _run(command: str, probes: Path, answers: Path, *, timeout_seconds: float | None) -> None:
    words = [
        str({"{probes}": probes, "{answers}": answers}.get(word, word))
        for word in shlex.split(command)
    ]
    try:
        done = subprocess.run(
            words,
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,
            check=False,
            preexec_fn=end_with_parent,
        )
    except OSError as error:
        raise UserError(
            f"audit: {shown(words[0])} cannot be started ({error.strerror}). "
            "See [audit.models] in the spec.",
            exit_code=1,
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"audit: {shown(command)} did not end in time.", exit_code=1) from None
    if done.returncode not in (0, 3) or not answers.is_file():
        raise UserError(
            f"audit: {shown(command)} ended with {done.returncode}. What it said stands above.",
            exit_code=1,
        )


def _checked(
    said: Sequence[ProbeAnswer], probes: Sequence[Probe], model: str
) -> dict[str, ProbeAnswer]:
    asked = {probe.probe_id for probe in probes}
    for answer in said:
        if answer.probe_id not in asked:
            raise UserError(
                f"audit: {model} answers the probe {answer.probe_id[:12]}, which was not asked.",
                exit_code=1,
            )
    return {answer.probe_id: answer for answer in said}


# --- what they show ------------------------------------------------------------------------------


def _audit(heard: Heard, rules: AuditRules, desk: Desk) -> Audited:
    linted = heard.linted
    probes = probes_of(linted, rules, path=NOWHERE)
    measured, found = [], list(linted.flags)
    for replied in heard.replies:
        answers = {answer.probe_id: answer for answer in replied.answers}
        missing = [p for p in probes if not has_replied(p, answers.get(p.probe_id))]
        if missing:
            raise Ended("unanswered", f"{replied.model}: {len(missing)} of {len(probes)} probes")
        shown_by, doubts = judge(replied.model, linted, probes, answers, rules)
        measured.append(shown_by)
        found += doubts
    once = {flag.check: flag for flag in reversed(found)}
    kept = tuple(once[name] for name in sorted(once))
    return Audited(linted=linted, flags=kept, measured=tuple(measured))


AUDIT: Stage[Heard, Audited] = Stage(
    name="audit",
    version=2,
    output=Audited,
    inputs=_inputs,
    parameters=_rules,
    perform=_audit,
    runs_on="here",
    after=LINT,
)
