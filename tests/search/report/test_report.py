"""The report of a campaign: its content, its independence of a network, and its behaviour if something is missing."""

import json
import re
import resource
import shutil
import sqlite3
import sys
import tomllib
from contextlib import closing
from html.parser import HTMLParser

import optuna
import pytest
from campaigns import write_campaign
from paper_campaign import make_paper
from scipy.stats import binomtest
from stored import FORGET_SEAL

from coarsefine import Campaign, Interrupted, UsageError, run
from coarsefine.search.campaign.metric import Accuracy, expected_highest
from coarsefine.search.cli import main
from coarsefine.search.report import write_report
from coarsefine.search.report.commands import as_toml
from coarsefine.search.report.importance import importance_in
from coarsefine.search.report.published_values import published_values_for
from coarsefine.search.results.campaign_studies import find_studies
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
"""The numbers that the published report prints, by place; copied from it, not from the preset."""
PLANTED = "</script><script>document.title = 'planted'</script><img src=x onerror=\"document.title = 'planted'\">"


class Page(HTMLParser):
    """A page's text, the rows of its tables, and its elements."""

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
def small_folder(tmp_path_factory):
    """Run the small campaign, a gradient check and a momentum study; return the folder."""
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
def small_page(small_folder):
    """Return the report of the small campaign."""
    return report(small_folder / "studies.db", small_folder / "small.html")


@pytest.fixture
def small_copy(small_folder, tmp_path):
    """Copy the small campaign's storage; return the path of the copy."""
    return shutil.copy(small_folder / "studies.db", tmp_path / "studies.db")


@pytest.fixture(scope="module")
def paper_file(tmp_path_factory):
    """Create a storage with the paper campaign; return its path."""
    path = tmp_path_factory.mktemp("paper") / "studies.db"
    make_paper(path)
    return path


@pytest.fixture(scope="module")
def paper_page(paper_file):
    """Return the report of the paper campaign."""
    return report(paper_file, paper_file.with_name("paper.html"))


def report(storage, output, name=None):
    """Write a report; return its page."""
    opened = open_storage(locate(storage))
    try:
        write_report(opened, name, output)
    finally:
        opened.close()
    return Page(output)


def execute(path, statement, *values):
    """Execute a statement in a SQLite file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def test_report_has_the_numbers_of_status(small_folder, small_page, cli, monkeypatch):
    """The page has the output of `status --json`, and shows its accuracies with n and uncertainty."""
    monkeypatch.chdir(small_folder)
    _, out, _ = cli("status", "small", "--json")
    status = json.loads(out)
    embedded = re.search(r'id="status">(.*?)</script>', small_page.html)
    expected = {**status, "final": {k: v for k, v in status["final"].items() if k != "folder"}}
    del expected["storage"]
    assert json.loads(embedded[1]) == expected
    n = 300
    for stage in status["stages"]:
        for trial in stage["best"]:
            error = 100 * (trial["value"] * (1 - trial["value"]) / n) ** 0.5
            accuracy = f"{100 * trial['value']:.2f} % ± {error:.2f}"
            setting = [f"{trial['params'][name]:.4g}" for name in ("eta", "lambda")] + [accuracy]
            assert any(row[0] == str(trial["number"]) and row[1:4] == setting for row in small_page.rows)
        counts = [str(stage[key]) for key in ("trials", "completed", "pruned", "diverged", "failed")]
        assert any(row[:5] == counts for row in small_page.rows)
    assert f"highest of {status['stages'][0]['completed'] + status['stages'][1]['completed']}" in small_page.text
    assert f"{100 * status['final']['test_accuracy']:.2f} %" in small_page.text
    low, high = Accuracy(status["final"]["test_accuracy"], n).interval
    assert f"{100 * low:.2f} to {100 * high:.2f} %" in small_page.text


def test_report_explains_ranges(small_folder, small_page):
    """A narrowed stage names its parent, trials and rule, and compares carried points in both stages."""
    studies = load(small_folder / "studies.db")
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
    """Return all studies in a file by name."""
    storage = f"sqlite:///{path}"
    return {name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)}


def test_report_explains_how_to_reproduce_it(small_folder, small_page, tmp_path):
    """The page has digest, versions, commands, and the campaign file unless the campaign is a preset."""
    attrs = load(small_folder / "studies.db")["small/coarse"].user_attrs
    assert attrs["data"]["digest"] in small_page.text
    assert all(f"{name} {version}" in small_page.text for name, version in attrs["versions"].items())
    assert "coarsefine run small.toml\n" in small_page.text
    assert "coarsefine momentum --campaign small --eta 0.05 --epochs 3 --seed 0" in small_page.text
    campaign = Campaign.load(small_folder / "small.toml")
    assert as_toml(campaign) in small_page.text
    (tmp_path / "again.toml").write_text(as_toml(campaign), "utf-8")
    assert Campaign.load(tmp_path / "again.toml").as_stored() == campaign.as_stored()


@pytest.mark.parametrize("preset", ["digits", "paper", "cifar10"])
def test_campaign_survives_writing_as_toml(tmp_path, preset):
    """A campaign that is written as TOML and loaded again is equal to the original."""
    campaign = Campaign.load(preset)
    (tmp_path / "again.toml").write_text(as_toml(campaign), "utf-8")
    assert Campaign.load(tmp_path / "again.toml").as_stored() == campaign.as_stored()


def test_report_shows_recorded_checks(small_folder, small_page):
    """The report shows the gradient check and the momentum study; they do not change the campaign."""
    attrs = load(small_folder / "studies.db")["small/coarse"].user_attrs
    for tensor in attrs["gradient_check"]["tensors"]:
        expected = [tensor["tensor"], f"{tensor['relative_error']:.2e}", str(tensor["checked"]), str(tensor["kinks"])]
        assert expected in small_page.rows
        assert tensor["relative_error"] < 1e-6
    assert attrs["gradient_check"]["hidden"] == attrs["momentum"]["hidden"] == 10
    for curve in attrs["momentum"]["curves"]:
        assert [f"{curve['rho']:g}", "3", f"{curve['train_loss']:.4g}"] in [row[:3] for row in small_page.rows]
    campaign = Campaign.load(small_folder / "small.toml")
    assert run(campaign, small_folder / "studies.db").state == "done"


def test_report_names_the_commands_of_missing_checks(paper_page):
    """The report gives the command that adds a missing check."""
    assert "coarsefine gradcheck --campaign paper --data cifar-10-binary.tar.gz" in paper_page.text
    assert "coarsefine momentum --campaign paper --data cifar-10-binary.tar.gz" in paper_page.text


def test_check_is_recorded_only_for_an_existing_campaign(small_folder, cli, monkeypatch):
    """A check of an unknown campaign, or with another dataset, is refused in one sentence."""
    monkeypatch.chdir(small_folder)
    assert cli("gradcheck", "--campaign", "large")[::2] == (
        2,
        f"{small_folder / 'studies.db'} has no campaign 'large': name one of those it has (small).\n",
    )
    message = "The campaign 'small' has its own images: leave out --dataset digits.\n"
    assert cli("momentum", "--campaign", "small", "--dataset", "digits")[::2] == (2, message)


def test_second_check_replaces_the_first(small_copy, cli):
    """The command says where it recorded the check, and the newest check counts."""
    code, _, err = cli("gradcheck", "--campaign", "small", "--sample", "5")
    assert (code, err) == (0, "Recorded with small/coarse, for `coarsefine report`.\n")
    check = load(small_copy)["small/coarse"].user_attrs["gradient_check"]
    assert [tensor["checked"] for tensor in check["tensors"]] == [5, 5, 5, 5]


def test_check_on_other_images_is_refused(small_copy, cli):
    """A check is refused if its images are not those of the campaign."""
    execute(small_copy, FORGET_SEAL)
    execute(
        small_copy, "UPDATE study_user_attributes SET value_json = replace(value_json, 'digest\": \"', 'digest\": \"f')"
    )
    code, _, err = cli("gradcheck", "--campaign", "small")
    assert code == 2
    assert "small/coarse was started with something else: data.digest was 'f" in err


def test_paper_report_has_the_published_numbers(paper_page):
    """Each published number stands in a row or caption that names its table or figure."""
    for where, numbers in PAPER.items():
        for number in numbers:
            rows = [" ".join(row) for row in paper_page.rows if where in " ".join(row)]
            captions = re.findall(rf"[^.]*{where}: [^%]*%", paper_page.text)
            assert any(number in text for text in [*rows, *captions, *_named_in_caption(paper_page, where)]), number
    assert "ρ = 0.9" not in paper_page.text  # the momentum study was not run, so there is nothing to compare
    assert "48.37 %" in paper_page.text


def _named_in_caption(page, where):
    """Return the rows of tables if a caption names a place of the published report."""
    return [" ".join(row) for row in page.rows] if f"compared with {where} of the published report" in page.text else []


def test_published_numbers_apply_only_to_the_paper_campaign(small_page):
    """The numbers apply to any seed and name, but not to other ranges, trials or data."""
    paper = Campaign.load("paper")
    assert published_values_for(paper.model_copy(update={"seed": 1, "name": "mine"})).preset == "paper"
    fewer = [paper.stage[0].model_copy(update={"trials": 49}), *paper.stage[1:]]
    assert published_values_for(paper.model_copy(update={"stage": fewer})) is None
    assert published_values_for(Campaign.load("cifar10")) is None
    assert "44.08" not in small_page.text


def test_unfinished_campaign_is_reported_as_such(small, tmp_path):
    """The report of an interrupted campaign gives its progress and the command that resumes it."""
    answers = iter([False] * 5)
    with pytest.raises(Interrupted):
        run(small, tmp_path / "studies.db", stop=lambda: next(answers, True))
    page = report(tmp_path / "studies.db", tmp_path / "small.html")
    assert "This campaign is not finished." in page.text
    ended = sum(trial.state.is_finished() for trial in load(tmp_path / "studies.db")["small/coarse"].trials)
    assert 0 < ended < 9
    assert f"{ended} of its 15 trials have ended" in page.text
    assert "coarsefine run small resumes it" in page.text
    assert "Best trial so far, validation" in page.text
    assert "winner" not in page.text.lower()
    assert "This stage has not opened yet. 6 trials of 3 epochs are planned" in page.text
    assert "The final training has not run yet" in page.text


def test_report_without_completed_trials_gives_reasons(small_copy, tmp_path):
    """If every trial diverged, the report lists the reasons and the lowest η that diverged, but no winner."""
    execute(small_copy, FORGET_SEAL)  # as in earlier versions: unmarked
    execute(small_copy, "DELETE FROM study_user_attributes WHERE key = 'slots'")
    execute(small_copy, "UPDATE trials SET state = 'FAIL'")
    execute(small_copy, "DELETE FROM trial_values")
    execute(small_copy, "DELETE FROM study_user_attributes WHERE key = 'final'")
    execute(
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


def test_status_does_not_print_the_curves(small_folder, cli, monkeypatch):
    """`status --json` leaves out the curves of the final training."""
    monkeypatch.chdir(small_folder)
    assert "curves" not in json.loads(cli("status", "--json")[1])["final"]
    curves = load(small_folder / "studies.db")["small/fine"].user_attrs["final"]["curves"]
    assert {name: len(values) for name, values in curves.items()} == dict.fromkeys(curves, 4)


def test_report_is_written_to_reports(small_copy, tmp_path, cli):
    """Without --output the report goes to reports/, where a second one replaces the first."""
    for _ in range(2):
        code, out, _ = cli("report", "--json")
        output = json.loads(out)
        assert code == 0
        assert output["report"] == str(tmp_path / "reports" / "small.html")
        assert output["bytes"] == (tmp_path / "reports" / "small.html").stat().st_size
        assert output["missing"] == output["images"] == []
        assert [path.name for path in (tmp_path / "reports").iterdir()] == ["small.html"]
    assert small_copy.exists()


@pytest.mark.usefixtures("small_copy")
def test_unwritable_report_fails(tmp_path, cli):
    """An output that is a folder or lies below a file fails with exit code 5 and leaves no file."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for output in ("folder", "file/report.html"):
        code, out, err = cli("report", "--output", output)
        assert (code, out) == (5, "")
        remedy = "Name a file in it" if output == "folder" else "Free some space"
        assert re.fullmatch(rf"{output} cannot be written: .*\. {remedy}, or .* place to write to\.\n", err)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.fixture
def full_disk():
    """Return a function that lets no file of this process grow beyond a size, until the test ends."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_keeps_the_previous_report(small_copy, tmp_path, cli, full_disk):
    """If the new report does not fit, the previous one stays complete, and the error gives the cause."""
    report(small_copy, tmp_path / "small.html")
    before = (tmp_path / "small.html").read_bytes()
    full_disk(1_000_000)
    code, _, err = cli("report", "--output", "small.html")
    assert code == 5
    assert err.startswith("small.html cannot be written: File too large.")
    assert (tmp_path / "small.html").read_bytes() == before
    assert not list(tmp_path.glob("small.html-new-*"))


def test_planted_script_stays_text(small_copy, tmp_path):
    """A script in the attributes of studies and trials is shown as text and adds no element."""
    plain = report(small_copy, tmp_path / "plain.html")
    plant(small_copy)
    page = report(small_copy, tmp_path / "planted.html")
    assert PLANTED in page.text
    assert "img" not in {tag for tag, _ in page.tags}
    assert scripts_of(page) == scripts_of(plain)
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in plain.tags}


def plant(path):
    """Write a script into texts of the campaign's studies and trials; a study whose name has one would be left out."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(FORGET_SEAL)
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
    """Return a study's attribute with a script in its texts; numbers and what the report parses stay."""
    if isinstance(value, dict) and key not in {"config", "space", "final"}:
        return {inner: planted_in(inner, old) for inner, old in value.items()}
    if isinstance(value, list) and key == "pressed":
        return [PLANTED]
    return f"{value}{PLANTED}" if isinstance(value, str) and key not in {"campaign", "stage"} else value


def scripts_of(page):
    """Return the attributes of the page's script elements."""
    return [attrs for tag, attrs in page.tags if tag == "script"]


@pytest.fixture
def visit(browser):
    """Return a function that opens a report from disk in a new browser context.

    After the test, there must be no message on the console, no exception, and no request for another file.
    """
    contexts, problems = [], []

    def open_page(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.on("console", lambda message: problems.append(message.text))
        context.on("weberror", lambda error: problems.append(str(error.error)))
        own = path.as_uri()
        context.on("request", lambda request: request.url.startswith((own, "data:")) or problems.append(request.url))
        page = context.new_page()
        page.goto(own)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


DRAWN = "[...document.querySelectorAll('[data-plot]')].map((place) => place.querySelectorAll('.main-svg').length > 0)"


@pytest.mark.parametrize(("campaign", "figures", "scheme"), [("small", 12, "dark"), ("paper", 15, "light")])
def test_report_opens_from_disk_with_every_plot(visit, request, campaign, figures, scheme):
    """In either theme, a browser draws every figure of a report on disk without a request or a message.

    Each figure has a label and a caption, and each table a caption and column headings.
    """
    path = request.getfixturevalue(f"{campaign}_page").path
    page = visit(path, color_scheme=scheme, viewport={"width": 1200, "height": 800})
    drawn = page.evaluate(DRAWN)
    assert len(drawn) == figures
    assert all(drawn)
    body = "getComputedStyle(document.body)"
    background, color = page.evaluate(f"[{body}.backgroundColor, {body}.color]")
    assert (brightness(background) > brightness(color)) == (scheme == "light")
    ticks = page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
    assert (brightness(ticks) < 128) == (scheme == "light")
    unnamed = page.evaluate("""[...document.querySelectorAll('figure')].filter((figure) =>
        !figure.querySelector('[role=img][aria-label]') || !figure.querySelector('figcaption').textContent.trim())""")
    assert unnamed == []
    unlabelled = page.evaluate("""[...document.querySelectorAll('table')].filter((table) =>
        !table.querySelector('thead th[scope=col]') || !(table.caption || table.closest('figure')))""")
    assert unlabelled == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('h1').length") == 1


def brightness(colour):
    """Return the mean of a CSS colour's red, green and blue."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@pytest.mark.usefixtures("small_page")
def test_report_fits_a_phone_and_paper(visit, small_folder):
    """On a phone only tables scroll sideways; in print the figures are light and as wide as the page."""
    page = visit(small_folder / "small.html", color_scheme="dark", viewport={"width": 390, "height": 844})
    assert all(page.evaluate(DRAWN))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("""addEventListener('beforeprint', () => {
        window.ticks = getComputedStyle(document.querySelector('.xtick text')).fill;
        window.width = document.querySelector('#trials .main-svg').getBoundingClientRect().width; })""")
    assert page.pdf(format="A4")[:4] == b"%PDF"
    assert brightness(page.evaluate("window.ticks")) < 128
    assert page.evaluate("window.width") == 660
    assert page.evaluate("document.querySelector('#trials .main-svg').getBoundingClientRect().width") <= 390


def test_planted_script_does_not_run(visit, small_copy, tmp_path):
    """In a browser, a planted script is text: the page keeps its title and draws its figures."""
    plant(small_copy)
    report(small_copy, tmp_path / "planted.html")
    page = visit(tmp_path / "planted.html")
    assert all(page.evaluate(DRAWN))
    assert page.title() == "Search report: small"
    assert PLANTED in page.inner_text("body")


@pytest.mark.usefixtures("browser", "small_copy")
def test_figures_can_be_exported_as_png(tmp_path, cli):
    """With --png, Chromium draws each figure into a PNG file too."""
    code, out, err = cli("report", "--png", "figures", "--json")
    assert code == 0, err
    output = json.loads(out)
    assert [path.removesuffix(".png").removeprefix("figures/") for path in output["images"]] == output["figures"]
    for path in output["images"]:
        image = (tmp_path / path).read_bytes()
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(image[16:20], "big") == 1800


@pytest.mark.usefixtures("small_copy")
def test_png_without_a_browser_fails(tmp_path, cli, monkeypatch):
    """Without Chromium the report is written, and the error says what to install; the exit code is 2."""
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    code, _, err = cli("report", "--png", "figures")
    assert code == 2
    assert "small.html is written, but its images are not: PNG files need Chromium or Chrome: install one" in err
    assert (tmp_path / "reports" / "small.html").exists()


@pytest.mark.usefixtures("small_copy")
def test_png_without_kaleido_fails(tmp_path, cli, monkeypatch):
    """Without kaleido the report is written, and the error names the extra; the exit code is 2."""
    monkeypatch.setitem(sys.modules, "kaleido", None)
    code, _, err = cli("report", "--png", "figures")
    assert code == 2
    assert "its images are not: PNG files need kaleido: pip install kaleido, or leave out --png." in err
    assert (tmp_path / "reports" / "small.html").exists()


def test_unknown_campaign_or_settings_are_refused(small_copy, tmp_path, cli):
    """A missing campaign, or one with unknown settings, is refused in one sentence."""
    with pytest.raises(UsageError, match="has no campaign 'large'"):
        report(small_copy, tmp_path / "x.html", "large")
    execute(small_copy, FORGET_SEAL)
    execute(
        small_copy,
        "UPDATE study_user_attributes SET value_json = json_set(value_json, '$.hue', 1) WHERE key = 'config'",
    )
    code, _, err = cli("report")
    assert code == 2
    assert err.startswith("small/coarse was started by another version of Coarsefine: unknown key 'hue'")


def test_standard_error_and_interval_of_an_accuracy():
    """The standard error is √(p(1 − p)/n), and the interval is Wilson's as SciPy computes it."""
    assert Accuracy(0.5, 1000).standard_error == pytest.approx(0.0158114)
    expected = binomtest(5, 50).proportion_ci(method="wilson")
    assert Accuracy(0.1, 50).interval == pytest.approx((expected.low, expected.high))
    low, high = Accuracy(1.0, 300).interval
    assert (low, high) == pytest.approx((300 / (300 + 1.959964**2), 1.0))


@pytest.mark.parametrize(("n", "expected"), [(2, 0.56419), (5, 1.16296), (50, 2.24907), (100, 2.50759)])
def test_expected_highest_follows_the_tables(n, expected):
    """The expected highest of n normal values matches the tables to 0.03."""
    assert expected_highest(n) == pytest.approx(expected, abs=0.03)


def test_importance_finds_the_parameter_that_matters(paper_file, tmp_path):
    """If accuracy depends on η alone, its share is high and differs from that of shuffled accuracies."""
    shutil.copy(paper_file, tmp_path / "studies.db")
    execute(tmp_path / "studies.db", FORGET_SEAL)
    execute(tmp_path / "studies.db", "DELETE FROM study_user_attributes WHERE key = 'slots'")
    execute(
        tmp_path / "studies.db",
        "UPDATE trial_values SET value = (SELECT 0.5 - abs(log(param_value / 0.02)) / 20 FROM trial_params p "
        "WHERE p.trial_id = trial_values.trial_id AND param_name = 'eta')",
    )
    storage = open_storage(locate(tmp_path / "studies.db"))
    found = importance_in(find_studies(storage, "paper")["paper/coarse"])
    storage.close()
    eta, lam = found.parts
    assert (eta.name, lam.name) == ("eta", "lambda")
    assert eta.differs_from_chance
    assert eta.share > 0.9
    assert eta.share + lam.share == pytest.approx(1)


def test_importance_of_few_trials_is_left_out(small_page):
    """If a stage has too few trials, a sentence replaces its importance figure."""
    assert "Stage coarse: importance takes at least 20 completed trials, and there are 9." in small_page.text


def test_report_lists_finalists_and_verdict(tmp_path):
    """The report lists each finalist with its mean and interval, and explains the verdict."""
    write_campaign(tmp_path, confirm={"top": 3, "seeds": 3})
    campaign = Campaign.load(tmp_path / "small.toml")
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "studies.db", stop=lambda: bool(count_confirmed(tmp_path / "studies.db")))
    unfinished = report(tmp_path / "studies.db", tmp_path / "half.html")
    assert "trainings of the finalists have completed" in unfinished.text
    verdict = run(campaign, tmp_path / "studies.db").verdict
    page = report(tmp_path / "studies.db", tmp_path / "small.html")
    assert verdict.summary in page.text
    for finalist in verdict.finalists:
        mean = finalist.confirmed
        text = f"{100 * mean.mean:.2f} ± {100 * (mean.high - mean.mean):.2f}"
        name = f"{finalist.study.rpartition('/')[2]} {finalist.number}"
        assert any(row[0] == name and text in row for row in page.rows)
    assert Campaign.model_validate(tomllib.loads(as_toml(campaign))).as_stored() == campaign.as_stored()


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("small", {"model": {"epochs": 1}, "final": {"epochs": 1}}),
        ("objective", {"objective": "user_functions:at_once", "epochs": None, "final": {"seeds": 2}}),
    ],
)
def test_report_of_single_epochs_has_no_learning_curves(tmp_path, base, changes):
    """If each trial has one epoch, the report draws nothing over epochs, whether of a network or of a function."""
    write_campaign(tmp_path, base, **changes)
    status = run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    page = report(tmp_path / "studies.db", tmp_path / "small.html")
    drawn = {attrs["id"] for tag, attrs in page.tags if tag == "figure"}
    assert drawn == ({"best-so-far", "time"} if status.verdict else {"trials", "best-so-far", "time"})
    assert "Losses by epoch" not in page.text
    if status.verdict:
        assert f"Winner{status.metric.spread(status.winner.confirmed)}mean of 2 seeds" in page.text
        trials = sum(stage.trials for stage in status.stages)
        assert f"{trials} of {trials}in 4 stages" in page.text
        final = status.final_runs
        assert f"The mean value is {status.metric.spread(final.mean)} (95 % interval over 2 seeds)" in page.text
        for run_ in final.runs:
            assert [f"final {run_.number}", str(run_.seed), status.metric.text(run_.value)] in page.rows
        assert f"Timeline of {trials} trials" in page.html


def count_confirmed(path):
    """Return the number of completed trainings of finalists."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        query = "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = ? AND state = 'COMPLETE'"
        return connection.execute(query, ("small/confirm",)).fetchone()[0]
