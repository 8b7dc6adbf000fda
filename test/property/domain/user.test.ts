import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isRegistered, type UserCommand, type UserEvent, user } from '../../../src/domain/user.ts';
import { runCommands as run } from '../../../src/testing/properties.ts';
import { commands as userCommands } from './commands/user.ts';

const RUNS = { numRuns: 300 };

function eventsOf(commands: UserCommand[]): UserEvent[] {
  return run(user, commands).flatMap(({ events }) => events);
}

test('an id is created once, or abandoned once and then nothing happens to it any more', () => {
  fc.assert(
    fc.property(userCommands, (commands) => {
      const types = eventsOf(commands).map((event) => event.$typeName);
      const abandoned = types.includes('jetledger.user.v1.UserRegistrationAbandoned');
      if (abandoned) expect(types).toHaveLength(1);
      else if (types.length > 0) expect(types.lastIndexOf('jetledger.user.v1.UserCreated')).toBe(0);
    }),
    RUNS,
  );
});

test('an attempt is started at most once, ends at most once, and never overlaps with another', () => {
  fc.assert(
    fc.property(userCommands, (commands) => {
      const used = new Set<string>();
      let pending: string | undefined;
      for (const event of eventsOf(commands)) {
        if (event.$typeName === 'jetledger.user.v1.UserCreated') used.add(event.emailAttempt);
        if (event.$typeName === 'jetledger.user.v1.EmailChangeStarted') {
          expect(pending).toBeUndefined();
          expect(used).not.toContain(event.attempt);
          used.add(event.attempt);
          pending = event.attempt;
        }
        if (
          event.$typeName === 'jetledger.user.v1.EmailChanged' ||
          event.$typeName === 'jetledger.user.v1.EmailChangeAbandoned'
        ) {
          expect(event.attempt).toBe(pending);
          pending = undefined;
        }
      }
    }),
    RUNS,
  );
});

test('the address is always that of the attempt which claimed it, and each change names the one before', () => {
  fc.assert(
    fc.property(userCommands, (commands) => {
      const claims = new Map<string, string>();
      let current: { email: string; attempt: string } | undefined;
      for (const event of eventsOf(commands)) {
        if (event.$typeName === 'jetledger.user.v1.UserCreated') {
          current = { email: event.email, attempt: event.emailAttempt };
        }
        if (event.$typeName === 'jetledger.user.v1.EmailChangeStarted')
          claims.set(event.attempt, event.email);
        if (event.$typeName === 'jetledger.user.v1.EmailChanged') {
          expect(event.email).toBe(claims.get(event.attempt));
          expect({ email: event.previousEmail, attempt: event.previousAttempt }).toEqual(current);
          current = { email: event.email, attempt: event.attempt };
        }
      }
      const state = run(user, commands).at(-1)?.after;
      if (state !== undefined && 'email' in state) {
        expect({ email: state.email, attempt: state.emailAttempt }).toEqual(current);
      }
    }),
    RUNS,
  );
});

test('while a user is deactivated only its return, the end of a pending change or its forgetting is recorded', () => {
  fc.assert(
    fc.property(userCommands, (commands) => {
      for (const { before, events } of run(user, commands)) {
        if (before.status !== 'deactivated') continue;
        for (const { $typeName } of events) {
          expect($typeName).toMatch(/\.(UserReactivated|EmailChangeAbandoned|Forgetting\w+|UserForgotten)$/);
        }
      }
    }),
    RUNS,
  );
});

test('nobody is forgotten who was not asked for, or whom somebody called off, and nothing but the end of the key follows', () => {
  fc.assert(
    fc.property(userCommands, (commands) => {
      const types = eventsOf(commands).map(({ $typeName }) => $typeName.replace('jetledger.user.v1.', ''));
      const at = types.indexOf('UserForgotten');
      const asked = types.slice(0, at).filter((type) => type.startsWith('Forgetting'));
      if (at < 0) expect(types).not.toContain('UserErased');
      if (at < 0) return;
      expect(asked.at(-1)).toBe('ForgettingRequested');
      expect(['', 'UserErased']).toContain(types.slice(at + 1).join());
    }),
    RUNS,
  );
});

test('who is to be forgotten is deactivated, and active again once it is called off where it was before', () => {
  fc.assert(
    fc.property(userCommands, (commands) => {
      for (const { before, after } of run(user, commands)) {
        if (isRegistered(after) && after.forgetting !== undefined) expect(after.status).toBe('deactivated');
        if (!isRegistered(before) || before.forgetting === undefined || !isRegistered(after)) continue;
        if (after.forgetting === undefined)
          expect(after.status).toBe(before.forgetting.wasActive ? 'active' : 'deactivated');
      }
    }),
    RUNS,
  );
});
