import { WriteStream } from 'node:tty';
import { afterEach, expect, it, vi } from 'vitest';
import { paint } from '../../../src/cli/terminal.ts';

const { isTTY, getColorDepth } = process.stdout;
afterEach(() => {
  Object.assign(process.stdout, { isTTY, getColorDepth });
  vi.unstubAllEnvs();
});

/** Standard output as a terminal with colours, which asks the variables as a real one does. */
function onTerminal(variables: Readonly<Record<string, string | undefined>>): void {
  const none = { NO_COLOR: undefined, FORCE_COLOR: undefined, CI: undefined };
  const settings = { TERM: 'xterm-256color', ...none, ...variables };
  for (const [name, value] of Object.entries(settings)) vi.stubEnv(name, value);
  Object.assign(process.stdout, { isTTY: true, getColorDepth: WriteStream.prototype.getColorDepth });
}

it('text is coloured on a terminal', () => {
  onTerminal({});
  expect(paint('red', 'fail')).toBe('\u001b[31mfail\u001b[39m');
});

it('text is plain where NO_COLOR is set, and where standard output is no terminal', () => {
  onTerminal({ NO_COLOR: '1' });
  expect(paint('red', 'fail')).toBe('fail');
  onTerminal({});
  Object.assign(process.stdout, { isTTY: false });
  expect(paint('red', 'fail')).toBe('fail');
});
