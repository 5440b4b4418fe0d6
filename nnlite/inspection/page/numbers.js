// How numbers and places are written.

const clamp = (v, low, high) => Math.max(low, Math.min(high, v));
const MINUS = "\u2212";

// [from this size on, so many decimals]
const DECIMALS = [
  [10, 1],
  [0.1, 2],
  [0.01, 3],
  [0.001, 4],
];

// Short enough for a cell: two or three digits that say something.
function short(v) {
  if (!Number.isFinite(v)) return notFinite(asNumber(v));
  const size = Math.abs(v);
  let text;
  if (Number.isInteger(v) && size < 10000) text = String(v);
  else if (size >= 10000 || size < 0.001)
    text = exponential(v, size < 1e-9 || size >= 1e10 ? 0 : 1);
  else text = v.toFixed(size >= 100 ? 0 : DECIMALS.find(([from]) => size >= from)[1]);
  return text.replaceAll("-", MINUS);
}

const exponential = (v, decimals) => v.toExponential(decimals).replace("e+", "e");

// JSON has no infinity and no NaN: they come as Python writes them, and are written so again.
const asNumber = (v) => ({ inf: Infinity, "-inf": -Infinity })[v] ?? Number(v);
const notFinite = (v) => (Number.isNaN(v) ? "nan" : v > 0 ? "inf" : `${MINUS}inf`);

// For sums: four digits.
function number(v) {
  if (!Number.isFinite(v)) return notFinite(asNumber(v));
  const size = Math.abs(v);
  const text =
    size !== 0 && (size < 1e-4 || size >= 1e6) ? exponential(v, 3) : String(+v.toPrecision(4));
  return text.replaceAll("-", MINUS);
}

const inBrackets = (v) => (asNumber(v) < 0 ? `(${number(v)})` : number(v));
const shapeText = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

// dL/dW[2, 1]: counted from 0, as in NumPy.
const entryName = (value, index) => value.name + (index.length ? `[${index.join(", ")}]` : "");
