"""The builder: from a spec to clips, questions and splits, made, remade and proved.

This page is the interface of the machinery for whoever adds a stage.

**A stage** is a `hlvid.build.stage.Stage`: plain functions of one module, and a name and version.

    inputs(work)        yields an `Item(id, candidate, input)` for each thing to do. Pure and quick:
                        it reads only the spec and what earlier stages made
                        (`for item, output in work.passed(EARLIER)`), and is called on every run and
                        every `status`. `id` is a `hlvid.types.Identifier`, one a stage; `candidate`
                        is the source that it comes from, and what a takedown goes by. `input` is a
                        `Record` with all that the result depends on, and nothing more: media as
                        `Media` (digest and size), never a path, nothing that may be said otherwise
                        tomorrow. What compares all items with each other is one stage whose items
                        are pairs of blocks of them (`hlvid.build.dedup.MATCH`, with `needs_all`),
                        followed by a stage that says for each item what follows from it (`DEDUP`).
    parameters(spec)    the part of the spec that decides about outputs; `no_parameters` for none.
    perform(input, parameters, desk)
                        does one item in any process and returns an `Output`, or raises
                        `Ended(code, detail)`. `detail` goes into the manifest: no path, no clock.
                        `desk.store.path(media)` gives a file to read; `with desk.scratch() as
                        folder` a folder to write in; `desk.store.put(part)` moves what is finished
                        into the store. `desk.note[...]` goes into the journal and no manifest.
                        `desk.bench.spec` is for what changes no output (time-outs, paces).
    output              the `Output` (a frozen `Record`) of an item that passes. Its `media()` names
                        the objects that it put into the store: a task counts as done only while
                        they are there in full size.
    runs_on             'cores' for a process of its own, 'network' for threads of one host that
                        share a pace, 'here' for what is done sooner than a process starts.
    after               the stage before it.

Raise `version` when the same input gives another output than before. The key of a task is the
digest of stage, version, parameters, item id and input; what has a key that the journals know is
not done again.

**How an item can end**: `passed`, or one of the codes of `hlvid.build.codes.CODES`, each of which
is `rejected`, `failed`, `quarantined` or `tombstoned`, has an advice, and says whether the next run
tries again and whether the run must stop. A new cause is a new line there. Every candidate ends in
exactly one state (`hlvid.build.report.candidate_endings`).

**Running**: `Work.open(folder, spec_path)`, then `run_stage(work, STAGE, num_workers=2)` or a
`shard=Shard(1, 8)` of it; `work.entries(STAGE)` are its `Entry` records in the order of ids,
`work.manifest_path(STAGE)` the JSON Lines file that holds them, byte for byte the same whoever did
the work and in whatever order. A stage of the chain has its line in `hlvid.build.stages.STAGES` and
its verb in `VERBS`; its part of the spec is a record in `hlvid.build.spec`, with its fields in
`example.toml`; its verb is added to `hlvid.build.telling.ORDER`, and in `hlvid.build.commands`
where it takes more than the media stages do. `report`, `rebuild` and `takedown` walk over `STAGES`;
a stage whose items are clips belongs into `CLIP_STAGES`, so that what it says decides about them.

**What people write** (answers, adjudications) is an input like media: a file with a digest, read in
`inputs`, its records in the items' inputs; then a change of it makes exactly the tasks anew that it
touches.

**On the disk**: see `hlvid.build.work`. All but `journal/`, `media/`, `packs/` and
`tombstones.jsonl` may be deleted and comes again.
"""
