// Writes the golden bytes of every event type and version that has none yet:
//   npm run golden
// What is there is never written again: those bytes are in somebody's log, and must decode for ever. When an upcaster
// changes what old bytes decode to, edit `json` in the file by hand, and leave `hex` as it is.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { goldenOfToday, pathOf } from './golden.ts';

let written = 0;
for (const golden of goldenOfToday()) {
  const path = pathOf(golden);
  if (existsSync(path)) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(golden, undefined, 2)}\n`, { flag: 'wx' });
  written++;
}
console.log(`${written} golden files written`);
