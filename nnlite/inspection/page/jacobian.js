// Softmax's Jacobian, one sample at a time: the one activation whose outputs each depend on all
// inputs. It is the only thing on the page that is worked out here, from p.

const SAMPLES = 8;
const CLASSES = 12;

const rowValue = (name, value, row) => {
  const wide = value.shape.at(-1);
  const values = value.corner.values.slice(row * wide, (row + 1) * wide);
  return newValue(name, [1, wide], values);
};

function newValue(name, shape, values) {
  const size = values.map(Math.abs);
  trace.values.push({
    name,
    shape,
    corner: { shape, values },
    picture: null,
    norm: Math.hypot(...values),
    min: Math.min(...values),
    max: Math.max(...values),
    zeros: size.filter((v) => v === 0).length / size.length,
  });
  return { name, value: trace.values.length - 1, shape, from: null };
}

function jacobianOf(p) {
  return p.flatMap((up, i) => p.map((across, j) => up * (Number(i === j) - across)));
}

// Two more equations for each sample: J from p, and the row of dL/dx as G's row times J.
function sampleEquations(p, g, x, n) {
  const heading = `sample ${n}`;
  const own = rowValue("p", p, n);
  const wide = own.shape[1];
  const jacobian = newValue("J", [wide, wide], jacobianOf(trace.values[own.value].corner.values));
  return [
    {
      heading,
      formula: "J = diag(p) − pᵀ p",
      component: "J[i,j] = p[i] ([i = j] − p[j])",
      matrix: [
        "diag(p) − ",
        { operand: 0, transposed: true },
        " ",
        { operand: 0, transposed: false },
      ],
      result: jacobian,
      operands: [own],
      example: null,
      rule: {
        indices: ["i", "j"],
        body: ["*", ["at", 0, [0, "i"]], ["-", ["is", "=", "i", "j"], ["at", 0, [0, "j"]]]],
      },
    },
    {
      heading,
      formula: "dL/dx = G J",
      component: "dL/dx[j] = Σᵢ G[i] J[i,j]",
      matrix: [{ operand: 0, transposed: false }, " ", { operand: 1, transposed: false }],
      result: rowValue("dL/dx", x, n),
      operands: [rowValue("G", g, n), jacobian],
      example: null,
      rule: {
        indices: ["n", "j"],
        body: ["sum", [["i", wide]], ["*", ["at", 0, [0, "i"]], ["at", 1, ["i", "j"]]]],
      },
    },
  ];
}

// Whether a softmax runs along its last axis, as its repr says.
function isAlongLast({ layer }, { shape }) {
  const axis = Number(/axis=(-?\d+)/.exec(layer)?.[1] ?? -1);
  return axis === -1 || axis === shape.length - 1;
}

function addJacobians() {
  for (const step of trace.steps.filter(
    (each) => className(each.layer) === "Softmax" && each.results.length === 1,
  )) {
    const last = step.equations.at(-1);
    const named = (name) => trace.values[last.operands.find((ref) => ref.name === name)?.value];
    const [p, g, x] = [named("p"), named("G"), trace.values[step.results[0]]];
    if (!p || !g || !isAlongLast(step, p)) continue;
    if (p.shape.at(-1) > CLASSES || ![p, g, x].every(isWhole)) continue;
    for (let n = 0; n < Math.min(SAMPLES, product(p.shape.slice(0, -1))); n++)
      step.equations.push(...sampleEquations(p, g, x, n));
  }
}
