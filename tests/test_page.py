"""The page that explains a step, read in a headless Chromium: numbers, keys, links and sizes."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest

import nnlite as nn
from nnlite.inspection.page import SCRIPTS, page
from tests.browser import CHROMIUM, Browser

FOLDER = Path(nn.__file__).parent / "inspection" / "page"
WIDTHS = {"narrow": 390, "wide": 1600}


def floats(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def mlp():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)), floats(5, 3)


def eight_layers():
    hidden = [layer for _ in range(7) for layer in (nn.Linear(6, 6), nn.Sigmoid())]
    return nn.Sequential(nn.Linear(3, 6), *hidden, nn.Linear(6, 3)), floats(4, 3)


def residual():
    branch = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    beside = nn.Concat(nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 3), nn.Tanh()))
    model = nn.Sequential(nn.Linear(3, 4), nn.Residual(branch), beside, nn.Linear(5, 3))
    return model, floats(4, 3)


def conv():
    layers = nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(18, 3)), floats(2, 6, 6, 1)


def lstm():
    return nn.Sequential(nn.LSTM(2, 3), nn.LastStep(), nn.Linear(3, 3)), floats(3, 4, 2)


def transformer():
    layers = nn.TransformerLayer(4, 2, 8), nn.MeanOverTime(), nn.Linear(4, 3)
    return nn.Sequential(*layers), floats(2, 3, 4)


MODELS = {make.__name__: make for make in (mlp, eight_layers, residual, conv, lstm, transformer)}


@functools.cache
def traced(name):
    nn.seed(0)
    model, x = MODELS[name]()
    y = np.arange(len(x)) % 3
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    return nn.trace(model, nn.CrossEntropyLoss(), x, y, optimizer=optimizer)


def all_steps(trace):
    return [*trace.forward, trace.loss_step, *trace.steps, *trace.update]


# -- without a browser -----------------------------------------------------------------------------


def test_every_file_of_the_page_is_joined_into_it():
    assert sorted(SCRIPTS) == sorted(path.stem for path in FOLDER.glob("*.js"))
    html = traced("mlp").page()
    assert not re.search(r"__[A-Z]+__", html)
    for path in [FOLDER / "page.css", *FOLDER.glob("*.js")]:
        assert path.read_text(encoding="utf-8") in html


def test_the_page_names_no_address():
    html = traced("mlp").page().replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r'(src|href)="[^#]|https?://|@import|url\(|fetch\(|XMLHttp', html)


def test_no_name_ends_the_data_or_hides_its_end():
    names = {"layer": "</script> <!-- <script>"}
    (data,) = re.findall(r'type="application/json">(.*?)</script>', page(names))
    assert "<" not in data
    assert json.loads(data) == names


def test_a_notebook_shows_the_page_in_a_frame():
    shown = traced("mlp")._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert shown.count('"') == 8  # those of the attributes: the page's own are escaped


# -- in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")

    def path(name):
        file = folder / f"{name}.html"
        if not file.exists():
            traced(name).to_html(file)
        return file

    return path


# Every table of the step in hand: [equation, operand or null, the corner's shape, [[place, text]]].
CELLS = """views.flatMap((view) => {
  const at = trace.all[current].equations.indexOf(view.equation);
  const operands = view.grids.flatMap((grids, k) => grids.map((grid) => [k, grid]));
  return [[null, view.resultGrid], ...operands].filter(([, grid]) => grid.cells)
    .map(([k, { cells, layout, value: { corner } }]) => [at, k, corner.shape, cells.flatMap(
      (row, r) => row.map((cell, c) =>
        [flatOf(layout.index(r, c), corner.shape), cell.textContent]))]);
})"""

# Every equation worked out by its rule: [the corner's shape, the entries], or null without a rule.
RULES = """trace.all[current].equations.map((equation) => {
  const { shape, corner } = trace.values[equation.result.value];
  const worked = (flat) => {
    const at = reshaped(indexOf(flat, corner.shape), shape, equation.result.shape);
    const reader = new Reader(equation, trace.values), { rule } = equation;
    try { return reader.read(rule.body, lettersOf(rule, at)); }
    catch (error) { if (error instanceof Missing) return null; throw error; }
  };
  return equation.rule && [corner.shape, corner.values.map((_, flat) => worked(flat))];
})"""

# What every step must be right about, in one answer.
SEEN = f"""[location.hash, document.querySelector("#step h2").textContent,
  document.documentElement.scrollWidth, {CELLS}]"""


def kept(array, corner):
    """The entries at the beginning of each axis, flat."""
    return np.asarray(array)[tuple(slice(size) for size in corner)].ravel()


def assert_written(text, value):
    """A cell's text is the value, to the digits that it shows."""
    text = text.replace("\N{MINUS SIGN}", "-")
    digits, _, exponent = text.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    assert abs(float(text) - value) <= 0.501 * unit + 1e-6 * abs(value)
    if 1e-9 < abs(value) < 1e10:  # two digits at least, or it is a whole number
        assert unit <= 0.11 * abs(value) or float(text) == float(f"{value:.6g}")


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.parametrize("name", MODELS)
def test_every_step_by_keyboard(browser, pages, name, width):
    steps = all_steps(traced(name))
    browser.open(pages(name), width)
    assert browser.run("trace.all.length") == len(steps)
    for number, step in enumerate(steps, 1):
        address, title, across, tables = browser.run(SEEN)
        assert address == f"#{number}"
        assert title.endswith(step.title)
        assert across <= width
        check_cells(step, tables)
        if width == WIDTHS["wide"]:
            check_rules(browser, step)
        browser.press("ArrowRight")
    assert browser.errors() == []
    assert browser.asked_for() == [pages(name).as_uri()]


def check_cells(step, tables):
    """What stands in the cells is what NumPy computed."""
    for at, k, corner, cells in tables:
        equation = step.equations[at]
        array = equation.result.array if k is None else equation.operands[k][-1]
        values = kept(array, corner)
        assert len(cells) == len(values)
        for flat, text in cells:
            assert_written(text, float(values[flat]))


def check_rules(browser, step):
    """Each entry, worked out from the operands on the page, is the one that the run computed."""
    for equation, worked in zip(step.equations, browser.run(RULES), strict=True):
        assert (worked is None) == (equation.rule is None)
        if worked is not None:
            corner, values = worked
            expected = kept(equation.result.array, corner)
            found = np.array([np.nan if v is None else v for v in values])
            known = ~np.isnan(found)
            assert known.any()
            tolerance = 1e-4 * np.abs(expected).max()
            np.testing.assert_allclose(found[known], expected[known], rtol=0, atol=tolerance)


def at_step(browser, title, layer):
    """Go to the first step of this title on this layer; its place in the list."""
    found = browser.run(
        f"trace.all.findIndex((s) => s.title === {title!r} && s.layer.startsWith({layer!r}))"
    )
    browser.run(f"show({found})")
    return found


def spelled(browser, equation=-1):
    """What stands below the matrices, without the general form."""
    box = f"views.at({equation}).box"
    browser.run(f"{box}.querySelector('div.soft')?.remove()")
    return browser.run(f"{box}.textContent")


@pytest.mark.slow
def test_keys_in_a_matrix_light_what_made_an_entry(browser, pages):
    trace = traced("mlp")
    browser.open(pages("mlp"))
    at_step(browser, "compute the weight gradient", "Linear(4, 3)")
    browser.run("views[0].resultGrid.element.focus()")
    browser.press("Home", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown", "ArrowRight")
    lit = browser.run("views[0].grids.map(([grid]) => [...grid.marks.keys()])")
    assert lit == [
        [f"1,{n}" for n in range(5)],
        [f"{n},1" for n in range(5)],
    ]  # xᵀ's row, G's column
    step = next(step for step in trace.steps if step.number == 3)
    x, g = (operand[-1] for operand in step.equations[0].operands)
    text = spelled(browser)
    assert text.startswith("dL/dW[1, 1] = ")
    numbers = [
        float(n.strip("()"))
        for n in re.split(r" = | \+ |·", text.replace("\N{MINUS SIGN}", "-"))[1:]
    ]
    np.testing.assert_allclose(numbers[:-1], np.stack([x[:, 1], g[:, 1]], 1).ravel(), rtol=1e-3)
    assert numbers[-1] == pytest.approx(step.result.array[1, 1], rel=1e-3)
    assert "dL/dW[1, 1]" in browser.run("byId('live').textContent")


@pytest.mark.slow
def test_pointing_at_an_operand_lights_what_it_feeds(browser, pages):
    browser.open(pages("mlp"))
    at_step(browser, "compute the weight gradient", "Linear(4, 3)")
    x, y = browser.run(
        """(() => { const cell = views[0].grids[1][0].cells[2][1]; cell.scrollIntoView();
        const box = cell.getBoundingClientRect(); return [box.x + 5, box.y + 5]; })()"""
    )
    browser.point(x, y)  # G[2, 1] goes into the second column of dL/dW
    assert browser.run("[...views[0].resultGrid.marks.keys()]") == [f"{i},1" for i in range(4)]
    assert "G[2, 1]" in browser.run("views[0].box.textContent")


@pytest.mark.slow
def test_a_pixel_feeds_its_windows(browser, pages):
    browser.open(pages("conv"))
    at_step(browser, "forward", "Conv2d")
    fed = browser.run("feeds(views[0].equation, trace.values, 0, [1, 2, 0, 0])")
    near = [[1, i, j, o] for i in (1, 2, 3) for j in (0, 1) for o in (0, 1)]  # at the left border
    assert fed == near


@pytest.mark.slow
def test_heads_are_transposed_one_by_one(browser, pages):
    browser.open(pages("transformer"))
    at_step(browser, "pass the gradient upstream", "MultiHeadAttention")
    step = next(s for s in traced("transformer").steps if s.layer.startswith("MultiHead"))
    equation = next(e for e in step.equations if e.result.name == "dL/dV")
    at = step.equations.index(equation)
    k = [operand[0] for operand in equation.operands].index("P")
    p = equation.operands[k][-1]  # (N, heads, T, T): here tiles of 3 × 3
    texts = browser.run(
        f"""views.find((view) => view.equation === trace.all[current].equations[{at}]).grids[{k}][0]
        .cells.map((row) => row.map((cell) => cell.textContent))"""
    )
    for n, head, row, column in np.ndindex(*p.shape):
        assert_written(texts[3 * n + row][3 * head + column], p[n, head, column, row])


@pytest.mark.slow
def test_a_place_in_a_picture_is_an_entry_of_the_array(browser, pages):
    browser.open(pages("conv"), WIDTHS["narrow"])
    at_step(browser, "compute the weight gradient", "Conv2d")
    # G (2, 6, 6, 2): tiles of 6 × 6, 3 pixels apart; a row for each sample, a column a channel
    canvas = (
        "views[0].grids[views[0].equation.operands.findIndex((ref) => ref.name === 'G')][0].canvas"
    )
    browser.run(f"{canvas}.scrollIntoView()")
    left, top, width = browser.run(
        f"(({{ x, y, width }}) => [x, y, width])({canvas}.getBoundingClientRect())"
    )
    side = (width - 3) / 12
    browser.point(left + 8.5 * side + 3, top + 10.5 * side + 3)
    step = next(s for s in traced("conv").steps if s.number == 3 and s.layer.startswith("Conv"))
    g = step.equations[0].operands[-1][-1]
    read = re.match(r"G\[1, 4, 2, 1\] = (\S+) ", browser.run("views[0].box.textContent"))
    assert float(read[1].replace("\N{MINUS SIGN}", "-")) == pytest.approx(g[1, 4, 2, 1], rel=1e-3)


@pytest.mark.slow
def test_a_number_is_followed_from_a_weight_to_the_loss_and_back(browser, pages):
    browser.open(pages("mlp"))
    begin = at_step(browser, "compute the weight gradient", "Linear(3, 4)")
    while browser.run("trace.all[current].number") != 1:
        k = browser.run("views.at(-1).equation.operands.findIndex((ref) => ref.name === 'G')")
        browser.run(f"views.at(-1).grids[{k}][0].element.focus()")
        browser.press("Enter")
    crumbs = browser.run("trail.map((crumb) => crumb.name)")
    (i, j), (n, _), _, (_, k) = (map(int, re.findall(r"\d+", name)) for name in crumbs)
    steps = traced("mlp").steps
    x = steps[5].equations[0].operands[0][-1]  # steps 5: dL/dW = xᵀ G of the first layer
    slope = steps[4].equations[0].result.array  # f′ of tanh
    weight = steps[3].equations[0].operands[1][-1]  # dL/dx = G Wᵀ of the second layer
    factors = [x[n, i], slope[n, j], weight[j, k], steps[0].result.array[n, k]]
    text = browser.run("document.querySelector('.product').textContent")
    product, share = text.replace("\N{MINUS SIGN}", "-").split(": ")[0].split(" = ")
    written = [float(factor.strip("()")) for factor in product.split(" · ")]
    np.testing.assert_allclose(written, factors, rtol=1e-3)
    assert float(share) == pytest.approx(np.prod(factors), rel=1e-3)
    browser.press("Backspace", "Backspace", "Backspace")
    assert browser.run("current") == begin
    assert browser.run("trail.length") == 1


@pytest.mark.slow
def test_keys_links_and_buttons_move(browser, pages):
    browser.open(pages("mlp"))
    last = len(all_steps(traced("mlp")))
    browser.press("End")
    assert browser.run("location.hash") == f"#{last}"
    browser.press("ArrowLeft")
    assert browser.run("location.hash") == f"#{last - 1}"
    browser.press("Home")
    assert browser.run("location.hash") == "#1"
    browser.run("location.hash = '#6'; new Promise((go) => setTimeout(go, 50))")
    assert browser.run("current") == 5
    browser.run("byId('speed').value = 4")
    browser.press(" ")
    assert browser.run("byId('play').getAttribute('aria-label')") == "pause"
    browser.run(
        """new Promise((go) => {
          const wait = () => (current > 6 ? go() : setTimeout(wait, 20));
          wait(); })"""
    )
    browser.press(" ")
    assert browser.run("playing") is None
    browser.run("byId('list').querySelector('a[href=\"#3\"]').click()")
    browser.run("new Promise((go) => setTimeout(go, 50))")
    assert browser.run("current") == 2


@pytest.mark.slow
def test_everything_is_reached_with_tab(browser, pages):
    browser.open(pages("mlp"))
    seen = set()
    for _ in range(80):
        browser.press("Tab")
        seen.add(
            browser.run(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"
            )
        )
    wanted = {"play", "next step", "step", "gradient of W", "y (5, 4)", "x (5, 3)", "own"}
    assert wanted <= seen


@pytest.mark.slow
def test_a_click_on_a_layer_goes_to_its_steps(browser, pages):
    browser.open(pages("residual"))
    boxes = browser.run(
        """[...document.querySelectorAll("#net [data-path]")].map((box) => {
          box.dispatchEvent(new MouseEvent("click"));
          return [box.dataset.path, pathOf(trace.all[current])]; })"""
    )
    assert len(boxes) > 8
    assert all(wanted == found for wanted, found in boxes)


def edges(browser, selector):
    """Left and right of every such element, in pixels."""
    return browser.run(
        f"""[...document.querySelectorAll({selector!r})].map((each) => {{
          const {{ left, right }} = each.getBoundingClientRect();
          return [left, right]; }})"""
    )


@pytest.mark.slow
def test_a_long_network_scrolls_and_is_not_squeezed(browser, pages):
    browser.open(pages("eight_layers"), WIDTHS["narrow"])
    boxes = edges(browser, "#net .box rect")
    assert min(right - left for left, right in boxes) >= 60
    assert browser.run("byId('net').scrollWidth") > 3 * WIDTHS["narrow"]
    browser.press("End", "ArrowLeft")
    browser.run("show(trace.lossAt)")
    (frame,), (box,) = edges(browser, "#net"), edges(browser, "#net .now")
    assert frame[0] <= box[0]
    assert box[1] <= frame[1] + 1


@pytest.mark.slow
def test_a_gradient_that_vanished_looks_so_on_the_common_scale(browser, pages):
    browser.open(pages("eight_layers"))
    browser.run("show(trace.all.findLastIndex((step) => step.number === 3))")
    strength = """Math.max(...views[0].resultGrid.cells.flat().map((cell) => {
      const [r, g, b] = getComputedStyle(cell).backgroundColor.match(/\\d+/g).map(Number);
      return Math.max(r, g, b) - Math.min(r, g, b); }))"""
    assert browser.run(strength) < 10
    browser.run("byId('own').click()")
    assert browser.run(strength) > 60


@pytest.mark.slow
def test_it_is_dark_in_the_dark_and_prints_every_step(browser, pages):
    browser.open(pages("mlp"), dark=True)
    dark = """[getComputedStyle(document.body).backgroundColor.match(/\\d+/g), scales.ends.zero]
      .every((colour) => luminance(colour) < 0.1)"""
    assert browser.run(dark)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.querySelectorAll('#all article').length") == len(
        all_steps(traced("mlp"))
    )
    zero = browser.run(
        """[...document.querySelectorAll('#all td')].find((cell) => cell.textContent === '0')
        .style.backgroundColor.match(/\\d+/g).map(Number)"""
    )
    assert min(zero) > 230  # ink on white paper
    assert browser.run(dark)
    assert browser.errors() == []


@pytest.mark.slow
def test_the_switches_hide_matrices_and_numbers(browser, pages):
    browser.open(pages("mlp"))
    for switch, part in (("matrix", ".matrices"), ("component", ".component")):
        shown = f"document.querySelector('#step {part}').checkVisibility()"
        assert browser.run(shown)
        browser.run(f"byId('{switch}').click()")
        assert not browser.run(shown)


@pytest.mark.slow
def test_each_symbol_is_explained_once(browser, pages):
    letters = {"mlp": "xyWbGL", "lstm": "ahcfgoAδt", "transformer": "QKVSPO", "residual": "fJ"}
    for name, wanted in letters.items():
        browser.open(pages(name))
        explained = browser.run(
            """trace.all.map((_, index) => { show(index);
              return [...document.querySelectorAll(".glossary dt")].map((e) => e.textContent); })"""
        )
        for symbols in explained:
            assert symbols
            assert len(symbols) == len(set(symbols))
        assert set(wanted) <= {symbol for symbols in explained for symbol in symbols}


@pytest.mark.slow
def test_numbers_that_are_not_finite_are_shown_as_they_are(browser, tmp_path):
    infinite = nn.Lambda(lambda x: x * np.float32(np.inf), lambda g, x: g)
    model = nn.Sequential(nn.Linear(3, 2), infinite, nn.Softmax())
    with np.errstate(all="ignore"):
        trace = nn.trace(model, nn.MSELoss(), floats(2, 3), floats(2, 2))
        trace.to_html(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    for _ in range(len(all_steps(trace))):
        browser.press("ArrowRight")
    browser.run("show(1)")
    assert "inf" in browser.run("byId('step').textContent")
    assert browser.errors() == []


@pytest.mark.slow
def test_infinity_is_read_and_written_as_such(browser, tmp_path):
    x = np.array([[np.inf, -np.inf, 0.5]])
    nn.trace(nn.Tanh(), nn.MSELoss(), x, np.zeros((1, 3))).to_html(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    cells = "views[0].grids[0][0].cells[0].map((cell) => cell.textContent)"
    assert browser.run(cells) == ["inf", "\N{MINUS SIGN}inf", "0.50"]
    for column, (y, infinite) in enumerate(
        [("1", "inf"), ("\N{MINUS SIGN}1", "\N{MINUS SIGN}inf")]
    ):
        browser.run(f"views[0].spell([0, {column}])")
        assert (
            spelled(browser).replace("(", "").replace(")", "").endswith(f"= tanh{infinite} = {y}")
        )


@pytest.mark.slow
def test_what_goes_forward_is_not_coloured_as_a_gradient(browser, tmp_path):
    model = nn.Upsample1d(size=5, mode="linear")
    trace = nn.trace(model, nn.MSELoss(), floats(2, 3, 1), floats(2, 5, 1))
    trace.to_html(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    ahead = "trace.forward.flatMap(valuesOf)"
    assert "A" in browser.run(f"{ahead}.map((value) => value.name)")
    assert browser.run(f"{ahead}.filter(isGradient)") == []
    largest = max(np.abs(step.result.array).max() for step in trace.steps)
    assert browser.run("scales.largest") == pytest.approx(largest, rel=1e-4)
    terms = """[...document.querySelectorAll(".glossary div")].map((e) => e.textContent)"""
    assert [text for text in browser.run(terms) if text.startswith("A")] == [
        "Ahow much of each entry of x goes into each of y"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("axis", "along_last"), [(-1, True), (1, True), (0, False)])
def test_the_jacobian_of_softmax_is_that_of_its_axis(browser, tmp_path, axis, along_last):
    trace = nn.trace(nn.Softmax(axis), nn.MSELoss(), floats(2, 3), floats(2, 3))
    trace.to_html(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    rows = browser.run(
        """trace.steps.flatMap((step) => step.equations)
          .filter((equation) => equation.formula === "dL/dx = G J")
          .map((equation) => [0, 1, 2].map((j) =>
            new Reader(equation, trace.values).read(equation.rule.body, { n: 0, j })))"""
    )
    (step,) = (step for step in trace.steps if step.layer.startswith("Softmax"))
    assert len(rows) == (2 if along_last else 0)
    if along_last:
        np.testing.assert_allclose(rows, step.result.array, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_strange_long_name_is_wrapped(browser, tmp_path):
    class Strange(nn.ReLU):
        def __repr__(self):
            return "</script> <!-- <script> " + 300 * "x"

    model = nn.Sequential(nn.Linear(3, 2), Strange())
    trace = nn.trace(model, nn.MSELoss(), floats(2, 3), floats(2, 2))
    trace.to_html(tmp_path / "page.html")
    browser.open(tmp_path / "page.html", WIDTHS["narrow"])
    browser.press("ArrowRight")
    assert repr(model[1]) in browser.run("byId('step').textContent")
    assert browser.run("document.documentElement.scrollWidth") == WIDTHS["narrow"]


@pytest.mark.slow
def test_links_stay_inside_a_notebooks_frame(browser, tmp_path):
    notebook = tmp_path / "notebook.html"
    notebook.write_text(traced("mlp")._repr_html_(), encoding="utf-8")
    browser.open(notebook)

    def frame():
        (child,) = browser.send("Page.getFrameTree")["frameTree"]["childFrames"]
        return child["frame"]

    def run_inside(script):
        world = browser.send("Page.createIsolatedWorld", frameId=frame()["id"])
        return browser.send(
            "Runtime.evaluate", expression=script, contextId=world["executionContextId"],
            returnByValue=True,
        )["result"].get("value")  # fmt: skip

    run_inside("document.querySelector('#list a[href=\"#5\"]').click()")
    browser.run("new Promise((go) => setTimeout(go, 200))")
    assert frame()["url"] == "about:srcdoc"
    assert run_inside("document.querySelector('#count').textContent").startswith("#5 ")


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_numbers_can_be_read_on_every_colour(browser, pages, dark):
    browser.open(pages("mlp"), dark=dark)
    pairs = browser.run(
        """["y", "dL/dx"].flatMap((name) => Array.from({ length: 201 }, (_, i) => {
          scales.largest = 1;
          const colour = colourOf(i / 100 - 1, { name, min: -1, max: 1 });
          return [colour, inkOn(colour)]; }))"""
    )

    def luminance(colour):
        part = np.array(colour) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    for colour, ink in pairs:
        high, low = sorted([luminance(colour), {"black": 0, "white": 1}[ink]], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5


@pytest.mark.slow
def test_a_wide_matrix_scrolls_along_with_the_keys(browser, pages):
    browser.open(pages("transformer"), WIDTHS["narrow"])
    at_step(browser, "compute the weight gradient", "Linear(4, 8)")
    browser.run("views[0].resultGrid.element.focus()")
    for key in ("End", "Home"):
        browser.press(key)
        ((left, right),) = edges(browser, "[aria-label^='dL/dW'] td.cursor")
        ((begin, end),) = edges(browser, ".grid[aria-label^='dL/dW']")
        assert begin <= left
        assert right <= end


@pytest.mark.slow
def test_an_entry_stays_chosen_when_the_step_is_drawn_anew(browser, pages):
    browser.open(pages("mlp"))
    at_step(browser, "compute the weight gradient", "Linear(4, 3)")
    browser.run("views[0].pick(null, [3, 2])")
    browser.run("byId('own').click()")
    assert spelled(browser).startswith("dL/dW[3, 2] = ")


@pytest.mark.slow
def test_keys_stay_at_the_time_step_that_they_chose(browser, pages):
    browser.open(pages("lstm"))
    at_step(browser, "go back through time, step 2", "LSTM")
    browser.run("document.querySelector('.choose button').focus()")
    browser.press("Enter")
    assert browser.run("document.activeElement.textContent") == "time step 0"


@pytest.mark.slow
def test_a_sum_leaves_out_what_a_condition_rules_out(browser, pages):
    browser.open(pages("lstm"))
    at_step(browser, "go back through time, step 2", "LSTM")
    texts = browser.run(
        """(() => {
          const { equation } = views.find((view) => view.equation.result.name === "A_t");
          return Array.from({ length: 12 }, (_, gate) =>
            inNumbers(equation, trace.values, [0, gate]).map((part) => part.text ?? part).join(""));
        })()"""
    )
    assert all("<" not in text for text in texts)
    assert len(set(texts)) == 12


# The steps of the way back from which no walk over operands leads to the loss gradient; and how
# many entries were compared with the result that they lead to, which must hold the same number.
WALKS = """(() => {
  const sourcesOf = ({ operands }) => operands.flatMap((ref) => {
    const { corner, shape } = trace.values[ref.value];
    return corner.values.map((v, flat) => [v, sourceOf(ref, indexOf(flat, corner.shape))])
      .filter(([, source]) => source)
      .map(([v, { from, index }]) => [v, trace.all[stepAt(from)].equations[from.equation], index]);
  });
  const loss = trace.steps[0].equations.at(-1);
  const reached = new Map([[loss, true]]);
  let compared = 0;
  const reaches = (equation) => {
    if (!reached.has(equation)) {
      reached.set(equation, false);
      let found = false;
      for (const [v, there, index] of sourcesOf(equation)) {
        compared += 1;
        if (v !== entryOf(trace.values[there.result.value], index)) throw new Error("not the same");
        found = reaches(there) || found;
      }
      reached.set(equation, found);
    }
    return reached.get(equation);
  };
  const last = ({ equations }) => equations.findLast((each) => !each.heading) ?? equations.at(-1);
  return [trace.steps.filter((step) => !reaches(last(step))).map(pathOf), compared];
})()"""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_gradient_can_be_walked_up_to_the_loss(browser, pages, name):
    browser.open(pages(name))
    lost, compared = browser.run(WALKS)
    assert lost == []
    assert compared > 100
