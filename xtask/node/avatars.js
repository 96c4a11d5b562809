// Writes avatars as lines of JSON: a name, the SVG and the options that were drawn.
// Arguments: the style's package, the seed, and pairs of a split and its count.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createAvatar } from '@dicebear/core';

const [style, seed, ...splits] = process.argv.slice(2);
// Nobody reads on.
process.stdout.on('error', () => process.exit(1));
const drawings = await import(style);
const backgroundColor = ['b6e3f4', 'c0aede', 'd1d4f9', 'ffd5dc', 'ffdfbf'];

for (let at = 0; at < splits.length; at += 2) {
  const [split, count] = [splits[at], Number(splits[at + 1])];
  for (let index = 0; index < count; index += 1) {
    // Seeds that are near each other would give avatars that are.
    const own = createHash('sha256').update(`${seed} ${split} ${index}`).digest('hex');
    const { svg, extra } = createAvatar(drawings, { seed: own, backgroundColor }).toJson();
    const options = { background: extra.primaryBackgroundColor.replace('#', '') };
    for (const [key, value] of Object.entries(extra)) {
      // The colour of a part that is not drawn says nothing.
      const part = key.replace(/Color$/, '');
      const isDrawn = !(part in extra) || extra[part] !== undefined;
      if (!/background/i.test(key)) {
        options[key] = value !== undefined && isDrawn ? String(value).replace('#', '') : 'none';
      }
    }
    const name = `${split}/${String(index).padStart(6, '0')}`;
    if (!process.stdout.write(`${JSON.stringify({ name, svg, options })}\n`)) {
      await once(process.stdout, 'drain');
    }
  }
}
