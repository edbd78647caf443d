"""The HTML report in a browser: what a reader does with it, by pointer and by keyboard."""

from __future__ import annotations

import re

import pytest
from browser.hostile import BREAKOUT, HOSTILE


def column(page, table, number):
    """The texts of one column of a table, as shown."""
    return table.locator(f"tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()


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
    assert re.fullmatch(r"\d+ of \d+ rows", opened.locator("#found").inner_text())
    opened.fill("#find", "")
    opened.select_option("#family", "runge-kutta")
    assert column(opened, table, 1) == ["euler", "heun", "rk4"]


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
    assert opened.locator("#ranking-title").inner_text() == "Ranking at NFE 20"
    away = [abs(v - 141) for v in values(column(opened, opened.locator("#ranking table"), 4))]
    assert away == sorted(away)


def test_pointer_and_keys_read_the_points(opened):
    opened.locator("#plot").scroll_into_view_if_needed()
    mark = opened.locator("#plot g > g:not(.ghost) .mark").last.bounding_box()
    opened.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    assert "NFE" in opened.locator(".tip").inner_text()
    opened.mouse.move(5, 5)
    opened.locator("#plot").focus()
    opened.keyboard.press("ArrowRight")
    first = opened.locator("#status").inner_text()
    opened.keyboard.press("ArrowRight")
    second = opened.locator("#status").inner_text()
    assert first.split(" (")[0] == second.split(" (")[0]
    assert first != second
    opened.keyboard.press("ArrowUp")
    assert opened.locator("#status").inner_text().split(" (")[0] != second.split(" (")[0]
    assert opened.evaluate("document.activeElement.id") == "plot"
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
    assert opened.locator('.subject[data-name="rk4"]').get_attribute("open") is not None


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


def test_text_stands_out_in_both_themes(opened):
    contrast = """([name, ground]) => {
      const read = (v) => { const e = document.body.appendChild(document.createElement('p'));
        e.style.color = `var(${v})`; const c = getComputedStyle(e).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
        e.remove(); return c; };
      const light = (c) => c.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const [a, b] = [light(read(name)), light(read(ground))].sort((x, y) => y - x);
      return (a + .05) / (b + .05);
    }"""
    for theme in ("light", "dark"):
        opened.emulate_media(color_scheme=theme)
        for name in ("--ink", "--quiet", "--link", *(f"--c{i}" for i in range(8))):
            for ground in ("--paper", "--raised"):
                assert opened.evaluate(contrast, [name, ground]) >= 4.5, (theme, name, ground)


def test_everything_that_is_operated_has_a_name(opened):
    nameless = opened.evaluate("""[...document.querySelectorAll(
      'button, select, input, a, [role=region], svg[tabindex], img')]
      .filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.alt || e.textContent.trim()))
      .map((e) => e.outerHTML)""")
    assert nameless == []


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
