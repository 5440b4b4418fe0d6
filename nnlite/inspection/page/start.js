// Reads the trace, draws what stays, and shows the step that the address asks for.

const trace = JSON.parse(byId("data").textContent);

function prepare() {
  const phased = (steps, phase) => steps.map((step) => Object.assign(step, { phase }));
  trace.all = [
    ...phased(trace.forward, "forward"),
    ...phased([trace.loss_step], "loss"),
    ...phased(trace.steps, "backward"),
    ...phased(trace.update, "update"),
  ];
  trace.lossAt = trace.all.indexOf(trace.loss_step);
  for (const value of trace.forward.flatMap(valuesOf)) value.forward = true;
  scales.largest = Math.max(0, ...trace.values.filter(isGradient).map(largestOf));
  const norms = trace.values
    .filter((value) => value.name.startsWith("dL/dx") && value.norm > 0)
    .map((value) => value.norm);
  trace.norms = { low: Math.min(...norms), high: Math.max(...norms) };
}

const asked = () => Number(/^#(\d+)$/.exec(location.hash)?.[1] ?? 1) - 1;

function listen() {
  byId("slider").max = trace.all.length;
  byId("slider").addEventListener("input", (event) => show(event.target.value - 1));
  Object.entries(MOVES).forEach(([id, go]) => byId(id).addEventListener("click", go));
  byId("speed").addEventListener("change", () => {
    if (playing) play(true);
  });
  byId("own").addEventListener("change", (event) => {
    scales.own = event.target.checked;
    redraw();
  });
  document.addEventListener("keydown", key);
  window.addEventListener("hashchange", () => {
    if (asked() !== current) show(asked());
  });
  if (!hasAddress) document.addEventListener("click", followInFrame);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    redraw();
  });
  window.addEventListener("beforeprint", printAll);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (width === window.innerWidth) return; // a telephone's bar that comes and goes
    width = window.innerWidth;
    redraw();
  });
}

// In a notebook's frame a link to #3 leads to the notebook, in the place of this page.
function followInFrame(event) {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  show(Number(link.hash.slice(1)) - 1);
}

// On paper every step stands under the one before, in the colours of the light.
function printAll() {
  document.documentElement.classList.add("paper");
  readColours();
  byId("all").replaceChildren(
    ...trace.all.map((step) => element("article", {}, ...stepView(step, 700).parts)),
  );
  document.documentElement.classList.remove("paper");
  readColours();
}

readColours();
prepare();
addJacobians();
drawNetwork();
byId("summary").textContent =
  `${trace.loss} = ${number(trace.loss_value)}. Values go forward, gradients come back; ` +
  "every number can be followed to where it came from.";
if (Number.isFinite(trace.norms.low))
  byId("scale").textContent =
    `bars: ‖dL/dx‖ of each layer in log scale, ${short(trace.norms.low)} to ${short(trace.norms.high)}`;
drawList();
listen();
show(asked());
