// Making elements: the only helpers that this page needs in place of a framework.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const element = (tag, attributes = {}, ...children) =>
  filled(document.createElement(tag), attributes, children);
const drawn = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

// Formulas as they are printed: W_ih with its index below, e^x with its exponent above, and dL/dW
// as a fraction where there is room for one.
const BELOW = /_(\{[^}]*\}|[A-Za-z0-9]+)/;
const ABOVE = /\^(\{[^}]*\}|\([^()]*\)|[A-Za-z0-9.]+(?:\[[^\]]*\])?)/;
const FRACTION = /(?<![\p{L}(])dL\/d([^\s,;=)[\]⊙]+)/;
const anyOf = (...pieces) => new RegExp(pieces.map((each) => each.source).join("|"), "gu");
const IN_LINE = anyOf(BELOW, ABOVE);
const WITH_FRACTIONS = anyOf(BELOW, ABOVE, FRACTION);

function typeset(text, fractions = false) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(fractions ? WITH_FRACTIONS : IN_LINE)) {
    const [whole, below, above, divisor] = match;
    parts.push(
      text.slice(from, match.index),
      divisor ? fraction(whole, divisor) : script(below, above),
    );
    from = match.index + whole.length;
  }
  return [...parts, text.slice(from)];
}

const script = (below, above) =>
  element(below ? "sub" : "sup", {}, (below ?? above).replace(/^[{(](.*)[})]$/, "$1"));

const fraction = (whole, divisor) =>
  element(
    "span",
    { class: "fraction", "aria-label": whole },
    element("span", {}, "dL"),
    element("span", {}, "d", ...typeset(divisor)),
  );

const pathOf = (step) => [...step.place, step.layer].join(" › ");
const className = (layer) => layer.split("(")[0];

// What a screen reader says next; sighted readers see the same on the page.
function say(text) {
  byId("live").textContent = text;
}
