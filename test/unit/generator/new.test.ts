import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeNew } from '../../../src/generator/new.ts';

const TEMPLATE = fileURLToPath(new URL('../../../examples/service', import.meta.url));

describe('a service whose package was renamed', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'jetledger-new-'));
    for (const part of ['proto', 'src'])
      cpSync(join(TEMPLATE, part), join(folder, part), { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const add = (named: string): void => {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: named }));
    makeNew(folder, { kind: 'aggregate', name: 'invoice' }, () => undefined);
  };

  it.each(['@acme/starter', '@acme/billing', 'billing'])('to %s keeps its protos where they are', (named) => {
    add(named);
    expect(readFileSync(join(folder, 'proto/starter/invoice/v1/invoice.proto'), 'utf8')).toContain(
      'package starter.invoice.v1;',
    );
    expect(readFileSync(join(folder, 'src/domain/invoice.ts'), 'utf8')).toContain(
      '/gen/starter/invoice/v1/invoice_pb.ts',
    );
  });

  it('and that has protos of others is asked which are its own', () => {
    mkdirSync(join(folder, 'proto/google'));
    expect(() => add('billing')).toThrow(/^none of the folders of proto \(google, starter\).*\(billing\)/);
    expect(() => add('@acme/starter')).not.toThrow();
  });
});
