// Arrays: which entries are here, and how an array of any number of axes lies on paper.

const product = (sizes) => sizes.reduce((all, size) => all * size, 1);

function flatOf(index, shape) {
  return index.reduce((flat, i, axis) => flat * shape[axis] + i, 0);
}

function indexOf(flat, shape) {
  const index = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = flat % shape[axis];
    flat = Math.floor(flat / shape[axis]);
  }
  return index;
}

// The same entry in another shape of the array, as (N, T, D) folds to N·T rows.
const reshaped = (index, from, to) => indexOf(flatOf(index, from), to);

const inside = (index, shape) => index.every((i, axis) => i >= 0 && i < shape[axis]);

// An entry of a value: undefined where only a corner was kept.
function entryOf(value, index) {
  const { shape, values } = value.corner;
  return inside(index, shape) ? values[flatOf(index, shape)] : undefined;
}

const isWhole = (value) => product(value.corner.shape) === product(value.shape);
// A gradient by its name: dL/dW, G, Gₒ, and what recurrent cells call δ and A. What goes forward is
// none: the A of resizing is what x is multiplied by.
const isGradient = (value) =>
  !value.forward && /^(dL\/d|G(?![\p{Lu}\p{Ll}])|δ|A(_|$)|D$)/u.test(value.name);

// How axes become rows and columns: axes of the tiles' rows and columns, then those inside a tile.
// Axes before the last are rows; images (N, H, W, C) and kernels (kH, kW, I, O) lie as tiles.
function axesOf(value, kind) {
  const axes = value.shape.map((_, axis) => axis);
  const last = axes.length - 1;
  if (kind === "kernel" && axes.length === 4)
    return { down: [2], across: [3], rows: [0], columns: [1] };
  if (kind === "heads" && axes.length === 4)
    return { down: [0], across: [1], rows: [2], columns: [3] };
  if (axes.length >= 4)
    return { down: axes.slice(0, last - 2), across: [last], rows: [last - 2], columns: [last - 1] };
  return {
    down: axes.slice(0, Math.max(last - 1, 0)),
    across: [],
    rows: axes.slice(Math.max(last - 1, 0), Math.max(last, 0)),
    columns: axes.slice(Math.max(last, 0)),
  };
}

// Transposed: the last two axes change places. Of images and kernels these are the tiles' own, and
// each tile stays as it is; of heads they are those inside a tile.
function turned({ down, across, rows, columns }, kind) {
  if (kind === "heads") return { down, across, rows: columns, columns: rows };
  return across.length
    ? { down: across, across: down, rows, columns }
    : { down: [], across: down, rows: columns, columns: rows };
}

// The table of a value's kept entries: how many rows and columns, and which entry stands where.
// `shape` is how the formula reads a vector, such as (N, 1) for a column.
function layoutOf(value, kind, transposed, shape = value.shape) {
  if (value.shape.length < 2 && shape.length === 2 && isWhole(value)) {
    const { index, place, ...sizes } = layoutOf({ shape, corner: { shape } }, kind, transposed);
    return {
      ...sizes,
      index: (row, column) => reshaped(index(row, column), shape, value.shape),
      place: (at) => place(reshaped(at, value.shape, shape)),
    };
  }
  const axes = transposed ? turned(axesOf(value, kind), kind) : axesOf(value, kind);
  const kept = value.corner.shape;
  const sizes = (list) => list.map((axis) => kept[axis]);
  const high = product(sizes(axes.rows));
  const wide = product(sizes(axes.columns));
  const spread = (at, list, index) =>
    indexOf(at, sizes(list)).forEach((i, k) => {
      index[list[k]] = i;
    });
  const gather = (index, list) =>
    flatOf(
      list.map((axis) => index[axis]),
      sizes(list),
    );
  return {
    rows: product(sizes(axes.down)) * high,
    columns: product(sizes(axes.across)) * wide,
    tile: { rows: high, columns: wide },
    index(row, column) {
      const index = new Array(kept.length);
      spread(Math.floor(row / high), axes.down, index);
      spread(row % high, axes.rows, index);
      spread(Math.floor(column / wide), axes.across, index);
      spread(column % wide, axes.columns, index);
      return index;
    },
    place(index) {
      return [
        gather(index, axes.down) * high + gather(index, axes.rows),
        gather(index, axes.across) * wide + gather(index, axes.columns),
      ];
    },
  };
}
