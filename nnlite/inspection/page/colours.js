// Two scales with paper at zero: one for values, one for gradients.

const scales = { own: false, largest: 0, ends: null };

const rgb = (name) =>
  getComputedStyle(document.documentElement)
    .getPropertyValue(name)
    .trim()
    .match(/[0-9a-f]{2}/gi)
    .map((hex) => parseInt(hex, 16));

// The style sheet holds the colours, in light and in dark; they are read once for each theme.
function readColours() {
  scales.ends = {
    zero: rgb("--zero"),
    ink: rgb("--ink"),
    value: [rgb("--value-below"), rgb("--value")],
    gradient: [rgb("--gradient-below"), rgb("--gradient")],
  };
}

const largestOf = (value) =>
  Math.max(...[value.min, value.max].map((v) => (Number.isFinite(v) ? Math.abs(v) : 0)));

// All gradients of the page share one scale, so that what vanishes looks as if it had vanished.
const scaleOf = (value) => (isGradient(value) && !scales.own ? scales.largest : largestOf(value));

// [red, green, blue] of a number; NaN and infinities are ink.
function colourOf(v, value) {
  const { zero, ink, [isGradient(value) ? "gradient" : "value"]: ends } = scales.ends;
  if (!Number.isFinite(v)) return ink;
  const largest = scaleOf(value);
  const t = largest > 0 ? clamp(v / largest, -1, 1) : 0;
  const end = ends[t < 0 ? 0 : 1];
  const strength = Math.abs(t);
  return zero.map((from, i) => Math.round(from + strength * (end[i] - from)));
}

const css = (colour) => `rgb(${colour.join(" ")})`;

// How much light a colour gives, from 0 to 1, as WCAG defines it for sRGB.
function luminance(colour) {
  const [red, green, blue] = colour.map((part) => {
    const v = part / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// Black or white: one of the two has a contrast of at least 4.5 to 1 with any colour.
const inkOn = (colour) => (luminance(colour) > 0.179 ? "black" : "white");

function legend(values) {
  const bar = (name, [below, above], text) => {
    const colours = [below, scales.ends.zero, above].map(css).join(", ");
    const strip = element("i", { style: `background: linear-gradient(90deg, ${colours})` });
    return element("span", { class: "legend" }, MINUS, strip, `+ ${name}${text}`);
  };
  const { value, gradient } = scales.ends;
  const reach = scales.own
    ? ", each on a scale of its own"
    : `, all on one scale: ±${short(scales.largest)}`;
  return element(
    "p",
    { class: "soft" },
    values.some(isGradient) ? bar("gradients", gradient, reach) : null,
    values.some((each) => !isGradient(each))
      ? bar("values", value, ", each on its own scale")
      : null,
  );
}
