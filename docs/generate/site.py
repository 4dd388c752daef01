"""A hook of mkdocs: files of the repository that the pages link to become part of the site.

On disk a page links to ``../models/band.md``, so that the link works in a checkout too. In the site all files
lie below ``docs``; those from elsewhere are put below ``repository`` there, and links are changed to match.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
FOLDER = "repository"
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[#)])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file that a page links to, and those that the added pages link to."""
    waiting = [file for file in files if file.src_uri.endswith(".md")]
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.content_string):
            path = _find_in_repository(page.src_uri, link)
            uri = f"{FOLDER}/{path}"
            if path.startswith("docs/") or files.get_file_from_path(uri) or not (ROOT / path).is_file():
                continue
            added = File.generated(config, uri, abs_src_path=str(ROOT / path))
            files.append(added)
            if uri.endswith(".md"):
                waiting.append(added)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Change links to where the files lie in the site."""
    uri = page.file.src_uri

    def change(match: re.Match[str]) -> str:
        path = _find_in_repository(uri, match[1])
        target = path.removeprefix("docs/") if path.startswith("docs/") else f"{FOLDER}/{path}"
        return posixpath.relpath(target, posixpath.dirname(uri) or ".")

    return LINK.sub(change, markdown)


def _find_in_repository(uri: str, link: str) -> str:
    """Return the path in the repository that a link on a page of the site means."""
    path = uri.removeprefix(f"{FOLDER}/") if uri.startswith(f"{FOLDER}/") else f"docs/{uri}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
