"""The HTML report in a browser: what a reader does with it, by pointer and by keyboard."""

from __future__ import annotations

import csv
import io
import json
import random
import re

import pytest
from browser.hostile import BREAKOUT, HOSTILE, PROBLEM, REASON


def cells_of(place):
    """The texts of a table, row by row from its headings on, without rows that are filtered out."""
    rows = place.locator("tr:not([hidden])")
    return rows.evaluate_all("(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))")


def column(page, table, number):
    """The texts of one column of a table, as shown."""
    return table.locator(f"tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()


def subject(page, name):
    """What is said of a solver."""
    return page.locator(".subject", has=page.locator(f'summary strong:text-is("{name}")'))


def values(texts):
    return [float(text) for text in texts if re.fullmatch(r"[\d.]+(e-?\d+)?", text)]


def test_the_page_draws_itself_and_an_incomplete_run_says_so(opened):
    assert opened.locator(".warning").first.inner_text().startswith("This run is incomplete: 216 of 221 cells")
    assert opened.locator("#plot .line").count() == 12


def test_the_policy_refuses_what_a_slip_would_let_in(browser, page_file):
    page = browser.new_page(offline=True)
    page.goto(page_file.as_uri())
    page.evaluate("window.ran = 0")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"ran++\">')")
    script = "document.body.appendChild(document.createElement('script')).textContent = 'window.ran++'"
    page.evaluate(script)
    assert page.evaluate("fetch('data:text/plain,x').then(() => 'loaded', () => 'refused')") == "refused"
    assert page.evaluate("window.ran") == 0
    page.context.close()


def test_hostile_names_stay_text(opened):
    assert opened.locator("script").count() == 2
    assert opened.locator("img[onerror]").count() == 0
    assert HOSTILE in opened.locator("h1").inner_text()
    assert opened.locator(f'.subject strong:text-is("{HOSTILE}")').count() == 1
    assert BREAKOUT in opened.locator("#families").inner_text()
    assert opened.locator("#problem option").first.text_content() == PROBLEM
    assert opened.locator("#tables h3").first.text_content() == PROBLEM
    opened.select_option("#highlight", HOSTILE)
    assert f"{HOSTILE[:23]}…" in opened.locator("#plot text.label").all_text_contents()


def test_headings_sort_numbers_and_say_so(opened):
    table = opened.locator("#tables table").first
    head = table.locator("thead th").nth(4)
    before = column(opened, table, 5)
    head.locator("button").click()
    rising = column(opened, table, 5)
    assert head.get_attribute("aria-sort") == "ascending"
    assert values(rising) == sorted(values(rising)) != values(before)
    assert sorted(rising) == sorted(before)
    head.locator("button").focus()
    opened.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    falling = column(opened, table, 5)
    assert values(falling) == sorted(values(falling), reverse=True)
    table.locator("thead button").first.click()
    assert head.get_attribute("aria-sort") is None
    names = column(opened, table, 1)
    assert names == sorted(names, key=str.lower)


def test_values_that_are_missing_stay_at_the_end(opened):
    table = opened.locator("#tables table").first
    button = table.locator("thead button").nth(2)  # NFE 5: one diverged, one failed, one skipped
    for _ in range(2):
        button.click()
        assert sorted(column(opened, table, 3)[-3:]) == ["-", "div", "fail"]


def test_tables_are_filtered_by_text_and_family(opened):
    table = opened.locator("#tables table").first
    opened.fill("#find", "DPMPP")
    assert column(opened, table, 1) == ["dpmpp-2m", "dpmpp-3m"]
    assert re.fullmatch(r"\d+ of \d+ rows of all tables", opened.locator("#found").inner_text())
    opened.fill("#find", "")
    opened.select_option("#family", "runge-kutta")
    assert column(opened, table, 1) == ["euler", "heun", "rk4"]


def test_numbers_are_those_of_the_records(opened, page_file):
    lines = (page_file.parent / "run" / "cells.jsonl").read_text("utf-8").splitlines()
    cells = [json.loads(line) for line in lines]
    for problem in dict.fromkeys(cell["problem"] for cell in cells):
        opened.select_option("#problem", label=problem)
        for key, name in (("w2", "W2"), ("kl", "KL"), ("rmse", "paired RMSE"), ("fd", "FD_pixel")):
            known = [c for c in cells if c["problem"] == problem and c["status"] == "ok" and c.get(key) is not None]
            if not known:
                continue
            opened.select_option("#metric", label=name)
            heads, *rows = cells_of(opened.locator("#numbers"))
            shown = {(row[0], int(head)): text for row in rows for head, text in zip(heads[2:], row[2:], strict=True)}
            for cell in random.Random(key).sample(known, 20):
                text = shown[cell["solver"].replace("\u202e", "\ufffd"), cell["budget"]]
                if text.startswith("<"):  # what the reference does not resolve
                    assert cell[key] < float(text[1:]) == pytest.approx(100 * cell["reference_error"])
                else:
                    assert float(text) == pytest.approx(cell[key], rel=5.1e-3), (cell["cell"], key)


def test_what_has_no_number_says_why(opened):
    opened.select_option("#budget", label="NFE 5")
    rows = cells_of(opened.locator("#ranking"))
    ends = {row[1]: (row[0], row[2], row[3]) for row in rows[-3:]}
    assert ends == {
        "rk4": ("-", "-", "skipped"),
        "dpm-3": ("-", "fail", "failed"),
        "deis-tab3": ("-", "div", "diverged"),
    }
    said = subject(opened, "dpm-3").locator(".warning").text_content()
    assert said == f"Failed on {PROBLEM} at NFE 5, cifar10-mixture at NFE 5: {REASON}"


def test_the_place_of_a_solver_is_what_the_data_allow(opened):
    opened.select_option("#problem", label="cifar10-mixture")
    opened.select_option("#budget", label="NFE 10")
    texts = column(opened, opened.locator("#ranking"), 1)
    places = [re.fullmatch(r"(\d+)(?:–(\d+))?", text).groups() for text in texts]
    assert any(last for _, last in places), "sampled errors are tied somewhere"
    best = opened.locator("#ranking tbody tr", has_text="best or tied").count()
    assert best == sum(first == "1" for first, _ in places)


def test_the_solver_that_the_run_was_made_for_stands_out(opened):
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    for place in ("#ranking", "#tables"):
        row = opened.locator(f"{place} tr.mine").first
        assert row.locator("th").inner_text() == HOSTILE
        assert row.locator("th").evaluate("(e) => getComputedStyle(e).backgroundColor") != paper
    assert opened.locator("#plot g.strong:not(.ghost) .line").count() == 1
    assert opened.locator("#summary caption", has_text="against others").count() == 4


def test_tables_are_copied_as_they_are_shown(opened):
    opened.evaluate("void (navigator.clipboard.writeText = async (text) => { window.copied = text; })")
    opened.fill("#find", "script")
    table = opened.locator("#tables .block").first
    table.locator("thead button").nth(3).click()
    shown = cells_of(table)
    table.get_by_role("button", name="Copy as CSV").click()
    assert list(csv.reader(io.StringIO(opened.evaluate("copied")))) == shown
    assert opened.locator("#said").text_content() == f"Copied as CSV: {len(shown) - 1} rows."
    opened.fill("#find", "")
    ranking = opened.locator("#ranking .block")
    ranking.get_by_role("button", name="Copy as LaTeX").click()
    title, begin, *lines = opened.evaluate("copied").splitlines()
    assert title == f"% {PROBLEM}: W2 at NFE 10"
    assert begin == r"\begin{tabular}{rlrll}"
    assert lines[0] == r"\toprule"
    assert lines[1] == r"place & solver & W2 & note & family \\"
    assert lines[3] == r"1 & deis-tab3 & \textbf{8.51e-4} & best or tied & deis \\"
    assert r"$<$script$>$alert(1)$<$/script$>$" in lines[6]
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_a_copy_needs_no_permission(opened):
    opened.evaluate("void (navigator.clipboard.writeText = async () => { throw new Error('no'); })")
    opened.evaluate("void (document.execCommand = () => { window.copied = document.activeElement.value; })")
    button = opened.locator("#ranking").get_by_role("button", name="Copy as CSV")
    button.click()
    assert opened.evaluate("copied").startswith("place,solver,W2,note,family\n1,deis-tab3,8.51e-4,best or tied,deis\n")
    assert button.evaluate("(e) => e === document.activeElement")


def test_words_numbers_and_signs_have_an_order(opened):
    texts = ["- 2.39 [1, 3]", "<0.5", "inf", "-inf", "-1.5", "1.20(12)e-5", "7–9", "-", "word", "fail", "+ 0.1"]
    found = opened.evaluate(
        """(texts) => {
      const body = make("tbody", {}, ...texts.map((text) => make("tr", {}, make("td", {}, text))));
      return order([...body.rows], 0, 1).map((row) => row.textContent);
    }""",
        texts,
    )
    assert found == ["-inf", "-1.5", "1.20(12)e-5", "+ 0.1", "<0.5", "- 2.39 [1, 3]", "7–9", "inf", "word", "-", "fail"]


def test_families_metric_axes_and_budget_change_the_chart(opened):
    def drawn():
        return opened.locator("#plot .line").count()

    everyone = drawn()
    opened.get_by_role("checkbox", name="runge-kutta").uncheck()
    assert drawn() == everyone - 3
    opened.get_by_role("checkbox", name="runge-kutta").check()
    assert drawn() == everyone
    opened.get_by_label("others in grey").uncheck()
    assert drawn() < everyone
    curve = opened.locator("#plot .line").first.get_attribute("d")
    opened.get_by_label("log x").uncheck()
    assert opened.locator("#plot .line").first.get_attribute("d") != curve
    opened.select_option("#problem", label="cifar10-mixture")
    opened.select_option("#metric", label="FD_pixel")
    opened.select_option("#axis", label="seconds of sampling")
    opened.select_option("#budget", label="NFE 20")
    label = opened.locator("#plot").get_attribute("aria-label")
    assert label.startswith("FD_pixel against seconds of sampling on cifar10-mixture")
    assert opened.locator("#plot .band").count() == 1
    assert opened.locator("#plot [clip-path] ~ text", has_text="exact samples").count() == 1  # over the lines
    assert opened.locator("#ranking-title").inner_text() == "Ranking at NFE 20"
    away = [abs(v - 141) for v in values(column(opened, opened.locator("#ranking table"), 3))]
    assert away == sorted(away)


def test_pointer_and_keys_read_the_points(opened):
    opened.locator("#plot").scroll_into_view_if_needed()
    mark = opened.locator("#plot g > g:not(.ghost) .mark").last.bounding_box()
    opened.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    assert "NFE" in opened.locator(".tip").inner_text()
    opened.mouse.move(5, 5)
    opened.locator("#plot").focus()
    opened.evaluate("window.plot = document.activeElement")
    opened.keyboard.press("ArrowRight")
    first = opened.locator("#status").inner_text()
    opened.keyboard.press("ArrowRight")
    second = opened.locator("#status").inner_text()
    assert first.split(" (")[0] == second.split(" (")[0]
    assert first != second
    opened.keyboard.press("ArrowUp")
    assert opened.locator("#status").inner_text().split(" (")[0] != second.split(" (")[0]
    assert opened.evaluate("document.activeElement === window.plot"), "another element is read out from its beginning"
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.parentElement.open")
    assert opened.evaluate("location.hash").startswith("#solver-")


def test_the_first_tab_skips_to_the_content_and_shows_where_it_is(opened):
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.id") == "main"


def test_links_open_the_solver(opened):
    opened.locator("#tables table").first.get_by_role("link", name="rk4", exact=True).click()
    assert subject(opened, "rk4").get_attribute("open") is not None


def test_a_link_to_nothing_is_no_error(opened):
    for place in ("%E0%A4", "nowhere", ""):
        opened.goto(f"{opened.url.partition('#')[0]}#{place}")
        opened.reload()
        assert opened.locator("#plot").count() == 1


def test_dark_is_the_system_s_or_the_button_s(opened):
    def paper():
        return opened.evaluate("getComputedStyle(document.body).backgroundColor")

    light = paper()
    opened.emulate_media(color_scheme="dark")
    dark = paper()
    assert dark != light
    opened.click("#theme")
    assert paper() == light
    opened.reload()
    assert paper() == light


LUMINANCE = """
  const numbers = (colour) => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = ([r, g, b, a], ground) => [r, g, b].map((v, i) => a * v + (1 - a) * ground[i]);
  const light = (c) => c.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const contrast = (one, other) => { const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + .05) / (b + .05); };
  const ground = (e) => { const under = e.parentElement ? ground(e.parentElement) : [255, 255, 255];
    return over(numbers(getComputedStyle(e).backgroundColor), under); };
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_marks_and_controls_stand_out(opened, theme):
    """WCAG 2.2: 4.5 for text (1.4.3), 3 for marks and the edges of controls (1.4.11), as they are drawn."""
    opened.emulate_media(color_scheme=theme)
    opened.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
    opened.locator("#plot").focus()
    opened.keyboard.press("ArrowRight")
    low = opened.evaluate(
        """() => {LUMINANCE
      const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
      const drawn = (e) => e.namespaceURI.endsWith("svg") && e.tagName !== "svg";
      const shown = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest(".faded"));
      const told = shown.filter(own).map((e) => [e, drawn(e) ? "fill" : "color", 4.5]);
      const edges = shown.filter((e) => e.matches("select, [type=search], #theme, .copies button"))
        .map((e) => [e, "borderTopColor", 3]);
      const marks = shown.filter((e) => e.matches(".mark") && !e.closest(".ghost")).map((e) => [e, "fill", 3]);
      const found = [...told, ...edges, ...marks].map(([e, key, least]) => [
        contrast(over(numbers(getComputedStyle(e)[key]), ground(key === "borderTopColor" ? e.parentElement : e)),
          ground(key === "borderTopColor" ? e.parentElement : e)), least, e.outerHTML.slice(0, 80)]);
      const field = document.getElementById("find");
      found.push([contrast(over(numbers(getComputedStyle(field, "::placeholder").color), ground(field)), ground(field)),
        4.5, "placeholder"]);
      if (found.length < 500) found.push([0, 1, "too few were found"]);
      return found.filter(([ratio, least]) => ratio < least);
    }""".replace("LUMINANCE", LUMINANCE)
    )
    assert low == []


def test_a_screen_reader_is_told_everything(opened):
    """Chromium's accessibility tree: names, headings, captions, and no ornament read out."""
    opened.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
    session = opened.context.new_cdp_session(opened)
    session.send("Accessibility.enable")
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    operated = {"button", "combobox", "checkbox", "searchbox", "link", "DisclosureTriangle", "application"}
    found = {role for role, _ in named}
    assert operated | {"table", "columnheader", "rowheader", "image", "region", "navigation", "main"} <= found
    told = operated | {"table", "image", "columnheader", "rowheader", "region", "form", "navigation"}
    assert [role for role, name in named if role in told and not name.strip()] == []
    assert not [name for _, name in named if re.search("[\u2190-\u2199\u2195]", name.replace("\u2192", ""))]
    assert named.count(("columnheader", "place")) == 1
    tables = opened.locator("table").count()
    assert opened.locator("table > caption").count() == sum(role == "table" for role, _ in named) == tables
    (chart,) = [name for role, name in named if role == "application"]
    assert chart.startswith(f"W2 against NFE on {PROBLEM}, 12 solvers. Best or tied at NFE 10: deis-tab3 8.51e-4.")
    ways = [n for n in nodes if not n["ignored"] and any(p["name"] == "focusable" for p in n.get("properties", []))]
    assert {n["role"]["value"] for n in ways if not n["name"]["value"]} == {"main"}


@pytest.mark.parametrize("width", [360, 700, 1600])
def test_no_width_makes_the_page_scroll_sideways(opened, width):
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    plot = opened.locator("#plot").bounding_box()
    assert plot["x"] + plot["width"] <= width


def test_paper_is_white_and_holds_every_column(opened):
    opened.click("#theme")  # dark, which stays on the screen
    opened.emulate_media(media="print")
    opened.set_viewport_size({"width": 718, "height": 1000})  # of A4 between its margins
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not opened.locator("#controls").is_visible()
    cut = """[...document.querySelectorAll(".scroll")].filter((e) => e.offsetParent && e.scrollWidth > 718)
      .map((e) => [e.ariaLabel, e.scrollWidth])"""
    assert opened.evaluate(cut) == []
