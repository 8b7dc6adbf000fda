import { readFile, writeFile } from 'node:fs/promises';
import { accessTable, withTable } from './table.ts';

// Writes who may call what into docs/security.md.
const document = new URL('../../docs/security.md', import.meta.url);
await writeFile(document, withTable(await readFile(document, 'utf8'), await accessTable()));
