// Where the reader is: the step, the trail of numbers followed, and all that moves between steps.

const hasAddress = location.protocol !== "about:"; // a notebook's frame has none
let current = 0;
let playing = null;
let views = [];
let trail = []; // the entries walked through, first to last: [{name, v, step, factor, …}]
const chosen = new Map(); // which time step or sample of a layer is shown

const stepAt = (from) =>
  trace.all.indexOf(from.part === "loss_step" ? trace.loss_step : trace[from.part][from.step]);

// -- one step --

// Why the steps come in this order, by the numbers of the loop.
const WHY = {
  1: "first, since every other gradient is a product with it",
  2: "next, since what is in front is reached only through its slope",
  3: "G is known now, and x was kept on the way forward",
  4: "b was added to every row, so every row of G counts",
  5: "what this layer was given gets its gradient: the G of the layer in front",
  6: "last, since a weight that changed earlier would have changed the gradients in front of it",
};

function stepView(step, wide) {
  const path = pathOf(step);
  const headings = [...new Set(step.equations.map((each) => each.heading))].filter(Boolean);
  const heading = headings.includes(chosen.get(path)) ? chosen.get(path) : headings[0];
  const shown = step.equations.filter(({ heading: own }) => !own || own === heading);
  const made = shown.map((equation) => new EquationView(step, equation, wide));
  const badge = { forward: "→", loss: "L" }[step.phase] ?? step.number;
  const parts = [
    element("h2", {}, element("span", { class: `badge ${step.phase}` }, badge), step.title),
    element("p", { class: "soft" }, path, WHY[step.number] ? ` · ${WHY[step.number]}` : ""),
    element("p", { class: "formula" }, ...typeset(step.formula, true)),
    made.length ? null : element("p", { class: "shapes" }, step.shapes),
    headings.length > 1
      ? chooser(headings, heading, (next) => {
          chosen.set(path, next);
          show(current);
        })
      : null,
    timeAxis(step),
    curvesOf(step),
    ...made.map((view) => view.element),
    legend(valuesOf(step)),
    glossaryOf(step),
  ];
  return { parts: parts.filter(Boolean), made };
}

// Going back through time is one step for each step in time: they stand side by side, to walk along.
function timeAxis(step) {
  const numberOf = (each) => / step (\d+)$/.exec(each.title)?.[1];
  if (numberOf(step) === undefined) return null;
  const isBeside = (each) => numberOf(each) !== undefined && pathOf(each) === pathOf(step);
  const beside = trace.steps.filter(isBeside).sort((a, b) => numberOf(a) - numberOf(b));
  const names = beside.map((each) => `time step ${numberOf(each)}`);
  const go = (name) => show(trace.all.indexOf(beside[names.indexOf(name)]));
  return chooser(names, `time step ${numberOf(step)}`, go);
}

// Time steps, or samples: one is shown, the others are a click away.
function chooser(headings, heading, choose) {
  return element(
    "div",
    { class: "choose", role: "group", "aria-label": "which part" },
    headings.map((each) =>
      element(
        "button",
        {
          "aria-pressed": String(each === heading),
          onclick: () => {
            choose(each);
            byId("step").querySelector(".choose [aria-pressed=true]").focus(); // drawn anew
          },
        },
        each,
      ),
    ),
  );
}

// `goal` is an equation of the step and an entry of its result, where a number was followed.
function show(index, goal = null) {
  current = clamp(index, 0, trace.all.length - 1);
  const step = trace.all[current];
  const wide = byId("step").clientWidth;
  if (goal)
    chosen.set(pathOf(step), step.equations[goal.equation].heading || chosen.get(pathOf(step)));
  const { parts, made } = stepView(step, wide);
  views = made;
  byId("step").replaceChildren(
    element("div", {
      class: "crumbs",
      role: "navigation",
      "aria-label": "The numbers that were followed",
    }),
    ...parts,
  );
  const view = goal && made.find((each) => each.equation === step.equations[goal.equation]);
  if (view) {
    view.pinned = goal.index;
    view.spell();
    view.resultGrid.element.focus({ preventScroll: true });
    view.element.scrollIntoView({ block: "nearest" });
  }
  showTrail();
  showPlace(step);
}

// The same step at another size or in other colours, each equation still at its entry.
function redraw() {
  const entries = views.map((view) => view.pinned);
  show(current);
  views.forEach((view, i) => {
    view.pinned = entries[i];
    view.spell();
  });
}

function showPlace(step) {
  lightNetwork(current);
  markList(current);
  byId("slider").value = current + 1;
  byId("count").textContent = `#${current + 1} of ${trace.all.length}`;
  byId("count").href = `#${current + 1}`;
  if (hasAddress) history.replaceState(null, "", `#${current + 1}`);
  say(
    `Step ${current + 1} of ${trace.all.length}: ${step.title}, ${pathOf(step)}. ${step.formula}`,
  );
}

const valuesOf = (step) =>
  [
    ...new Set(
      step.equations.flatMap((each) => [each.result, ...each.operands]).map((ref) => ref.value),
    ),
  ].map((id) => trace.values[id]);

// -- following numbers --

// Which entry of which result an operand's entry is: {from, index}; null for what came from outside.
function sourceOf(ref, index) {
  const source = ref.from
    ? { from: ref.from, index }
    : (inTime(ref, index) ?? inMemory(ref, index));
  if (!source) return null;
  const { result } = trace.all[stepAt(source.from)].equations[source.from.equation];
  return inside(source.index, trace.values[result.value].corner.shape) ? source : null;
}

// All steps in time together: each was made by itself.
function inTime({ slices }, index) {
  const from = slices?.from[index[slices.axis]];
  return from ? { from, index: index.toSpliced(slices.axis, 1) } : null;
}

// A part of a result, or put together of several: told by its place in the run's memory.
function inMemory({ views }, index) {
  if (!views) return null;
  const offset = index.reduce((all, i, axis) => all + i * views.strides[axis], 0);
  for (const part of views.parts) {
    const found = placedAt(offset - part.start, part);
    if (found) return { from: part.from, index: found };
  }
  return null;
}

// The index of what lies so many entries behind an array's first one; null where it is not inside.
function placedAt(offset, { shape, strides }) {
  const index = new Array(shape.length).fill(0);
  const backwards = strides.reduce((all, by, axis) => all + Math.min(0, by) * (shape[axis] - 1), 0);
  let left = offset - backwards;
  const axes = [...shape.keys()].sort((a, b) => Math.abs(strides[b]) - Math.abs(strides[a]));
  for (const axis of axes.filter((each) => strides[each] !== 0)) {
    const size = Math.abs(strides[axis]);
    const steps = Math.min(Math.floor(left / size), shape[axis] - 1);
    if (steps < 0) return null;
    index[axis] = strides[axis] < 0 ? shape[axis] - 1 - steps : steps;
    left -= steps * size;
  }
  return left === 0 ? index : null;
}

// From an operand's entry to the step in which it was the result.
function follow(view, k, index) {
  const { equation, result } = view;
  const value = view.operands[k];
  const source = sourceOf(equation.operands[k], index);
  if (!source) return;
  const at = view.inRef(equation.operands[k], value, index);
  let entry = view.inRef(equation.result, result, view.pinned);
  let factor = null;
  if (equation.rule) {
    if (!goesInto(equation, trace.values, entry, k, at))
      entry = feeds(equation, trace.values, k, at)[0] ?? entry;
    factor = factorOf(equation, trace.values, entry, k, at);
  }
  entry = reshaped(entry, equation.result.shape, result.shape);
  const here = crumbOf(equation, result, entry, current);
  const last = trail.at(-1);
  if (!last || last.name !== here.name || last.step !== here.step) trail = [here];
  trail.at(-1).factor = factor;
  const step = stepAt(source.from);
  const there = trace.all[step].equations[source.from.equation];
  trail.push(crumbOf(there, trace.values[there.result.value], source.index, step));
  goTo(trail.at(-1));
}

function crumbOf(equation, value, index, step) {
  const name = entryName(equation.result, reshaped(index, value.shape, equation.result.shape));
  return {
    name,
    v: entryOf(value, index),
    index,
    step,
    equation: trace.all[step].equations.indexOf(equation),
    factor: null,
  };
}

// Which of several equal names: the layer's own, without where it stands.
const placeIn = (crumb) => className(trace.all[crumb.step].layer);

const goTo = (crumb) => show(crumb.step, crumb);

function goBack() {
  if (trail.length > 1) trail.pop();
  if (trail.length) goTo(trail.at(-1));
}

// dL/dW[2, 1] ← G[3, 1] ← …, and what the path gives when it is multiplied out.
function showTrail() {
  const crumbs = byId("step").querySelector(".crumbs");
  if (trail.length < 2) return;
  const shown = trail.flatMap((crumb, i) => [
    element(
      "button",
      {
        title: number(crumb.v),
        "aria-label": `back to ${crumb.name}`,
        onclick: () => {
          trail.length = i + 1;
          goTo(crumb);
        },
      },
      crumb.name,
      " ",
      element("span", { class: "soft" }, placeIn(crumb)),
    ),
    i + 1 < trail.length
      ? element(
          "span",
          { class: "soft" },
          crumb.factor === null ? "←" : `← ${number(crumb.factor)} ×`,
        )
      : null,
  ]);
  crumbs.replaceChildren(
    ...shown.filter(Boolean),
    element(
      "button",
      { "aria-label": "one back", title: "one back (Backspace)", onclick: goBack },
      "↩",
    ),
    element(
      "button",
      {
        "aria-label": "forget the trail",
        title: "forget",
        onclick: () => {
          trail = [];
          crumbs.replaceChildren();
          byId("step").focus();
        },
      },
      "×",
    ),
    ...pathText(),
  );
}

function pathText() {
  const factors = trail.slice(0, -1).map((crumb) => crumb.factor);
  const v = asNumber(trail.at(-1).v);
  if (factors.some((factor) => factor === null)) return [];
  const share = factors.reduce((all, factor) => all * factor, v);
  return [
    element(
      "div",
      { class: "product" },
      `${[...factors, v].map(inBrackets).join(" · ")} = ${number(share)}: ` +
        `what this path gives to ${trail[0].name} = ${number(trail[0].v)}`,
    ),
  ];
}

// -- moving --

function play(on) {
  clearTimeout(playing);
  playing = on
    ? setTimeout(
        () => {
          show(current + 1);
          play(current < trace.all.length - 1);
        },
        1600 / byId("speed").value,
      )
    : null;
  byId("play").textContent = on ? "❚❚" : "▶";
  byId("play").setAttribute("aria-label", on ? "pause" : "play");
}

function togglePlay() {
  if (!playing && current === trace.all.length - 1) show(0);
  play(!playing);
}

// By the names of their buttons.
const MOVES = {
  first: () => show(0),
  back: () => show(current - 1),
  play: togglePlay,
  next: () => show(current + 1),
  last: () => show(trace.all.length - 1),
};

const KEYS = {
  Home: MOVES.first,
  ArrowLeft: MOVES.back,
  " ": MOVES.play,
  ArrowRight: MOVES.next,
  End: MOVES.last,
  Backspace: goBack,
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  const own = event.target.closest?.("button, input, select, a, summary, [role=link]");
  if (own && (event.key === " " || own.matches("input, select"))) return; // it means the control there
  if (event.key !== " " && event.key !== "Backspace") play(false);
  event.preventDefault();
  KEYS[event.key]();
}
