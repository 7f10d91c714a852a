"""Methods x seeds on a store: jobs from recipes, one results table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ezav.benchmarks.runner import Job
from ezav.errors import EzavError, NotFoundError
from ezav.features.begin import HEADER_FILE
from ezav.features.simulated import simulated_banner
from ezav.features.store import FeatureStore
from ezav.markdown import escaped, markdown_rows
from ezav.naming import as_cell
from ezav.protocol.result import RunResult
from ezav.recipes.frozen import frozen_settings
from ezav.recipes.published import PublishedResult, published_results
from ezav.recipes.recipe import label_of, load_recipe
from ezav.recipes.settings import FROZEN_BASELINE, protocol_for
from ezav.recipes.suites import suite_of
from ezav.safe_io import atomic_path, refuse_links, write_text

_PUBLISHED = ("S", "U", "HM", "ZSL")


def plan(
    store: FeatureStore,
    methods: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    training: Mapping[str, Any] | None = None,
    text_encoder: str | None = None,
    device: str = "cpu",
    import_code: bool = False,
) -> list[Job]:
    """The jobs of a benchmark, method by method, each with its recipe for the store's suite.

    Where the features share a space with the class embeddings, the frozen baseline joins the
    methods, once: nothing in it is drawn. Features of another space have no share in its scores.

    Args:
        store: the features.
        methods: names of methods, or paths of recipe files; a file's runs are labelled by its name.
        seeds: of every method.
        out: the folder for runs.
        training: overrides of the recipes' training settings, for all methods alike.
        text_encoder, device: as for :class:`ezav.protocol.TwoStageProtocol`.
        import_code: import methods of one's own that recipe files name (`docs/concepts/trust.md`).

    Raises:
        NotFoundError: an unknown method, recipe or text encoder.
        RefusedError: a recipe file names a method that would have to be imported.
        EzavError: two methods of one name.
    """
    jobs = []
    wanted = [(name, load_recipe(name, import_code=import_code), seeds) for name in methods]
    baseline = load_recipe(FROZEN_BASELINE)
    can_be_frozen = frozen_settings(store, text_encoder) is not None
    if can_be_frozen and all(recipe.method != baseline.method for _, recipe, _ in wanted):
        wanted.append((FROZEN_BASELINE, baseline, seeds[:1]))
    for name, recipe, each in wanted:
        protocol = protocol_for(
            recipe, store, training=training, text_encoder=text_encoder, device=device
        )
        label = label_of(name)
        folder = out / "runs" / _folder_name(label)
        refuse_links(out, folder)
        jobs += [
            Job(
                protocol=replace(protocol, seed=seed),
                store=store.path,
                folder=folder / f"seed-{seed}",
                label=label,
                texts=store.texts,
            )
            for seed in each
        ]
    taken = [job.folder for job in jobs]
    for job in jobs:
        if taken.count(job.folder) > 1:
            raise EzavError(
                f"two of the methods are called '{job.label}'",
                "name each once; recipe files go by their file names",
            )
    return jobs


def _folder_name(label: str) -> str:
    return re.sub(r"[^\w.-]+", "-", label)


def published_rows(store: FeatureStore) -> Sequence[PublishedResult]:
    """What papers report on the store's suite; none for data of one's own."""
    return published_results(suite_of(store.header))


def write_tables(results: Sequence[RunResult], store: FeatureStore, out: Path) -> Path:
    """Write `results.parquet` and `results.csv` (a row a run) and `results.md`; returns the last.

    The Markdown table holds mean ± sd over seeds with chance, then the published rows apart, each
    with its source and text alignment: they are not ours and are never mixed in.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    from ezav.reports.tables import markdown_table, summary_rows

    table = pa.Table.from_pylist([_row(result) for result in results])
    with atomic_path(out / "results.parquet") as path:
        pa.parquet.write_table(table, path)
    with atomic_path(out / "results.csv") as path:
        pa.csv.write_csv(pa.Table.from_pylist(list(map(_as_cells, table.to_pylist()))), path)
    title = f"# {escaped(store.header.dataset)} · {escaped(store.header.setting)}"
    text = [title, "", _counts(store), ""]
    if store.header.simulated:
        text += [f"**{simulated_banner()}**", ""]
    text += [markdown_table(summary_rows(results)), ""]
    text += _published_markdown(published_rows(store), store.header.setting)
    write_text(out / "results.md", "\n".join(text))
    return out / "results.md"


def _as_cells(row: dict[str, Any]) -> dict[str, Any]:
    """For a spreadsheet: names that others gave are no formulas."""
    return {k: as_cell(v) if isinstance(v, str) else v for k, v in row.items()}


def _row(result: RunResult) -> dict[str, Any]:
    return {
        "label": result.label,
        "method": result.method,
        "dataset": result.dataset,
        "setting": result.setting,
        "simulated": result.simulated,
        "text_alignment": result.text_alignment,
        "seed": result.seed,
        "gamma": result.gamma,
        "epoch": result.epoch,
        **result.metrics.model_dump(),
        **{f"validation_{k}": v for k, v in result.validation.model_dump().items()},
        **{f"chance_{k}": v for k, v in result.chance.model_dump().items()},
        "parameters": result.parameters,
        "seconds": sum(result.timing.values()),
        "store_fingerprint": result.store_fingerprint,
        "ezav": result.versions.get("ezav", ""),
    }


def _counts(store: FeatureStore) -> str:
    parts = [
        f"{split} {len(store.split_classes(split))} / {count}"
        for split, count in store.splits.items()
    ]
    alignment = store.header.text_alignment.replace("_", " ")
    return f"Classes / clips: {' · '.join(parts)}. Text alignment: {alignment}."


def _published_markdown(rows: Sequence[PublishedResult], setting: str) -> list[str]:
    if not rows:
        return []

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.2f}"

    columns = ["method", "setting", *_PUBLISHED, "text alignment", "source"]
    cells = [
        [
            row.method,
            escaped(setting),
            *(percent(getattr(row, metric)) for metric in _PUBLISHED),
            row.text_alignment.replace("_", " "),
            row.source,
        ]
        for row in rows
    ]
    return [
        "Published rows (other people's numbers, on the real features, percent):",
        "",
        markdown_rows(columns, cells, align="ll" + "r" * len(_PUBLISHED) + "ll"),
        "",
    ]


def find_store(target: str, stores: Path) -> FeatureStore:
    """A store by its path, or by the name of a suite inside the folder `stores`.

    Raises:
        NotFoundError: neither is there.
    """
    candidates = [Path(target), stores / target, stores / f"{target}-simulated"]
    folders = [path for path in candidates if path.is_dir()]
    # Another folder may be called like the suite: what an earlier bench wrote, say.
    if found := [path for path in folders if (path / HEADER_FILE).is_file()] or folders:
        return FeatureStore.open(found[0])
    raise NotFoundError(
        f"no feature store '{target}', nor '{stores / target}'",
        "'ezav import' makes one from published files, 'ezav simulate' a simulated one",
    )
