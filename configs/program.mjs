// Makes one program of the command line and all that it loads: `node configs/program.mjs <dist>`. Part of
// `npm run build`, which puts it over what `tsc` makes of the same files. To find and read some 2,000 files took half of
// the time of a start. Functions and lines stay as they are, and a comment names the source of each part.
import { rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const SOURCES = fileURLToPath(new URL('../src/', import.meta.url));
/** What processes and threads are started with. */
const STARTED = ['cli/jetledger', 'projections/engine/lists/index-thread'];
/** What reads files of its own package, or starts threads with them. */
const OUTSIDE = /^(libsql|pino|pino-pretty|@fastify\/(static|swagger|swagger-ui)|@grpc\/grpc-js)$/;
const PARTS = 'program';

const [out = fileURLToPath(new URL('../dist', import.meta.url))] = process.argv.slice(2);
const dist = resolve(out);

/** What a module looks for beside itself it finds beside what `tsc` made of it. */
const ownPlace = {
  name: 'own-place',
  transform(code, id) {
    if (!id.startsWith(SOURCES) || !code.includes('import.meta.url')) return undefined;
    const place = join(dist, relative(SOURCES, id)).replace(/\.ts$/, '.js');
    const path = JSON.stringify(relative(join(dist, PARTS), place));
    return code.replaceAll('import.meta.url', `new URL(${path}, import.meta.url).href`);
  },
};

/** What would look for the folder of its package finds none here. */
const noFolder = {
  name: 'no-folder',
  renderChunk(code) {
    const [line] = /^.*\b__(?:dirname|filename)\b.*$/m.exec(code) ?? [];
    if (line !== undefined)
      throw new Error(`Add the package of this line to OUTSIDE in configs/program.mjs: ${line}`);
  },
};

await rm(join(dist, PARTS), { recursive: true, force: true });
// One by one: a thread that shared parts with the process would load more than it needs.
for (const path of STARTED) {
  const bundle = await rolldown({
    input: { [path]: join(SOURCES, `${path}.ts`) },
    platform: 'node',
    transform: { target: 'es2023' },
    external: OUTSIDE,
    plugins: [ownPlace, noFolder],
  });
  await bundle.write({ dir: dist, entryFileNames: '[name].js', chunkFileNames: `${PARTS}/[name]-[hash].js` });
  await bundle.close();
}
