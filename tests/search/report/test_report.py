"""The report of a campaign: what it says, that it opens alone, and what it does where something is missing."""

import json
import os
import re
import shutil
import sqlite3
import sys
import tomllib
from contextlib import closing
from html.parser import HTMLParser

import optuna
import pytest
from campaigns import write_campaign
from commands import coarsefine_process
from paper_campaign import make_paper
from scipy.stats import binomtest

from coarsefine import Campaign, Interrupted, UsageError, run
from coarsefine.search.campaign.accuracy import Accuracy, expected_highest
from coarsefine.search.cli import main
from coarsefine.search.report import write_report
from coarsefine.search.report.commands import as_toml
from coarsefine.search.report.importance import Importance, importance_in
from coarsefine.search.report.published_values import published_values_for
from coarsefine.search.results.study import find_studies
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage

PAPER = {
    "Table 1": ["3.04e-04", "1.00e-03", "5.26e-08", "6.43e-10"],
    "Figure 2": ["0.01916", "0.00033", "44.08"],
    "Figure 3": ["0.0235", "0.00192", "43.80"],
    "Figure 4": ["0.03406", "0.00572", "43.70"],
    "Figure 5": ["0.02589", "0.00261", "44.19"],
    "Figure 6": ["0.04305", "0.0042", "44.15"],
    "Figure 7": ["0.04488", "0.00472", "44.15"],
    "section 4": ["0.03546", "0.00561", "44.62"],
    "section 5, Figure 8": ["0.03546", "0.00561", "52.94", "47.62"],
}
"""What the report prints, and where; typed from the report, not from the preset's file."""
PLANTED = "</script><script>document.title = 'planted'</script><img src=x onerror=\"document.title = 'planted'\">"


class Page(HTMLParser):
    """A page's text, its tables' rows, and the elements that could do something."""

    def __init__(self, path):
        super().__init__()
        self.path, html = path, path.read_text("utf-8")
        self.html, self.text, self.rows, self.tags, self._in_cell = html, "", [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self._in_cell = False

    def handle_data(self, data):
        if self.cdata_elem:  # within a script or style
            return
        self.text += data.replace("\u202f", " ")
        if self._in_cell:
            self.rows[-1][-1] += data.replace("\u202f", " ")


@pytest.fixture(scope="module")
def small_done(tmp_path_factory):
    """A folder in which the small campaign ended, its gradients were checked and its momentum was studied."""
    folder = write_campaign(tmp_path_factory.mktemp("small"))
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (("gradcheck", "--sample", "20"), ("momentum", "--epochs", "3", "--eta", "0.05")):
            patch.setattr(sys, "argv", ["coarsefine", *command, "--campaign", "small"])
            with pytest.raises(SystemExit, match=r"\A0\Z"):
                main()
    return folder


@pytest.fixture(scope="module")
def small_page(small_done):
    return report(small_done / "studies.db", small_done / "small.html")


@pytest.fixture
def small_copy(small_done, tmp_path):
    return shutil.copy(small_done / "studies.db", tmp_path / "studies.db")


@pytest.fixture(scope="module")
def paper_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "studies.db"
    make_paper(path)
    return path


@pytest.fixture(scope="module")
def paper_page(paper_file):
    return report(paper_file, paper_file.with_name("paper.html"))


def report(storage, output, name=None):
    """Write a report; return its page."""
    opened = open_storage(locate(storage))
    try:
        write_report(opened, name, output)
    finally:
        opened.close()
    return Page(output)


def in_file(path, statement, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def test_report_holds_the_numbers_of_status(small_done, small_page, cli, monkeypatch):
    """The page has the numbers that `status --json` prints: inside it as JSON, and in words with n and uncertainty."""
    monkeypatch.chdir(small_done)
    _, out, _ = cli("status", "small", "--json")
    told = json.loads(out)
    inside = re.search(r'id="status">(.*?)</script>', small_page.html)
    expected = {**told, "final": {k: v for k, v in told["final"].items() if k != "folder"}}
    del expected["storage"]
    assert json.loads(inside[1]) == expected
    n = 300
    for stage in told["stages"]:
        for trial in stage["best"]:
            error = 100 * (trial["value"] * (1 - trial["value"]) / n) ** 0.5
            worth = f"{100 * trial['value']:.2f} % ± {error:.2f}"
            setting = [f"{trial['params'][name]:.4g}" for name in ("eta", "lambda")] + [worth]
            assert any(row[0] == str(trial["number"]) and row[1:4] == setting for row in small_page.rows)
        counts = [str(stage[key]) for key in ("trials", "completed", "pruned", "diverged", "failed")]
        assert any(row[:5] == counts for row in small_page.rows)
    assert f"highest of {told['stages'][0]['completed'] + told['stages'][1]['completed']}" in small_page.text
    assert f"{100 * told['final']['test_accuracy']:.2f} %" in small_page.text
    low, high = Accuracy(told["final"]["test_accuracy"], n).interval
    assert f"{100 * low:.2f} to {100 * high:.2f} %" in small_page.text


def test_report_tells_where_ranges_come_from(small_done, small_page):
    """A narrowed stage names its parent, the trials and the rule; its parent's best points stand beside themselves."""
    studies = load(small_done / "studies.db")
    fine = studies["small/fine"]
    numbers = ", ".join(map(str, fine.user_attrs["narrowed_from"]))
    assert f"narrowed from the best trials of small/coarse (trials {numbers})" in small_page.text
    assert fine.user_attrs["rule"] in small_page.text
    for pair in fine.user_attrs["carried"]:
        before = studies["small/coarse"].trials[pair["from"]].value
        after = fine.trials[pair["number"]].value
        (row,) = [row for row in small_page.rows if row[:2] == [str(pair["number"]), str(pair["from"])]]
        assert row[2].startswith(f"{100 * before:.2f} %")
        assert row[3].startswith(f"{100 * after:.2f} %")


def load(path):
    storage = f"sqlite:///{path}"
    return {name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)}


def test_report_says_how_to_make_it_again(small_done, small_page, tmp_path):
    """Digest, versions and commands stand in the page; for what is no preset, a campaign file that is the same."""
    attrs = load(small_done / "studies.db")["small/coarse"].user_attrs
    assert attrs["data"]["digest"] in small_page.text
    assert all(f"{name} {version}" in small_page.text for name, version in attrs["versions"].items())
    assert "coarsefine run small.toml\n" in small_page.text
    assert "coarsefine momentum --campaign small --eta 0.05 --epochs 3 --seed 0" in small_page.text
    campaign = Campaign.load(small_done / "small.toml")
    assert as_toml(campaign) in small_page.text
    (tmp_path / "again.toml").write_text(as_toml(campaign), "utf-8")
    assert Campaign.load(tmp_path / "again.toml").as_stored() == campaign.as_stored()


@pytest.mark.parametrize("preset", ["digits", "paper", "cifar10"])
def test_written_settings_are_the_campaigns(tmp_path, preset):
    """Every kind of setting survives the way into a campaign file and back."""
    campaign = Campaign.load(preset)
    (tmp_path / "again.toml").write_text(as_toml(campaign), "utf-8")
    assert Campaign.load(tmp_path / "again.toml").as_stored() == campaign.as_stored()


def test_checks_are_told_when_they_were_run(small_done, small_page):
    """Gradient check and momentum study appear as they were recorded, and leave the campaign as it was begun."""
    attrs = load(small_done / "studies.db")["small/coarse"].user_attrs
    for tensor in attrs["gradient_check"]["tensors"]:
        expected = [tensor["tensor"], f"{tensor['relative_error']:.2e}", str(tensor["checked"]), str(tensor["kinks"])]
        assert expected in small_page.rows
        assert tensor["relative_error"] < 1e-6
    assert attrs["gradient_check"]["hidden"] == attrs["momentum"]["hidden"] == 10
    for curve in attrs["momentum"]["curves"]:
        assert [f"{curve['rho']:g}", "3", f"{curve['train_loss']:.4g}"] in [row[:3] for row in small_page.rows]
    campaign = Campaign.load(small_done / "small.toml")
    assert run(campaign, small_done / "studies.db").state == "done"


def test_checks_that_were_not_run_are_missing_with_the_command(paper_page):
    """Where nothing was recorded the page says how to add it."""
    assert "coarsefine gradcheck --campaign paper --data cifar-10-binary.tar.gz" in paper_page.text
    assert "coarsefine momentum --campaign paper --data cifar-10-binary.tar.gz" in paper_page.text


def test_check_is_recorded_for_a_campaign_that_is_there_alone(small_done, cli, monkeypatch):
    """A check for an unknown campaign, or with images of its own, is refused in one sentence; nothing is trained."""
    monkeypatch.chdir(small_done)
    assert cli("gradcheck", "--campaign", "large")[::2] == (
        2,
        f"{small_done / 'studies.db'} has no campaign 'large': name one of those it has (small).\n",
    )
    told = "The campaign 'small' has its own images: leave out --dataset digits.\n"
    assert cli("momentum", "--campaign", "small", "--dataset", "digits")[::2] == (2, told)


def test_second_check_takes_the_place_of_the_first(small_copy, cli):
    """A check is told to be recorded, and the newest one counts."""
    code, _, err = cli("gradcheck", "--campaign", "small", "--sample", "5")
    assert (code, err) == (0, "Recorded with small/coarse, for `coarsefine report`.\n")
    kept = load(small_copy)["small/coarse"].user_attrs["gradient_check"]
    assert [tensor["checked"] for tensor in kept["tensors"]] == [5, 5, 5, 5]


def test_check_on_other_images_is_refused(small_copy, cli):
    """Images that are not those the campaign began with are no evidence for it."""
    in_file(
        small_copy, "UPDATE study_user_attributes SET value_json = replace(value_json, 'digest\": \"', 'digest\": \"f')"
    )
    code, _, err = cli("gradcheck", "--campaign", "small")
    assert code == 2
    assert "small/coarse was started with something else: data.digest was 'f" in err


def test_paper_report_has_the_papers_numbers_beside(paper_page):
    """Each number that the report prints stands in a row or a caption that names its table or figure."""
    for where, numbers in PAPER.items():
        for number in numbers:
            rows = [" ".join(row) for row in paper_page.rows if where in " ".join(row)]
            captions = re.findall(rf"[^.]*{where}: [^%]*%", paper_page.text)
            assert any(number in told for told in [*rows, *captions, *_named_in_caption(paper_page, where)]), number
    assert "ρ = 0.9" not in paper_page.text  # the momentum study was not run: there is nothing to stand beside
    assert "48.37 %" in paper_page.text


def _named_in_caption(page, where):
    """Return the rows of tables whose caption names a place of the report."""
    return [" ".join(row) for row in page.rows] if f"compared with {where} of the published report" in page.text else []


def test_paper_numbers_stand_beside_the_paper_campaign_alone(small_page):
    """Another seed is still the report's campaign; other ranges, trials or data are not."""
    paper = Campaign.load("paper")
    assert published_values_for(paper.model_copy(update={"seed": 1, "name": "mine"})).preset == "paper"
    fewer = [paper.stage[0].model_copy(update={"trials": 49}), *paper.stage[1:]]
    assert published_values_for(paper.model_copy(update={"stage": fewer})) is None
    assert published_values_for(Campaign.load("cifar10")) is None
    assert "44.08" not in small_page.text


def test_unfinished_campaign_gets_an_honest_report(small, tmp_path):
    """Stopped amid its first stage, a campaign's report says so, how far it came, and what goes on with it."""
    answers = iter([False] * 5)
    with pytest.raises(Interrupted):
        run(small, tmp_path / "studies.db", stop=lambda: next(answers, True))
    page = report(tmp_path / "studies.db", tmp_path / "small.html")
    assert "This campaign is not finished." in page.text
    ended = sum(trial.state.is_finished() for trial in load(tmp_path / "studies.db")["small/coarse"].trials)
    assert 0 < ended < 9
    assert f"{ended} of its 15 trials have ended" in page.text
    assert "coarsefine run small.toml resumes it" in page.text
    assert "This stage has not opened yet. 6 trials of 3 epochs are planned" in page.text
    assert "The final training has not run yet" in page.text


def test_campaign_without_a_completed_trial_gets_an_honest_report(small_copy, tmp_path):
    """Where every trial diverged there is no winner, but a list of reasons and the lowest η that diverged."""
    in_file(small_copy, "UPDATE trials SET state = 'FAIL'")
    in_file(small_copy, "DELETE FROM trial_values")
    in_file(small_copy, "DELETE FROM study_user_attributes WHERE key = 'final'")
    in_file(
        small_copy,
        "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
        "SELECT trial_id, 'reason', '\"diverged in epoch 2: training loss inf\"' FROM trials",
    )
    page = report(small_copy, tmp_path / "small.html")
    lowest = min(trial.params["eta"] for trial in load(small_copy)["small/coarse"].trials)
    assert "No trial has completed: none of the 15 that ended has an accuracy" in page.text
    assert "so the search cannot continue" in page.text
    assert f"9 trials ended without a value. The lowest η among them is {lowest:.4g}." in page.text
    assert "diverged in epoch 2: training loss inf" in page.text


def test_status_does_not_print_the_curves(small_done, cli, monkeypatch):
    """What `status --json` prints of the final training is short, however many epochs it had."""
    monkeypatch.chdir(small_done)
    assert "curves" not in json.loads(cli("status", "--json")[1])["final"]
    kept = load(small_done / "studies.db")["small/fine"].user_attrs["final"]["curves"]
    assert {name: len(values) for name, values in kept.items()} == dict.fromkeys(kept, 4)


def test_report_is_put_beside_the_studies_and_replaced_whole(small_copy, tmp_path, cli):
    """Without --output it goes to reports/; a second one takes the first one's place, and nothing else is left."""
    for _ in range(2):
        code, out, _ = cli("report", "--json")
        told = json.loads(out)
        assert code == 0
        assert told["report"] == str(tmp_path / "reports" / "small.html")
        assert told["bytes"] == (tmp_path / "reports" / "small.html").stat().st_size
        assert told["missing"] == told["images"] == []
        assert [path.name for path in (tmp_path / "reports").iterdir()] == ["small.html"]
    assert small_copy.exists()


@pytest.mark.usefixtures("small_copy")
def test_report_that_cannot_be_written_is_told(tmp_path, cli):
    """A place that is a folder, or lies under a file, ends in one sentence and exit code 5; nothing is left behind."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for place in ("folder", "file/report.html"):
        code, out, err = cli("report", "--output", place)
        assert (code, out) == (5, "")
        assert re.fullmatch(rf"{place} cannot be written: .*\. Free some space, or choose another place.*\.\n", err)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a shell with ulimit")
def test_full_disk_leaves_the_last_report(small_copy, tmp_path):
    """Where the new page does not fit, the old one stays whole, and the sentence says why."""
    report(small_copy, tmp_path / "small.html")
    before = (tmp_path / "small.html").read_bytes()
    limited = ("sh", "-c", 'ulimit -f 2000; exec "$@"', "sh")
    answer = coarsefine_process("report", "--output", "small.html", cwd=tmp_path, prefix=limited)
    assert answer.returncode == 5
    assert answer.stderr.startswith("small.html cannot be written: File too large.")
    assert (tmp_path / "small.html").read_bytes() == before
    assert not list(tmp_path.glob("small.html-new-*"))


def test_planted_script_stays_text(small_copy, tmp_path):
    """What somebody writes into names and attributes of a study is text in the page, and makes no element."""
    plain = report(small_copy, tmp_path / "plain.html")
    plant(small_copy)
    page = report(small_copy, tmp_path / "planted.html")
    assert PLANTED in page.text
    assert "img" not in {tag for tag, _ in page.tags}
    assert scripts_of(page) == scripts_of(plain)
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in plain.tags}


def plant(path):
    """Write a script into the campaign's name and into texts of its studies and trials."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE studies SET study_name = replace(study_name, 'small/', ?)", (f"small{PLANTED}/",))
        for key, value in connection.execute("SELECT DISTINCT key, value_json FROM study_user_attributes").fetchall():
            new = (key, json.dumps(planted_in(key, json.loads(value))), value)
            connection.execute(
                "UPDATE study_user_attributes SET value_json = ?2 WHERE key = ?1 AND value_json = ?3", new
            )
        connection.execute("UPDATE trials SET state = 'FAIL' WHERE number = 8")
        connection.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
            "SELECT trial_id, 'reason', ? FROM trials WHERE number = 8",
            (json.dumps(PLANTED),),
        )


def planted_in(key, value):
    """Return an attribute of a study with a script in its texts; numbers, and what the report relies on, stay."""
    if isinstance(value, dict) and key not in {"config", "space", "final"}:
        return {inner: planted_in(inner, old) for inner, old in value.items()}
    if isinstance(value, list) and key == "pressed":
        return [PLANTED]
    return f"{value}{PLANTED}" if isinstance(value, str) and key != "stage" else value


def scripts_of(page):
    return [attrs for tag, attrs in page.tags if tag == "script"]


@pytest.fixture
def visit(browser):
    """Return a function that opens a report from disk as a new reader; afterwards nothing may have been amiss.

    That is: no message on the console, no exception, no request beside the file's own.
    """
    contexts, amiss = [], []

    def go(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.on("console", lambda message: amiss.append(message.text))
        context.on("weberror", lambda error: amiss.append(str(error.error)))
        own = path.as_uri()
        context.on("request", lambda request: request.url.startswith((own, "data:")) or amiss.append(request.url))
        page = context.new_page()
        page.goto(own)
        return page

    yield go
    for context in contexts:
        context.close()
    assert amiss == []


DRAWN = "[...document.querySelectorAll('[data-plot]')].map((place) => place.querySelectorAll('.main-svg').length > 0)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("campaign", "figures"), [("small", 12), ("paper", 15)])
def test_report_opens_from_disk_with_every_plot(visit, request, campaign, figures, scheme):
    """From disk a browser draws every figure, asks for nothing, and has nothing to complain of, in dark and light."""
    path = request.getfixturevalue(f"{campaign}_page").path
    page = visit(path, color_scheme=scheme, viewport={"width": 1200, "height": 800})
    drawn = page.evaluate(DRAWN)
    assert len(drawn) == figures
    assert all(drawn)
    body = "getComputedStyle(document.body)"
    paper, ink = page.evaluate(f"[{body}.backgroundColor, {body}.color]")
    assert (brightness(paper) > brightness(ink)) == (scheme == "light")
    ticks = page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
    assert (brightness(ticks) < 128) == (scheme == "light")


def brightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@pytest.mark.usefixtures("small_page")
def test_report_fits_a_phone_and_paper(visit, small_done):
    """On a phone nothing but tables scrolls sideways; on paper the figures are light and as wide as the page."""
    page = visit(small_done / "small.html", color_scheme="dark", viewport={"width": 390, "height": 844})
    assert all(page.evaluate(DRAWN))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("""addEventListener('beforeprint', () => {
        window.told = getComputedStyle(document.querySelector('.xtick text')).fill;
        window.width = document.querySelector('#trials .main-svg').getBoundingClientRect().width; })""")
    assert page.pdf(format="A4")[:4] == b"%PDF"
    assert brightness(page.evaluate("window.told")) < 128
    assert page.evaluate("window.width") == 660
    assert page.evaluate("document.querySelector('#trials .main-svg').getBoundingClientRect().width") <= 390


@pytest.mark.usefixtures("small_page")
def test_figures_and_tables_are_told_to_those_who_do_not_see(visit, small_done):
    """Each figure has a text for itself and a caption, each table a caption and headings for its columns."""
    page = visit(small_done / "small.html")
    unnamed = page.evaluate("""[...document.querySelectorAll('figure')].filter((figure) =>
        !figure.querySelector('[role=img][aria-label]') || !figure.querySelector('figcaption').textContent.trim())""")
    assert unnamed == []
    bare = page.evaluate("""[...document.querySelectorAll('table')].filter((table) =>
        !table.querySelector('thead th[scope=col]') || !(table.caption || table.closest('figure')))""")
    assert bare == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_planted_script_does_not_run(visit, small_copy, tmp_path):
    """In the browser a planted script is text too: the page keeps its title, and draws."""
    plant(small_copy)
    report(small_copy, tmp_path / "planted.html")
    page = visit(tmp_path / "planted.html")
    assert all(page.evaluate(DRAWN))
    assert page.title() == "Search report: small"
    assert PLANTED in page.inner_text("body")


@pytest.mark.usefixtures("browser", "small_copy")
def test_figures_as_images(tmp_path, cli):
    """With --png each figure is a PNG file, too, drawn with the Chromium that is there."""
    code, out, err = cli("report", "--png", "figures", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert [path.removesuffix(".png").removeprefix("figures/") for path in told["images"]] == told["figures"]
    for path in told["images"]:
        image = (tmp_path / path).read_bytes()
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(image[16:20], "big") == 1800


@pytest.mark.usefixtures("small_copy")
def test_images_without_a_browser_are_told(tmp_path, cli, monkeypatch):
    """Without a Chromium the page is written, and the sentence says what to install; exit 2."""
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    code, _, err = cli("report", "--png", "figures")
    assert code == 2
    assert "small.html is written, but its images are not: PNG files need Chromium or Chrome: install one" in err
    assert (tmp_path / "reports" / "small.html").exists()


@pytest.mark.usefixtures("small_copy")
def test_images_without_kaleido_are_told(tmp_path, cli, monkeypatch):
    """Without the extra the page is written, and the sentence names the extra; exit 2."""
    monkeypatch.setitem(sys.modules, "kaleido", None)
    code, _, err = cli("report", "--png", "figures")
    assert code == 2
    assert "its images are not: PNG files need kaleido: install coarsefine[png], or leave out --png." in err
    assert (tmp_path / "reports" / "small.html").exists()


def test_other_studies_are_refused(small_copy, tmp_path, cli):
    """A campaign that is not there, or whose settings are not ours, is refused in one sentence."""
    with pytest.raises(UsageError, match="has no campaign 'large'"):
        report(small_copy, tmp_path / "x.html", "large")
    in_file(
        small_copy,
        "UPDATE study_user_attributes SET value_json = json_set(value_json, '$.hue', 1) WHERE key = 'config'",
    )
    code, _, err = cli("report")
    assert code == 2
    assert err.startswith("small/coarse was started by another version of Coarsefine: unknown key 'hue'")


def test_standard_error_and_interval_are_those_of_a_share():
    """The standard error is √(p(1 − p)/n); Wilson's interval is that of SciPy, also where all are right."""
    assert Accuracy(0.5, 1000).standard_error == pytest.approx(0.0158114)
    expected = binomtest(5, 50).proportion_ci(method="wilson")
    assert Accuracy(0.1, 50).interval == pytest.approx((expected.low, expected.high))
    low, high = Accuracy(1.0, 300).interval
    assert (low, high) == pytest.approx((300 / (300 + 1.959964**2), 1.0))


@pytest.mark.parametrize(("n", "expected"), [(2, 0.56419), (5, 1.16296), (50, 2.24907), (100, 2.50759)])
def test_expected_highest_follows_the_tables(n, expected):
    """The mean of the highest of n normal values is that of the tables, to a hundredth or two."""
    assert expected_highest(n) == pytest.approx(expected, abs=0.03)


def test_importance_finds_the_parameter_that_matters(paper_file, tmp_path):
    """Where accuracy follows from η alone its share is high, outside of what shuffled accuracies give."""
    shutil.copy(paper_file, tmp_path / "studies.db")
    in_file(
        tmp_path / "studies.db",
        "UPDATE trial_values SET value = (SELECT 0.5 - abs(log(param_value / 0.02)) / 20 FROM trial_params p "
        "WHERE p.trial_id = trial_values.trial_id AND param_name = 'eta')",
    )
    storage = open_storage(locate(tmp_path / "studies.db"))
    found = importance_in(find_studies(storage, "paper")["paper/coarse"])
    storage.close()
    assert isinstance(found, Importance)
    eta, lam = found.parts
    assert (eta.name, lam.name) == ("eta", "lambda")
    assert eta.differs_from_chance
    assert eta.share > 0.9
    assert eta.share + lam.share == pytest.approx(1)


def test_importance_of_few_trials_is_left_out(small_page):
    """Where a stage has too few trials a sentence stands in the place of the figure."""
    assert "Stage coarse: importance takes at least 20 completed trials, and there are 9." in small_page.text


def test_finalists_and_the_verdict_on_them(tmp_path):
    """Where finalists were trained again, the report lists each with its mean and interval, and who won and why."""
    write_campaign(tmp_path, confirm={"top": 3, "seeds": 3})
    campaign = Campaign.load(tmp_path / "small.toml")
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "studies.db", stop=lambda: bool(confirmed(tmp_path / "studies.db")))
    half_way = report(tmp_path / "studies.db", tmp_path / "half.html")
    assert "trainings of the finalists have completed" in half_way.text
    verdict = run(campaign, tmp_path / "studies.db").verdict
    page = report(tmp_path / "studies.db", tmp_path / "small.html")
    assert verdict.summary in page.text
    for finalist in verdict.finalists:
        mean = finalist.confirmed
        told = f"{100 * mean.mean:.2f} ± {100 * (mean.high - mean.mean):.2f}"
        name = f"{finalist.study.rpartition('/')[2]} {finalist.number}"
        assert any(row[0] == name and told in row for row in page.rows)
    assert Campaign.model_validate(tomllib.loads(as_toml(campaign))).as_stored() == campaign.as_stored()


def confirmed(path):
    """Return how many trainings of finalists have completed."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        query = "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = ? AND state = 'COMPLETE'"
        return connection.execute(query, ("small/confirm",)).fetchone()[0]
