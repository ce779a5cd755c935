"""The checks of a page in a real browser, at the widths of a phone, a tablet and a laptop."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

WIDTHS = (1280, 768, 390)
HEIGHT = 900
LOCAL = ("file:", "data:", "blob:", "about:")

_SCRIPT = (Path(__file__).parent / "page_checks.js").read_text()
_ID = re.compile(r"""\b(?:id|name)=["']([^"']+)["']""")
_LINK = re.compile(r"""<(?:a|link|script|img)\b[^>]*?\b(?:href|src)=["']([^"']*)["']""")
_ELEMENT = re.compile(r"<(pre|code|script|style)\b.*?</\1>", re.DOTALL)


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self, page):
        """Hear what this page writes, throws and asks for."""
        page.on("console", lambda one: self.console.append(f"{one.type}: {one.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        page.on("request", lambda one: self.requests.append(one.url))
        page.on("websocket", lambda one: self.requests.append(one.url))

    def faults(self):
        """Return what should not have been said or asked for, and forget it."""
        said = [f"console: {text[:200]}" for text in self.console]
        asked = [
            f"network: {url[:200]}"
            for url in self.requests
            if not url.startswith(LOCAL)
        ]
        self.console.clear()
        self.requests.clear()
        return said + list(dict.fromkeys(asked))


def open_page(browser):
    """Open an empty page; return it with what will be heard of it."""
    page = browser.new_page(viewport={"width": WIDTHS[0], "height": HEIGHT})
    heard = Heard()
    heard.listen(page)
    return page, heard


def look(page, heard, path, *, widths=WIDTHS, own=True, pictures=None):
    """Open a file, and return what is wrong with it, by width.

    Args:
        page: An open page of a browser.
        heard: What listens to it.
        path: The file.
        widths: Of the window, in pixels.
        own: Whether daleml composed the page, and no theme did.
        pictures: Folder for one picture a width; None for none.

    Returns:
        Sentences, each with the width in front; none if all is well.
    """
    page.set_viewport_size({"width": widths[0], "height": HEIGHT})
    page.goto(path.resolve().as_uri(), wait_until="load")
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        faults = page.evaluate(_SCRIPT, {"own": own})
        found += [f"{width}: {fault}" for fault in faults]
        if pictures is not None:
            name = f"{path.parent.name}-{path.stem}-{width}.png"
            page.screenshot(path=pictures / name, full_page=True)
    return found + heard.faults()


# -- links, which need no browser


def dead_links(path, root):
    """Return the links of a file to files or places that are not there."""
    dead = []
    for link in _LINK.findall(_text(path)):
        url = urllib.parse.urlsplit(link.replace("&amp;", "&"))
        if url.scheme or link.startswith("//"):
            continue
        target = path
        if url.path:
            target = (path.parent / urllib.parse.unquote(url.path)).resolve()
        if not target.exists():
            dead.append(f"link: {link} leads nowhere")
        elif target.is_dir():
            dead.append(f"link: {link} is a folder, which shows no page from a file")
        elif not target.is_relative_to(root):
            dead.append(f"link: {link} leads out of the pages")
        elif url.fragment and target.suffix == ".html":
            place = urllib.parse.unquote(url.fragment)
            if place not in _places(target):
                dead.append(f"link: {link} names a place that is not there")
    return list(dict.fromkeys(dead))


@cache
def _text(path):
    return path.read_text(encoding="utf-8")


@cache
def _places(path):
    return frozenset(_ID.findall(_text(path)))
