import { afterAll, beforeAll, describe } from 'vitest';
import { appending } from './log-appending.ts';
import { concurrency } from './log-concurrency.ts';
import { controls } from './log-controls.ts';
import { directions } from './log-directions.ts';
import { foreignMessages } from './log-foreign.ts';
import { guards } from './log-guards.ts';
import { longHistories, reading } from './log-reading.ts';
import { scanning } from './log-scanning.ts';
import { subscribing } from './log-subscribing.ts';
import type { LogUnderTest } from './log-support.ts';

/** What every implementation of `Log` promises. Each `describe` gets a log of its own. */
export function logContract(name: string, makeLog: () => Promise<LogUnderTest>): void {
  const withLog = (what: string, body: (under: () => LogUnderTest) => void): void => {
    describe(`${name}: ${what}`, () => {
      let current: LogUnderTest | undefined;
      beforeAll(async () => {
        current = await makeLog();
      });
      afterAll(async () => {
        await current?.stop();
      });
      body(() => {
        if (current === undefined) throw new Error('the log did not start');
        return current;
      });
    });
  };
  withLog('appending', appending);
  withLog('reading', reading);
  withLog('both directions', directions);
  withLog('long histories', longHistories);
  withLog('scanning', scanning);
  withLog('subscribing', subscribing);
  withLog('messages of its own', controls);
  withLog('concurrency', concurrency);
  withLog('guards', guards);
  withLog('foreign messages', foreignMessages);
}
