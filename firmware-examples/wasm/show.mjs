// Prints the SHA-256 of the pictures of the seeds 1 to 16, of a model with classes each class in turn:
// node show.mjs wasm.wasm

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

const module = await WebAssembly.instantiate(await readFile(process.argv[2]));
const { classes, image_len, sample, memory } = module.instance.exports;

for (let seed = 1; seed <= 16; seed++) {
  const label = classes() > 0 ? (seed - 1) % classes() : 0;
  const start = sample(label, BigInt(seed));
  if (start === 0) throw new Error(`no picture of class ${label}`);
  const pixels = new Uint8Array(memory.buffer, start, image_len());
  console.log(classes() > 0 ? `class ${label}, seed ${seed}` : `seed ${seed}`);
  console.log(`SHA-256 of the pixels: ${createHash("sha256").update(pixels).digest("hex")}`);
}
