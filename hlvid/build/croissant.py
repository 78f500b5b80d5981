"""The set as Croissant 1.1: files with digests, record sets, splits, and what was done to make it.

The format is that of https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html; the terms
under `rai:` are those of Croissant's vocabulary for responsible use.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hlvid.build.records import Media
from hlvid.build.set_rules import PackageRules

_TERMS = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field"),
    *("fileProperty", "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset"),
    *("jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
_TYPES = {"question_id": "sc:Integer"}
_FORMATS = {
    ".parquet": "application/x-parquet",
    ".mp4": "video/mp4",
    ".jsonl": "application/jsonlines",
}


def croissant(
    *,
    name: str,
    version: str,
    rules: PackageRules,
    files: Mapping[str, Media],
    splits: Sequence[str],
    columns: Sequence[str],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The description of a package.

    Args:
        name: Of the set.
        version: Of the set.
        rules: What the spec says of it.
        files: Path -> digest and size, of all that the description names.
        splits: Their names.
        columns: Of the default configuration.
        facts: As `hlvid.build.facts` gives them.
    """
    objects = [_file(path, media) for path, media in sorted(files.items())]
    url = rules.url or f"urn:hlvid:{name}:{version}"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "@id": name,
        "name": name,
        "alternateName": rules.title or name,
        "description": rules.description or f"{name}: questions about small details of 4K videos.",
        "license": rules.license,
        "url": url,
        "version": version,
        "citeAs": f"{rules.title or name} {version}. {url}",
        "creator": [{"@type": "sc:Organization", "name": who} for who in rules.creators]
        or [{"@type": "sc:Organization", "name": name}],
        **({"datePublished": rules.date} if rules.date else {}),
        "isLiveDataset": False,
        **_responsible(rules, facts),
        "distribution": objects,
        "recordSet": [_splits(splits), *(_questions(split, columns) for split in splits)],
    }


def _file(path: str, media: Media) -> dict[str, Any]:
    suffix = "." + path.rpartition(".")[2]
    kind = ["cr:FileObject", "sc:VideoObject"] if suffix == ".mp4" else "cr:FileObject"
    return {
        "@type": kind,
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{media.num_bytes} B",
        "encodingFormat": _FORMATS.get(suffix, "application/octet-stream"),
        "sha256": media.sha256,
    }


def _splits(splits: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "key": {"@id": "splits/name"},
        "dataType": "cr:Split",
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"}
        ],
        "data": [{"splits/name": split} for split in splits],
    }


def _questions(split: str, columns: Sequence[str]) -> dict[str, Any]:
    where = f"questions-{split}"
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{where}/{column}",
            "name": column,
            "dataType": _TYPES.get(column, "sc:Text"),
            "source": {
                "fileObject": {"@id": f"data/{split}-00000-of-00001.parquet"},
                "extract": {"column": column},
            },
        }
        for column in columns
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": where,
        "name": where,
        "description": f"The questions of the split {split}.",
        "key": {"@id": f"{where}/question_id"},
        "field": fields,
    }


def _responsible(rules: PackageRules, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of how the set came about, in the words of its manifests."""
    missing = ", ".join(f"{n} {state}" for state, n in facts["candidates"].items())
    said = {
        "dataCollection": rules.collection,
        "dataCollectionMissingData": f"Candidates: {missing}.",
        "dataAnnotationProtocol": "Each question was written about one clip with the span and box "
        "of its evidence, answered blind by others, and kept where they agreed or a person ruled.",
        "annotationsPerItem": f"{facts['num_replies_needed']} blind answers at least, or a ruling",
        "dataReleaseMaintenancePlan": f"Takedown: {rules.contact}" if rules.contact else "",
        "dataLimitations": rules.limitations,
        "personalSensitiveInformation": "Videos may show people, number plates and addresses.",
    }
    return {f"rai:{term}": text for term, text in said.items() if text}
