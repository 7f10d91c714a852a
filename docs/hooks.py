"""What `make docs` adds to the pages: the generated reference, and pages of the repository's root.

MkDocs calls the functions that begin with `on_`.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OF_THE_ROOT = ("SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md")
LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give every public package a place below "Python"."""
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    pages = [{name: f"reference/python/{name}.md"} for name in public_packages()]
    for part in config.nav or []:
        for entry in part.get("Reference", []):
            if "Python" in entry:
                entry["Python"] = [{"Packages": "reference/python.md"}, *pages]
    return config


def public_packages() -> list[str]:
    """The packages that the table of reference/python.md names."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(ezav[a-z_.]*)` \|", page, re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    from docs import commands

    made = {
        "reference/command-line.md": commands.command_line_page(),
        "reference/method-settings.md": commands.method_settings_page(),
    }
    made |= {
        f"reference/python/{name}.md": f"# {name}\n\n::: {name}\n" for name in public_packages()
    }
    made |= {
        name: _of_the_root((ROOT / name).read_text(encoding="utf-8"))
        for name in OF_THE_ROOT
        if (ROOT / name).is_file()
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository that are no pages are shown as their paths."""
    here = posixpath.dirname(page.file.src_uri)
    return LINK.sub(lambda found: _link(found, here), markdown)


def _link(found: re.Match[str], here: str) -> str:
    text, up, path, anchor = found[1], found[2], found[3], found[4] or ""
    target = posixpath.normpath(posixpath.join("docs", here, up + path))
    if target.startswith("docs/"):
        return found[0]
    if target in OF_THE_ROOT:
        return f"[{text}]({posixpath.relpath(target, here or '.')}{anchor})"
    if not (ROOT / target).exists():
        raise FileNotFoundError(f"docs/{here}: a link to {target}, which is not there")
    return f"{text} (`{target}`)"


def _of_the_root(text: str) -> str:
    """A page of the repository's root: its links to docs/ are links to pages."""
    text = re.sub(r"\]\(docs/([^)]+)\)", r"](\1)", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)(?!\S*\.md[)#])([^)\s]+)\)", r"\1 (`\2`)", text)
