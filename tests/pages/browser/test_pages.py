"""Every page as a reader meets it: on a phone, on a tablet and on a laptop."""

import pytest

from tests.pages.browser import checks

pytestmark = pytest.mark.browser

N_API_PAGES = 16
"""API pages that are opened, of all; they are made by one template, and their links are all checked."""

NAMES = ("EIRNN", "fit_weights")


def site_pages(site):
    """Return the pages that people wrote, and an even sample of those that were generated."""
    generated, written = [], []
    for path in sorted(site.rglob("*.html")):
        part = path.relative_to(site).parts[0]
        # Sources with colours, and lists of links: no page of words.
        if part in ("_modules", "_static", "genindex.html", "py-modindex.html"):
            continue
        (generated if part == "api" else written).append(path)
    step = max(1, len(generated) // N_API_PAGES)
    return written + generated[::step]


def report(faults):
    """Return the faults of many pages as text, one line each."""
    return "\n".join(f"{page}: {fault}" for page, found in faults.items() for fault in found)  # fmt: skip


@pytest.mark.parametrize("which", ["demo_page", "fit_page", "claims_page"])
def test_a_page_of_results(which, tab, pictures, request):
    path = request.getfixturevalue(which)
    page, heard = tab
    faults = checks.look(page, heard, path, pictures=pictures)
    faults += checks.dead_links(path, path.parent)
    assert not faults, "\n".join(faults)


def test_the_site(tab, site):
    page, heard = tab
    opened = site_pages(site)
    faults = {}
    for path in opened:
        found = checks.look(page, heard, path, own=False)
        if found:
            faults[path.relative_to(site)] = found
    print(f"{len(opened)} pages at {len(checks.WIDTHS)} widths")
    assert not faults, report(faults)


def test_links_of_the_site(site):
    faults = {}
    for path in sorted(site.rglob("*.html")):
        # Sources with colours: Sphinx leaves them as they are when a name moves to another page.
        if path.relative_to(site).parts[0] == "_modules":
            continue
        found = checks.dead_links(path, site)
        if found:
            faults[path.relative_to(site)] = found
    assert not faults, report(faults)


@pytest.mark.parametrize("name", NAMES)
def test_search_finds_a_public_name(name, tab, site):
    page, heard = tab
    page.goto(f"{(site / 'search.html').as_uri()}?q={name}")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    found = page.locator("#search-results li a").all_text_contents()
    assert any(name in text for text in found), found
    assert heard.faults() == []


def test_pictures_of_the_site(tab, site, pictures):
    page, _ = tab
    for path in [site / "index.html", *sorted(site.glob("*/index.html"))]:
        for width in checks.WIDTHS:
            page.set_viewport_size({"width": width, "height": checks.HEIGHT})
            page.goto(path.as_uri())
            name = f"site-{path.parent.name}-{width}.png"
            page.screenshot(path=pictures / name)
