// Refuses words that the glossary has replaced, in names, comments and texts of src, and says which word to use.
//   node .ci/check-words.mjs [folder]   this repository unless another folder is given
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = resolve(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)));

/** `names`: only as a name in code, since in a sentence the word says something else. */
const RULES = [
  { old: /keepers?/, say: 'assignment' },
  { old: /boards?/, say: 'membership' },
  { old: /bells?|rung/, say: 'signal' },
  { old: /occasions?/, say: 'effect context' },
  { old: /standings?/, say: 'report' },
  { old: /(?:another|new|old|log's) (?:life|lives)|(?:life|lives) of (?:the|its) log/, say: 'incarnation' },
  { old: /life|lives/, say: 'incarnation', names: true },
  { old: /lean/, say: 'fast path' },
  { old: /aside|bury|buries|buried|poison|poisoned|spills?|spilled/, say: 'dead letter' },
  // Commands, API and settings say `parked` to users.
  { old: /parks?|parked|parking/, say: 'dead letter', only: /^src\/(?!api\/|cli\/|service\/|platform\/)/ },
  { old: /hurry|hurries/, say: 'checkpoint' },
  { old: /relieved|relief/, say: 'back pressure' },
  { old: /beside/, say: 'rebuild', names: true },
  { old: /telling|hearing/, say: 'report', names: true },
  { old: /lanes?/, say: 'command queue', only: /^src\/eventstore\// },
  { old: /core|front|parts/, say: 'composition', names: true, only: /^src\/(service|cli)\// },
  { old: /perform|performs|performed/, say: 'executed' },
  { old: /disowned|unborn/, say: 'owner' },
  { old: /surroundings/, say: 'composition' },
].map((rule) => ({ ...rule, old: new RegExp(`\\b(?:${rule.old.source})\\b`) }));

/** What may stay, and why. */
const ALLOWED = [
  // Stored or shown: a mark's state, a bucket's name, an outcome's label, a field of the API, a line of the log.
  /'parked'|'parked event discarded'|`parked`|\.parked\b|\bparked: |_parked/,
  // The code of an error that users know.
  /view\/poison-event/,
  // A setting of earlier versions, which is warned of.
  /nats\.leanrequests/,
  // Plain English: it does not move.
  /standing still/,
  // Plain English: money that is reserved.
  /set aside/,
  // A file's name is not judged where it is imported.
  /\bfrom '[^']*'|\bimport\('[^']*'\)/,
].map((pattern) => new RegExp(pattern, 'g'));

const withoutAllowed = (text) => ALLOWED.reduce((left, pattern) => left.replaceAll(pattern, ' '), text);

/** `deadLetterIndex` as the words that it is made of. */
const wordsOf = (text) =>
  text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase();

/** The names of a file by line, from 0. */
function namesByLine(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const names = new Map();
  const visit = (node) => {
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      names.set(line, `${names.get(line) ?? ''} ${node.text}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return names;
}

function problemsOf(file, text) {
  const names = namesByLine(file, text);
  const rules = RULES.filter(({ only }) => only === undefined || only.test(file));
  return text.split('\n').flatMap((line, index) => {
    const all = wordsOf(withoutAllowed(line));
    const named = wordsOf(names.get(index) ?? '');
    return rules.flatMap((rule) => {
      const found = rule.old.exec(rule.names ? named : all);
      if (found === null) return [];
      return [`${file}:${index + 1}: for "${found[0]}" say ${rule.say}: ${line.trim().slice(0, 100)}`];
    });
  });
}

const files = readdirSync(join(root, 'src'), { recursive: true })
  .map((name) => `src/${String(name).split(sep).join('/')}`)
  .filter((name) => name.endsWith('.ts') && !name.startsWith('src/gen/'));
const problems = files.flatMap((file) => problemsOf(file, readFileSync(join(root, file), 'utf8')));
for (const problem of problems) process.stdout.write(`${problem}\n`);
if (problems.length > 0) process.stdout.write('What each word means: docs/glossary.md\n');
process.stdout.write(`${files.length} files, ${problems.length} problems\n`);
process.exit(problems.length > 0 || files.length === 0 ? 1 : 0);
