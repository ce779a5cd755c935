"""Each check fails on a page that has the fault, and on no other."""

import pytest

from tests.pages.browser import checks

pytestmark = pytest.mark.browser

GOOD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  .scroll {{ overflow-x: auto; background: linear-gradient(#fff, #eee); }}
  td, th {{ white-space: nowrap; padding: .2rem }}
  td:first-child, th:first-child {{ position: sticky; left: 0; }}
</style></head>
<body><h1>A page</h1><p>Words of it, and <a href="#place">a link</a>.</p><h2 id="place">A part</h2>
{}</body></html>"""

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
CELL = "<td>" + "some words " * 3 + "</td>"
WIDE = f"<table><tr><th>a name</th>{CELL * 3}</tr><tr><th>other</th>{CELL * 3}</tr></table>"
WIDE = WIDE.replace("<th>", "<td>").replace("</th>", "</td>")
SPACE = '<div style="height: 3rem; position: relative">{}</div>'

FAULTS = {
    "overflow": '<p style="width: 1400px">' + "words " * 200 + "</p>",
    "cut": '<p style="width: 9rem; overflow: hidden; white-space: nowrap">One line of many words</p>',
    "overlap": SPACE.format(
        '<p style="position: absolute; margin: 0; top: 0">First words</p>'
        '<p style="position: absolute; margin: 0; top: 4px">Other words</p>'
    ),
    "table: .* hides": f'<div class="scroll" tabindex="0">{WIDE.replace("</tr>", CELL * 6 + "</tr>")}</div>',
    "table: .* nothing shows": f'<div class="scroll" tabindex="0" style="background: none; scrollbar-width: none">{WIDE}</div>',
    "table: .* by keys": f'<div class="scroll">{WIDE}</div>',
    "table: the first column of .* does not stay": f'<div class="scroll" tabindex="0">{WIDE.replace("<td>a name", "<td style=position:static>a name")}</div>',
    "table: the first column of .* leaves no room": f'<div class="scroll" tabindex="0">{WIDE.replace("a name", "a name " * 6)}</div>',
    "alt: .* has no text": f'<img src="{PIXEL}">',
    "alt: .* is a file's name": f'<img src="{PIXEL}" alt="_images/a.png">',
    "alt: .* has no title": '<svg width="20" height="20"><circle r="9"/></svg>',
    "image": '<img src="nowhere.png" alt="A picture">',
    "headings: 2": "<h1>Another</h1>",
    "headings: .* follows": "<h4>Too deep</h4>",
    "small: .* letters": '<p style="font-size: 9px">Small print</p>',
    "small: a figure": f'<img src="{PIXEL}" alt="A figure" data-drawn="900" width="300" height="90">',
    "target": "<button style='width: 12px; height: 12px; padding: 0; overflow: visible'>x</button>",
    "console: error": "<script>console.error('no')</script>",
    "console: warning": "<script>console.warn('no')</script>",
    "console: error: .*thrown": "<script>throw new Error('thrown')</script>",
    "network": '<link rel="preload" as="fetch" href="https://example.com/x"><script>fetch("https://example.com/y").catch(() => 0)</script>',
}  # fmt: skip


def faults_of(tab, folder, body, head=GOOD):
    path = folder / "page.html"
    path.write_text(head.format(body))
    page, heard = tab
    return checks.look(page, heard, path)


def test_a_good_page_has_no_fault(tab, tmp_path):
    body = (
        f'<img src="{PIXEL}" alt="A dot"><div class="scroll" tabindex="0">{WIDE}</div>'
    )
    assert faults_of(tab, tmp_path, body) == []
    assert checks.dead_links(tmp_path / "page.html", tmp_path) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault, tab, tmp_path):
    found = faults_of(tab, tmp_path, FAULTS[fault])
    pattern = __import__("re").compile(rf"^(\d+: )?{fault}")
    assert any(pattern.search(one) for one in found), found


def test_a_page_without_a_language_or_a_title(tab, tmp_path):
    bare = "<!doctype html><html><head></head><body><h1>A</h1>{}</body></html>"
    found = faults_of(tab, tmp_path, "", bare)
    assert any("language" in one for one in found)
    assert any("title" in one for one in found)


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("other.html", "leads nowhere"),
        ("#nowhere", "names a place that is not there"),
        ("page.html#nowhere", "names a place that is not there"),
        (".", "is a folder"),
        ("../outside.html", "leads out"),
    ],
)
def test_dead_links_are_found(link, said, tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    (tmp_path / "outside.html").write_text("")
    (folder / "page.html").write_text(GOOD.format(f'<a href="{link}">there</a>'))
    (found,) = checks.dead_links(folder / "page.html", folder)
    assert said in found
