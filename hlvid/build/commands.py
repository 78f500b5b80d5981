"""The verbs of `hlvid-build` that make a benchmark from a spec; heavy things load when they run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hlvid.build.telling import (
    ORDER,
    leave,
    print_counts,
    print_items,
    print_json,
    say_next,
    tell,
    then,
)
from hlvid.console import Progress, say
from hlvid.errors import UserError
from hlvid.files import shown

if TYPE_CHECKING:
    from hlvid.build.engine import Tally
    from hlvid.build.work import Work

_HELP = {
    "discover": "Ask what videos there are, without their media. Asked once, then frozen.",
    "select": "Choose by the spec's rules what is worth fetching.",
    "fetch": "Get the videos into the store, as they are. Resumes; pauses when told to.",
    "probe": "Decode beginning, middle and end; refuse what is damaged, HDR or upscaled.",
    "clip": "Cut at keyframes into clips of about target_seconds, nothing re-encoded.",
    "index": "List the frames of every clip.",
    "dedup": "Find clips that show the same; keep the first, group what belongs together.",
    "lint": "Hold the written questions against the rules, and flag doubts.",
    "audit": "Ask the spec's models in several ways what each answer depends on.",
    "adjudicate": "Keep what was answered alike or ruled on; the rest waits for a ruling.",
}
_ON_ONE_HOST = ("discover", "fetch")
_ON_RAY = ("probe", "clip", "index", "dedup")

Spec = Annotated[Path, typer.Argument(help="The spec, a TOML file; 'init' writes an example.")]
WorkFolder = Annotated[Path, typer.Option("--work", help="Folder of media and manifests.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes; with ray, shards.")]
OnePart = Annotated[
    str, typer.Option("--shard", help="I/N: the part I of N, from 0; not of discover and fetch.")
]
Executor = Annotated[str, typer.Option(help=f"local, or ray for {', '.join(_ON_RAY)}.")]
Only = Annotated[str, typer.Option(help="One candidate or clip, by its id.")]
Retry = Annotated[str, typer.Option(help="CODE,...: try again what ended so.")]
Cookies = Annotated[Path | None, typer.Option(help="Cookie file for sites; never logged.")]
Equivalent = Annotated[
    bool,
    typer.Option(
        "--accept-equivalent",
        help="Of fetch: take other bytes than before, where size, frames, length, keyframes and "
        "pictures are the same.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Tell the result as JSON on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command(epilog=_examples("hlvid-build init > hlvid.toml"))(init)
    app.command(
        epilog=_examples(
            "hlvid-build run hlvid.toml --workers 8",
            "hlvid-build run hlvid.toml --until select",
        )
    )(run)
    for verb in ORDER:
        examples = [f"hlvid-build {verb} hlvid.toml"]
        if verb in _ON_ONE_HOST:
            examples.append(f"hlvid-build {verb} hlvid.toml --retry login_required --cookies c.txt")
        if verb == "fetch":
            examples.append("hlvid-build fetch hlvid.toml --accept-equivalent")
        if verb in (*_ON_RAY, "audit"):
            examples.append(f"hlvid-build {verb} hlvid.toml --shard $SLURM_ARRAY_TASK_ID/8")
        if verb in _ON_RAY:
            examples.append(f"hlvid-build {verb} hlvid.toml --executor ray --workers 32")
        app.command(name=verb, help=_HELP[verb], epilog=_examples(*examples))(_make(verb))
    app.command(
        epilog=_examples("hlvid-build status hlvid.toml", "hlvid-build status hlvid.toml --items")
    )(status)
    app.command(
        epilog=_examples(
            "hlvid-build report hlvid.toml --reconcile",
            "hlvid-build report hlvid.toml --reconcile --verify",
            "hlvid-build report hlvid.toml --parquet tables",
        )
    )(report)
    app.command(
        epilog=_examples(
            "hlvid-build takedown hlvid.toml youtube-dQw4w9WgXcQ --reason 'owner asked'",
            "hlvid-build takedown hlvid.toml youtube-dQw4w9WgXcQ --reason 'owner asked' --dry-run",
        )
    )(takedown)
    app.command(
        epilog=_examples(
            "hlvid-build rebuild hlvid.toml --check --workers 8",
            "hlvid-build rebuild hlvid.toml --check --package package",
        )
    )(rebuild)


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "".join(f"  {line}\n" for line in lines)


def init() -> None:
    """Print an example of a spec: every field, its default and what it does."""
    from hlvid.build.spec import example_bytes

    typer.echo(example_bytes().decode(), nl=False)


def run(
    spec: Spec,
    work: WorkFolder = Path("work"),
    until: Annotated[str, typer.Option(help="Last verb to run.")] = ORDER[-1],
    workers: Workers = 1,
    retry: Retry = "",
    cookies: Cookies = None,
    as_json: AsJson = False,
) -> None:
    """Run the stages one after another, from discover to adjudicate."""
    if until not in ORDER:
        raise UserError(f"--until: {until!r} is not a verb. Allowed are {', '.join(ORDER)}.")
    opened = _open(work, spec, cookies)
    tallies = []
    for verb in ORDER[: ORDER.index(until) + 1]:
        tallies += _run_verb(opened, verb, workers=workers, retry=_words(retry))
    tell(opened, spec, until, tallies, as_json=as_json)


def _make(verb: str) -> Any:  # noqa: ANN401  # a command, whose signature typer reads
    def command(  # noqa: PLR0913
        spec: Spec,
        work: WorkFolder = Path("work"),
        workers: Workers = 1,
        shard: OnePart = "0/1",
        executor: Executor = "local",
        only: Only = "",
        retry: Retry = "",
        cookies: Cookies = None,
        accept_equivalent: Equivalent = False,
        as_json: AsJson = False,
    ) -> None:
        codes = _words(retry)
        if accept_equivalent:
            if verb != "fetch":
                raise UserError("--accept-equivalent: is of fetch. Leave it out.")
            codes.append("source_changed")
        opened = _open(work, spec, cookies, accept_equivalent=accept_equivalent)
        if executor == "ray":
            _run_on_ray(verb, work, spec, workers, shard, only, codes)
            workers, shard = 1, "0/1"
        elif executor != "local":
            raise UserError(f"--executor: {executor!r} is not known. Allowed are local and ray.")
        tallies = _run_verb(opened, verb, workers=workers, shard=shard, only=only, retry=codes)
        tell(opened, spec, verb, tallies, as_json=as_json)

    return command


def status(
    spec: Spec,
    work: WorkFolder = Path("work"),
    items: Annotated[bool, typer.Option("--items", help="List every candidate.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say how far the work is, and what became of every candidate so far."""
    from hlvid.build.discover import DISCOVER
    from hlvid.build.report import candidate_endings, counts, readable

    opened = _open(work, spec)
    endings = candidate_endings(opened)
    stages = {s.name: [len(opened.entries(s)), len(opened.tasks(s))] for s in readable(opened)}
    if as_json:
        content = {"stages": stages, "candidates": counts(endings)}
        if items:
            content["items"] = [vars(ending) for ending in endings]
        print_json(content)
    else:
        for name, (done, total) in stages.items():
            typer.echo(f"{name:12} {done:6} of {total}")
        typer.echo("")
        print_counts(counts(endings))
        if items:
            names = {task.item.id: task.item.input.locator for task in opened.tasks(DISCOVER)}
            print_items(endings, names)
    say_next(opened, spec)


def report(
    spec: Spec,
    work: WorkFolder = Path("work"),
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Check that everything adds up.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read all media again, too.")] = False,
    parquet: Annotated[
        Path | None, typer.Option(help="Folder for the manifests as parquet files.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count what became of every source, candidate and clip, with the digests of the manifests."""
    from hlvid.build import report as reporting

    opened = _open(work, spec)
    sources = reporting.source_endings(opened)
    endings = reporting.candidate_endings(opened)
    clips = [c for parts in reporting.clip_endings(opened).values() for c in parts]
    problems = reporting.reconcile(opened, verify=verify) if reconcile or verify else []
    digests = reporting.content_digests(opened)
    if parquet is not None:
        say(f"wrote {len(reporting.export_parquet(opened, parquet))} tables to {parquet}")
    if as_json:
        content = {
            "sources": reporting.counts(sources),
            "candidates": reporting.counts(endings),
            "clips": reporting.counts(clips),
            "content_sha256": digests,
            "problems": problems,
        }
        print_json(content)
    else:
        typer.echo(f"{len(sources)} sources")
        print_counts(reporting.counts(sources))
        typer.echo(f"\n{len(endings)} candidates")
        print_counts(reporting.counts(endings))
        typer.echo(f"\n{len(clips)} clips")
        print_counts(reporting.counts(clips))
        typer.echo("\ncontent digests")
        for name, sha256 in digests.items():
            typer.echo(f"  {name:12} {sha256}")
    for problem in problems:
        say(f"problem: {problem}")
    num_files, num_bytes = reporting.unreferenced(opened)
    if num_files:
        say(f"{num_files} files in the store ({num_bytes / 1e6:.1f} MB) belong to no entry of now")
    if problems:
        raise typer.Exit(1)
    if reconcile:
        say("everything adds up")
    leave(opened)


def takedown(
    spec: Spec,
    item: Annotated[str, typer.Argument(help="Id of a candidate or a clip.")],
    reason: Annotated[str, typer.Option(help="Why; it is published, so name nobody.")],
    work: WorkFolder = Path("work"),
    alone: Annotated[bool, typer.Option("--alone", help="Leave clips that show the same.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a video for good: its media go and cannot come back, its id and the reason stay."""
    from hlvid.build.report import readable
    from hlvid.build.takedown import take_down

    opened = _open(work, spec)
    done = take_down(opened, item, reason, alone=alone, dry_run=dry_run)
    if as_json:
        print_json(vars(done))
    else:
        would = "would be " if dry_run else ""
        files = f"{done.num_files} files ({done.num_bytes} bytes)"
        typer.echo(f"{done.id} {would}tombstoned, {files} {would}removed")
    readable(opened, tell=say)
    for other in done.also:
        say(f"{other} shows the same, and {'would go' if dry_run else 'was taken down'} too")
    if not dry_run:
        then("dedup", spec, "--work", work)


def rebuild(
    spec: Spec,
    work: WorkFolder = Path("work"),
    check: Annotated[bool, typer.Option("--check", help="Compare; change nothing.")] = False,
    package: Annotated[
        Path | None, typer.Option(help="A package of it, to be made again and compared too.")
    ] = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Make everything but the downloads again and compare it, entry by entry."""
    from hlvid.build.rebuild import rebuild as make_again

    if not check:
        raise UserError(
            "rebuild: say --check. To make a stage anew, move its journal away and run it."
        )
    done = make_again(
        _open(work, spec),
        num_workers=workers,
        package=package,
        tell=lambda name: say(f"making {name} again"),
    )
    if as_json:
        print_json({**vars(done), "differences": list(done.differences)})
    else:
        for name, sha256 in done.digests.items():
            typer.echo(f"{sha256[:16]} {name}")
        typer.echo(f"{done.num_entries} entries compared, {len(done.differences)} differ")
    for difference in done.differences:
        say(difference)
    if done.differences:
        raise typer.Exit(1)


def _open(
    work: Path, spec: Path, cookies: Path | None = None, *, accept_equivalent: bool = False
) -> "Work":
    from hlvid.build.work import Work

    if cookies is not None and not cookies.is_file():
        raise UserError("--cookies: is not a file. Allowed is a cookies.txt in Netscape's format.")
    return Work.open(work, spec, cookies=cookies, accept_equivalent=accept_equivalent)


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _run_verb(
    work: "Work",
    verb: str,
    *,
    workers: int,
    shard: str = "0/1",
    only: str = "",
    retry: list[str],
) -> "list[Tally]":
    from hlvid.build.engine import Shard, run_stage
    from hlvid.build.report import damaged, readable
    from hlvid.build.stages import VERBS

    tallies = []
    part = Shard.parse(shard)
    if only and not any(
        only in (task.item.id, task.item.candidate)
        for stage in readable(work)
        for task in work.tasks(stage)
    ):
        raise UserError(
            f"--only: {shown(only)} is no id of this set. See: hlvid-build status SPEC --items."
        )
    if verb == "audit":
        from hlvid.build.audit import ask_all

        ask_all(work, shard=part, only=only or None, tell=say)
    if verb == "discover":
        from hlvid.build.discover import passed_over

        for sentence in passed_over(work):
            say(sentence)
    anew = damaged(work, retry) if verb == "fetch" else frozenset()
    for stage in VERBS[verb]:
        todo = work.todo(stage, retry=retry, only=only or None, anew=anew)
        bar = Progress(sum(part.holds(task.item.id) for task in todo), stage.name)
        tallies.append(
            run_stage(
                work,
                stage,
                num_workers=workers,
                shard=part,
                only=only or None,
                retry=retry,
                anew=anew,
                tell=bar.advance,
            )
        )
    return tallies


def _run_on_ray(
    verb: str, work: Path, spec: Path, workers: int, shard: str, only: str, retry: list[str]
) -> None:
    from hlvid.build.ray_executor import run_on_ray
    from hlvid.build.stages import VERBS

    if verb in _ON_ONE_HOST:
        raise UserError(f"{verb}: stays on one host, so that one pace holds. Leave --executor out.")
    if verb == "audit":
        raise UserError("audit: asks its models where it is typed. Spread them with --shard.")
    if verb not in _ON_RAY:
        raise UserError(f"{verb}: is done sooner than Ray is asked. Leave --executor out.")
    if shard != "0/1":
        raise UserError("--shard: ray shards by itself. Leave it out, and say --workers N.")
    for stage in VERBS[verb]:
        if stage.runs_on == "cores":
            run_on_ray(
                work, spec, stage.name, num_shards=workers, only=only or None, retry=tuple(retry)
            )
