// What fails where nobody waits for it: in a timer, and in the stream of a body. It is logged, and
// the server breaks off the response, or answers 500 if there is none yet.

import { exit } from "wasi:cli/exit@0.2.10";

for (const name of ["setTimeout", "setInterval"]) {
  const start = globalThis[name];
  globalThis[name] = (callback, ...rest) => start(guarded(callback), ...rest);
}

globalThis.Response = new Proxy(Response, {
  construct(target, [body, init], made) {
    if (body instanceof ReadableStream) body = whole(body);
    return Reflect.construct(target, [body, init], made === Response ? target : made);
  },
});

// Left to itself, the engine ends a body that fails as if it were complete.
function whole(body) {
  const reader = body.getReader();
  const pull = async (controller) => {
    const { done, value } = await reader.read();
    if (done) return controller.close();
    if (!(value instanceof Uint8Array)) {
      const what = `the stream of a body gave a ${typeof value}, which is no Uint8Array`;
      throw new TypeError(`${what}; pipe it through a TextEncoderStream`);
    }
    controller.enqueue(value);
  };
  return new ReadableStream({ pull: guarded(pull), cancel: (reason) => reader.cancel(reason) });
}

function guarded(callback) {
  const fail = (error) => {
    console.error("handler:", error);
    exit({ tag: "err" });
  };
  return (...values) => {
    try {
      const result = callback(...values);
      return result instanceof Promise ? result.catch(fail) : result;
    } catch (error) {
      fail(error);
    }
  };
}
