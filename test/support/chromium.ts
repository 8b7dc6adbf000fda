import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

/** Where a browser is, or why there is none. */
export type FoundChromium =
  | { readonly path: string; readonly missing?: undefined }
  | { readonly path?: undefined; readonly missing: string };

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const LAUNCH_MS = 15_000;

/** Chromium on PATH, under one of the names it has there. Never throws. */
export async function findChromium(): Promise<FoundChromium> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const path of NAMES.map((name) => join(folder, name))) {
      const runs = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (runs) return { path };
    }
  }
  return { missing: `none of ${NAMES.join(', ')} is on PATH; Debian has it in the package chromium` };
}

/** Starts it without a window, with an empty profile of its own, and without calls to its maker's hosts. */
export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    timeout: LAUNCH_MS,
    args: ['--disable-gpu', '--disable-quic', '--disable-sync'],
  });
}
