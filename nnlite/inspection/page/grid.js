// One matrix: a table with its numbers where there is room, a picture where there is not. Both are
// pointed at, tapped, and walked with the arrow keys in the same way.

const NUMBERS = 8; // up to so many rows and columns are always numbers
const EDGE = 3; // pixels around a matrix, where a frame finds room

function hasRoom(layout, wide) {
  if (layout.rows <= NUMBERS && layout.columns <= NUMBERS) return true;
  return wide > 700 && layout.rows <= 16 && layout.columns <= 12;
}

class Grid {
  // `on` is told {point, pick, leave}; each gets the entry's index in the value's own shape.
  constructor(value, { kind, transposed, shape, label, wide, on }) {
    this.value = value;
    this.layout = layoutOf(value, kind, transposed, shape);
    this.on = on;
    this.at = [0, 0];
    this.marks = new Map();
    const cells = hasRoom(this.layout, wide) ? this.table() : this.picture(wide);
    this.element = element(
      "div",
      {
        class: "grid",
        tabindex: 0,
        role: "group",
        "aria-label": label,
        onkeydown: (event) => this.key(event),
        onpointerleave: () => on.leave(),
        onblur: () => on.leave(),
        onfocus: () => this.enter(),
      },
      cells,
    );
  }

  number(row, column) {
    return entryOf(this.value, this.layout.index(row, column));
  }

  // -- as a table --

  table() {
    const { rows, columns, tile } = this.layout;
    const starts = (i, size) => i > 0 && i % size === 0;
    this.cells = Array.from({ length: rows }, (_, row) =>
      Array.from({ length: columns }, (__, column) => {
        const v = this.number(row, column);
        const colour = colourOf(v, this.value);
        return element(
          "td",
          {
            class: starts(column, tile.columns) ? "gap" : null,
            style: `background-color: ${css(colour)}; color: ${inkOn(colour)}`,
            ...this.pointer(() => [row, column]),
          },
          short(v),
        );
      }),
    );
    return element(
      "table",
      {},
      this.cells.map((cells, row) =>
        element("tr", { class: starts(row, tile.rows) ? "gap" : null }, cells),
      ),
    );
  }

  pointer(placeOf) {
    const point = (event) => {
      const at = placeOf(event);
      if (at && String(at) !== String(this.at)) this.tapped = null;
      if (at) this.point(at);
    };
    return {
      onpointermove: (event) => {
        if (event.pointerType !== "touch") point(event);
      },
      // a finger points first, and follows with a second tap
      onclick: (event) => {
        const at = placeOf(event);
        if (!at) return;
        const again = event.pointerType !== "touch" || this.tapped === String(at);
        this.tapped = String(at);
        this.point(at);
        if (again) this.on.pick(this.layout.index(...at));
      },
    };
  }

  // -- as a picture --

  picture(wide) {
    const { rows, columns, tile } = this.layout;
    const gaps = (count, size) => Math.max(0, Math.ceil(count / size) - 1);
    const across = Math.min(wide, 560) - 8 - 3 * gaps(columns, tile.columns);
    const down = 420 - 3 * gaps(rows, tile.rows);
    this.side = clamp(Math.floor(Math.min(across / columns, down / rows)), 6, 20);
    this.edge = (i, size) => i * this.side + Math.floor(i / size) * 3; // where row or column i begins
    const [width, height] = [
      this.edge(columns - 1, tile.columns) + this.side,
      this.edge(rows - 1, tile.rows) + this.side,
    ];
    const fine = window.devicePixelRatio || 1;
    this.canvas = element("canvas", {
      width: Math.ceil(width * fine),
      height: Math.ceil(height * fine),
      style: `width: ${width}px; height: ${height}px`,
      ...this.pointer((event) => this.placeUnder(event)),
    });
    this.fine = fine;
    this.paint();
    return this.canvas;
  }

  placeUnder(event) {
    const box = this.canvas.getBoundingClientRect();
    const { rows, columns, tile } = this.layout;
    const find = (offset, count, size) => {
      const guess = Math.floor(offset / (size * this.side + 3)) * size; // the first one in its tile
      const inTile = Math.floor((offset - this.edge(guess, size)) / this.side);
      return clamp(guess + Math.min(size - 1, inTile), 0, count - 1);
    };
    return [
      find(event.clientY - box.top, rows, tile.rows),
      find(event.clientX - box.left, columns, tile.columns),
    ];
  }

  paint() {
    const { rows, columns, tile } = this.layout;
    const context = this.canvas.getContext("2d");
    const gap = this.side > 7 ? 1 : 0;
    context.setTransform(this.fine, 0, 0, this.fine, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        context.fillStyle = css(colourOf(this.number(row, column), this.value));
        context.fillRect(
          this.edge(column, tile.columns),
          this.edge(row, tile.rows),
          this.side - gap,
          this.side - gap,
        );
      }
    }
    context.strokeStyle = css(scales.ends.ink);
    for (const [place, mark] of this.marks) {
      const [row, column] = place.split(",").map(Number);
      const line = mark === "cursor" ? 2 : 1;
      context.lineWidth = line;
      context.strokeRect(
        this.edge(column, tile.columns) + line / 2 - 0.5,
        this.edge(row, tile.rows) + line / 2 - 0.5,
        this.side - gap - line + 1,
        this.side - gap - line + 1,
      );
    }
  }

  // -- what is lit --

  // Entries by index: `lit` for those that take part, `cursor` for the one that is spoken of.
  light(lit, cursor = null) {
    const places = (indices) =>
      indices
        .filter((index) => inside(index, this.value.corner.shape))
        .map((index) => this.layout.place(index));
    this.marks.forEach((mark, place) => this.markCell(place, mark, false));
    this.marks = new Map([
      ...places(lit).map((at) => [String(at), "lit"]),
      ...places(cursor ? [cursor] : []).map((at) => [String(at), "cursor"]),
    ]);
    this.marks.forEach((mark, place) => this.markCell(place, mark, true));
    if (cursor) [this.at] = places([cursor]).concat([this.at]);
    if (this.canvas) this.paint();
  }

  markCell(place, mark, on) {
    const [row, column] = place.split(",");
    this.cells?.[row][column].classList.toggle(mark, on);
  }

  point(at) {
    this.at = at;
    this.on.point(this.layout.index(...at));
  }

  // -- by keys --

  // Keys begin at an entry that takes part in what is spelled out.
  enter() {
    if (!this.element.matches(":focus-visible")) return;
    const [place] = this.marks.keys();
    if (place) this.at = place.split(",").map(Number);
    this.move(0, 0);
  }

  move(down, across) {
    const { rows, columns } = this.layout;
    const [row, column] = this.at;
    this.point([clamp(row + down, 0, rows - 1), clamp(column + across, 0, columns - 1)]);
    this.reveal(...this.at);
  }

  // A matrix that is wider than the window scrolls along with the keys.
  reveal(row, column) {
    const cell = this.cells?.[row][column];
    const left = cell ? cell.offsetLeft : this.edge(column, this.layout.tile.columns);
    const right = left + (cell ? cell.offsetWidth : this.side);
    const { element } = this;
    element.scrollLeft = clamp(element.scrollLeft, right + 2 * EDGE - element.clientWidth, left);
  }

  key(event) {
    const moves = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      Home: [0, -Infinity],
      End: [0, Infinity],
    };
    if (event.key in moves) this.move(...moves[event.key]);
    else if (event.key === "Enter") this.on.pick(this.layout.index(...this.at));
    else if (event.key === "Escape") byId("step").focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
