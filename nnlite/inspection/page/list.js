// All steps in order, each under the layer that it belongs to.

const PHASES = {
  forward: "Forward: values, layer by layer",
  loss: "The loss: one number",
  backward: "Backward: gradients, last layer to first",
  update: "Update: after the last gradient",
};

function listEntry(step, at) {
  const text =
    { forward: className(step.layer), loss: step.title, update: `${step.number}  update` }[
      step.phase
    ] ?? `${step.number}  ${step.title}`;
  const beside = step.phase === "forward" || step.phase === "update" ? step.place.join(" › ") : "";
  return element(
    "li",
    {},
    element(
      "a",
      { href: `#${at + 1}`, title: pathOf(step) },
      text,
      beside ? element("span", { class: "of" }, beside) : null,
    ),
  );
}

function drawList() {
  const parts = [];
  let phase = null;
  let path = null;
  trace.all.forEach((step, at) => {
    const isNewPhase = step.phase !== phase;
    const isNewLayer = step.phase === "backward" && (isNewPhase || pathOf(step) !== path);
    if (isNewPhase) parts.push(element("h3", {}, PHASES[step.phase]));
    if (isNewLayer)
      parts.push(
        element(
          "p",
          { class: "layer", title: pathOf(step) },
          [nameOf(step.layer), ...step.place.slice(-2)].join("  ·  "),
        ),
      );
    if (isNewPhase || isNewLayer) parts.push(element("ol", {}));
    parts.at(-1).append(listEntry(step, at));
    [phase, path] = [step.phase, pathOf(step)];
  });
  byId("list")
    .querySelector("div")
    .append(...parts);
  byId("list").querySelector("details").open = window.innerWidth >= 1000;
}

function markList(index) {
  const list = byId("list").querySelector("div");
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  const now = list.querySelector(`a[href="#${index + 1}"]`);
  now.setAttribute("aria-current", "step");
  list.scrollTop +=
    now.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 2;
}
