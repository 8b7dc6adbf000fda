import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { referencePage } from './page.ts';

// Writes docs/reference.md; with --check it only compares.
const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const document = new URL('../../docs/reference.md', import.meta.url);
const wanted = await referencePage();
if (!values.check) await writeFile(document, wanted);
else if ((await readFile(document, 'utf8').catch(() => '')) !== wanted) {
  process.stdout.write('docs/reference.md is not what the service is made of. Run: npm run reference\n');
  process.exitCode = 1;
}
