"""The verbs of `hlvid-build` for questions, splits, packages; heavy things load when they run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hlvid.build.telling import PARTIAL, print_json, then
from hlvid.console import say
from hlvid.errors import UserError

if TYPE_CHECKING:
    from hlvid.build.work import Work

Spec = Annotated[Path, typer.Argument(help="The spec, a TOML file.")]
WorkFolder = Annotated[Path, typer.Option("--work", help="Folder of media and manifests.")]
AsJson = Annotated[bool, typer.Option("--json", help="Tell the result as JSON on stdout.")]
Package = Annotated[Path, typer.Argument(help="Folder of a package.")]
Annotator = Annotated[str, typer.Option(help="Pseudonym of the person that the pack is for.")]

annotating = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Give clips and questions to people, and take back what they wrote.",
)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.add_typer(annotating, name="annotate")
    for verb, examples in (
        (questions, ("questions hlvid.toml", "questions hlvid.toml --json")),
        (rule, ("rule hlvid.toml q-ann-3 accept --by zoe --reason 'the sign is unique'",)),
        (controls, ("controls",)),
        (split, ("split hlvid.toml",)),
        (package, ("package hlvid.toml --out out/my-benchmark",)),
        (verify, ("verify out/my-benchmark", "verify out/1.1.0 --parent out/1.0.0")),
        (publish, ("publish out/my-benchmark --repo me/my-benchmark --dry-run",)),
        (import_release, ("import-release DIR --out hlvid-1.0.0", "import-release --hub --out o")),
    ):
        name = verb.__name__.replace("_", "-")
        app.command(name=name, epilog=_examples(*examples))(verb)


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "".join(f"  hlvid-build {line}\n" for line in lines)


@annotating.command(
    epilog=_examples(
        "annotate export hlvid.toml --kind write --annotator ann --out packs/ann",
        "annotate export hlvid.toml --kind answer --annotator bob --out packs/bob",
        "annotate export --release hlvid --data DIR --annotator eve --out packs/eve",
    )
)
def export(
    annotator: Annotator,
    out: Annotated[Path, typer.Option(help="Folder for the pack; must be new.")],
    spec: Annotated[Path | None, typer.Argument(help="The spec; not with --release.")] = None,
    kind: Annotated[str, typer.Option(help="write or answer.")] = "write",
    work: WorkFolder = Path("work"),
    release: Annotated[str, typer.Option(help="Name or folder of a published benchmark.")] = "",
    data: Annotated[Path | None, typer.Option(help="Folder that holds its videos.")] = None,
) -> None:
    """Write a task pack: a folder with clips and one page, for one person."""
    from hlvid import datasets
    from hlvid.build import annotate

    annotate.check_pseudonym(annotator)
    if bool(release) == (spec is not None):
        raise UserError("annotate export: name either a spec or --release.")
    if kind not in ("write", "answer"):
        raise UserError(f"--kind: {kind!r} is not known. Allowed are write and answer.")
    if spec is None:
        pack = annotate.export_release(datasets.load(release, data=data), out, annotator=annotator)
    else:
        is_writing = kind == "write"
        pack = annotate.export(
            _open(work, spec), out, kind="write" if is_writing else "answer", annotator=annotator
        )
    typer.echo(str(out))
    say(f"{len(pack.tasks)} tasks for {annotator}; hand over the folder")
    say(f"next: python3 {out / 'serve.py'}, then hlvid-build annotate import SPEC {out}")


@annotating.command(
    name="import",
    epilog=_examples(
        "annotate import hlvid.toml packs/ann packs/bob",
        "annotate import hlvid.toml questions.jsonl --kind write",
    ),
)
def take_in(
    spec: Spec,
    sources: Annotated[list[Path], typer.Argument(help="Packs, or JSON Lines with --kind.")],
    kind: Annotated[str, typer.Option(help="Of JSON Lines: write or answer.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Lines that came from such a file before may go.")
    ] = False,
    work: WorkFolder = Path("work"),
) -> None:
    """Take over what people wrote: checked first, and all of a source or nothing.

    Runs once: every question is held against those that are there.
    """
    from hlvid.build import annotate
    from hlvid.build.questions import Draft, Reply, read_file

    opened = _open(work, spec)
    for source in sources:
        if source.is_dir():
            what, number = annotate.import_pack(opened, source)
        elif kind == "write":
            drafts = read_file(source, Draft)
            what, number = annotate.import_questions(opened, drafts, source.stem, replace=replace)
        elif kind == "answer":
            replies = read_file(source, Reply)
            what, number = annotate.import_replies(opened, replies, source.stem, replace=replace)
        else:
            raise UserError(f"{source}: is no folder. Say --kind write or --kind answer.")
        typer.echo(f"{number} {what} from {source.name}")
    then("run", spec, "--work", work)


@annotating.command(epilog=_examples("annotate serve packs/ann --port 8765"))
def serve(
    pack: Annotated[Path, typer.Argument(help="Folder of a pack.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 0,
) -> None:
    """Open a pack for a browser on this machine, as the serve.py in it does."""
    from hlvid.build.annotate import PACK_FILE
    from hlvid.build.task_pack.serve import server

    if not (pack / PACK_FILE).is_file():
        raise UserError(f"{pack}: has no {PACK_FILE}. Allowed is a folder of 'annotate export'.")
    try:
        opened = server(pack.resolve(), port)
    except OSError as error:
        raise UserError(
            f"--port: {port} cannot be had ({error.strerror}). Leave it out for a free one.",
            exit_code=1,
        ) from None
    with opened as running:
        say(f"open http://127.0.0.1:{running.server_address[1]}/ (Ctrl-C ends)")
        running.serve_forever()


@annotating.command(
    epilog=_examples(
        "annotate evidence hlvid packs/eve packs/bob --data DIR --out DIR/evidence/hlvid.jsonl"
    )
)
def evidence(
    release: Annotated[str, typer.Argument(help="Name or folder of a published benchmark.")],
    packs: Annotated[list[Path], typer.Argument(help="Packs that came back.")],
    out: Annotated[Path, typer.Option(help="File to write: ids, spans, boxes, agreement.")],
    data: Annotated[Path | None, typer.Option(help="Folder that holds the benchmark.")] = None,
) -> None:
    """Gather where people saw the answers of a published benchmark: no video, no text.

    As evidence/hlvid.jsonl in the folder that holds HLVid, it is used by every run on HLVid: for
    evidence recall and for the oracle.
    """
    from hlvid import datasets
    from hlvid.build.marked import evidence_of
    from hlvid.files import write_jsonl

    found = evidence_of(datasets.load(release, data=data).questions, packs)
    write_jsonl(out, found)
    typer.echo(str(out))
    agreed = sum(each.num_agreeing == each.num_annotators for each in found)
    say(f"{len(found)} questions, answered rightly by all who were asked: {agreed}")


def questions(spec: Spec, work: WorkFolder = Path("work"), as_json: AsJson = False) -> None:
    """Say what became of every question, what was found, and what waits for whom."""
    from hlvid.build.facts import questions_told

    rows = questions_told(_open(work, spec))
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            told = " ".join(str(row[name]) for name in ("state", "code", "detail") if row[name])
            found = ", ".join(f"{flag['check']} ({flag['detail']})" for flag in row["flags"])
            typer.echo(f"{row['question_id']}  {told}" + (f"  flags: {found}" if found else ""))
    say(f"{len(rows)} questions")


def rule(
    spec: Spec,
    question: Annotated[str, typer.Argument(help="Id of a question.")],
    decision: Annotated[str, typer.Argument(help="accept or reject.")],
    reason: Annotated[str, typer.Option(help="Why; it is published, so name nobody.")],
    by: Annotated[str, typer.Option(help="Pseudonym of who decides.")],
    work: WorkFolder = Path("work"),
) -> None:
    """Decide about a question that was flagged or answered otherwise; the ruling is kept."""
    from hlvid.build.questions import give_ruling

    opened = _open(work, spec)
    folder = opened.bench.spec_folder / opened.spec.questions.folder
    give_ruling(folder, question, decision, reason=reason, adjudicator=by)
    typer.echo(f"{question}: {decision}")
    then("adjudicate", spec, "--work", work)


def controls(as_json: AsJson = False) -> None:
    """Run every check of questions on its control set: what it must notice and let pass."""
    from hlvid.build.controls import run_controls

    found = run_controls()
    if as_json:
        print_json({name: vars(outcome) for name, outcome in found.items()})
    else:
        for name, each in found.items():
            typer.echo(
                f"{name:18} noticed {each.num_noticed} of {each.num_faulty}, "
                f"let pass {each.num_passed} of {each.num_sound}"
            )
    if not all(outcome.is_perfect for outcome in found.values()):
        raise typer.Exit(1)


def split(spec: Spec, work: WorkFolder = Path("work"), as_json: AsJson = False) -> None:
    """Decide split, number and letters of what is new; what was decided before never moves.

    Runs once: it holds all questions against each other and appends to one file.
    """
    from collections import Counter

    from hlvid.build.lock import LOCK_FILE
    from hlvid.build.split import split as decide

    opened = _open(work, spec)
    lock, lines = decide(opened)
    events = dict(sorted(Counter(line.event for line in lines).items()))
    if as_json:
        print_json({"version": lock.version, "num_questions": len(lock.active), "events": events})
    else:
        for line in lines:
            reason = f" ({line.reason})" if line.reason else ""
            typer.echo(f"{line.number} {line.split} {line.event} {line.question_id}{reason}")
    say(f"{LOCK_FILE}: {len(lock.active)} questions, {events or 'nothing new'}")
    then("package", spec, "--work", work, "--out", "DIR")


def package(
    spec: Spec,
    out: Annotated[Path, typer.Option(help="Folder for the package alone.")],
    work: WorkFolder = Path("work"),
    as_json: AsJson = False,
) -> None:
    """Write the folder to publish: parquet, clips, card, Croissant, digests.

    Runs once: it writes one folder, which is there whole or not at all.
    """
    from hlvid.build.package import package as make

    manifest = make(_open(work, spec), out)
    if as_json:
        print_json(manifest.model_dump(mode="json"))
    else:
        typer.echo(str(out))
        for name, sha256 in manifest.content_sha256.items():
            typer.echo(f"  {name:20} {sha256}")
    say(f"{manifest.num_questions} questions on {manifest.num_videos} videos")
    then("verify", out)


def verify(
    folder: Package,
    parent: Annotated[Path | None, typer.Option(help="An earlier version of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a package again, every byte of it, and hold it against its own claims."""
    from hlvid.build.verify import verify as check

    problems = check(folder, parent=parent)
    if as_json:
        print_json({"problems": problems})
    for problem in problems:
        say(f"problem: {problem}")
    if problems:
        raise typer.Exit(1)
    say(f"{folder}: is what it says")


def publish(
    folder: Package,
    repo: Annotated[str, typer.Option(help="OWNER/NAME of the dataset on the hub.")],
    branch: Annotated[str, typer.Option(help="By default 'release-' and the version.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a package on a branch of the hub, read it again, compare, and only then tag it."""
    from hlvid.build import publish as publishing
    from hlvid.build.package import read_manifest

    name = branch or f"release-{read_manifest(folder).version}"
    found = publishing.plan(folder, repo, branch=name)
    if as_json:
        operations = [vars(operation) for operation in found.operations]
        print_json({"branch": name, "operations": operations, "problems": list(found.problems)})
    else:
        for each in found.operations:
            typer.echo(f"{each.action:8} {each.num_bytes:14} {each.sha256[:16]:16} {each.path}")
    for problem in found.problems:
        say(f"problem: {problem}")
    if dry_run:
        say(f"nothing was sent; it would go to the branch {name} of {repo}")
        if found.problems:
            raise typer.Exit(1)
        return
    done = publishing.publish(folder, found)
    say(f"{repo}: tag {done.tag} is commit {done.commit}, read again and the same; merge {name}")


def import_release(
    out: Annotated[Path, typer.Option(help="Folder for questions, lock and report.")],
    folder: Annotated[Path | None, typer.Argument(help="Holds data/, as released.")] = None,
    hub: Annotated[bool, typer.Option("--hub", help="Fetch the questions from the hub.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take HLVid as released apart, hold it against every check, and lock it."""
    from hlvid.build import import_release as importing

    if hub == (folder is not None):
        raise UserError("import-release: name either a folder or --hub.")
    imported = importing.from_hub() if folder is None else importing.import_release(folder)
    importing.write(out, imported)
    report = imported.report
    if as_json:
        print_json({**report, "rows_sha256": imported.rows_sha256})
    else:
        typer.echo(f"{len(imported.drafts)} questions, rows come out as they went in")
        typer.echo(f"content {imported.rows_sha256}")
        typer.echo(f"right option is the longest: {report['right_option_is_longest']}")
        for name, found in report["flags"].items():
            typer.echo(f"{name}: {len(found)}")
        for number, problem in report["broken_rules"].items():
            typer.echo(f"question {number}: {problem}")
    say(f"wrote {out}")
    if report["broken_rules"]:
        raise typer.Exit(PARTIAL)


def _open(work: Path, spec: Path) -> "Work":
    from hlvid.build.work import Work

    return Work.open(work, spec)
