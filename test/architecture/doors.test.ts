import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DOORS = ['src/eventstore/index.ts', 'src/projections/engine/index.ts', 'src/processes/engine/index.ts'];

const parse = (file: string, text = readFileSync(file, 'utf8')): ts.SourceFile =>
  ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);

/** The names that a door passes on, and the file that declares each. */
function exportsOf(door: string): { readonly name: string; readonly file: string }[] {
  const path = join(ROOT, door);
  return parse(path).statements.flatMap((statement) => {
    if (!ts.isExportDeclaration(statement) || statement.moduleSpecifier === undefined) return [];
    if (statement.exportClause === undefined || !ts.isNamedExports(statement.exportClause))
      throw new Error(`${door} passes on whole files`);
    const file = resolve(dirname(path), (statement.moduleSpecifier as ts.StringLiteral).text);
    return statement.exportClause.elements.map(({ name }) => ({ name: name.text, file }));
  });
}

/** The names of a file that are declared without a doc comment. */
function undocumented(source: ts.SourceFile): Set<string> {
  const names = source.statements.flatMap((statement) => {
    if (ts.getJSDocCommentsAndTags(statement).length > 0) return [];
    if (ts.isVariableStatement(statement))
      return statement.declarationList.declarations.map(({ name }) => name.getText());
    return 'name' in statement && statement.name !== undefined
      ? [(statement.name as ts.Identifier).text]
      : [];
  });
  return new Set(names);
}

describe('a door of the kernel', () => {
  test.each(DOORS)('%s passes on only what says what it is', (door) => {
    const all = exportsOf(door);
    expect(all.length).toBeGreaterThan(10);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    const silent = all.filter(({ name, file }) => undocumented(parse(file)).has(name));
    expect(silent.map(({ name, file }) => `${file.slice(ROOT.length)}: ${name}`)).toEqual([]);
  });

  it('would be found to pass on what says nothing', () => {
    const planted = parse('planted.ts', 'export const a = 1;\n/** What b is. */\nexport function b() {}\n');
    expect([...undocumented(planted)]).toEqual(['a']);
  });
});
