import { fileURLToPath } from 'node:url';

/** The folder of this package: it is three levels up from here both in `src` and, built, in `dist`. */
export function packageRoot(): string {
  return fileURLToPath(new URL('../../..', import.meta.url));
}
