import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BASELINE = join(ROOT, 'proto', 'baseline.binpb');
const USER = 'jetledger/user/v1/user.proto';

/** Runs the check of `npm run proto:breaking` on protos of which one was edited. */
async function breaking(file: string, edit: (text: string) => string) {
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-proto-'));
  try {
    await cp(join(ROOT, 'proto'), folder, { recursive: true });
    const before = await readFile(join(folder, file), 'utf8');
    const after = edit(before);
    if (after === before) throw new Error(`The edit of ${file} changes nothing.`);
    await writeFile(join(folder, file), after);
    const buf = join(ROOT, 'node_modules', '.bin', 'buf');
    const { status, stdout, stderr } = spawnSync(buf, ['breaking', folder, '--against', BASELINE], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    return { exitCode: status, output: stdout + stderr };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs the check of `npm run personal` on one proto beside that of the marks. */
async function unmarked(message: string) {
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-marks-'));
  try {
    const marks = 'jetledger/options/v1/personal.proto';
    await cp(join(ROOT, 'proto', marks), join(folder, marks));
    await cp(join(ROOT, 'proto/buf.yaml'), join(folder, 'buf.yaml'));
    const head = `syntax = "proto3";\npackage toy.v1;\nimport "${marks}";\n`;
    await writeFile(join(folder, 'toy.proto'), head + message);
    const tool = join(ROOT, '.ci/check-personal.mjs');
    const options = { encoding: 'utf8', timeout: 30_000 } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, [tool, folder], options);
    return { exitCode: status, output: stdout + stderr };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('the check for personal data without a mark', () => {
  test.each([
    'string email',
    'string billing_name',
    'repeated string notes',
    'Pair metadata',
    'string reason',
  ])('catches %s, and says what to do', async (field) => {
    const { exitCode, output } = await unmarked(
      `message Noted { ${field} = 1; }\nmessage Pair { string key = 1; string value = 2; }`,
    );
    expect(output).toMatch(/^toy\.v1\.Noted\.\w+ is named like personal data .*Mark whose it is/);
    expect(exitCode).toBe(1);
  });

  test('lets marked, excused and other fields through', async () => {
    const { exitCode, output } = await unmarked(`
      message Noted {
        string user_id = 1;
        string email = 2 [(jetledger.options.v1.personal).subject = "user_id"];
        string name = 3 [(jetledger.options.v1.not_personal) = "of a product"];
        Metadata metadata = 4;
      }
      message Metadata { repeated Pair pairs = 1; }
      message Pair { string value = 1 [(jetledger.options.v1.personal).subject = "user_id"]; }`);
    expect(output).toBe('');
    expect(exitCode).toBe(0);
  });
});

describe('the check for breaking changes of proto', () => {
  test.each<[string, (text: string) => string, RegExp]>([
    [
      'a field with another number',
      (text) => text.replace('int64 created_at = 3;', 'int64 created_at = 33;'),
      /"3".*(deleted|without)/i,
    ],
    [
      'a field of another type',
      (text) => text.replace('int64 created_at = 3;', 'string created_at = 3;'),
      /changed type/i,
    ],
    [
      'a field with another name',
      (text) => text.replace('\n  string email = 2 ', '\n  string address = 2 '),
      /changed .*name/i,
    ],
    [
      'a message that is gone',
      (text) => text.replace(/message UserRenamed \{[^}]*\}/, ''),
      /"UserRenamed".*deleted/i,
    ],
  ])('catches %s', async (_name, edit, message) => {
    const { exitCode, output } = await breaking(USER, edit);
    expect(output).toMatch(message);
    expect(exitCode).not.toBe(0);
  });

  test('holds for the public contracts', async () => {
    const orders = 'jetledger/public/orders/v1/orders.proto';
    const { exitCode, output } = await breaking(orders, (text) =>
      text.replace('int64 confirmed_at = 2;', ''),
    );
    expect(output).toMatch(/"2".*(deleted|without)/i);
    expect(exitCode).not.toBe(0);
  });

  test('lets a new field and a new event through', async () => {
    const added = (text: string): string =>
      text.replace('string name = 4;', 'string name = 4;\n  string nickname = 40;') +
      '\nmessage UserNicknamed {\n  string nickname = 1;\n}\n';
    const { exitCode, output } = await breaking(USER, added);
    expect(output).toBe('');
    expect(exitCode).toBe(0);
  });
});
