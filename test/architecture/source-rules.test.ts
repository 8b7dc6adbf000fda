import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { CATALOGUE } from '../../src/cli/catalogue.ts';
import { categories, reactions, timers, views } from '../../src/service/shop.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAX_LINES = 500;
const MAX_FILES = 22;
const MAX_FUNCTION_LINES = 40;
/** The doors of the kernel: the only files that pass on what others define. */
const DOORS =
  /^src\/(eventstore|projections\/engine|processes\/engine|ledger|testing|testing\/contracts)\/index\.ts$/;
const KERNEL =
  /^src\/(eventstore|projections\/engine|processes\/engine|ledger|testing|platform\/(nats-server|nats-connection|nats-monitor|new-log|durability|mask-url))\b/;
const ENVIRONMENT = 'src/platform/config/environment.ts';

interface Source {
  readonly file: string;
  readonly text: string;
}

const sources: readonly Source[] = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name))
  .map((path) => ({ file: relative(ROOT, path).split(sep).join('/'), text: readFileSync(path, 'utf8') }))
  .filter(({ file }) => !file.startsWith('src/gen/'));

/** The files that break a rule, with what is wrong. */
function offenders(given: readonly Source[], wrong: (source: Source) => string | undefined): string[] {
  return given.flatMap((source) => {
    const problem = wrong(source);
    return problem === undefined ? [] : [`${source.file}: ${problem}`];
  });
}

const tooLong = ({ text }: Source): string | undefined => {
  const lines = text.trimEnd().split('\n').length;
  return lines > MAX_LINES ? `${lines} lines` : undefined;
};

const readsVariables = ({ file, text }: Source): string | undefined => {
  const reads =
    /\bprocess\s*(\.\s*env\b|\[\s*['"`]env)|\benv\b[^;]*from\s+'(node:)?process'|\bimport\.meta\.env\b/;
  return file !== ENVIRONMENT && reads.test(text) ? 'reads environment variables' : undefined;
};

/**
 * Functions whose own statements are too many: what stands inside of functions within them counts there, so a factory
 * may hold several that belong together. Blank lines and comments do not count.
 */
const longFunctions = ({ file, text }: Source): string | undefined => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const linesOf = (node: ts.Node): Set<number> => {
    const first = source.getLineAndCharacterOfPosition(node.getStart()).line;
    const last = source.getLineAndCharacterOfPosition(node.end).line;
    return new Set(Array.from({ length: last - first + 1 }, (_, n) => first + n));
  };
  const code = text.split('\n').map((line) => !/^\s*($|\/\/|\/?\*)/.test(line));
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const own = linesOf(node as ts.Node);
      const leaveOut = (inner: ts.Node): void => {
        if (ts.isFunctionLike(inner)) for (const line of linesOf(inner)) own.delete(line);
        else ts.forEachChild(inner, leaveOut);
      };
      ts.forEachChild(node as ts.Node, leaveOut);
      const count = [...own].filter((line) => code[line]).length;
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      if (count > MAX_FUNCTION_LINES) found.push(`${count} lines at ${line + 1}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found.length > 0 ? found.join(', ') : undefined;
};

const isBarrel = ({ file, text }: Source): string | undefined => {
  if (DOORS.test(file)) return undefined;
  if (/\/index\.ts$/.test(file)) return 'is an index.ts';
  return /^export\s+(type\s+)?(\*|\{[^}]*\})[^;\n]*\sfrom\s/m.test(text)
    ? 'passes on the exports of another'
    : undefined;
};

const hasDefaultExport = ({ text }: Source): string | undefined =>
  /^export default\b/m.test(text) ? 'has a default export' : undefined;

const SENDER = 'src/eventstore/nats/requests.ts';
/** What may be asked to publish or request beside a connection of the client. */
const NO_CONNECTIONS = new Set(['requests', 'transport', 'outbox', 'notifications']);

const sendsItself = ({ file, text }: Source): string | undefined => {
  // The test kit's cluster asks its servers for another leader, as an operator does.
  if (file === SENDER || file === 'src/testing/nats-cluster.ts') return undefined;
  const calls = text.matchAll(
    /(\w+)\s*\??\.\s*(?:publish|publishMessage|request|requestMany|respondMessage)\s*\(/g,
  );
  const asked = [...calls].map(([, receiver = '']) => receiver).filter((name) => !NO_CONNECTIONS.has(name));
  const answers = /\.\s*respond\s*\(/.test(text);
  const manages = /\bjetstreamManager\s*\(/.test(text);
  return asked.length > 0 || answers || manages ? 'sends past the one file that sends' : undefined;
};

/** What the one list names, so that a new aggregate, view, reaction or timer is looked for, too. */
const SHOP_NAMES = [
  ...categories,
  ...[...views, ...reactions].map(({ name }) => name),
  ...timers.map(({ kind }) => kind),
].join('|');
const COMMANDS = CATALOGUE.map(({ name }) => name).join('|');
/** Names as texts, identifiers such as `orderId`, words that only a shop has, attributes, and commands in hints. */
const SHOP_WORDS: readonly RegExp[] = [
  new RegExp(`(['"\`])(${SHOP_NAMES})\\1`),
  // Node's own name for the account of a process.
  new RegExp(`\\b(?!userInfo\\b)(${categories.join('|')})[A-Z]\\w*`),
  /\b(sku|customer|payment|checkout|notif(y|ication)|shipment|currency)\w*/i,
  new RegExp(`\\bjetledger\\.(${SHOP_NAMES})\\b`),
  new RegExp(`\\bjetledger (${COMMANDS})\\b`),
];
const COMMENTS = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm;

const speaksOfTheShop = ({ file, text }: Source): string | undefined => {
  if (!KERNEL.test(file)) return undefined;
  const code = text.replace(COMMENTS, '');
  const [word] = SHOP_WORDS.flatMap((words) => words.exec(code)?.[0] ?? []);
  return word === undefined ? undefined : `speaks of the shop: ${word}`;
};

const planted = (text: string, file = 'src/app/planted.ts'): readonly Source[] => [{ file, text }];

/** The folders of src, but for those inside of what is generated. */
const folders = [
  'src',
  ...readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/')),
].filter((folder) => folder !== 'src' && !folder.startsWith('src/gen/'));

describe('a folder of src', () => {
  test.each(folders)(
    '%s says in three lines what belongs there, what does not, and who may import it',
    (folder) => {
      const lines = readFileSync(join(ROOT, folder, 'README.md'), 'utf8')
        .trimEnd()
        .split('\n');
      expect(lines.map((line) => line.slice(0, line.indexOf(':')))).toEqual([
        'Here belongs',
        'Not here',
        'Who may import it',
      ]);
    },
  );

  test.each(folders)('%s holds few enough files to be looked through', (folder) => {
    const files = sources.filter(({ file }) => file.slice(0, file.lastIndexOf('/')) === folder);
    expect(files.length).toBeLessThanOrEqual(MAX_FILES);
  });
});

describe('a source file', () => {
  test('is found at all', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.map(({ file }) => file)).toContain(ENVIRONMENT);
  });

  test(`has at most ${MAX_LINES} lines`, () => {
    expect(offenders(sources, tooLong)).toEqual([]);
    expect(offenders(planted('x;\n'.repeat(MAX_LINES + 1)), tooLong)).toHaveLength(1);
    expect(offenders(planted('x;\n'.repeat(MAX_LINES)), tooLong)).toEqual([]);
  });

  test(`has functions of at most ${MAX_FUNCTION_LINES} lines of their own`, () => {
    expect(offenders(sources, longFunctions)).toEqual([]);
    const body = 'f();\n'.repeat(MAX_FUNCTION_LINES);
    expect(offenders(planted(`function f() {\n${body}}`), longFunctions)).toHaveLength(1);
    expect(
      offenders(planted(`function f() {\n const g = () => {\n${body.slice(15)}};\n}`), longFunctions),
    ).toEqual([]);
  });

  test('leaves environment variables to the one file that reads them', () => {
    expect(offenders(sources, readsVariables)).toEqual([]);
    for (const code of [
      'const port = process.env.PORT;',
      "const port = process['env'].PORT;",
      "import { env } from 'node:process';",
    ]) {
      expect(offenders(planted(code), readsVariables), code).toHaveLength(1);
    }
  });

  test('is no barrel', () => {
    expect(offenders(sources, isBarrel)).toEqual([]);
    expect(offenders(planted('export const a = 1;', 'src/domain/index.ts'), isBarrel)).toHaveLength(1);
    for (const code of ["export * from './user.ts';", "export type { A } from './user.ts';"]) {
      expect(offenders(planted(code), isBarrel), code).toHaveLength(1);
    }
  });

  test('leaves sending to the one file that sends', () => {
    expect(offenders(sources, sendsItself)).toEqual([]);
    for (const code of [
      'requests.connection.publish(subject, payload, { headers });',
      'const answer = await nats.connection.request(subject);',
      'link?.publish(subject);',
      'msg.respond();',
      'const jsm = await jetstreamManager(connection, { checkAPI: false });',
    ]) {
      expect(offenders(planted(code, 'src/eventstore/nats/planted.ts'), sendsItself), code).toHaveLength(1);
    }
    for (const code of ['requests.publish(subject, payload);', 'transport.publish([commit], timeoutMs);']) {
      expect(offenders(planted(code), sendsItself), code).toEqual([]);
    }
  });

  test('combines no signal of a time with others: Node.js 20 collects it, and it never fires', () => {
    const combined = ({ text }: Source) =>
      /AbortSignal\.any\([^)]*AbortSignal\.timeout/s.test(text)
        ? 'an AbortSignal.timeout in AbortSignal.any'
        : undefined;
    const planted = { file: 'planted.ts', text: 'AbortSignal.any([signal, AbortSignal.timeout(5)])' };
    expect(offenders([planted], combined)).toHaveLength(1);
    expect(offenders(sources, combined)).toEqual([]);
  });

  test('has no default export', () => {
    expect(offenders(sources, hasDefaultExport)).toEqual([]);
    expect(offenders(planted('export default 1;'), hasDefaultExport)).toHaveLength(1);
  });

  test('of the kernel does not speak of the shop', () => {
    expect(offenders(sources, speaksOfTheShop)).toEqual([]);
    expect(sources.filter(({ file }) => KERNEL.test(file)).length).toBeGreaterThan(50);
    for (const code of [
      "const category = 'order';",
      "if (view === 'orders') return;",
      "const consumer = 'stock-watch';",
      "const kind = 'email-claim';",
      'const { orderId } = event;',
      'const meta = { sku };',
      'function notifyCustomer() {}',
      "span.setAttribute('jetledger.order.id', id);",
      "throw new Error('Create it with: jetledger topology apply');",
      'throw new Error(`Rebuild it: jetledger rebuild orders`);',
    ]) {
      for (const file of [
        'src/eventstore/telemetry/planted.ts',
        'src/projections/engine/planted.ts',
        'src/processes/engine/planted.ts',
      ]) {
        expect(offenders(planted(code, file), speaksOfTheShop), code).toHaveLength(1);
      }
      expect(offenders(planted(code), speaksOfTheShop), code).toEqual([]);
    }
    const comment =
      '/** The kind, for example `order`, made by jetledger topology. */\nconst a = 1; // of an orderId';
    expect(offenders(planted(comment, 'src/eventstore/planted.ts'), speaksOfTheShop)).toEqual([]);
  });
});
