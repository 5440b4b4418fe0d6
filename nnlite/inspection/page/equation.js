// One equation, drawn: result = operands and operators in the order of the formula. An entry that
// is pointed at lights what made it, and stands below in numbers.

const CELL = 55; // pixels across, where there is room
const TRIED = 50; // entries, before one is shown whose numbers are not all here
const TERMS = 12; // of a sum that are written out at once

// Kernels and heads lie differently from images.
function kindOf(value, step) {
  if (value.shape.length !== 4) return null;
  if (value.kernel) return "kernel";
  return /Attention/.test(step.layer) ? "heads" : null;
}

// The entry to begin with: the largest of those that the kept numbers can spell out.
function entryToShow(equation, result) {
  const { shape, values } = result.corner;
  const size = (flat) => (Number.isFinite(values[flat]) ? Math.abs(values[flat]) : 0);
  const largest = [...values.keys()].sort((one, other) => size(other) - size(one));
  const known = (flat) => {
    const at = reshaped(indexOf(flat, shape), result.shape, equation.result.shape);
    return madeFrom(equation, trace.values, at) !== null;
  };
  const found = equation.rule && [...largest.slice(0, TRIED), 0].find(known);
  return indexOf(found ?? largest[0], shape);
}

class EquationView {
  constructor(step, equation, wide) {
    this.step = step;
    this.equation = equation;
    this.sign = equation.formula.includes(" ← ") ? "←" : "="; // what takes the place of something
    this.result = trace.values[equation.result.value];
    this.operands = equation.operands.map((ref) => trace.values[ref.value]);
    this.grids = this.operands.map(() => []);
    this.pinned = this.result.corner.values.length ? entryToShow(equation, this.result) : null;
    this.box = element("div", { class: "component" });
    this.matrices = element("div", { class: "matrices" }, this.drawMatrices(wide));
    this.matrices.classList.toggle(
      "tight",
      this.allGrids().reduce((all, grid) => all + grid.layout.columns, 0) * CELL > wide - 220,
    );
    this.element = element(
      "section",
      { class: "equation", "aria-label": equation.formula },
      this.matrices,
      this.box,
    );
    this.spell();
  }

  // -- the matrices --

  drawMatrices(wide) {
    const { equation } = this;
    const drawnHere = new Set();
    const result = this.figure(equation.result, this.result, false, wide, null);
    const right = tokensOf(equation).flatMap((token, i, tokens) => {
      if (typeof token !== "string") {
        const ref = equation.operands[token.operand];
        if (drawnHere.has(token.operand))
          return [this.operator(ref.name + (token.transposed ? "ᵀ" : ""))]; // once is enough
        drawnHere.add(token.operand);
        return [
          this.figure(ref, this.operands[token.operand], token.transposed, wide, token.operand),
        ];
      }
      const between = typeof tokens[i - 1] === "object" && typeof tokens[i + 1] === "object";
      const whole = token.replace(/^\[[^\]]*\]/, ""); // no indices behind a whole array
      const text = whole.trim() || (between ? "·" : "");
      return text ? [this.operator(text)] : [];
    });
    const others = equation.operands.flatMap((ref, k) =>
      drawnHere.has(k) ? [] : [this.figure(ref, this.operands[k], false, wide, k)],
    );
    const from = others.length ? [this.operator(right.length ? "with" : "from"), ...others] : [];
    return [
      result,
      ...(right.length || others.length ? [this.operator(right.length ? this.sign : "")] : []),
      ...right,
      ...from,
    ];
  }

  allGrids() {
    return [this.resultGrid, ...this.grids.flat()];
  }

  operator(text) {
    return element("span", { class: "operator" }, ...typeset(text));
  }

  // An array under its name; k says which operand it is, null the result.
  figure(ref, value, transposed, wide, k) {
    const shape = transposed
      ? [...ref.shape.slice(0, -2), ...ref.shape.slice(-2).toReversed()]
      : ref.shape;
    const name = ref.name + (transposed ? "ᵀ" : "");
    const label = `${name} ${shapeText(shape)}`;
    const grid = new Grid(value, {
      kind: kindOf(value, this.step),
      transposed,
      shape: ref.shape,
      label,
      wide,
      on: {
        point: (index) => this.point(k, index),
        leave: () => this.spell(),
        pick: (index) => this.pick(k, index),
      },
    });
    if (k === null) this.resultGrid = grid;
    else this.grids[k].push(grid);
    return element(
      "figure",
      { title: statistics(value) },
      element(
        "figcaption",
        {},
        element("b", {}, ...typeset(name)),
        " ",
        element(
          "span",
          { class: "soft" },
          shapeText(shape),
          foldedText(ref, value),
          normText(k, value),
        ),
      ),
      grid.element,
      tilesText(value, kindOf(value, this.step)),
      keptText(value),
      wholePicture(value),
    );
  }

  inRef(ref, value, index) {
    return reshaped(index, value.shape, ref.shape);
  }

  // -- pointing --

  point(k, index) {
    if (k === null) this.spell(index, true);
    else this.spellFed(k, index);
  }

  pick(k, index) {
    if (k === null) {
      this.pinned = index;
      this.spell(index);
    } else follow(this, k, index);
  }

  light(lit, cursor) {
    this.resultGrid.light(
      cursor.k === null ? [] : lit.result,
      cursor.k === null ? cursor.index : null,
    );
    this.grids.forEach((grids, k) =>
      grids.forEach((grid) =>
        grid.light(lit.operands[k] ?? [], cursor.k === k ? cursor.index : null),
      ),
    );
  }

  // The result's entry: what made it, and its sum in numbers.
  spell(index = this.pinned, aloud = false) {
    if (!index) return;
    const { equation } = this;
    const at = this.inRef(equation.result, this.result, index);
    const made = equation.rule ? madeFrom(equation, trace.values, at) : [];
    const operands = equation.operands.map((ref, k) =>
      (made ?? [])
        .filter((each) => each.k === k)
        .map((each) => reshaped(each.index, ref.shape, this.operands[k].shape)),
    );
    this.light({ operands }, { k: null, index });
    this.box.replaceChildren(...this.componentForm(at, entryOf(this.result, index), made));
    if (aloud) say(this.box.textContent.slice(0, 400));
  }

  componentForm(at, v, made) {
    const { equation } = this;
    const left = element("b", {}, ...typeset(entryName(equation.result, at)));
    const general =
      equation.component && equation.component !== equation.formula
        ? [element("div", { class: "soft" }, ...typeset(equation.component))]
        : [];
    const start = [...general, left, ` ${this.sign} `];
    const end = element("b", {}, number(v));
    if (!equation.rule) return [...start, end];
    if (made === null) return [...start, end, this.cornerNote()];
    const sum = this.sumInNumbers(at);
    const isSame = sum.length === 1 && sum[0] === inBrackets(v);
    return isSame ? [...start, end] : [...start, ...sum, " = ", end];
  }

  cornerNote() {
    const { example } = this.equation;
    const why =
      "Some of the numbers behind it are not on this page, which has a corner of large arrays.";
    const instead = example ? ` In full for one entry: ${example.text}` : "";
    return element("div", { class: "soft" }, why, ...typeset(instead));
  }

  // Long sums begin with their first terms; the others are a click away.
  sumInNumbers(at) {
    const drawnParts = inNumbers(this.equation, trace.values, at).flatMap((part) =>
      part.text ? [this.termText(part)] : typeset(part),
    );
    if (drawnParts.length <= 2 * TERMS + 8) return drawnParts;
    const [shown, rest] = [drawnParts.slice(0, 2 * TERMS), drawnParts.slice(2 * TERMS)];
    const count = rest.filter((part) => typeof part !== "string").length;
    return [
      ...shown,
      element(
        "button",
        { class: "more", onclick: (event) => event.target.replaceWith(...rest) },
        `… ${count} more terms`,
      ),
    ];
  }

  // Pointing at a summand lights its own factors.
  termText(term) {
    const narrow = () => {
      const operands = this.operands.map((value, k) =>
        term.read
          .filter((each) => each.k === k)
          .map((each) => reshaped(each.index, this.equation.operands[k].shape, value.shape)),
      );
      this.light({ operands }, { k: null, index: this.pinned });
    };
    return element(
      "span",
      { class: "term", onpointerenter: narrow, onpointerleave: () => this.spell() },
      ...typeset(term.text),
    );
  }

  // An operand's entry: what it goes into.
  spellFed(k, index) {
    const { equation } = this;
    const ref = equation.operands[k];
    const value = this.operands[k];
    const at = this.inRef(ref, value, index);
    const fed = equation.rule ? feeds(equation, trace.values, k, at) : [];
    this.light(
      {
        result: fed.map((each) => reshaped(each, equation.result.shape, this.result.shape)),
        operands: [],
      },
      { k, index },
    );
    const into =
      fed.length === 1
        ? entryName(equation.result, fed[0])
        : `${fed.length} entries of ${equation.result.name}`;
    const goes = equation.rule ? ` goes into ${into}` : "";
    const text = `${entryName(ref, at)} = ${number(entryOf(value, index))}${goes}.`;
    const source = sourceOf(ref, index);
    const where = source
      ? `Click or press Enter: where it was computed (step ${stepAt(source.from) + 1}).`
      : "Nothing in this step computed it: it is data, a target, or what was there before.";
    this.box.replaceChildren(element("b", {}, text), element("div", { class: "soft" }, where));
    say(`${text} ${where}`);
  }
}

// The right side as matrices. Where the formula names entries, as of a convolution, its first
// clause says the same of whole arrays: dL/dW = x ⋆ G.
function tokensOf({ formula, matrix, operands }) {
  if (!matrix.some((token) => typeof token === "string" && /\[[a-z],/.test(token))) return matrix;
  const [, right] = formula.split(",  ")[0].split(" = ");
  const names = operands.map((ref) => ref.name);
  if (!right || right.includes("[")) return [];
  return right.split(/(?<=[ ᵀ])|(?= )/u).map((word) => {
    const operand = names.indexOf(word.replace("ᵀ", ""));
    return operand < 0 ? word : { operand, transposed: word.endsWith("ᵀ") };
  });
}

// Of the result; the others say it when they are pointed at.
function normText(k, value) {
  return k === null && value.shape.length ? `, norm ${short(value.norm)}` : "";
}

function statistics(value) {
  const range = `from ${number(value.min)} to ${number(value.max)}`;
  return `norm ${number(value.norm)}, ${range}, zeros ${Math.round(100 * value.zeros)} %`;
}

// (N, T, D) is worked on as N·T rows.
function foldedText(ref, value) {
  return value.shape.length > 2 && ref.shape.length === 2
    ? `, ${value.shape.slice(0, -1).join("·")} = ${product(value.shape.slice(0, -1))} rows`
    : "";
}

// What the tiles of a four-axis array are.
const TILES = {
  kernel: "a row of tiles for each input, a column for each output",
  heads: "a row of tiles for each sample, a column for each head",
  null: "a row of tiles for each sample, a column for each channel",
};

function tilesText(value, kind) {
  return value.shape.length === 4 ? element("div", { class: "soft" }, TILES[kind]) : null;
}

function keptText(value) {
  return isWhole(value)
    ? null
    : element(
        "div",
        { class: "soft" },
        `the first ${value.corner.shape.join(" × ")} of ${value.shape.join(" × ")}`,
      );
}

// The whole of a large array, smaller: each pixel is the mean of a block.
function wholePicture(value) {
  if (!value.picture || isWhole(value)) return null;
  const rows = value.picture.values;
  const canvas = element("canvas", {
    width: rows[0]?.length ?? 0,
    height: rows.length,
    role: "img",
    "aria-label": `all of ${value.name}, averaged over blocks`,
  });
  const context = canvas.getContext("2d");
  const side = Math.max(1, Math.floor(180 / Math.max(canvas.width, canvas.height)));
  rows.forEach((row, r) =>
    row.forEach((v, c) => {
      context.fillStyle = css(colourOf(v, value));
      context.fillRect(c, r, 1, 1);
    }),
  );
  canvas.className = "whole";
  canvas.style.width = `${canvas.width * side}px`;
  const mean = product(value.picture.block) > 1 ? ", means of blocks" : "";
  return element("div", {}, canvas, element("div", { class: "soft" }, `more of it${mean}`));
}
