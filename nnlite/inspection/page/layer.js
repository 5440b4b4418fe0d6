// One layer of the drawing: its box, the norm of its gradient above, its parameters below, and the
// lines of the trunk between it and others.
//
// Every part is first measured, then drawn: {width, up, down, draw(x, y)} with the trunk at y.

const HIGH = 46;
const BAR = 40;
const lit = []; // [{node, as, at}]: drawn parts, and the step from which each has the class `as`

function reachedAt(node, as, at) {
  if (at >= 0) lit.push({ node, as, at });
  return node;
}

// -- lines --

// One line of the trunk, with its arrow head in the middle of it.
function line([x, y], [toX, toY], kind, at) {
  const ahead = kind === "forward";
  const shift = ahead ? -4 : 4;
  const half = (x + toX) / 2;
  const middle = (y + toY) / 2 + shift;
  const way =
    y === toY
      ? `M${x} ${y + shift}H${toX}`
      : `M${x} ${y + shift}C${half} ${y + shift} ${half} ${toY + shift} ${toX} ${toY + shift}`;
  const head =
    y === toY
      ? `M${half - (ahead ? 3 : -3)} ${middle - 3.5}l${ahead ? 5 : -5} 3.5l${ahead ? -5 : 5} 3.5`
      : "";
  return reachedAt(drawn("path", { class: kind, d: way + head }), "done", at);
}

// Between two parts: what `from` made goes ahead, the gradient that `to` gave comes back.
function trunk(from, to, ahead, back) {
  return [line(from, to, "forward", ahead), line(from, to, "backward", back)];
}

// -- a layer --

function normBar(node, x, top) {
  const step = trace.all.findLast(
    (each) =>
      each.phase === "backward" &&
      within(each, node) &&
      each.results.length &&
      trace.values[each.results[0]].name.startsWith("dL/dx"),
  );
  if (!step) return [];
  const value = trace.values[step.results[0]];
  const high = barHeight(value.norm);
  const at = trace.all.indexOf(step);
  return [
    reachedAt(
      drawn(
        "rect",
        { class: "norm", x: x - 7, y: top - 4 - high, width: 14, height: high, rx: 2 },
        drawn("title", {}, `‖${value.name}‖ = ${number(value.norm)}`),
      ),
      "done",
      at,
    ),
    drawn("text", { class: "small", x, y: top - 9 - high }, short(value.norm)),
  ];
}

// Between the smallest and the largest norm of the page in equal steps of its logarithm.
function barHeight(norm) {
  const { low, high } = trace.norms;
  if (!(norm > 0)) return 1;
  return low === high
    ? BAR / 2
    : 5 + ((BAR - 5) * (Math.log(norm) - Math.log(low))) / (Math.log(high) - Math.log(low));
}

// The steps in which a layer's own parameters get their gradients: [{at, name}].
function ownGradients(node) {
  const isOwn = (step) =>
    step.phase === "backward" &&
    [3, 4].includes(step.number) &&
    String(step.place) === String(node.at) &&
    step.results.length > 0;
  const named = trace.all.flatMap((step, at) =>
    isOwn(step) ? [{ at, name: trace.values[step.results[0]].name.replace("dL/d", "") }] : [],
  );
  return named.filter(({ name }, i) => named.findIndex((each) => each.name === name) === i);
}

const chipWidth = ({ name }) => 16 + 8 * name.length;
const chipsWidth = (gradients) => gradients.reduce((all, each) => all + chipWidth(each) + 5, -5);

// The branches down to the parameters, below (x, y).
function chips(gradients, x, y) {
  let left = x - chipsWidth(gradients) / 2;
  return gradients.flatMap(({ at, name }) => {
    const width = chipWidth({ name });
    const middle = left + width / 2;
    const update = updateOf(trace.all[at]);
    left += width + 5;
    const box = link(
      { class: "chip" },
      () => show(update >= 0 && current >= update ? update : at),
      `gradient of ${name}`,
      drawn("rect", { x: middle - width / 2, y: y + 20, width, height: 22, rx: 11 }),
      drawn("text", { x: middle, y: y + 35 }, symbolText(name)),
    );
    box.dataset.at = at;
    return [
      reachedAt(drawn("path", { class: "branch", d: `M${middle} ${y}v20` }), "done", at),
      reachedAt(reachedAt(box, "done", at), "new", update),
    ];
  });
}

// The update that subtracts what this step's gradient says.
function updateOf(step) {
  const place = trace.steps.indexOf(step);
  const reads = (ref) => ref.from?.part === "steps" && ref.from.step === place;
  return trace.all.findIndex(
    (each) =>
      each.phase === "update" && each.equations.some((equation) => equation.operands.some(reads)),
  );
}

// W_ih with its index below the line.
function symbolText(name) {
  const [letter, index] = name.split("_");
  return index ? [letter, drawn("tspan", { dy: 3, "font-size": "9px" }, index)] : [name];
}

function link(attributes, go, label, ...children) {
  return drawn(
    "g",
    {
      ...attributes,
      role: "link",
      tabindex: 0,
      "aria-label": label,
      onclick: go,
      onkeydown: (event) => {
        if (event.key === "Enter") go();
      },
    },
    ...children,
  );
}

// A click goes to the layer's steps: ahead on the way ahead, back on the way back.
function visit(node) {
  const phase = trace.all[current].phase;
  const wanted = phase === "update" ? "backward" : phase;
  const own = (phases) =>
    trace.all.findIndex(
      (step) =>
        phases.includes(step.phase) &&
        String(step.place) === String(node.at) &&
        className(step.layer) === className(node.layer),
    );
  const at = own([wanted]) >= 0 ? own([wanted]) : own(["forward", "backward"]);
  if (at >= 0) show(at);
}

// A drawn part that stands for a layer: it leads to its steps, and is lit once they are reached.
function layerLink(node, kind, ...children) {
  const words = [...node.at, node.layer];
  const path = words.join(" › ");
  const box = link(
    { class: kind, "data-path": path },
    () => visit(node),
    words.join(", "),
    drawn("title", {}, path),
    ...children,
  );
  return reachedAt(reachedAt(box, "done", forwardAt(node)), "back", backwardAt(node));
}

function nameOf(layer) {
  const whole = layer.replace(/, (bias|rng)=.*\)/, ")");
  return whole.length <= 24 ? whole : className(layer);
}

function leaf(node, name = nameOf(node.layer), place = node.place) {
  const small = className(node.layer) === "Identity" && node.place === "shortcut";
  const gradients = ownGradients(node);
  const forward = trace.all.find(
    (step) =>
      step.phase === "forward" && String(step.place) === String(node.at) && step.results.length,
  );
  const shape = forward ? `y ${shapeText(trace.values[forward.results[0]].shape)}` : place;
  const wanted = [7.4 * name.length + 22, 6 * shape.length + 14, chipsWidth(gradients) + 10];
  const width = Math.max(small ? 60 : 96, ...wanted);
  const high = small ? 22 : HIGH;
  return {
    width,
    up: high / 2 + (small ? 4 : BAR + 24),
    down: high / 2 + (gradients.length ? 48 : 6),
    draw(x, y) {
      const middle = x + width / 2;
      const box = layerLink(
        node,
        "box",
        drawn("rect", { x, y: y - high / 2, width, height: high, rx: 8 }),
        drawn("text", { x: middle, y: y + (small ? 4 : -2) }, small ? "x" : name),
        small ? null : drawn("text", { class: "small", x: middle, y: y + 14 }, shape),
      );
      return [
        box,
        ...(small ? [] : normBar(node, middle, y - high / 2)),
        ...chips(gradients, middle, y + high / 2),
      ];
    },
  };
}
