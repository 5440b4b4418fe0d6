// The network as a drawing: the trunk from x to the loss, values ahead on its upper line and
// gradients back on its lower one, and a branch from each layer down to each of its parameters.
// It takes the room that it needs; the page scrolls, and nothing is squeezed.

const GAP = 34;

// The containers as a tree, from the flat list with depths.
function treeOf(structure) {
  const nodes = structure.map((own) => ({ ...own, children: [] }));
  nodes.forEach((node, i) => {
    const parent = nodes.slice(0, i).findLast((other) => other.depth < node.depth);
    node.at = parent ? [...parent.at, node.place] : [];
    parent?.children.push(node);
  });
  return nodes[0];
}

const within = (step, node) =>
  node.at.every((part, i) => step.place[i] === part) &&
  (step.place.length > 0 || node.at.length === 0);
const lastStep = (node, phase) =>
  trace.all.findLastIndex((step) => step.phase === phase && within(step, node));
const forwardAt = (node) => lastStep(node, "forward");
const backwardAt = (node) => lastStep(node, "backward");

// -- containers --

function row(nodes, parts) {
  return {
    width: parts.reduce((all, part) => all + part.width + GAP, -GAP),
    up: Math.max(...parts.map((part) => part.up)),
    down: Math.max(...parts.map((part) => part.down)),
    draw(x, y) {
      return parts.flatMap((part, i) => {
        const begin = x;
        const end = x + part.width;
        x = end + GAP;
        const next = nodes[i + 1];
        return [
          ...part.draw(begin, y),
          ...(next ? trunk([end, y], [x, y], forwardAt(nodes[i]), backwardAt(next)) : []),
        ];
      });
    },
  };
}

// Where paths meet: ⊕ adds them, ⊞ puts them side by side.
function meeting(node, sign, x, y) {
  return layerLink(
    node,
    "meet",
    drawn("circle", { cx: x, cy: y, r: 12 }),
    drawn("text", { x, y: y + 5 }, sign),
  );
}

// Paths beside each other, from one split to one meeting.
function lanes(node, parts, sign, straight) {
  const wide = Math.max(...parts.map((part) => part.width));
  const high = parts.reduce((all, part) => all + part.up + part.down, 0);
  const side = 40;
  const first = straight ? parts[0].up : high / 2; // a residual's branch stays on the trunk
  const before = forwardBefore(node);
  return {
    width: wide + 2 * side + 12,
    up: first,
    down: high - first,
    draw(x, y) {
      let top = y - first;
      const meet = x + wide + 2 * side;
      const inside = parts.flatMap((part, i) => {
        const lane = top + part.up;
        const begin = x + side + (wide - part.width) / 2;
        const end = begin + part.width;
        const child = node.children[i];
        top += part.up + part.down;
        const enter = [x + side, lane];
        const leave = [x + side + wide, lane];
        return [
          ...trunk([x, y], enter, before, backwardAt(child)),
          ...(begin > enter[0] ? trunk(enter, [begin, lane], before, backwardAt(child)) : []),
          ...part.draw(begin, lane),
          ...(leave[0] > end
            ? trunk([end, lane], leave, forwardAt(child), gradientInto(node))
            : []),
          ...trunk(leave, [meet - 8, y], forwardAt(child), gradientInto(node)),
        ];
      });
      return [...inside, meeting(node, sign, meet, y)];
    },
  };
}

// When the value that a container gets was made, and when the gradient that it gets was known.
function forwardBefore(node) {
  const first = trace.all.findIndex((step) => step.phase === "forward" && within(step, node));
  return Math.max(first - 1, 0);
}

function gradientInto(node) {
  const first = trace.all.findIndex((step) => step.phase === "backward" && within(step, node));
  return first < 0 ? -1 : first - 1;
}

// A part with a name of its own, such as attention, inside its frame.
function framed(node, part, isInside = false) {
  const pad = 14;
  const gradients = isInside ? [] : ownGradients(node);
  return {
    width: part.width + 2 * (pad + 10),
    up: part.up + 22,
    down: part.down + (gradients.length ? 56 : 8),
    draw(x, y) {
      const width = part.width + 2 * pad;
      const left = x + 10;
      const end = left + pad + part.width;
      const label = link(
        { class: "name" },
        () => visit(node),
        [...node.at, node.layer].join(", "),
        drawn(
          "text",
          { class: "small", x: left + width / 2, y: y - part.up - 6 },
          className(node.layer),
        ),
      );
      return [
        drawn("rect", {
          class: "frame",
          x: left,
          y: y - part.up - 22,
          width,
          height: part.up + part.down + 30,
          rx: 10,
        }),
        label,
        ...trunk([x, y], [left + pad, y], forwardBefore(node), backwardAt(node)),
        ...part.draw(left + pad, y),
        ...trunk([end, y], [end + pad + 10, y], forwardAt(node), gradientInto(node)),
        ...chips(gradients, left + width / 2, y + part.down + 8),
      ];
    },
  };
}

const SIGNS_OF_MEETING = { Residual: "⊕", Add: "⊕", Parallel: "⋮" };

function partOf(node, isRoot = false) {
  const { children } = node;
  const kind = className(node.layer);
  if (!children.length) return leaf(node);
  const parts = children.map((child) => partOf(child));
  if (kind === "Residual") return lanes(node, parts, SIGNS_OF_MEETING[kind], true);
  if (children.every((child) => child.place.startsWith("layer ")))
    return isRoot || kind === "Sequential"
      ? row(children, parts)
      : framed(node, row(children, parts));
  if (children.some((child) => child.place === "out") && children.length === 2) {
    const own = leaf({ ...node, place: "softmax" }, "P V", "softmax(Q Kᵀ/√d) V"); // attention itself
    const inside = row([children[0], node, children[1]], [parts[0], own, parts[1]]);
    return framed(node, inside, true);
  }
  return children.length === 1
    ? framed(node, parts[0])
    : lanes(node, parts, SIGNS_OF_MEETING[kind] ?? "⊞", false);
}

// -- the whole --

function ending(text, under, path, go) {
  const width = Math.max(70, 7 * text.length + 20, 6.2 * under.length + 24);
  return {
    width,
    up: 24,
    down: 24,
    draw(x, y) {
      const box = link(
        { class: "box" },
        go,
        `${text} ${under}`,
        drawn("rect", { x, y: y - 23, width, height: 46, rx: 23 }),
        drawn("text", { x: x + width / 2, y: y - 2 }, text),
        drawn("text", { class: "small", x: x + width / 2, y: y + 14 }, under),
      );
      if (path) box.dataset.path = path;
      return [
        path
          ? reachedAt(reachedAt(box, "done", trace.lossAt), "back", trace.lossAt + 1)
          : reachedAt(box, "done", 0),
      ];
    },
  };
}

function drawNetwork() {
  const root = treeOf(trace.structure);
  const first = trace.forward[0];
  const x = first && trace.values[first.incoming[0]];
  const parts = [
    ending("x", x ? shapeText(x.shape) : "", null, () => show(0)),
    partOf(root, true),
    ending(className(trace.loss), number(trace.loss_value), pathOf(trace.steps[0]), () =>
      show(trace.lossAt),
    ),
  ];
  const up = Math.max(...parts.map((part) => part.up)) + 6;
  const down = Math.max(...parts.map((part) => part.down)) + 6;
  const joins = [
    [0, backwardAt(root)],
    [trace.lossAt - 1, trace.lossAt + 1],
  ];
  let at = 8;
  const inside = parts.flatMap((part, i) => {
    const begin = at;
    const end = at + part.width;
    at = end + GAP;
    return [
      ...part.draw(begin, up),
      ...(i + 1 < parts.length ? trunk([end, up], [at, up], ...joins[i]) : []),
    ];
  });
  const width = at - GAP + 8;
  const height = up + down;
  const larger = clamp(byId("net").clientWidth / width, 1, 1.25);
  byId("net").append(
    drawn(
      "svg",
      {
        width: width * larger,
        height: height * larger,
        viewBox: `0 0 ${width} ${height}`,
        role: "group",
      },
      inside,
    ),
  );
}

// What has been reached by the step in hand, and where it is.
function lightNetwork(index) {
  for (const { node, at, as } of lit) {
    node.classList.toggle(as, at <= index);
    if (node.tagName === "path") node.classList.toggle("now", at === index); // the line just reached
  }
  const step = trace.all[index];
  const path = pathOf(step);
  let now = null;
  byId("net")
    .querySelectorAll("[data-path], .chip")
    .forEach((box) => {
      const own = box.dataset.path === path || box.dataset.at === String(index);
      box.classList.toggle("now", own);
      if (own && box.dataset.path) now = box;
    });
  if (now) bringSideways(now);
}

// Only sideways, and only inside its own frame.
function bringSideways(box) {
  const net = byId("net");
  const frame = net.getBoundingClientRect();
  const own = box.getBoundingClientRect();
  net.scrollLeft += own.left + own.width / 2 - frame.left - frame.width / 2;
}
