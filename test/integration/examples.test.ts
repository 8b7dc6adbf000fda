import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AccountCommand, account, accounts, main as bank } from '../../examples/bank-transfer/bank.ts';
import { DepositedSchema, SentTransferSchema } from '../../examples/bank-transfer/bank_pb.ts';
import { type HallCommand, hall, halls, main as theatre } from '../../examples/seat-reservation/hall.ts';
import { SeatReservedSchema } from '../../examples/seat-reservation/hall_pb.ts';
import { given, givenCommits } from '../../src/testing/given.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { deciderProperties, runCommands } from '../../src/testing/properties.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(async () => {
  await server.stop();
});

async function printed(main: typeof bank): Promise<string[]> {
  const lines: string[] = [];
  await main((line) => lines.push(line), { url: server.url });
  return lines;
}

const amount = fc.bigInt({ min: -1n, max: 50n });
const moves: fc.Arbitrary<AccountCommand[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('deposit' as const), amount }),
    fc.record({
      type: fc.constant('send' as const),
      transferId: fc.constant('t'),
      to: fc.constant('b'),
      amount,
    }),
  ),
);

describe('the bank', () => {
  it('moves money once for each transfer, and both accounts show it', async () => {
    expect(await printed(bank)).toEqual(['first: accepted', 'again: accepted', 'ada: 7000', 'bob: 3000']);
  });

  it('never lets a balance go below zero', () => {
    fc.assert(
      fc.property(moves, (commands) => {
        for (const { after } of runCommands(account, commands)) expect(after.balance >= 0n).toBe(true);
      }),
    );
    const deposited = create(DepositedSchema, { amount: 5n });
    const send = { type: 'send', transferId: 't', to: 'bob', amount: 6n } as const;
    given(account, deposited).when(send).thenRejected('account/too-little');
  });

  it('shows the balance and the last transfers of an account', () => {
    const stream = { category: 'account', id: 'ada' };
    const sent = create(SentTransferSchema, { transferId: 't1', to: 'bob', amount: 2n });
    givenCommits(accounts, { stream, events: [create(DepositedSchema, { amount: 5n }), sent] }).thenRow(
      'ada',
      {
        id: 'ada',
        balance: '3',
        transfers: ['t1'],
      },
    );
  });

  it.each(deciderProperties(account))('$name', ({ check }) => check());
});

const asks: fc.Arbitrary<HallCommand[]> = fc.array(
  fc.record({
    type: fc.constantFrom('reserve' as const, 'release' as const),
    seat: fc.constantFrom('A1', 'A2', 'Z9'),
    guest: fc.constantFrom('ada', 'bob'),
  }),
);

describe('the theatre', () => {
  it('gives each seat to one guest, however many ask at once', async () => {
    expect(await printed(theatre)).toEqual(['reserved: 10', 'free: 40']);
  });

  it('gives a seat to nobody else before it is released', () => {
    fc.assert(
      fc.property(asks, (commands) => {
        for (const { command, before, events } of runCommands(hall, commands)) {
          if (command.type !== 'reserve' || events.length === 0) continue;
          expect(before.taken[command.seat]).toBeUndefined();
        }
      }),
    );
  });

  it('shows who has which seat', () => {
    const stream = { category: 'hall', id: 'friday' };
    const reserved = create(SeatReservedSchema, { seat: 'A1', guest: 'ada' });
    givenCommits(halls, { stream, events: [reserved] }).thenRow('friday', { free: 49, taken: { A1: 'ada' } });
  });

  it.each(deciderProperties(hall, { commands: asks }))('$name', ({ check }) => check());
});
