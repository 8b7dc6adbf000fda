import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../platform/config/environment.ts';

/** The version of JetLedger that runs. */
export function toolVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}
