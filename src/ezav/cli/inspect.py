"""What decided: a run's recall class by class, and for clips of a store the tokens behind a score.

For every clip the class that is chosen (and, where it is another, the right one) gets its score
split into what each token gave: the class token, and each moment of sound and picture. The parts
sum to the score exactly; attention is the mean over heads. The choice is made among stacked
scores: gamma is taken off those of seen classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.text import Text

from ezav.cli.common import Command, Importing, at_least_one, output
from ezav.errors import EzavError

_KINDS = ("class token", "audio", "visual")
_MOST_TOKENS = 6


@dataclass(kw_only=True)
class InspectCommand(Command):
    run_folder: tyro.conf.Positional[Path]
    """A run folder; of ez_avgzl, where --store is given."""
    store: Path | None = None
    """The feature store of the run, to look into clips; without it: the classes only."""
    clips: tuple[str, ...] = ()
    """Clips of the store, by their ids; by default the first few of the test clips."""
    count: int = 5
    """How many test clips to show if none are named."""
    device: str = "cpu"
    """cpu, cuda, or auto."""
    import_code: Importing = False

    def run(self) -> dict[str, Any]:
        from ezav.protocol.run_folder import read_result

        at_least_one(count=self.count)
        result = read_result(self.run_folder)
        classes = sorted(result.per_class, key=lambda one: (one.recall is None, one.recall or 0))
        if self.clips and self.store is None:
            raise EzavError("clips are named, but no store", "give it: --store STORE")
        return {
            "run": str(self.run_folder),
            "gamma": result.gamma,
            "classes": [one.model_dump() for one in classes],
            "clips": [] if self.store is None else self._clips(),
        }

    def _clips(self) -> list[dict[str, Any]]:
        import torch

        from ezav.features.store import FeatureStore
        from ezav.methods.ez_avgzl.method import EzAvgzl
        from ezav.protocol.run_folder import read_model

        model, result = read_model(self.run_folder, self.device, import_code=self.import_code)
        if not isinstance(model.method, EzAvgzl):
            raise EzavError(f"'{result.method}' does not attend token by token", "use ez_avgzl")
        assert self.store is not None
        store = FeatureStore.open(self.store)
        if store.fingerprint != result.store_fingerprint:
            raise EzavError(f"'{self.store}' is not the store that this run was trained on")
        clips = store.select(*(() if self.clips else ("test_seen", "test_unseen")))
        row_of = {name: row for row, name in enumerate(clips.clips)}
        unknown = [name for name in self.clips if name not in row_of]
        if unknown:
            raise EzavError(f"the store has no readable clip '{unknown[0]}'")
        rows = torch.tensor(
            [row_of[name] for name in self.clips] or range(len(clips))[: self.count]
        )
        names, method = model.classes.names, model.method
        pooled, device = not method.uses_time, method.device
        audio = clips.audio.gather(rows, pooled=pooled).to(device)
        visual = clips.visual.gather(rows, pooled=pooled).to(device)
        with torch.inference_mode():
            shares = method.inspect(audio, visual, model.classes.vectors.to(device))
        scores = shares.contribution.sum(-1).cpu()
        stacked = scores - result.gamma * model.seen
        found = []
        for place, row in enumerate(rows.tolist()):
            label = clips.classes[int(clips.labels[row])]
            chosen = int(stacked[place].argmax())
            columns = [chosen]
            if label in names and names[chosen] != label:
                columns.append(names.index(label))
            real = shares.real[place].nonzero()[:, 0].tolist()
            found.append(
                {
                    "clip": clips.clips[row],
                    "label": label,
                    "classes": [
                        {
                            "name": names[column],
                            "score": float(scores[place, column]),
                            "stacked": float(stacked[place, column]),
                            "tokens": [
                                {
                                    "kind": _KINDS[int(shares.kinds[token])],
                                    "seconds": float(shares.times[place, token]),
                                    "attention": float(shares.attention[place, column, token]),
                                    "contribution": float(
                                        shares.contribution[place, column, token]
                                    ),
                                }
                                for token in real
                            ],
                        }
                        for column in columns
                    ],
                }
            )
        return found

    def show(self, result: dict[str, Any]) -> None:
        from rich.table import Table

        table = Table("class", "", "clips", "recall", "among unseen", box=None)
        for one in result["classes"]:
            numbers = ("" if x is None else f"{x:.1%}" for x in (one["recall"], one["zsl_recall"]))
            kind = "seen" if one["seen"] else "unseen"
            table.add_row(one["name"], kind, str(one["clips"]), *numbers)
        output.print(table)
        for clip in result["clips"]:
            output.print(Text(f"\n{clip['clip']}", "bold"), f" is '{clip['label']}'")
            for one in clip["classes"]:
                less = one["stacked"] != one["score"]
                seen = f", less gamma {one['stacked']:+.3f}" if less else ""
                output.print(f"  {one['name']}  score {one['score']:+.3f}{seen}")
                tokens = sorted(one["tokens"], key=lambda token: -abs(token["contribution"]))
                for token in tokens[:_MOST_TOKENS]:
                    when = f" at {token['seconds']:.1f} s" if token["seconds"] else ""
                    output.print(
                        f"    {token['contribution']:+.3f}  attention {token['attention']:.2f}  "
                        f"{token['kind']}{when}"
                    )
                if len(tokens) > _MOST_TOKENS:
                    output.print(f"    and {len(tokens) - _MOST_TOKENS} more (--json gives all)")


CLI = InspectCommand
