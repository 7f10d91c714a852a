"""Methods x seeds on a store: jobs from recipes, one results table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ezav.benchmarks.published import PublishedResult, published_results, suite_of
from ezav.benchmarks.recipe import Recipe, RecipeSetting, label_of, load_recipe
from ezav.benchmarks.runner import Job
from ezav.errors import EzavError
from ezav.features.begin import HEADER_FILE
from ezav.features.header import EncoderInfo
from ezav.features.importers.layouts import LAYOUTS
from ezav.features.store import FeatureStore
from ezav.protocol.result import RunResult
from ezav.safe_io import atomic_path, write_text

FROZEN_BASELINE = "zero_shot"
"""The recipe whose scores come straight from the encoders."""
WEIGHED = (FROZEN_BASELINE, "blending")
"""Methods with such scores; whose text the class embeddings are decides their `visual_weight`."""


def plan(
    store: FeatureStore,
    methods: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    training: dict[str, Any] | None = None,
    text_encoder: str | None = None,
    device: str = "cpu",
    import_code: bool = False,
) -> list[Job]:
    """The jobs of a benchmark, method by method, each with its recipe for the store's suite.

    Where the features share a space with the class embeddings, the frozen baseline joins the
    methods, once: nothing in it is drawn. Features of another space have no share in its scores.

    Args:
        methods: names of methods, or paths of recipe files; a file's runs are labelled by its name.
        training: overrides of the recipes' training settings, for all methods alike.
        import_code: import methods of one's own that recipe files name (`docs/trust.md`).

    Raises:
        EzavError: an unknown method, recipe or text encoder, or two methods of one name.
    """
    jobs = []
    wanted = [(name, load_recipe(name, import_code=import_code), seeds) for name in methods]
    baseline = load_recipe(FROZEN_BASELINE)
    can_be_frozen = frozen_weight(store, text_encoder) is not None
    if can_be_frozen and all(recipe.method != baseline.method for _, recipe, _ in wanted):
        wanted.append((FROZEN_BASELINE, baseline, seeds[:1]))
    for name, recipe, each in wanted:
        setting = setting_for(recipe, store, text_encoder)
        label = label_of(name)
        for seed in each:
            jobs.append(
                Job(
                    store=store.path,
                    folder=out / "runs" / _folder_name(label) / f"seed-{seed}",
                    method=recipe.method,
                    label=label,
                    seed=seed,
                    config=setting.config,
                    training={**setting.training, **(training or {})},
                    text_encoder=text_encoder,
                    device=device,
                )
            )
    taken = [job.folder for job in jobs]
    for job in jobs:
        if taken.count(job.folder) > 1:
            raise EzavError(
                f"two of the methods are called '{job.label}'",
                "name each once; recipe files go by their file names",
            )
    return jobs


def frozen_weight(store: FeatureStore, text_encoder: str | None = None) -> float | None:
    """The share of the visual score in frozen scores: 1, 0.5, or 0 (audio alone).

    The class embeddings may be the text of the visual encoder (CLIP), of the audio encoder (CLAP),
    or of both side by side; None where they are neither, and there is no baseline.

    Raises:
        EzavError: the store has no class embeddings, or none of that encoder.
    """
    text = store.class_embeddings(text_encoder).encoder
    if store.header.setting == LAYOUTS["clipclap"].features("cls").setting:
        return 0.5
    found = {(one.modality, one.name): _space_of(one) for one in store.header.encoders}
    texts = [found.get(("text", name)) for name in text.split(" + ")]
    visual, audio = (
        next((space for (kind, _), space in found.items() if kind == modality), None)
        for modality in ("visual", "audio")
    )
    if None in texts:
        return None
    seen, heard = texts in ([visual], [visual, audio]), texts in ([audio], [visual, audio])
    return 0.5 * (1 + seen - heard) if seen or heard else None


def setting_for(
    recipe: Recipe, store: FeatureStore, text_encoder: str | None = None
) -> RecipeSetting:
    """A recipe's setting for the store's suite.

    Frozen scores weigh the modalities by :func:`frozen_weight`, unless the recipe names a weight.

    Raises:
        EzavError: as for :func:`frozen_weight`.
    """
    setting = recipe.setting(suite_of(store.header))
    weight = frozen_weight(store, text_encoder) if recipe.method in WEIGHED else None
    if weight is None:
        return setting
    return setting.model_copy(update={"config": {"visual_weight": weight, **setting.config}})


def _space_of(encoder: EncoderInfo) -> tuple[str, int] | None:
    """The space that an encoder shares with others, and its dimension; None if it has its own."""
    from ezav.encoders import registry

    name = encoder.name.split("@")[0]  # text encoders of a store are called name@revision
    if name not in registry.names(encoder.modality):
        return None
    space = registry.card(encoder.modality, name).space
    return None if space is None else (space, encoder.dimension)


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
        pa.csv.write_csv(table, path)
    text = [f"# {store.header.dataset} · {store.header.setting}", "", _counts(store), ""]
    if store.header.simulated:
        text += ["**SIMULATED DATA: random features, nothing here says how good a method is.**", ""]
    text += [markdown_table(summary_rows(results)), ""]
    text += _published_markdown(published_rows(store), store.header.setting)
    write_text(out / "results.md", "\n".join(text))
    return out / "results.md"


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

    lines = [
        "Published rows (other people's numbers, on the real features, percent):",
        "",
        "| method | setting | S | U | HM | ZSL | text alignment | source |",
        "|---|---|--:|--:|--:|--:|---|---|",
    ]
    lines += [
        f"| {row.method} | {setting} | {percent(row.S)} | {percent(row.U)} | {percent(row.HM)} | "
        f"{percent(row.ZSL)} | {row.text_alignment.replace('_', ' ')} | {row.source} |"
        for row in rows
    ]
    return [*lines, ""]


def find_store(target: str, stores: Path) -> FeatureStore:
    """A store by its path, or by the name of a suite inside the folder `stores`.

    Raises:
        EzavError: neither is there.
    """
    candidates = [Path(target), stores / target, stores / f"{target}-simulated"]
    folders = [path for path in candidates if path.is_dir()]
    # Another folder may be called like the suite: what an earlier bench wrote, say.
    if found := [path for path in folders if (path / HEADER_FILE).is_file()] or folders:
        return FeatureStore.open(found[0])
    raise EzavError(
        f"no feature store '{target}', nor '{stores / target}'",
        "'ezav import' makes one from published files, 'ezav simulate' a simulated one",
    )
