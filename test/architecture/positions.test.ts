import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MODULE = 'src/eventstore/position.ts';

/** What would compare or compute with positions, one line each. */
const FORBIDDEN = [
  'export const v = a < b;',
  'export const v = a >= b;',
  'export const v = a > 0;',
  'export const v = 5 <= a;',
  'export const v = a + 1;',
  'export const v = a - b;',
  'export const v = +a;',
  'export const v = Math.max(a, b);',
  `export const v = \`\${a}\`;`,
  "export const v = a + '';",
  'export const v = a === 0;',
  'export const v: number = a;',
  'export const v: typeof a = 5;',
];

const ALLOWED = ['export const v = a === b;', 'export const v = isAfter(a, b);', 'export const v = [a, b];'];

/** Which of these lines the compiler refuses. */
function refused(lines: readonly string[]): readonly string[] {
  const head = `import { isAfter, type Position } from './position.ts';\ndeclare const a: Position, b: Position;\nvoid isAfter;`;
  const planted = new Map(
    lines.map((line, n) => [join(ROOT, `src/eventstore/planted-${n}.ts`), `${head}\n${line}`]),
  );
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    types: [],
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    allowImportingTsExtensions: true,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (file) => planted.has(file) || fileExists(file);
  host.readFile = (file) => planted.get(file) ?? readFile(file);
  host.getSourceFile = (file, how) => {
    const text = planted.get(file);
    return text === undefined ? getSourceFile(file, how) : ts.createSourceFile(file, text, how);
  };
  const program = ts.createProgram([...planted.keys()], options, host);
  return [...planted.keys()].flatMap((file, n) => {
    const found = program.getSemanticDiagnostics(program.getSourceFile(file));
    return found.length > 0 ? [lines[n] ?? ''] : [];
  });
}

const COMPUTES = new Set([
  ...[ts.SyntaxKind.LessThanToken, ts.SyntaxKind.LessThanEqualsToken, ts.SyntaxKind.GreaterThanToken],
  ...[ts.SyntaxKind.GreaterThanEqualsToken, ts.SyntaxKind.PlusToken, ts.SyntaxKind.MinusToken],
]);

/** Where a file goes round the compiler: by a cast, or by computing with the number that is only to be shown. */
function detours(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const isNumber = (node: ts.Node): boolean =>
    ts.isCallExpression(node) && node.expression.getText() === 'numberOf';
  const visit = (node: ts.Node): void => {
    const casts = ts.isAsExpression(node) && /\bPosition\b/.test(node.type.getText());
    const computes =
      ts.isBinaryExpression(node) &&
      COMPUTES.has(node.operatorToken.kind) &&
      (isNumber(node.left) || isNumber(node.right));
    const picks =
      ts.isCallExpression(node) && /^Math\./.test(node.expression.getText()) && node.arguments.some(isNumber);
    if (casts || computes || picks) found.push(`${file}: ${node.getText()}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

test('the compiler refuses to compare positions and to compute with them', () => {
  expect(refused(FORBIDDEN)).toEqual(FORBIDDEN);
  expect(refused(ALLOWED)).toEqual([]);
});

test('nobody goes round the compiler to do it, but the one module', () => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `src/${file}`)
    .filter((file) => file !== MODULE);
  expect(files.flatMap((file) => detours(file, readFileSync(join(ROOT, file), 'utf8')))).toEqual([]);
  for (const code of [
    'const later = numberOf(a) > numberOf(b);',
    'const next = numberOf(a) + 1;',
    'const last = Math.max(0, numberOf(a));',
    'const a = 5 as unknown as Position;',
  ]) {
    expect(detours('planted.ts', code), code).toHaveLength(1);
  }
});
