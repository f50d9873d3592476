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
  const path = new URL(request.url).pathname.split("/");
  let elsewhere = false;
  for (const [method, pattern, answer] of routes) {
    const parameters = match(pattern.split("/"), path);
    if (parameters && method === request.method) return answer(request, parameters, env);
    elsewhere ||= Boolean(parameters);
  }
  return elsewhere ? text("another method, please\n", 405) : text("there is nothing here\n", 404);
}

// `:name` stands for one segment of the path.
function match(pattern, path) {
  if (pattern.length !== path.length) return undefined;
  const parameters = {};
  for (const [index, segment] of pattern.entries()) {
    if (segment.startsWith(":") && path[index]) {
      parameters[segment.slice(1)] = decodeURIComponent(path[index]);
    } else if (segment !== path[index]) {
      return undefined;
    }
  }
  return parameters;
}

async function sleep(_, { milliseconds }) {
  await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
  return text(`slept ${milliseconds} ms\n`);
}

function text(body, status = 200) {
  return new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}
