// Which request is answered by what: `Request` in, `Response` out, as everywhere on the web.
//
// Nothing here knows of WebAssembly, so that tests call it as it is.

const routes = [
  ["GET", "/", () => text("Hello, world!\n")],
  ["GET", "/hello/:name", (_, { name }, env) => Response.json({ [env.GREETING ?? "hello"]: name })],
  ["GET", "/sleep/:milliseconds", sleep],
  ["POST", "/echo", (request) => request.arrayBuffer().then((body) => new Response(body))],
];

// `env` is what the configuration grants of the environment.
export async function handle(request, env = {}) {
  const path = segments(new URL(request.url).pathname);
  if (!path) return text("this is no path\n", 400);
  // The server sends the head alone of what answers HEAD.
  const wanted = request.method === "HEAD" ? "GET" : request.method;
  const allowed = new Set();
  for (const [method, pattern, answer] of routes) {
    const parameters = match(pattern.split("/"), path);
    if (parameters && method === wanted) return answer(request, parameters, env);
    if (parameters) allowed.add(method);
  }
  if (allowed.size === 0) return text("there is nothing here\n", 404);
  if (allowed.has("GET")) allowed.add("HEAD");
  return text("another method, please\n", 405, { allow: [...allowed].sort().join(", ") });
}

// What is between the slashes; nothing when it is not encoded as it must be.
function segments(path) {
  try {
    return path.split("/").map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

// `:name` stands for one segment of the path.
function match(pattern, path) {
  if (pattern.length !== path.length) return undefined;
  const parameters = {};
  for (const [index, segment] of pattern.entries()) {
    if (segment.startsWith(":") && path[index]) {
      parameters[segment.slice(1)] = path[index];
    } else if (segment !== path[index]) {
      return undefined;
    }
  }
  return parameters;
}

async function sleep(_, { milliseconds }) {
  if (!/^\d+$/.test(milliseconds)) return text("milliseconds are a number\n", 400);
  await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
  return text(`slept ${milliseconds} ms\n`);
}

function text(body, status = 200, headers = {}) {
  headers = { "content-type": "text/plain; charset=utf-8", ...headers };
  return new Response(body, { status, headers });
}
