import html.parser
import re
import shutil
import subprocess

import pytest

from servable.report import Finding, Report, Severity, Skipped
from servable.report_page import render_page

ATTACK = "<script>alert(1)</script>\"' onload=x {{ 7 * 7 }}"


class Page(html.parser.HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def report():
    return Report(
        subject="models/1",
        checked=("layout", "weights", "ops"),
        findings=(
            Finding("weights", Severity.WARNING, "values are large", "variable w", "Look at them."),
            Finding("ops", Severity.ERROR, "PyFunc runs code", "node py", "Leave it out."),
        ),
        skipped=(Skipped("fidelity", "there is no baseline"),),
        facts={
            "variable_bytes": 31400,
            "load_time_s": 0.25,
            "worst_differences": {"serve": {"y": 5e-8, "s": None}},
        },
    )


def test_says_the_outcome_first_then_every_check(report):
    text = render_page(report, title="digits")
    words = ["Not fit to serve", ">layout<", "passed", "warning", "failed", "skipped", "there is no baseline"]
    positions = [text.index(word, text.index("<main>")) for word in words]
    assert positions[0] < min(positions[1:])


def test_errors_come_before_warnings_with_advice(report):
    texts = Page(render_page(report, title="digits")).texts
    joined = " ".join(texts)
    assert joined.rindex("Leave it out.") < joined.rindex("Look at them.")


def test_facts_have_units(report):
    text = render_page(report, title="digits")
    for fact in ("31.4 kB", "0.25 s", "worst differences / serve / y", "5e-08"):
        assert fact in text


def test_names_in_a_model_are_text_and_never_markup():
    report = Report(
        subject=ATTACK,
        checked=(ATTACK,),
        findings=(Finding(ATTACK, Severity.ERROR, ATTACK, ATTACK, ATTACK),),
        skipped=(Skipped(ATTACK, ATTACK),),
        facts={ATTACK: {ATTACK: ATTACK}},
    )
    text = render_page(report, title=ATTACK)
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [attrs for _, attrs in page.tags if "onload" in attrs]
    assert "".join(page.texts).count("<script>alert(1)</script>") >= 9
    assert "49" not in text


def test_page_needs_no_other_file(report):
    text = render_page(report, title="digits")
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?:", text)


def test_passed_report_has_no_findings_to_show():
    text = render_page(Report("m", checked=("layout",)), title="m")
    assert text.index("Fit to serve", text.index("<main>")) < text.index("1 checks made")
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == ["Checks"]


def test_characters_that_turn_or_hide_text_are_shown_as_escapes():
    text = render_page(
        Report("m\u202e1", facts={"signatures": {"a\u200bb": "c\u2066d"}}), title="t\x1b\u200f"
    )
    assert not set(text) & set("\u202e\u200b\u2066\u200f\x1b")
    for escape in (r"m\u202e1", r"a\u200bb", r"c\u2066d", r"t\x1b\u200f"):
        assert escape in text


@pytest.fixture
def hostile():
    """A report with every section, in which every name is an attack."""
    spec = {"dtype": "float32", "shape": [None, 3]}
    errors = {"edges": [1e-8, 1e-7], "counts": [2], "zeros": 0, "quantiles": {"0.5": 0, "0.99": 0, "1": 0}}
    figures = {
        "values": 2,
        "outside": 1,
        "atol": 1e-4,
        "rtol": 0,
        "points": [[0, 0], [1, 2]],
        "errors": errors,
    }
    proof = {"installed": True, "loaded": True, "ran": [ATTACK], "differing": [ATTACK]}
    return Report(
        subject=ATTACK,
        checked=("ops",),
        findings=(Finding("ops", Severity.ERROR, ATTACK, ATTACK, ATTACK),),
        facts={
            "signature_specs": {
                ATTACK: {"method": "predict", "inputs": {ATTACK: spec}, "outputs": {ATTACK: spec}}
            },
            "comparisons": {ATTACK: {ATTACK: figures}},
            "cost": {"latencies": {ATTACK: {"1": {"p50_s": 1e-3, "p90_s": 2e-3, "p99_s": 3e-3}}}},
            "runtimes": {ATTACK: proof},
            "compatibility": [
                {"target": ATTACK, "tensorflow": "1.15.5", "loads": False, "runs": False, "obstacle": ATTACK}
            ],
            "weights": [{"name": ATTACK, "dtype": "float32", "shape": [3], "size_bytes": 12}],
            "lineage": {"source": ATTACK},
        },
    )


def test_every_section_takes_names_for_text(hostile):
    text = render_page(hostile, title=ATTACK)
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert {
        "Signatures",
        "Baseline and candidate",
        "Latency by rows of a request",
        "Runtimes that ran it",
    } < {*headings}
    assert {"Targets", "Weights", "Lineage"} < {*headings}
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert "".join(page.texts).count("<script>alert(1)</script>") >= 14


def test_facts_of_another_form_are_listed_and_break_nothing():
    facts = {
        "signature_specs": {"s": "of another version"},
        "comparisons": 3,
        "cost": {"latencies": {"s": {"1": {}}}},
        "runtimes": {"2.7.4": None},
        "compatibility": [{}],
        "weights": {"w": 1},
    }
    text = render_page(Report("m", checked=("layout",), facts=facts), title="m")
    assert re.findall("<h2>(.*?)</h2>", text) == ["Checks", "Facts"]
    assert "of another version" in text


def find_chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("chromium is not installed: the page is not opened in a browser")
    return found


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_complaint_and_without_sideways_scrolling(hostile, tmp_path, width):
    chromium = find_chromium()
    page = tmp_path / "page.html"
    page.write_text(render_page(hostile, title=ATTACK), encoding="utf-8")
    (tmp_path / "frame.html").write_text(
        # A frame as wide as the screen; its page's own width goes into the title, which is in the DOM.
        f'<iframe src="page.html" style="width:{width}px;height:9000px;border:0" onload="'
        "let d=this.contentDocument;document.title=d.documentElement.scrollWidth+' '+d.images.length"
        "+' '+d.scripts.length+' '+d.querySelectorAll('svg').length\"></iframe>"
    )
    done = subprocess.run(
        [
            chromium,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--allow-file-access-from-files", "--virtual-time-budget=3000", "--enable-logging=stderr"),
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},1000",
            "--dump-dom",
            (tmp_path / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    seen = re.search(r"<title>(\d+) (\d+) (\d+) (\d+)</title>", done.stdout)
    assert seen, done.stdout[:300]
    scroll_width, images, scripts, drawings = map(int, seen.groups())
    assert scroll_width == width
    assert (images, scripts) == (0, 0)
    assert drawings == 4
