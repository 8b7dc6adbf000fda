import fc from 'fast-check';
import { expect, test } from 'vitest';
import { email } from '../../../src/domain/email.ts';
import { runCommands as run } from '../../../src/testing/properties.ts';
import { commands as emailCommands } from './commands/email.ts';

const RUNS = { numRuns: 300 };

test('an address passes from one holder to the next only through a release by the holder', () => {
  fc.assert(
    fc.property(emailCommands, (commands) => {
      let holder: string | undefined;
      for (const { command, events } of run(email, commands)) {
        const claimant = `${command.userId} ${command.attempt}`;
        for (const { $typeName } of events) {
          if ($typeName === 'jetledger.email.v1.EmailClaimed') {
            expect(holder).toBeUndefined();
            holder = claimant;
          } else if (holder === claimant) holder = undefined;
        }
      }
      const state = run(email, commands).at(-1)?.after ?? email.initial;
      const claim = state.status === 'claimed' ? `${state.claim.userId} ${state.claim.attempt}` : undefined;
      expect(claim).toBe(holder);
    }),
    RUNS,
  );
});

test('an attempt that was released never holds the address again, and is released once', () => {
  fc.assert(
    fc.property(emailCommands, (commands) => {
      const released = new Set<string>();
      for (const { command, events } of run(email, commands)) {
        const claimant = `${command.userId} ${command.attempt}`;
        if (events.length > 0) expect(released).not.toContain(claimant);
        if (events.length > 0 && command.type === 'release') released.add(claimant);
      }
    }),
    RUNS,
  );
});

test('once an attempt asked for the release, no order of its commands leaves it holding the address', () => {
  fc.assert(
    fc.property(emailCommands, (commands) => {
      const asked = new Set<string>();
      for (const { command, after } of run(email, commands)) {
        if (command.type === 'release') asked.add(`${command.userId} ${command.attempt}`);
        if (after.status !== 'claimed') continue;
        expect(asked).not.toContain(`${after.claim.userId} ${after.claim.attempt}`);
      }
    }),
    RUNS,
  );
});
