import { fileURLToPath } from 'node:url';

/** The variables of this process. The only place in JetLedger that reads them. */
export function readEnvironment(): Record<string, string | undefined> {
  return { ...process.env };
}

/** The folder of this package: it is three levels up from here both in `src` and, built, in `dist`. */
export function packageRoot(): string {
  return fileURLToPath(new URL('../../..', import.meta.url));
}
