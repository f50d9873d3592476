// What goes to the server's log: the first word of a line is its level there, and an error is
// told with its stack and its causes.

for (const [method, level] of [["error", "ERROR"], ["warn", "WARN"], ["debug", "DEBUG"]]) {
  const write = console[method].bind(console);
  console[method] = (...values) => {
    values = values.map((value) => (value instanceof Error ? explain(value) : value));
    // Objects are the engine's to show.
    if (values.some((value) => value !== null && typeof value === "object")) {
      return write(level, ...values);
    }
    for (const line of values.map(String).join(" ").split("\n")) {
      if (line.trim()) write(`${level} ${line}`);
    }
  };
}

// Causes of causes, until something is its own.
function explain(error) {
  const told = new Set();
  const lines = [];
  for (let cause = error; cause !== undefined && !told.has(cause); cause = cause?.cause) {
    told.add(cause);
    lines.push(`${told.size > 1 ? "caused by: " : ""}${cause}`);
    lines.push(...stack(cause).map((line) => `  at ${line}`));
  }
  return lines.join("\n");
}

function stack(error) {
  if (!(error instanceof Error) || typeof error.stack !== "string") return [];
  return error.stack.split("\n").filter(Boolean);
}
