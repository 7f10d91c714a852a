"""What the documents hold: words a page, blocks that are executed, what is not explained.

python -m docs.counts
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import griffe
from docs.hooks import public_packages
from tests.docs.blocks import blocks_of
from tests.docs.world import pages

from docs import commands
from ezav.methods import registry

ROOT = Path(__file__).parents[1]
IMPERATIVES = set(
    re.findall(
        r"\w+",
        """Accept Add Allow Answer Ask Average Begin Believe Blend Call Change Check Choose Compare
        Compute Count Decay Decide Decode Divide Do Draw Embed End Export Fix Generate Give
        Imitate Import Install Keep Learn Leave Let List Listen Look Make Mask Match Merge Move
        Multiply Name Normalise Offer Override Part Pass Print Pull Put Read Recognise Refuse
        Regress Report Ring Run Sample Say Scale Score Search Seed Set Show Sign Start Stop
        Store Take Teach Tell Train Try Tune Use Verify Weigh Work Write""",
    )
)
"""What the help of an option may begin with: a verb that says what the option does."""


def options() -> list[tuple[str, commands.Option]]:
    """Each option of each command and method, with its owner."""
    found = [(w, one) for w, _, parser in commands.parsers() for one in commands.options_of(parser)]
    return found + [(n, one) for n in registry.names() for one in commands.method_options(n)]


def unexplained(every: list[tuple[str, commands.Option]]) -> list[str]:
    """The options whose help is no whole sentence: "Write ... .", not "The folder for ... ."."""
    return [
        f"{owner} {one.names[0]}: {one.help!r}"
        for owner, one in every
        if one.help.split(" ")[0] not in IMPERATIVES
        or not one.help.endswith(".")
        or len(one.help.split()) < 3
    ]


def loaded() -> griffe.GriffeLoader:
    """The sources of ezav, read without importing them."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / "src"])
    loader.load("ezav")
    loader.resolve_aliases(implicit=True)
    return loader


def public_names(package: str, packages: griffe.GriffeLoader) -> Iterator[tuple[str, bool]]:
    """Every public name of a package and every public method, and whether it is explained."""
    module = packages.modules_collection[package]
    for name in sorted(str(one) for one in module.exports or ()):
        found = module.all_members[name]
        if found.is_module:
            continue
        yield name, found.docstring is not None
        if found.is_class:
            for method, one in found.members.items():
                if one.is_function and not method.startswith("_"):
                    yield f"{name}.{method}", not _bare(found, method)


def _bare(owner: griffe.Object | griffe.Alias, method: str) -> bool:
    """Neither the method nor one that it replaces says what it does."""
    kin = [owner, *owner.mro()]
    return all(one.members[method].docstring is None for one in kin if method in one.members)


def words(text: str) -> int:
    """Of the prose: no blocks, no tables, no addresses."""
    text = re.sub(r"```.*?```|<!--.*?-->|\]\([^)]*\)", " ", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    return len(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", "\n".join(lines)))


def main() -> None:
    """Print all counts."""
    followed = pages()
    written = [*followed, *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
    total = executed = left_out = 0
    for page in sorted(set(written)):
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = [one for one in blocks_of(text) if one.language in {"sh", "python"}]
        blocks = blocks if page in followed else []
        left = sum(bool(one.not_run) for one in blocks)
        number = words(text)
        print(f"{number:6,} words  {len(blocks) - left:3} blocks executed  {left:2} not  {page}")
        total, executed, left_out = total + number, executed + len(blocks) - left, left_out + left
    print(f"{total:6,} words  {executed:3} blocks executed  {left_out:2} not, with the reason")
    every = options()
    print(f"{len(unexplained(every))} of {len(every):,} options not explained")
    packages = loaded()
    names = [known for one in public_packages() for _, known in public_names(one, packages)]
    print(f"{names.count(False)} of {len(names):,} public names not explained")


if __name__ == "__main__":
    main()
