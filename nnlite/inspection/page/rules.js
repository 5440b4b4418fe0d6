// How an entry of a result is made: every rule is the formula's component form as a small tree.
//
// Reading the tree for one entry gives three things at once: the number, the entries that went
// into it, and the sum in numbers. Nothing here knows a layer.

class Missing extends Error {} // an entry outside the corner that was kept

const FUNCTIONS = {
  exp: (x) => Math.exp(Math.min(x, 700)),
  log: Math.log,
  tanh: Math.tanh,
  cosh: Math.cosh,
  sqrt: Math.sqrt,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  max: Math.max,
  min: Math.min,
  clip: clamp,
  sigma: (x) => 1 / (1 + Math.exp(-x)),
  phi: (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI),
  Phi: (x) => (1 + erf(x / Math.SQRT2)) / 2,
};

// Its series; past 3.5 it is ±1 to all digits that are shown.
function erf(x) {
  if (Math.abs(x) > 3.5) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let k = 1; k < 80; k++) {
    term *= (-x * x) / k;
    sum += term / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const HOLDS = {
  "=": (a, b) => a === b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "≤": (a, b) => a <= b,
  "≥": (a, b) => a >= b,
  "≠": (a, b) => a !== b,
};

// Every setting of the letters, the last one fastest.
function forAll(letters, names, visit, depth = 0) {
  if (depth === letters.length) {
    visit();
    return;
  }
  const [letter, count] = letters[depth];
  for (let i = 0; i < count; i++) {
    names[letter] = i;
    forAll(letters, names, visit, depth + 1);
  }
}

// Reads the trees of one equation; `visit(k, index)` hears of every entry that is read.
class Reader {
  constructor(equation, values, visit = () => {}, changed = null) {
    this.operands = equation.operands.map((ref) => ({ ref, value: values[ref.value] }));
    this.visit = visit;
    this.changed = changed; // {k, flat, by}: what if this entry were larger?
  }

  entry(k, index) {
    const { ref, value } = this.operands[k];
    if (!index.every(Number.isInteger) || !inside(index, ref.shape)) return null;
    const v = entryOf(value, reshaped(index, ref.shape, value.shape));
    if (v === undefined) throw new Missing();
    this.visit(k, index);
    const { changed } = this;
    const grown = changed && changed.k === k && changed.flat === flatOf(index, ref.shape);
    return asNumber(v) + (grown ? changed.by : 0);
  }

  read(node, names) {
    if (typeof node === "number") return node;
    if (typeof node === "string") return names[node];
    const [kind, ...args] = node;
    switch (kind) {
      case "at":
        return (
          this.entry(
            args[0],
            args[1].map((each) => this.read(each, names)),
          ) ?? 0
        );
      case "sum":
        return this.sum(args, names);
      case "largest":
        return this.largest(args, names);
      case "f":
        return FUNCTIONS[args[0]](...args.slice(1).map((each) => this.read(each, names)));
      case "is":
        return Number(HOLDS[args[0]](this.read(args[1], names), this.read(args[2], names)));
      case "neg":
        return -this.read(args[0], names);
      default:
        return this.arithmetic(kind, args, names);
    }
  }

  arithmetic(kind, [left, right], names) {
    const a = this.read(left, names);
    if (a === 0 && (kind === "*" || kind === "/")) return 0; // what stands behind is not evaluated
    const b = this.read(right, names);
    if (kind === "+") return a + b;
    if (kind === "-") return a - b;
    if (kind === "*") return a * b;
    if (kind === "/") return a / b;
    return kind === "^" ? a ** b : ((a % b) + b) % b;
  }

  sum([letters, body], names) {
    const bound = { ...names };
    let total = 0;
    forAll(letters, bound, () => {
      total += this.read(body, bound);
    });
    return total;
  }

  largest([letters, body], names) {
    const bound = { ...names };
    let most = -Infinity;
    forAll(letters, bound, () => {
      if (this.exists(body, bound)) most = Math.max(most, this.read(body, bound));
    });
    return most;
  }

  // Padding does not count for a maximum.
  exists(node, names) {
    if (!Array.isArray(node)) return true;
    if (node[0] !== "at") return node.every((each) => this.exists(each, names));
    const index = node[2].map((each) => this.read(each, names));
    return index.every(Number.isInteger) && inside(index, this.operands[node[1]].ref.shape);
  }
}

const lettersOf = (rule, index) =>
  Object.fromEntries(rule.indices.map((letter, axis) => [letter, index[axis]]));

// The entries that made this one, as [{k, index}], each once; null where some were not kept.
function madeFrom(equation, values, index) {
  const seen = new Map();
  const visit = (k, at) => seen.set(`${k}:${at}`, { k, index: at });
  try {
    new Reader(equation, values, visit).read(equation.rule.body, lettersOf(equation.rule, index));
  } catch (error) {
    if (error instanceof Missing) return null;
    throw error;
  }
  return [...seen.values()];
}

// Whether an operand's entry is one of those that made a result's entry.
function goesInto(equation, values, index, k, at) {
  let found = false;
  const visit = (operand, read) => {
    found ||= operand === k && read.every((i, axis) => i === at[axis]);
  };
  try {
    const reader = new Reader(equation, values, visit);
    reader.read(equation.rule.body, lettersOf(equation.rule, index));
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
  }
  return found;
}

// By how much the result's entry grows when an operand's entry grows by one: the other factors of
// its products. null where the rule is not linear in it, so that no share can be told.
function factorOf(equation, values, index, k, at) {
  const flat = flatOf(at, equation.operands[k].shape);
  const names = lettersOf(equation.rule, index);
  const grown = (by) =>
    new Reader(equation, values, undefined, { k, flat, by }).read(equation.rule.body, names);
  try {
    const [none, one, three] = [grown(0), grown(1), grown(3)];
    const factor = one - none;
    const scale = Math.max(Math.abs(none), Math.abs(factor), 1e-30);
    return Math.abs(three - none - 3 * factor) < 1e-6 * scale ? factor : null;
  } catch (error) {
    if (error instanceof Missing) return null;
    throw error;
  }
}

// The letters of the result that an operand's entry fixes: x[n, i] in dL/dW[i, j] fixes i.
function fixedLetters(node, k, at, indices, found = null) {
  if (!Array.isArray(node)) return found;
  if (node[0] === "at" && node[1] === k) {
    const own = new Map(
      node[2].flatMap((each, axis) => (indices.includes(each) ? [[each, at[axis]]] : [])),
    );
    return found === null
      ? own
      : new Map([...found].filter(([letter, i]) => own.get(letter) === i));
  }
  return node.reduce((sofar, each) => fixedLetters(each, k, at, indices, sofar), found);
}

// The kept entries of the result into which an operand's entry goes.
function feeds(equation, values, k, at) {
  const result = values[equation.result.value];
  const { shape } = equation.result;
  const { indices, body } = equation.rule;
  const fixed = fixedLetters(body, k, at, indices) ?? new Map();
  const fed = [];
  for (let flat = 0; flat < product(result.corner.shape); flat++) {
    const index = reshaped(indexOf(flat, result.corner.shape), result.shape, shape);
    if (indices.some((letter, axis) => fixed.has(letter) && fixed.get(letter) !== index[axis]))
      continue;
    if (goesInto(equation, values, index, k, at)) fed.push(index);
  }
  return fed;
}

// -- the sum in numbers ---------------------------------------------------------------------------

const SUPERSCRIPTS = { 2: "²", 3: "³" };
const GREEK = { sigma: "σ", phi: "φ", Phi: "Φ" };
const SIGNS = { "+": " + ", "-": ` ${MINUS} `, "*": "·", "/": " / ", "^": "^", mod: " mod " };
// Who binds more tightly needs no brackets.
const STRENGTH = { "+": 1, "-": 1, "*": 2, "/": 2, mod: 2, "^": 3 };

const isCondition = (node) =>
  Array.isArray(node) &&
  (node[0] === "is" || (node[0] === "*" && isCondition(node[1]) && isCondition(node[2])));

// Reads a tree aloud, every entry by its number, as a list of texts and of the outermost sums'
// terms {text, read}, which know the entries that they are made of.
class Writer extends Reader {
  write(node, names, strength = 0) {
    if (!Array.isArray(node)) return [inBrackets(this.read(node, names))];
    const [kind, ...args] = node;
    switch (kind) {
      case "at":
        return [inBrackets(this.read(node, names))];
      case "sum":
        return this.sumText(args, names, strength);
      case "largest":
        return ["max(", ...this.eachText(args, names), ")"];
      case "neg":
        return this.bracketed([MINUS, ...this.write(args[0], names, 2)], strength > 0);
      case "f":
        return this.callText(args, names);
      case "is":
        return [
          "[",
          ...this.write(args[1], names),
          ` ${args[0]} `,
          ...this.write(args[2], names),
          "]",
        ];
      default:
        return this.arithmeticText(kind, args, names, strength);
    }
  }

  bracketed(parts, needed) {
    return needed ? ["(", ...parts, ")"] : parts;
  }

  // Conditions that hold are left out of products, and what a condition rules out of sums.
  arithmeticText(kind, [left, right], names, strength) {
    if (kind === "*" && isCondition(left) && this.read(left, names) === 1)
      return this.write(right, names, strength);
    if (kind === "+" && this.isRuledOut(right, names)) return this.write(left, names, strength);
    if (kind === "+" && this.isRuledOut(left, names)) return this.write(right, names, strength);
    const own = STRENGTH[kind];
    const first = left === Math.E ? ["e"] : this.write(left, names, own);
    if (kind === "^" && SUPERSCRIPTS[right])
      return this.bracketed([...first, SUPERSCRIPTS[right]], own < strength);
    const behind = own + (kind === "-" || kind === "/" ? 1 : 0);
    return this.bracketed(
      [...first, SIGNS[kind], ...this.write(right, names, behind)],
      own < strength,
    );
  }

  isRuledOut(node, names) {
    if (!Array.isArray(node)) return false;
    const [kind, first, second] = node;
    if (kind === "+") return this.isRuledOut(first, names) && this.isRuledOut(second, names);
    if (kind !== "*") return false;
    return isCondition(first) ? this.read(first, names) === 0 : this.isRuledOut(first, names);
  }

  callText([name, ...args], names) {
    const inner = args.flatMap((each, i) => [...(i ? [", "] : []), ...this.write(each, names)]);
    if (name === "abs") return ["|", ...inner, "|"];
    const opening = inner.length === 1 && /^\(.*\)$/.test(inner[0]) ? ["", ""] : ["(", ")"];
    return [(name === "sqrt" ? "√" : (GREEK[name] ?? name)) + opening[0], ...inner, opening[1]];
  }

  eachText([letters, body], names) {
    const bound = { ...names };
    const texts = [];
    forAll(letters, bound, () => {
      if (this.exists(body, bound))
        texts.push(...(texts.length ? [", "] : []), ...this.write(body, bound));
    });
    return texts;
  }

  sumText([letters, body], names, strength) {
    const terms = this.terms(letters, body, { ...names });
    if (!terms.length) return ["0"];
    const parts = terms.flatMap((term, i) => (i ? [" + ", term] : [term]));
    return this.bracketed(
      this.inTerm ? parts.map((part) => part.text ?? part) : parts,
      strength > 1 && terms.length > 1,
    );
  }

  // The summands that are not zero, each with the entries that it reads.
  terms(letters, body, names) {
    const terms = [];
    const { visit, inTerm } = this;
    this.inTerm = true;
    forAll(letters, names, () => {
      const read = [];
      this.visit = (k, index) => read.push({ k, index });
      const v = this.read(body, names);
      this.visit = () => {};
      if (v !== 0) terms.push({ text: this.write(body, names, 1).join(""), read });
    });
    Object.assign(this, { visit, inTerm });
    return terms;
  }
}

// As a list of texts and terms, texts next to each other joined.
function inNumbers(equation, values, index) {
  const { rule } = equation;
  const parts = new Writer(equation, values).write(rule.body, lettersOf(rule, index));
  const joined = [];
  for (const part of parts) {
    if (typeof part === "string" && typeof joined.at(-1) === "string")
      joined[joined.length - 1] += part;
    else joined.push(part);
  }
  return joined;
}
