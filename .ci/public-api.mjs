// Writes what each door of the kernel exports into configs/api, for review; --check compares with what stands there.
//   node .ci/public-api.mjs [--check] [folder]   this repository unless another folder is given
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { compile, kernelOf } from './kernel.mjs';

const [folder] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const root = resolve(folder ?? fileURLToPath(new URL('..', import.meta.url)));
const FOLDER = 'configs/api';
const printer = ts.createPrinter({ removeComments: true });

/** Of a declaration file: its statements by name, what it imports, and what it passes on. */
function read(text) {
  const source = ts.createSourceFile('x.d.ts', text, ts.ScriptTarget.Latest, true);
  const file = { source, statements: new Map(), imports: new Map(), passed: [] };
  for (const statement of source.statements) {
    const from = statement.moduleSpecifier?.text;
    const elements =
      statement.importClause?.namedBindings?.elements ?? statement.exportClause?.elements ?? [];
    for (const { name, propertyName } of from === undefined ? [] : elements) {
      const theirs = (propertyName ?? name).text;
      if (ts.isImportDeclaration(statement)) file.imports.set(name.text, { from, name: theirs });
      else file.passed.push({ from, name: theirs });
    }
    for (const name of namesOf(statement))
      file.statements.set(name, [...(file.statements.get(name) ?? []), statement]);
  }
  return file;
}

function namesOf(statement) {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.text);
  return statement.name === undefined ? [] : [statement.name.text];
}

/** All declaration files of the kernel, by their path without ending. */
function declarations(doors) {
  const files = new Map();
  compile(root, doors, { emitDeclarationOnly: true }, (path, text) => {
    if (path.endsWith('.d.ts')) files.set(path.replace(/\.d\.ts$/, ''), read(text));
  });
  return files;
}

/** Where a name that a file uses is declared: here, or in another file of the kernel. */
function resolveName(files, path, name) {
  const file = files.get(path);
  if (file === undefined) return undefined;
  if (file.statements.has(name)) return { path, name };
  const { from, name: theirs } = file.imports.get(name) ?? file.passed.find((one) => one.name === name) ?? {};
  return from?.startsWith('.') ? resolveName(files, pathOf(path, from), theirs) : undefined;
}

const pathOf = (path, from) => normalize(join(dirname(path), from)).replace(/\.(ts|js)$/, '');

/** What a declaration is made of: the kernel's own declarations that it names. */
function usedBy(files, { path, name }) {
  const used = [];
  const visit = (node) => {
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      const from = node.argument.literal.text;
      if (from.startsWith('.')) used.push(resolveName(files, pathOf(path, from), node.qualifier?.getText()));
    }
    if (ts.isIdentifier(node)) used.push(resolveName(files, path, node.text));
    ts.forEachChild(node, visit);
  };
  for (const statement of files.get(path).statements.get(name)) visit(statement);
  return used.filter((one) => one !== undefined && !one.path.startsWith('gen/'));
}

const keyOf = ({ path, name }) => `${path}#${name}`;

function textOf(files, { path, name }) {
  const { source, statements } = files.get(path);
  return statements
    .get(name)
    .map((statement) => printer.printNode(ts.EmitHint.Unspecified, statement, source))
    .join('\n');
}

/** What stands above a declaration: whether anything does, and whether that calls it internal. */
function commentOf(files, { path, name }) {
  const [first] = files.get(path).statements.get(name);
  const internal = ts.getJSDocTags(first).some(({ tagName }) => tagName.text === 'internal');
  return { isThere: ts.getJSDocCommentsAndTags(first).length > 0, internal };
}

/** The report of each door: `{ name, public, internal, within }`, the last being what no door exports but others are made of. */
function reports() {
  const { doors } = kernelOf(root);
  const files = declarations(doors);
  const silent = [];
  const told = new Set();
  const found = doors.map(({ name, target }) => {
    const path = target.replace('./dist/', '').replace(/\.js$/, '');
    const all = files.get(path).passed.map((one) => {
      const at = resolveName(files, path, one.name);
      const { isThere, internal } = commentOf(files, at);
      if (!isThere)
        silent.push(`${name}: ${at.name} has no doc comment. Say what it is, in src/${at.path}.ts`);
      return { at, internal };
    });
    return { name, all };
  });
  const open = found.flatMap(({ all }) => all.filter(({ internal }) => !internal));
  for (const { at } of open) told.add(keyOf(at));
  return { silent, reports: found.map((door) => reportOf(files, door, told)) };
}

function reportOf(files, { name, all }, told) {
  const entries = (list) => new Map(list.sort(byName).map((at) => [at.name, textOf(files, at)]));
  const open = all.filter(({ internal }) => !internal).map(({ at }) => at);
  const within = [];
  const queue = [...open];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const used of usedBy(files, at)) {
      if (told.has(keyOf(used))) continue;
      told.add(keyOf(used));
      within.push(used);
      queue.push(used);
    }
  }
  const internal = all.filter((one) => one.internal).map(({ at }) => at.name);
  return { name, public: entries(open), within: entries(within), internal: internal.sort() };
}

const byName = (a, b) => (a.name < b.name ? -1 : 1);

const fileOf = (name) => join(root, FOLDER, `${name.split('/').slice(1).join('-') || 'ledger'}.api.md`);
const RULES = 'CONTRIBUTING.md, "Versions of the kernel"';

function render({ name, public: exported, within, internal }) {
  const section = (title, entries) =>
    entries.size === 0
      ? []
      : [title, '', ...[...entries].flatMap(([one, text]) => [`### ${one}`, '', '```ts', text, '```', ''])];
  return [
    `# ${name}`,
    '',
    `Made by \`npm run api\`; reviewed as ${RULES}, says.`,
    '',
    ...section('## Exports', exported),
    ...section('## What they are made of', within),
    ...(internal.length === 0 ? [] : ['## Internal', '', ...internal.map((one) => `- ${one}`), '']),
  ].join('\n');
}

/** The entries of a report that stands in the repository. */
function parse(text) {
  return new Map(
    [...text.matchAll(/^### (\S+)\n\n```ts\n([\s\S]*?)\n```$/gm)].map(([, name, code]) => [name, code]),
  );
}

/** What differs, one line each; what takes something from a user first. */
function differences(report) {
  const path = fileOf(report.name);
  const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (before === render(report)) return [];
  const then = parse(before);
  const now = new Map([...report.within, ...report.public]);
  const gone = [...then.keys()].filter((one) => !now.has(one));
  const changed = [...then.keys()].filter((one) => now.has(one) && now.get(one) !== then.get(one));
  const added = [...now.keys()].filter((one) => !then.has(one));
  const lines = [
    ...gone.map((one) => `${report.name}: ${one} is gone, which breaks whoever uses it`),
    ...changed.map((one) => `${report.name}: ${one} has changed, which may break whoever uses it`),
    ...added.map((one) => `${report.name}: ${one} is new`),
  ];
  return lines.length > 0 ? lines : [`${report.name}: what is internal has changed`];
}

const { silent, reports: all } = reports();
const problems = [...silent];
if (process.argv.includes('--check')) {
  const different = all.flatMap(differences);
  const cure = `If that is meant: npm run api, review what git shows, and follow ${RULES}.`;
  problems.push(...different, ...(different.length > 0 ? [cure] : []));
} else {
  mkdirSync(join(root, FOLDER), { recursive: true });
  for (const report of all) writeFileSync(fileOf(report.name), render(report));
}
for (const problem of problems) process.stdout.write(`${problem}\n`);
const count = all.reduce((sum, report) => sum + report.public.size, 0);
process.stdout.write(`${count} exports of ${all.length} doors, ${problems.length} problems\n`);
process.exitCode = problems.length > 0 || count === 0 ? 1 : 0;
