"""The formula sheet: complete, made from the classes, and a page of its own."""

import html
import re
import shutil
import subprocess

import numpy as np
import pytest

import nnlite as nn
from nnlite import layers, losses, optimizers
from nnlite.inspection.curves import VIEWS, Plot, chart, of_activation, of_loss
from nnlite.inspection.formula_sheet import contents, part_of, typeset
from nnlite.inspection.specimens import specimen

# Bases whose subclasses have the formulas.
BASES = {"Elementwise", "Layer", "Loss", "Optimizer", "Penalty"}
# Losses of vectors, sets, sequences or several outputs: not of one variable.
WIDE = {"CTCLoss", "CosineEmbeddingLoss", "DiceLoss", "JaccardLoss", "Losses", "TripletMarginLoss"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


def public():
    packages = (layers, losses, optimizers)
    found = [getattr(package, name) for package in packages for name in package.__all__]
    return [each for each in found if isinstance(each, type)]


def test_each_public_class_has_a_specimen_with_formulas():
    assert {cls.__name__ for cls in public() if not specimen(cls).equations} == BASES


@pytest.fixture(scope="module")
def entries():
    return {e.name: e for section in contents() for _, group in section.groups for e in group}


@pytest.mark.slow
def test_the_sheet_is_complete(entries):
    assert sorted(entries) == sorted(cls.__name__ for cls in public() if cls.__name__ not in BASES)
    for cls in public():
        if cls.__name__ in BASES:
            continue
        lines = [line.formula for line in entries[cls.__name__].lines]
        assert lines == [*specimen(cls).equations.values()]


@pytest.mark.slow
def test_what_is_drawn(entries):
    activations = {
        cls.__name__ for cls in public() if cls.__module__.startswith("nnlite.layers.activations")
    } - BASES
    of_one = {cls.__name__ for cls in public() if issubclass(cls, nn.Loss)} - WIDE - BASES
    assert of_one == set(VIEWS)
    penalties = {"L1Penalty", "L2Penalty"}
    drawn = {name for name, entry in entries.items() if entry.plots}
    assert drawn == activations | of_one | penalties
    for name in activations:
        assert list(entries[name].plots[0].curves) == ["f", "f′"]


@pytest.mark.slow
def test_component_forms_and_variants(entries):
    forms = {line.formula: line.components for line in entries["Linear"].lines}
    assert forms["dL/dW = xᵀ G"] == ("dL/dW[i,j] = Σₙ x[n,i] G[n,j]",)
    assert forms["dL/dx = G Wᵀ"] == ("dL/dx[n,i] = Σⱼ G[n,j] W[i,j]",)
    back = entries["SELU"].lines[1].components
    assert back[0] == "f′(x)[n,i] = λ [x[n,i] > 0] + λ α e^x[n,i] [x[n,i] ≤ 0]"
    assert "means over the batch" not in str(entries["BatchNorm1d"].variants["in eval mode"])
    assert [
        line.formula for line in entries["SGD"].variants["with momentum=0.9, nesterov=True"]
    ] == [
        "b ← μ b + g",
        "w ← w − lr (g + μ b)",
    ]
    without = {
        name for name, entry in entries.items()
        if hasattr(layers, name) and not any(line.components for line in entry.lines)
    }  # fmt: skip
    indexed = ("Conv", "Pad", "Pool", "Upsample", "LastStep", "MeanOverTime", "LocalResponseNorm")
    inside = {"Lambda", "Sequential", "SpectralNorm", "WeightNorm"}  # what layers inside compute
    inside |= {"TransformerDecoderLayer", "TransformerLayer"}
    assert not {name for name in without - inside if not any(each in name for each in indexed)}


@pytest.mark.slow
def test_files(tmp_path):
    nn.seed(3)
    first = np.random.default_rng(nn.random.as_generator()).random()
    nn.seed(3)
    nn.formula_sheet(tmp_path / "sheet.html")
    assert np.random.default_rng(nn.random.as_generator()).random() == first  # draws go on
    page = (tmp_path / "sheet.html").read_text()
    page = page.replace(' xmlns="http://www.w3.org/2000/svg"', "")  # a name, not a place
    assert not re.search(r"https?://|src=|@import|url\(", page)  # fetches nothing
    assert "__" not in re.sub(r"\w__\w|<script>.*", "", page, flags=re.DOTALL)
    ids = re.findall(r" id='([^']*)'", page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"href='#([^']*)'", page)) <= set(ids)
    assert "nan" not in "".join(re.findall(r'points="([^"]*)"', page))
    assert len(page) < 1_000_000

    nn.formula_sheet(str(tmp_path / "sheet.md"))
    text = (tmp_path / "sheet.md").read_text()
    assert text.count("\n### ") == len(public()) - len(BASES)
    assert "dL/dW = xᵀ G\n    dL/dW[i,j] = Σₙ x[n,i] G[n,j]\n" in text
    assert "\n| x | -3 | -2 | -1 | 0 | 1 | 2 | 3 |\n" in text


def test_the_curves_are_what_is_computed():
    plot = of_activation(nn.Tanh())
    np.testing.assert_allclose(plot.curves["f"], np.tanh(plot.x))
    np.testing.assert_allclose(plot.curves["f′"], 1 - np.tanh(plot.x) ** 2)
    assert plot.at(1.0)["f"] == pytest.approx(np.tanh(1.0))
    plot = of_activation(nn.Softmax())
    s = 1 / (1 + np.exp(-plot.x))
    np.testing.assert_allclose(plot.curves["f"], s)
    np.testing.assert_allclose(plot.curves["f′"], s * (1 - s), atol=1e-15)
    (plot,) = of_loss(nn.HuberLoss)
    np.testing.assert_allclose(plot.curves["dℓ/dp"], np.clip(plot.x, -1, 1))
    (plot,) = of_loss(nn.CrossEntropyLoss)
    assert plot.variable == "z"
    np.testing.assert_allclose(plot.curves["ℓ"], np.log1p(np.exp(-plot.x)))
    np.testing.assert_allclose(plot.curves["dℓ/dz"], s - 1, atol=1e-15)
    assert [plot.says for plot in of_loss(nn.HingeLoss)] == ["t = 1", "t = −1"]


def test_a_jump_is_not_joined_and_what_is_too_large_is_left_out():
    x = np.linspace(-4, 4, 321)
    plot = Plot("t = 1", "p", x, {"f": np.where(x > 0, 1.0, 0.0), "f′": x**2})
    drawn = chart(plot, "Step")
    assert drawn.title == "Step: t = 1"
    *axes, f, slope = drawn.lines
    assert [(line.x[0], line.y[0]) for line in axes] == [(-4, 0), (0, 0)]
    assert [line.label for line in (f, slope)] == ["f", "f′"]
    assert list(x[np.isnan(f.y)]) == [x[x > 0][0]]
    np.testing.assert_array_equal(np.isnan(slope.y), x**2 > 3.6)


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        ("y = e^(x/α) − 1", "<i>y</i> = <i>e</i><sup><i>x</i>/<i>α</i></sup> − 1"),
        ("e^x[n,i] + y", "<i>e</i><sup><i>x</i>[<i>n</i>,<i>i</i>]</sup> + <i>y</i>"),
        ("dL/dW_ih", "d<i>L</i>/d<i>W</i><sub>ih</sub>"),
        ("h_{t−1}", "<i>h</i><sub><i>t</i>−1</sub>"),
        (
            "Σ_{s: l_{s+1} = k} α",
            "Σ<sub><i>s</i>: <i>l</i><sub><i>s</i>+1</sub> = <i>k</i></sub> <i>α</i>",
        ),
        ("[x < 0] max(x, 0)", "[<i>x</i> &lt; 0] max(<i>x</i>, 0)"),
        ("clip_norm", "clip_norm"),
    ],
)
def test_typeset(formula, shown):
    assert typeset(formula) == shown
    assert html.unescape(re.sub("<[^>]*>", "", typeset("x ≥ a & b"))) == "x ≥ a & b"


def test_part_of_a_docstring():
    doc = "One.\n\nBackward     dL/dx = G\n             since y = x\nShapes       any"
    assert part_of(doc, "Backward") == ["dL/dx = G", "since y = x"]
    assert part_of(doc, "Rule") == []


def test_refused(tmp_path):
    with pytest.raises(ValueError, match=r"formula_sheet: expected a path that ends in \.html or"):
        nn.formula_sheet(tmp_path / "sheet.pdf")
    with pytest.raises(ValueError, match=r"formula_sheet: .*none"):
        nn.formula_sheet(tmp_path / "none" / "sheet.html")
    with pytest.raises(TypeError, match="path"):
        nn.formula_sheet(3)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 800, 1600])
def test_the_page_in_a_browser(width, tmp_path):
    path = tmp_path / "sheet.html"
    nn.formula_sheet(path)
    script = """<script>
      const root = document.documentElement;
      const wide = root.scrollWidth - root.clientWidth;
      const find = document.getElementById("find");
      find.value = " TANH";
      find.dispatchEvent(new Event("input"));
      const left = [...document.querySelectorAll("article")].filter((each) => each.offsetParent);
      root.dataset.found = wide + " " + left.map((each) => each.id).join(" ");
    </script></body>"""
    path.write_text(path.read_text().replace("</body>", script))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command = [CHROMIUM, *options, f"--window-size={width},900", f"file://{path}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert 'data-found="0 HardTanh Tanh Tanhshrink"' in run.stdout
