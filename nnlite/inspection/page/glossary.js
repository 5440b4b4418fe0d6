// What the symbols of the step in hand mean, each once: [symbol, meaning, whose], where a letter
// stands for different things in different layers.

const SYMBOLS = [
  ["L", "the loss, one number", /Loss/],
  ["L", "how many time steps", /OverTime/],
  ["T", "the last time step", /LastStep/],
  ["t", "the time step", /LSTM|GRU|RNN|LastStep/],
  ["ℓ", "the loss of one sample"],
  ["G", "the gradient that came from above: dL/dy of this layer"],
  ["dL/d", "how much the loss grows when this number grows by one"],
  ["x", "what the layer was given"],
  ["y", "what the layer returned"],
  ["z", "the model's output: scores, also called logits", /Loss/],
  ["t", "the target", /Loss/],
  ["D", "the divisor: how many losses are averaged", /Loss/],
  ["D", "G ⊙ γ: the gradient of x̂", /Norm/],
  ["p", "probabilities"],
  ["W", "weights"],
  ["b", "bias"],
  ["f′", "the slope of the activation, entry by entry"],
  ["f", "what a branch computes", /Residual|Concat|Add|Parallel|Bidirectional/],
  ["s", "what the shortcut computes", /Residual/],
  ["R", "turns sequences around in time", /Bidirectional/],
  ["J", "the Jacobian: all partial derivatives of a branch"],
  ["Φ", "the share of a standard normal distribution that lies below x"],
  ["φ", "the density of a standard normal distribution: the slope of Φ"],
  ["v", "an entry of the vocabulary: a row of the table", /Embedding/],
  ["γ", "scale, learned"],
  ["β", "shift, learned", /Norm/],
  ["μ", "mean"],
  ["σ", "standard deviation", /Norm/],
  ["σ", "the sigmoid, 1 / (1 + e⁻ˣ)", /^(?!.*Norm)/],
  ["x̂", "x with mean 0 and variance 1"],
  ["ε", "a small number that keeps divisions safe"],
  ["m", "the mask of dropout", /Dropout/],
  ["Q", "queries", /Attention/],
  ["K", "keys", /Attention/],
  ["V", "values that attention averages", /Attention/],
  ["S", "scores: how well a query fits a key", /Attention/],
  ["P", "weights of attention: softmax(S)", /Attention/],
  ["O", "what each query gets: P V", /Attention/],
  ["d", "the width of one head", /Attention/],
  ["h", "the hidden state", /LSTM|GRU|RNN/],
  ["c", "the cell state", /LSTM/],
  ["i", "the input gate", /LSTM/],
  ["f", "the forget gate", /LSTM/],
  ["g", "the candidate", /LSTM/],
  ["o", "the output gate", /LSTM/],
  ["r", "the reset gate", /GRU/],
  ["z", "the update gate", /GRU/],
  ["n", "the candidate", /GRU/],
  ["U", "the columns of W_hh that belong to one gate", /GRU/],
  ["Q", "the gradient of the product h W_hh", /GRU/],
  ["B", "what goes back to the state before", /GRU/],
  ["s", "where the largest value of the window stood, counted over the image", /MaxPool/],
  ["a", "what goes into a gate or a cell, before its activation", /LSTM|GRU|RNN/],
  ["a", "the slope below 0, learned", /PReLU/],
  ["A", "the gradient of what goes into the gates", /LSTM|GRU|RNN/],
  ["A", "P behind dropout: the weights that are used", /Attention/],
  ["A", "how much of each entry of x goes into each of y", /Upsample|AdaptiveAvgPool/],
  ["M", "the mask of dropout", /Attention/],
  ["δ", "the gradient of a state", /LSTM|GRU|RNN/],
  ["w", "a parameter, every entry of it", /lr=/],
  ["g", "its gradient", /lr=/],
  ["lr", "the learning rate"],
  ["m", "the running mean of the gradient", /lr=/],
  ["v", "the running mean of its square", /lr=/],
  ["m̂", "m, made up for its start at 0"],
  ["v̂", "v, made up for its start at 0"],
  ["β₁", "how slowly m forgets", /lr=/],
  ["β₂", "how slowly v forgets", /lr=/],
  ["k", "which update this is", /lr=/],
  ["Δw", "what the optimizer subtracts"],
  ["⊙", "entry by entry"],
  ["ᵀ", "rows and columns exchanged"],
  ["Σ", "the sum over the letters below it"],
  ["⋆", "a window that slides over x, multiplied and summed"],
  ["∗", "the same, with the window turned around"],
  ["[", "around a condition: 1 where it holds, else 0; around arrays: side by side"],
];

const words = (text) =>
  text.replace(
    /(?<=\p{L}{2,})\p{L}+|\b(?:in|each|of|the|where|with|and|for|number|first|heads?)\b/gu,
    " ",
  );

// Whether a symbol stands in a formula by itself, and not as a part of a word.
function isIn(symbol, text) {
  if (!/^\p{L}/u.test(symbol) || symbol === "ᵀ" || symbol === "dL/d") return text.includes(symbol);
  return new RegExp(`(?<![\\p{L}])${symbol}(?![\\p{Lu}\\p{Ll}\\u0302′])`, "u").test(
    text.replace(/\bdL\/d/g, "").replace(/\[[^\]=<>≠]*\]/g, ""),
  );
}

function glossaryOf(step) {
  const named = ({ result, operands }) => [result, ...operands].map((ref) => ref.name);
  const lines = step.equations.map((each) => [each.formula, ...named(each)].join(" "));
  const whole = [step.formula, ...lines].join("  ");
  const letters = words(whole);
  const shown = new Map();
  for (const [symbol, meaning, whose] of SYMBOLS) {
    const text = symbol === "[" || symbol === "dL/d" ? whole : letters;
    const isHere = (!whose || whose.test(step.layer)) && isIn(symbol, text);
    if (isHere && !shown.has(symbol)) shown.set(symbol, meaning);
  }
  const name = (symbol) => (symbol === "[" ? "[ ]" : symbol);
  const entries = [...shown].map(([symbol, meaning]) =>
    element("div", {}, element("dt", {}, name(symbol)), element("dd", {}, meaning)),
  );
  return element("dl", { class: "glossary", "aria-label": "What the symbols mean" }, entries);
}
