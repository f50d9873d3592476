// Makes the component: `node build.mjs [FILE]`. It is what `remuda build` runs.
//
// The file appears only when it is whole. Console output and errors of the handler go to the
// server's log.

import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";

const here = dirname(fileURLToPath(import.meta.url));
const file = resolve(process.argv[2] ?? "target/js-hello.wasm");

try {
  const { component } = await componentize({
    sourcePath: resolve(here, "src/main.js"),
    witPath: resolve(here, "wit"),
    worldName: "handler",
    enableFeatures: ["http", "fetch-event"],
  });
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.draft`, component);
  await rename(`${file}.draft`, file);
} catch (error) {
  // Where in the bundler it happened helps nobody.
  console.error(error.message ?? error);
  process.exit(1);
}
