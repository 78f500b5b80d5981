"""Putting a package on the hub: planned, shown, sent to a branch, read again, and only then tagged.

A version that has a tag is published and never changes. The lock on the hub must begin the lock of
the package: what was published before is still as it was.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hlvid.build.hub import client, content, listing
from hlvid.build.lock import LOCK_FILE
from hlvid.build.package import MANIFEST_FILE, PackageManifest, read_manifest
from hlvid.build.verify import verify
from hlvid.errors import UserError
from hlvid.files import sha256_file, shown

MAIN = "main"
KEPT_FILES = (".gitattributes",)
"""Of the hub's own making; never deleted."""
_BLOCK_BYTES = 2**20

Action = Literal["add", "replace", "delete", "keep"]


@dataclass(frozen=True)
class Operation:
    """What is to happen to one file on the hub.

    Args:
        action: What.
        path: Of the file in the repository.
        num_bytes: Of it afterwards; before, where it is deleted.
        sha256: Of it afterwards; '' where it is deleted.
    """

    action: Action
    path: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Plan:
    """What publishing would do.

    Args:
        repository: Of the dataset, 'owner/name'.
        branch: That is written.
        base: Branch that it starts from.
        manifest: Of the package.
        operations: One a file, by path.
        problems: Why it must not be done; none where it may.
    """

    repository: str
    branch: str
    base: str
    manifest: PackageManifest
    operations: tuple[Operation, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """What was done: the commit on the branch, and the tag that names it."""

    commit: str
    tag: str


def plan(folder: Path, repository: str, *, branch: str) -> Plan:
    """Compare a package with what the hub has; nothing is written.

    Args:
        folder: The package.
        repository: Of the dataset, 'owner/name'.
        branch: That would be written; not the main one.

    Raises:
        UserError: It is no package, or the hub cannot be asked.
    """
    if branch == MAIN:
        raise UserError(f"--branch: {MAIN} is not written. Name a branch; merge it on the hub.")
    manifest = read_manifest(folder)
    problems = verify(folder)
    with client() as api:
        refs = api.list_repo_refs(repository, repo_type="dataset")
        branches = {ref.name for ref in refs.branches}
        base = branch if branch in branches else MAIN
        if manifest.version in {ref.name for ref in refs.tags}:
            problems.append(f"version {manifest.version} has a tag: it is published for ever")
        there = listing(api, repository, base)
        if LOCK_FILE in listing(api, repository, MAIN):
            before = content(api, repository, MAIN, LOCK_FILE)
            if not (folder / LOCK_FILE).read_bytes().startswith(before):
                problems.append(f"{LOCK_FILE} does not begin as on {MAIN}: published lines moved")
    operations = tuple(_compare(folder, there))
    return Plan(repository, branch, base, manifest, operations, tuple(problems))


def publish(folder: Path, found: Plan) -> Published:
    """Do what was planned: write the branch in one commit, read it again, tag it.

    What a broken connection left half done is not tagged; doing it again goes on.

    Raises:
        UserError: The plan has problems, the hub refuses, or has something else afterwards.
    """
    if found.problems:
        raise UserError(f"publish: {found.problems[0]}. See all: --dry-run.", exit_code=1)
    repository, version = found.repository, found.manifest.version
    with client() as api:
        api.create_branch(
            repository, branch=found.branch, revision=found.base, repo_type="dataset", exist_ok=True
        )
        done = api.create_commit(
            repository,
            repo_type="dataset",
            revision=found.branch,
            operations=_as_hub_says(folder, found.operations),
            commit_message=f"Version {version}",
        )
        differing = [
            operation.path
            for operation in _compare(folder, listing(api, repository, done.oid))
            if operation.action != "keep"
        ]
        read = content(api, repository, done.oid, MANIFEST_FILE)
        if differing or read != (folder / MANIFEST_FILE).read_bytes():
            raise UserError(
                f"publish: {shown(differing[0] if differing else MANIFEST_FILE)} on {found.branch} "
                "is not what was sent. Nothing was tagged; run the same command again.",
                exit_code=1,
            )
        api.create_tag(repository, tag=version, revision=done.oid, repo_type="dataset")
    return Published(commit=done.oid, tag=version)


def _compare(folder: Path, there: dict[str, Any]) -> Iterator[Operation]:
    here = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    for name in sorted({*here, *there}):
        path, remote = here.get(name), there.get(name)
        if path is None:
            if remote is not None and name not in KEPT_FILES:
                yield Operation("delete", name, remote.size, "")
            continue
        action: Action = "add"
        if remote is not None:
            action = "keep" if _is_same(path, remote) else "replace"
        yield Operation(action, name, path.stat().st_size, sha256_file(path))


def _is_same(path: Path, remote: Any) -> bool:  # noqa: ANN401
    """Whether the hub has a file's very bytes, by the digest that it knows."""
    if remote.size != path.stat().st_size:
        return False
    if remote.lfs is not None:
        return bool(remote.lfs.sha256 == sha256_file(path))
    return bool(remote.blob_id == git_blob_sha1(path))


def git_blob_sha1(path: Path) -> str:
    """The name that git gives to a file's content."""
    state = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            state.update(block)
    return state.hexdigest()


def _as_hub_says(folder: Path, operations: Sequence[Operation]) -> list[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    return [
        CommitOperationDelete(path_in_repo=each.path)
        if each.action == "delete"
        else CommitOperationAdd(path_in_repo=each.path, path_or_fileobj=folder / each.path)
        for each in operations
        if each.action != "keep"
    ]
