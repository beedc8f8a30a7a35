"""The pages of the site that mkdocs.yml describes, as a hook of MkDocs: where they lie, and two that are only there.

MkDocs takes pages from one folder, ours lie beside what they describe. Here each keeps its path in the repository, so
that a link means the same there and on the site, and so does every other file that a page links to.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import agent0

ROOT = Path(__file__).parents[2]
PLACES = (
    "*.md",
    "docs/*.md",
    "images/README.md",
    "mlflow/README.md",
    "pipelines/manifests/README.md",
    "components/*/README.md",
)
PAGES = [path for place in PLACES for path in sorted(ROOT.glob(place))]
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
FENCED = re.compile(r"^( *)(`{3,})[^`\n]*\n.*?^\1\2`*$", re.MULTILINE | re.DOTALL)


def links(page: Path) -> set[Path]:
    """Return the paths that a page of this repository links to; they need not exist."""
    found = map(unquote, LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))))
    return {(page.parent / link).resolve() for link in found if "://" not in link and not link.startswith("mailto:")}


def names() -> str:
    """Return the page of the public names: what their docstrings say."""
    listed = "".join(f"\n::: agent0.{name}\n" for name in sorted(agent0.__all__) if name != "__version__")
    return f"# Public names\n\n[From a program](api.md) shows them at work.\n{listed}"


def components() -> str:
    """Return the page that lists the components, each with the first sentences of its own."""
    rows = ""
    for page in sorted(ROOT.glob("components/*/README.md")):
        title, text = page.read_text(encoding="utf-8").split("\n\n")[1:3]
        rows += f"| [{title.removeprefix('# ')}]({page.parent.name}/README.md) | {' '.join(text.splitlines())} |\n"
    return f"# Components\n\n| component | what it does |\n| --- | --- |\n{rows}"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the pages, and the files that they link to, in the place of those that MkDocs found in one folder."""
    for file in list(files.documentation_pages()) + list(files.media_files()):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    linked = {path for page in PAGES for path in links(page) if path.is_file()}
    for path in sorted({*PAGES, *linked}):
        name = path.relative_to(ROOT).as_posix()
        files.append(_placed(File(name, str(ROOT), config.site_dir, config.use_directory_urls)))
    files.append(_placed(File.generated(config, "docs/names.md", content=names())))
    files.append(_placed(File.generated(config, "components/README.md", content=components())))
    return files


def _placed(file: File) -> File:
    """Give what lies in docs/ an address without that folder."""
    file.dest_uri = file.dest_uri.removeprefix("docs/")
    return file
