// An activation and its slope, with this layer's values as points on them.

const POINTS = 200;

function plot(title, xs, ys, points, colour) {
  const width = 320;
  const height = 180;
  const pad = 34;
  const finite = (values) => values.filter(Number.isFinite);
  const [left, right] = [Math.min(...finite(xs)), Math.max(...finite(xs))];
  const [low, high] = [Math.min(0, ...finite(ys)), Math.max(0, ...finite(ys))];
  const px = (x) => pad + ((width - 2 * pad) * (x - left)) / (right - left || 1);
  const py = (y) => height - pad - ((height - 2 * pad) * (y - low)) / (high - low || 1);
  const way = xs
    .map((x, i) => [x, ys[i]])
    .filter(([, y]) => Number.isFinite(y))
    .map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`)
    .join("");
  const zero =
    left < 0 && right > 0
      ? drawn("line", { class: "axis", x1: px(0), x2: px(0), y1: pad, y2: height - pad })
      : null;
  return element(
    "figure",
    {},
    element("figcaption", {}, title),
    drawn(
      "svg",
      {
        width,
        height,
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `${title}, ${points.length} values of this layer`,
      },
      drawn("line", { class: "axis", x1: pad, x2: width - pad, y1: py(0), y2: py(0) }),
      zero,
      drawn("path", { class: "curve", d: way, style: `stroke: var(${colour})` }),
      points
        .filter((point) => point.every(Number.isFinite))
        .map(([x, y]) =>
          drawn(
            "circle",
            { cx: px(x), cy: py(y), r: 3, style: `fill: var(${colour})`, "fill-opacity": 0.55 },
            drawn("title", {}, `(${number(x)}, ${number(y)})`),
          ),
        ),
      drawn("text", { x: pad, y: height - 8 }, short(left)),
      drawn("text", { x: width - pad, y: height - 8, "text-anchor": "end" }, short(right)),
      drawn("text", { x: pad - 6, y: py(high) + 4, "text-anchor": "end" }, short(high)),
      low < 0
        ? drawn("text", { x: pad - 6, y: py(low) + 4, "text-anchor": "end" }, short(low))
        : null,
    ),
  );
}

// What the run computed with this activation: the entries of x with those of y, and of f′(x).
function curvesOf(step) {
  if (!step.curve) return null;
  const { x, f, slope } = step.curve;
  const same = (other) => pathOf(other) === pathOf(step);
  const forward = trace.forward.find(same);
  const slopes = trace.steps.filter(same).flatMap((each) => each.equations);
  const kept = (id) => (id === undefined ? [] : trace.values[id].corner.values);
  const xs = kept(forward?.incoming[0]);
  const points = (ys) =>
    ys.length === xs.length ? xs.map((each, i) => [each, ys[i]]).slice(0, POINTS) : [];
  const ys = kept(forward?.results[0]);
  const dys = kept(slopes.find(({ result }) => result.name.startsWith("f′"))?.result.value);
  return element(
    "div",
    { class: "curves" },
    plot("f", x, f, points(ys), "--value"),
    plot("f′", x, slope, points(dys), "--gradient"),
  );
}
