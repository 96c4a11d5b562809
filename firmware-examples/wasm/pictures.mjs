// Enlarges the pictures of one file and scores those of others, with the module that has the feature `pictures`:
// node pictures.mjs wasm.wasm small.bin digits.bin clothes.bin

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

const [wasm, smallPictures, ...others] = await Promise.all(process.argv.slice(2).map((path) => readFile(path)));
const module = await WebAssembly.instantiate(wasm);
const { small, enlarge, enlarged_len, scored, score, threshold, memory } = module.instance.exports;

function* pictures(bytes, len) {
  for (let start = 0; start < bytes.length; start += len) yield bytes.subarray(start, start + len);
}

for (const picture of pictures(smallPictures, 14 * 14)) {
  new Uint8Array(memory.buffer).set(picture, small());
  const start = enlarge();
  if (start === 0) throw new Error("the picture cannot be enlarged");
  const pixels = new Uint8Array(memory.buffer, start, enlarged_len());
  console.log(`SHA-256 of the pixels: ${createHash("sha256").update(pixels).digest("hex")}`);
}
for (const file of others) {
  for (const picture of pictures(file, 28 * 28)) {
    new Uint8Array(memory.buffer).set(picture, scored());
    const unlike = BigInt.asUintN(64, score());
    console.log(`picture: score ${unlike}, ${unlike > threshold() ? "no digit" : "a digit"}`);
  }
}
