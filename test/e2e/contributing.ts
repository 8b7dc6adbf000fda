import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import type { Copy } from './add-an-aggregate.ts';

const PAGE = new URL('../../CONTRIBUTING.md', import.meta.url);

/** Commands of CONTRIBUTING.md that are not run beside it, and who runs them. */
export const RUN_ELSEWHERE: Readonly<Record<string, string>> = {
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

/** The commands that CONTRIBUTING.md names, in all of it or in one section. */
export async function commandsNamed(title?: string): Promise<string[]> {
  const page = await readFile(PAGE, 'utf8');
  const text = title === undefined ? page : page.split(`## ${title}\n`)[1]?.split('\n## ')[0];
  if (text === undefined) throw new Error(`CONTRIBUTING.md has no section "${title}"`);
  const commands = text.matchAll(/(?:^|`)((?:make|npm)(?: [a-z][\w=:/.-]*| TEST=\S+)*)/gm);
  return [...commands].map(([, command = '']) => command.trim());
}

/** Runs a command of the page in a copy. @returns what it said */
export async function succeed(copy: Copy, command: string): Promise<string> {
  const [program = '', ...args] = command.split(' ');
  const { code, output } = await copy.run(program, ...args);
  expect([command, code, code === 0 ? '' : output]).toEqual([command, 0, '']);
  return output;
}

/** The files that have to do with the event that `addEvent` adds, and with nothing else that is added. */
export const OF_THE_EVENT = {
  proto: 'proto/jetledger/email/v1/email.proto',
  decider: 'src/domain/email.ts',
  generated: 'src/gen/jetledger/email/v1/email_pb.ts',
  golden: 'test/golden/email/EmailChecked.v1.json',
} as const;

/** Follows "Add an event to an aggregate" up to its `make fix`. */
export async function addEvent(copy: Copy): Promise<void> {
  const { proto, decider, generated } = OF_THE_EVENT;
  const message = '\nmessage EmailChecked {\n  string user_id = 1;\n  int64 checked_at = 2;\n}\n';
  await copy.edit(proto, (text) => text + message);
  await succeed(copy, 'make generate');
  expect(await copy.read(generated)).toContain('EmailCheckedSchema');
  await copy.edit(decider, (text) =>
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
}
