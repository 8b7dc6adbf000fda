// Makes what the browser loads at /console: `node configs/console.mjs <folder>`. Part of `npm run build`.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const SOURCE = fileURLToPath(new URL('../src/api/console/', import.meta.url));
const UPLOT = fileURLToPath(new URL('../node_modules/uplot/dist/uPlot.min.css', import.meta.url));

const [out = fileURLToPath(new URL('../dist/api/console', import.meta.url))] = process.argv.slice(2);
const bundle = await rolldown({
  input: `${SOURCE}main.tsx`,
  platform: 'browser',
});
await mkdir(out, { recursive: true });
await bundle.write({ file: `${out}/console.js`, format: 'esm', minify: true });
await bundle.close();
const styles = await Promise.all([UPLOT, `${SOURCE}console.css`].map((path) => readFile(path, 'utf8')));
await writeFile(`${out}/console.css`, styles.join('\n'));
await cp(`${SOURCE}index.html`, `${out}/index.html`);
