import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Copy, copyRepository } from './add-an-aggregate.ts';

const PAGE = new URL('../../CONTRIBUTING.md', import.meta.url);
/** Who runs the commands that are not run here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'make run': 'test/e2e/tour.test.ts runs what it builds and starts',
  'make quick': 'a part of make test',
  'make test': '.ci/run',
  'make check': '.ci/run, check by check',
  'make ci': '.ci/run is it',
  'npm start': 'what make run starts',
  'npm ci': 'the set-up of make test',
  'npm run api': 'a part of make fix, and of .ci/run with --check',
  'npm install': 'named for what it writes, not to be run',
};

let copy: Copy;
let page: string;
beforeAll(async () => {
  [copy, page] = await Promise.all([copyRepository(), readFile(PAGE, 'utf8')]);
}, 60_000);
afterAll(() => copy?.[Symbol.asyncDispose]());

/** What a section says between its heading and the next. */
function section(title: string): string {
  const text = page.split(`## ${title}\n`)[1]?.split('\n## ')[0];
  if (text === undefined) throw new Error(`CONTRIBUTING.md has no section "${title}"`);
  return text;
}

const commandsOf = (text: string): string[] =>
  [...text.matchAll(/(?:^|`)((?:make|npm)(?: [a-z][\w=:/.-]*| TEST=\S+)*)/gm)].map(([, command = '']) =>
    command.trim(),
  );

async function succeed(command: string): Promise<string> {
  const [program = '', ...args] = command.split(' ');
  const { code, output } = await copy.run(program, ...args);
  expect([command, code, code === 0 ? '' : output]).toEqual([command, 0, '']);
  return output;
}

describe('whoever follows CONTRIBUTING', () => {
  it('adds an event to an aggregate: each step does what it says', { timeout: 240_000 }, async () => {
    const steps = section('Add an event to an aggregate');
    expect(commandsOf(steps)).toEqual(['make generate', 'make fix']);
    await copy.edit(
      'proto/jetledger/email/v1/email.proto',
      (text) => `${text}\nmessage EmailChecked {\n  string user_id = 1;\n  int64 checked_at = 2;\n}\n`,
    );
    await succeed('make generate');
    expect(await copy.read('src/gen/jetledger/email/v1/email_pb.ts')).toContain('EmailCheckedSchema');
    await copy.edit('src/domain/email.ts', (text) =>
      text
        .replace('import { EmailClaimedSchema,', 'import { EmailCheckedSchema, EmailClaimedSchema,')
        .replace(
          'const events = [EmailClaimedSchema,',
          'const events = [EmailCheckedSchema, EmailClaimedSchema,',
        )
        .replace(
          '  switch (event.$typeName) {\n',
          "  switch (event.$typeName) {\n    case 'jetledger.email.v1.EmailChecked':\n      return state;\n",
        ),
    );
    await succeed('make fix');
    await succeed('npm run --silent proto:generated');
    expect(await copy.read('test/golden/email/EmailChecked.v1.json')).toContain('"schemaVersion": 1');
    expect(await copy.read('docs/reference.md')).toContain('EmailChecked');
  });

  it('changes an event only as old bytes allow', { timeout: 120_000 }, async () => {
    expect(commandsOf(section('Change an event'))).toContain('make proto-accept');
    await copy.edit('proto/jetledger/email/v1/email.proto', (text) =>
      text.replace('string attempt = 2;', 'int64 attempt = 2;'),
    );
    const refused = await copy.run('make', 'proto-accept');
    expect(refused.code).not.toBe(0);
    expect(refused.output).toContain('attempt');
  });

  it('is shown every target, and finds each command that the page names', { timeout: 120_000 }, async () => {
    const named = new Set(commandsOf(page));
    const here = [
      'make',
      'make generate',
      'make fix',
      'make proto-accept',
      'make test TEST=test/unit/domain',
      'npm run lockfile',
    ];
    expect([...named].filter((command) => !here.includes(command) && !(command in ELSEWHERE))).toEqual([]);
    const help = await succeed('make');
    for (const target of ['run', 'quick', 'test', 'fix', 'check', 'ci'])
      expect(help).toContain(`make ${target} `);
    const tested = await copy.run('make', 'test', 'TEST=test/unit/domain/values.test.ts');
    expect([tested.code, tested.code === 0 ? '' : tested.output]).toEqual([0, '']);
  });
});
