import { fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

// What the disk itself does while something else is measured: a small write and its fsync, again and again, each timed.
const [parent = ''] = process.argv.slice(2);
const BYTES = Buffer.alloc(256, 'x');
/** Between two, so that it is a witness and no load. */
const PAUSE_MS = 5;
const folder = mkdtempSync(join(parent, 'jetledger-fsync-'));
const fd = openSync(join(folder, 'synced'), 'w');
let took: number[] = [];

process.on('message', () => {
  process.send?.(took);
  took = [];
});
process.on('disconnect', () => {
  rmSync(folder, { recursive: true });
  process.exit(0);
});
for (;;) {
  const start = performance.now();
  writeSync(fd, BYTES);
  fsyncSync(fd);
  took.push(performance.now() - start);
  await delay(PAUSE_MS);
}
