import type { Message } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { email } from '../../../src/domain/email.ts';
import { order } from '../../../src/domain/order.ts';
import { product } from '../../../src/domain/product.ts';
import { user } from '../../../src/domain/user.ts';
import type { Decider, Rejection } from '../../../src/eventstore/index.ts';
import { file_jetledger_email_v1_email } from '../../../src/gen/jetledger/email/v1/email_pb.ts';
import { file_jetledger_order_v1_order } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { file_jetledger_product_v1_product } from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import { file_jetledger_user_v1_user } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { anyEvent, emailCommands, orderCommands, productCommands, userCommands } from './arbitraries.ts';
import { run, throughBytes } from './history.ts';

/** The rules that hold for every decider, whatever it decides. */
function describeDecider<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  commands: fc.Arbitrary<Command[]>,
) {
  describe(`the decider of ${decider.category}`, () => {
    test('answers a command that was just accepted with no events when it is repeated', () => {
      fc.assert(
        fc.property(commands, (all) => {
          for (const { command, events, after } of run(decider, all)) {
            if (events.length > 0) expect(decider.decide(command, after)).toEqual([]);
          }
        }),
      );
    });

    test('answers every command with events or a rejection of its category, and changes no argument', () => {
      fc.assert(
        fc.property(commands, (all) => {
          for (const { outcome } of run(decider, all)) {
            if ('code' in outcome) expect(outcome.code).toMatch(new RegExp(`^${decider.category}/[a-z-]+$`));
            else expect(Array.isArray(outcome)).toBe(true);
          }
        }),
      );
    });

    test('decides the same again on the same state', () => {
      fc.assert(
        fc.property(commands, (all) => {
          expect(run(decider, all)).toEqual(run(decider, all));
        }),
      );
    });

    test('folds any event on any reachable state', () => {
      fc.assert(
        fc.property(commands, fc.array(anyEvent(decider), { maxLength: 5 }), (all, events) => {
          const state = run(decider, all).at(-1)?.after ?? decider.initial;
          expect(events.reduce(decider.evolve, state)).toHaveProperty('status');
        }),
      );
    });

    test('gets every event back from its bytes as it was, whatever it holds', () => {
      fc.assert(
        fc.property(anyEvent(decider), (event) => {
          expect(throughBytes(decider.events, event)).toEqual(event);
        }),
      );
    });

    test('folds the stored bytes to the state in memory', () => {
      fc.assert(
        fc.property(commands, (all) => {
          const steps = run(decider, all);
          const stored = steps.flatMap((step) => step.events).map((e) => throughBytes(decider.events, e));
          expect(stored.reduce(decider.evolve, decider.initial)).toEqual(
            steps.at(-1)?.after ?? decider.initial,
          );
        }),
      );
    });

    test('goes on from a structured clone of any state as from the state itself', () => {
      fc.assert(
        fc.property(commands, (all) => {
          for (const { command, before, outcome, after } of run(decider, all)) {
            expect(structuredClone(after)).toEqual(after);
            expect(decider.decide(command, structuredClone(before))).toEqual(outcome);
          }
        }),
        { numRuns: 30 },
      );
    });
  });
}

describeDecider(user, userCommands);
describeDecider(email, emailCommands);
describeDecider(product, productCommands);
describeDecider(order, orderCommands);

test.each([
  [user, file_jetledger_user_v1_user, []],
  [email, file_jetledger_email_v1_email, []],
  [product, file_jetledger_product_v1_product, []],
  [order, file_jetledger_order_v1_order, ['OrderLine']],
] as const)(
  'every message of the category is among its events, parts of events aside',
  (decider, file, parts) => {
    const names = file.messages.map((m) => m.name).filter((name) => !parts.some((part) => part === name));
    expect(decider.events.map((schema) => schema.name).sort()).toEqual(names.sort());
  },
);
