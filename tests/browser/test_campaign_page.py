"""Tests of the campaign page: mouse, keyboard, touch, dark theme, and updates while workers train."""

import json
import re

from browser_campaigns import MARKUP, serving
from campaigns import write_campaign
from commands import coarsefine
from playwright.sync_api import expect

from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.metric import VALUE

PLOTS = ("#map", "#best-so-far", "#losses")
POINTS = """() => document.querySelector("#map").data
    .filter((trace) => ["completed", "pruned", "diverged"].includes(trace.name))
    .reduce((sum, trace) => sum + trace.x.length, 0)"""
PHONE = {"width": 360, "height": 780, "is_mobile": True, "has_touch": True}
CURVES = "() => document.querySelector('#losses').data.length / 2"  # training and validation
RANGE = "() => document.querySelector('#map').layout.xaxis.range"


def drag_across(page, plot):
    """Drag the mouse from the second to the third quarter of a plot, which zooms into that part."""
    box = page.locator(plot).bounding_box()
    left, top, width, height = (box[key] for key in ("x", "y", "width", "height"))
    page.mouse.move(left + width / 4, top + height / 4)
    page.mouse.down()
    page.mouse.move(left + width / 2, top + height / 2, steps=5)
    page.mouse.up()


def wait_for_plots(page):
    """Wait until every plot is drawn and the table of trials has rows."""
    for plot in PLOTS:  # an empty plot is attached, but a message hides it
        page.wait_for_selector(f"{plot} .main-svg", state="attached")
    page.wait_for_selector("#trials tr")


def wait_for(page, script, value):
    """Wait until a script on the page returns a value."""
    page.wait_for_function(f"(value) => JSON.stringify(({script})()) === JSON.stringify(value)", arg=value)


def status_of(folder, campaign):
    """Return the status of a campaign as `coarsefine status --json` prints it."""
    return json.loads(coarsefine("status", campaign, "--json", cwd=folder).stdout)


def take(page, folder, name):
    """Write a screenshot of the window into a folder."""
    page.screenshot(path=folder / f"{name}.png")
    assert (folder / f"{name}.png").stat().st_size > 20_000


def run_suggestions(page, folder):
    """Run the commands that the page suggests."""
    page.wait_for_selector(".command code")
    for command in page.locator(".command code").all_inner_texts():
        assert coarsefine(*command.split()[1:], cwd=folder).returncode == 0, command


def check_width(page):
    """Check that nothing is wider than the phone."""
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [360, 360]


def test_page_shows_every_trial_and_stage(visit, folder, pictures):
    """The map shows every trial, each stage has a box and a card, and the counts equal those of `coarsefine status`.

    The suggested commands run. A campaign with two parameters offers no choice of axes.
    """
    status = status_of(folder, "small")
    page = visit("/campaigns/small", height=1330)
    wait_for_plots(page)
    take(page, pictures, "campaign-light")
    stages = status["stages"]
    assert page.evaluate(POINTS) == sum(stage["trials"] for stage in stages)
    assert stages[0]["diverged"] > 0
    boxes = page.evaluate("() => document.querySelector('#map').data.map((trace) => [trace.name, trace.line?.color])")
    for stage in stages:
        card = page.locator(".stage").filter(has=page.get_by_role("heading", name=stage["name"], exact=True))
        expect(card).to_contain_text(f"{stage['completed']} completed")
        expect(card).to_contain_text(f"of {stage['trials']} trials")
        assert [f"ranges of {stage['name']}", card.evaluate("card => card.style.getPropertyValue('--colour')")] in boxes
    expect(page.locator("#state")).to_have_text("done")
    expect(page.locator("#facts")).to_contain_text(f"{100 * status['final']['test_accuracy']:.2f}")
    assert page.evaluate(CURVES) == sum(len(stage["best"]) for stage in stages)
    expect(page.locator("#axes")).to_be_hidden()
    run_suggestions(page, folder)


def test_page_follows_workers_without_reloading(visit, folder):
    """Finished trials appear in the counts, the map and the table without a reload, and the zoom stays."""
    page = visit("/campaigns/fresh")
    page.wait_for_selector("#map .main-svg")
    expect(page.locator("#state")).to_have_text("not finished, no worker is training")
    expect(page.locator("#best-so-far + .empty")).to_be_visible()
    expect(page.locator("#winner-title")).to_have_text("Leader")
    page.evaluate("window.kept = 1")
    full = page.evaluate(RANGE)
    drag_across(page, "#map .nsewdrag")
    zoomed = page.evaluate(RANGE)
    assert full[0] < zoomed[0] < zoomed[1] < full[1]
    page.select_option("#order", "number")
    expect(page.locator("#trials tr:first-child td[data-state]")).to_have_text("waiting")

    assert coarsefine("run", "fresh.toml", "--workers", 2, cwd=folder).returncode == 0

    expect(page.locator("#state")).to_have_text("done")
    expect(page.locator("#facts")).to_contain_text("15 of 15")
    wait_for(page, POINTS, 15)
    expect(page.locator("#trials tr:first-child td[data-state]")).to_contain_text("%")
    expect(page.locator("#best-so-far + .empty")).to_be_hidden()
    assert (page.evaluate("window.kept"), page.evaluate(RANGE)) == (1, zoomed)


def test_page_reconnects_after_losing_the_server(visit, folder):
    """The page shows that the connection is lost, and reconnects when the server is back."""
    with serving(folder) as first:
        visit.allowed += [first, "ERR_"]
        page = visit("/campaigns/blown", at=first)
        expect(page.locator("#live")).to_have_text("connected")
    expect(page.locator("#live")).to_have_text("connection lost, trying again")
    with serving(folder, port=first.rpartition(":")[2]):
        expect(page.locator("#live")).to_have_text("connected")


def test_links_open_optuna_dashboard(visit):
    """Each stage links to its study in optuna-dashboard, and each trial to that trial; one of each is opened."""
    page = visit("/campaigns/small")
    wait_for_plots(page)
    links = page.eval_on_selector_all("main a", "links => [...new Set(links.map((a) => a.href))]")
    studies = [link for link in links if "trials" not in link]
    trials = [link for link in links if "trials" in link]
    assert (len(studies), len(trials)) == (2, 10)  # the rows of the first stage, and the winner in the second
    assert all(link.startswith(tuple(f"{study}/" for study in studies)) for link in trials)
    page.goto(studies[0])
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.goto(trials[-1])
    number = trials[-1].rpartition("=")[2]
    expect(page.get_by_text(f"Trial {number} (trial_id=")).to_be_visible()


def test_trials_are_selected_by_keyboard_or_click(visit):
    """Tab reaches every control and shows its focus; Space selects a trial, draws its curve, and removes it again.

    A click on a point of the map draws its learning curve; a button selects the best trials again.
    """
    page = visit("/campaigns/small")
    wait_for_plots(page)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.select_option("#order", "number")
    expect(page.locator("#trials th[scope=row]").first).to_have_text("0")
    before = page.evaluate(CURVES)
    name = page.locator("#trials input:not(:checked)").first.get_attribute("aria-label")
    focused = page.get_by_role("checkbox", name=name, exact=True)
    for _ in range(80):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        if focused.evaluate("box => box === document.activeElement"):
            break
    page.keyboard.press("Space")
    wait_for(page, CURVES, before + 1)
    expect(focused).to_be_focused()
    page.keyboard.press("Space")
    wait_for(page, CURVES, before)
    page.evaluate("""() => {
        const trace = document.querySelector("#map").data.find((trace) => trace.name === "completed");
        document.querySelector("#map").emit("plotly_click", { points: [{ customdata: trace.customdata[0] }] });
    }""")
    wait_for(page, CURVES, before + 1)
    page.get_by_role("button", name="Select the best again").click()
    wait_for(page, CURVES, before)


def test_phone_needs_no_horizontal_scrolling(visit, pictures):
    """At a width of 360 pixels, nothing is wider than the page: a table that is scrolls within itself."""
    for campaign, picture in (("small", "campaign-phone"), ("wide", "campaign-wide-phone")):
        page = visit(f"/campaigns/{campaign}", **PHONE, device_scale_factor=2)
        wait_for_plots(page)
        check_width(page)
        page.locator("#map-title").evaluate("title => title.scrollIntoView()")
        take(page, pictures, picture)


def test_theme_follows_the_system_or_the_button(visit, pictures):
    """The page and its figures follow the system's theme; the button changes it, and a reload keeps the choice."""
    page = visit("/campaigns/small", height=1330, color_scheme="dark")
    wait_for_plots(page)
    take(page, pictures, "campaign-dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    font = "() => document.querySelector('#map').layout.font.color"
    dark = page.evaluate(background), page.evaluate(font)
    page.get_by_role("button", name="Theme: dark").click()
    wait_for(page, font, "#1f2933")
    light = page.evaluate(background), page.evaluate(font)
    assert not set(light) & set(dark)
    page.reload()
    wait_for_plots(page)
    assert (page.evaluate(background), page.evaluate(font)) == light


def test_finalists_are_listed_with_their_means(visit, folder):
    """The page lists each finalist with its mean, and the verdict; finalists add no points to the map."""
    confirm = status_of(folder, "confirmed")["confirm"]
    page = visit("/campaigns/confirmed")
    wait_for_plots(page)
    rows = page.locator("#winner table").first.locator("tbody tr")
    expect(rows).to_have_count(3)
    for row, finalist in zip(rows.all(), confirm["finalists"], strict=True):
        expect(row).to_contain_text(f"{100 * finalist['confirmed']['mean']:.2f}")
        if finalist["behind"]:
            expect(row).to_contain_text(f"{100 * finalist['behind']['mean']:.2f} ± ")
    expect(page.locator("#winner")).to_contain_text(confirm["verdict"])
    expect(page.locator("#winner-title")).to_have_text("Winner")
    expect(page.locator("#winner tbody th").filter(has_text="★")).to_have_count(1)
    expect(page.locator(".stage").last).to_contain_text("The 3 best settings of all stages, trained again")
    assert page.evaluate(POINTS) == 15


def test_axes_of_the_map_can_be_chosen(visit, folder, pictures):
    """If more than two parameters were searched, the user chooses the map's axes; text and tables show all of them."""
    status = status_of(folder, "wide")
    page = visit("/campaigns/wide", height=1330)
    wait_for_plots(page)
    take(page, pictures, "campaign-wide")
    titles = "() => ['xaxis', 'yaxis'].map((axis) => document.querySelector('#map').layout[axis].title.text)"
    assert page.evaluate(titles) == ["η, learning rate", "ρ, momentum"]
    total = page.evaluate(POINTS)
    assert total == 26
    page.get_by_label("Horizontal").select_option("hidden units")
    page.get_by_label("Vertical").select_option("batch, images of a step")
    wait_for(page, titles, ["hidden units", "batch, images of a step"])
    found = page.evaluate("() => document.querySelector('#map').data.find((t) => t.name === 'completed').x")
    assert set(found) <= {10, 20, 30}
    assert page.evaluate(POINTS) == total
    heads = page.locator("[aria-labelledby=trials-title] thead th").all_inner_texts()
    assert heads == ["Curve", "Trial", "Result", "η", "ρ", "hidden", "batch", "Epochs", "Seed"]
    expect(page.locator(".stage").first).to_contain_text("10 to 30 by 10")
    expect(page.locator(".stage").first).to_contain_text("20, 50")
    winner = status["winner"]["params"]
    expect(page.locator("#winner .point")).to_contain_text(f"hidden = {winner['hidden']}")
    page.get_by_role("button", name="Theme: ").click()
    wait_for(page, titles, ["hidden units", "batch, images of a step"])


def test_function_without_epochs_has_no_curves(visit, folder, pictures):
    """The page of a function that reports no epochs has no learning curves, calls its values so, and rounds them.

    The error of a finalist has two significant digits, and its mean ends at the same place. A choice can be an axis.
    """
    confirm = status_of(folder, "function")["confirm"]
    page = visit("/campaigns/function", **PHONE)
    page.wait_for_selector("#map .main-svg")
    page.wait_for_selector("#trials tr")
    heads = page.locator("[aria-labelledby=trials-title] thead th:visible").all_inner_texts()
    assert heads == ["Trial", "Result", "Log", "a", "shape"]
    expect(page.locator("#losses")).to_be_hidden()
    text = page.inner_text("main")
    assert "urve" not in text
    assert "ccuracy" not in text
    for row, finalist in zip(page.locator("#winner tbody tr").all(), confirm["finalists"], strict=True):
        expect(row).to_contain_text(VALUE.spread(Estimate(**finalist["confirmed"])))
    run_suggestions(page, folder)
    expect(page.locator("#winner")).to_contain_text("coarsefine export function --as params")
    page.get_by_label("Vertical").select_option("shape")
    wait_for(page, "() => document.querySelector('#map').layout.yaxis.ticktext", ["round", "square"])
    check_width(page)
    page.locator("#map-title").evaluate("title => title.scrollIntoView()")
    take(page, pictures, "campaign-function-phone")


def test_page_of_a_campaign_that_minimizes(visit, folder, pictures):
    """The page names the metric and presents its lowest values as the best: in facts, cards, table, charts and text."""
    status = status_of(folder, "minimized")
    for size, name in (({"width": 1440, "height": 1500}, "wide"), ({**PHONE, "width": 390}, "phone")):
        page = visit("/campaigns/minimized", **size)
        wait_for_plots(page)
        mean = VALUE.mean_and_half(Estimate(**status["winner"]["confirmed"]))[0]
        expect(page.locator("#facts")).to_contain_text("Mean val_loss on new seeds")
        expect(page.locator("#facts")).to_contain_text(mean)
        for card, stage in zip(page.locator(".stage .best").all(), status["stages"][:2], strict=False):
            expect(card).to_have_text(f"{stage['best'][0]['value']:.5g}")
        expect(page.locator("#best-caption")).to_contain_text("The val_loss of each completed trial")
        expect(page.locator("#best-caption")).to_contain_text("and the lowest up to then.")
        was = "pessimistic" if status["confirm"]["optimism"] < 0 else "optimistic"
        expect(page.locator("#winner")).to_contain_text(f"The search’s best value was {was} by ")
        expect(page.locator("#winner")).to_contain_text(f"val_loss {status['winner']['value']:.5g}, trial ")
        shown = page.locator("#trials td[data-state=COMPLETE]").all_inner_texts()
        assert shown == sorted(shown, key=float)
        best = page.evaluate("() => document.querySelector('#best-so-far').data.at(-1).y")
        assert best == sorted(best, reverse=True)
        page.screenshot(path=pictures / f"campaign-minimized-{name}.png", full_page=True)


def test_planted_markup_stays_text(visit):
    """Markup in attributes, reasons and study names is shown as text and has no effect, even on a phone."""
    page = visit("/campaigns/planted", **PHONE)
    wait_for_plots(page)
    check_width(page)
    expect(page.locator("#summary")).to_contain_text(MARKUP)
    expect(page.locator("#problems")).to_contain_text(MARKUP.replace("/", "|"))
    expect(page.locator("#trials")).to_contain_text(f"ended {MARKUP}")
    reason = page.locator("#trials td.reason")
    expect(reason).to_have_count(1)
    widths = "td => [td.getBoundingClientRect().width, 14 * parseFloat(getComputedStyle(td).fontSize)]"
    found, least = reason.evaluate(widths)
    assert found >= least, "a reason has room for more than a word a line"
    assert page.evaluate("[window.planted, document.querySelectorAll('img[src=x]').length]") == [None, 0]


def test_diverged_campaign_suggests_a_remedy(visit, folder):
    """If no trial completed, the page suggests a remedy and commands that run, and shows no empty plot."""
    page = visit("/campaigns/blown", **PHONE)
    expect(page.get_by_role("alert")).to_contain_text("Lower the upper bound of eta")
    expect(page.locator("#winner")).to_contain_text("there is no winner")
    expect(page.locator("#best-so-far + .empty")).to_be_visible()
    expect(page.locator("#losses + .empty")).to_be_visible()
    check_width(page)
    run_suggestions(page, folder)


def test_all_campaigns_are_listed(visit):
    """The list shows each campaign with its state and links to its page, which links back."""
    page = visit("/", **PHONE)
    expect(page.locator("#campaigns h2")).to_have_text(
        ["small", "fresh", "blown", "planted", "confirmed", "wide", "function", "minimized"]
    )
    check_width(page)
    page.get_by_role("link", name="blown").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("blown")
    page.get_by_role("link", name="Coarsefine").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Campaigns")


def test_log_and_metrics_of_a_trial_are_shown(visit, tmp_path, pictures):
    """The button of a trial opens its log as text, Escape closes it; the curves' menu draws a further metric."""
    write_campaign(tmp_path, "objective", objective="user_functions:talks", max_failures=9, confirm=None)
    assert coarsefine("run", "small.toml", "--workers", 1, cwd=tmp_path).returncode == 0
    with serving(tmp_path) as address:
        visit.allowed += [address, "ERR_"]  # once the server has ended, the page loses its connection
        page = visit("/campaigns/small", at=address)
        wait_for_plots(page)
        expect(page.locator("#state")).to_have_text(re.compile(r"^done, \d+ of 13 trials failed$"))
        page.get_by_role("button", name="Log of trial").first.click()
        expect(page.locator("#log-text")).to_contain_text("epoch 6 at <b>")
        expect(page.locator("#log-title")).to_contain_text("Log of coarse#")
        take(page, pictures, "log")
        page.keyboard.press("Escape")
        expect(page.locator("#log")).to_be_hidden()
        expect(page.locator("th[data-metric]")).to_have_text("f1")
        page.select_option("#metric", "f1")
        wait_for(page, "() => document.querySelector('#losses').data[0].y[5]", 0.6)
