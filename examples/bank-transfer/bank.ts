// A transfer between two accounts: both sides are stored or none, and the sum of all balances never changes.
import { create } from '@bufbuild/protobuf';
import {
  type Decider,
  type Ledger,
  type LedgerNats,
  type LedgerOptions,
  openLedger,
  type Projection,
  type Rejection,
} from 'jetledger';
import { part } from 'jetledger/eventstore';
import {
  type Deposited,
  DepositedSchema,
  type ReceivedTransfer,
  ReceivedTransferSchema,
  type SentTransfer,
  SentTransferSchema,
} from './bank_pb.ts';

// The aggregate.

export type AccountEvent = Deposited | SentTransfer | ReceivedTransfer;

export type AccountCommand =
  | { readonly type: 'deposit'; readonly amount: bigint }
  | { readonly type: 'send'; readonly transferId: string; readonly to: string; readonly amount: bigint }
  | { readonly type: 'receive'; readonly transferId: string; readonly from: string; readonly amount: bigint };

export interface AccountState {
  readonly balance: bigint;
}

export const account: Decider<AccountState, AccountCommand, AccountEvent, Rejection> = {
  category: 'account',
  events: [DepositedSchema, SentTransferSchema, ReceivedTransferSchema],
  initial: { balance: 0n },
  evolve: ({ balance }, event) => ({
    balance:
      event.$typeName === 'examples.bank.SentTransfer' ? balance - event.amount : balance + event.amount,
  }),
  decide: (command, { balance }) => {
    if (command.amount <= 0n) return { code: 'account/no-amount', message: 'Move an amount above zero.' };
    switch (command.type) {
      case 'deposit':
        return [create(DepositedSchema, command)];
      case 'send':
        if (balance < command.amount)
          return { code: 'account/too-little', message: 'There is not that much.' };
        return [create(SentTransferSchema, command)];
      case 'receive':
        return [create(ReceivedTransferSchema, command)];
      default:
        return command satisfies never;
    }
  },
};

// The read model.

export interface AccountRow {
  readonly id: string;
  /** In minor units, as text, since it may exceed what a number keeps exactly. */
  readonly balance: string;
  /** Newest first. */
  readonly transfers: readonly string[];
}

const SHOWN = 10;

export const accounts: Projection<AccountRow, AccountEvent> = {
  name: 'accounts',
  version: 1,
  sources: [account],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { stream }) => {
    const before = row ?? { id: stream.id, balance: '0', transfers: [] };
    const { balance } = account.evolve({ balance: BigInt(before.balance) }, event);
    const named = 'transferId' in event ? [event.transferId] : [];
    return { ...before, balance: `${balance}`, transfers: [...named, ...before.transfers].slice(0, SHOWN) };
  },
};

export const bank: Pick<LedgerOptions, 'prefix' | 'aggregates' | 'views'> = {
  prefix: 'bank',
  aggregates: [account],
  views: [accounts],
};

// The service.

type Print = (line: string) => void;

/** Moves money, once for each transfer id however often it is asked. @returns what both accounts said */
export function transfer(ledger: Ledger, transferId: string, from: string, to: string, amount: bigint) {
  return ledger.commitAll(
    [
      part(account, from, { type: 'send', transferId, to, amount }),
      part(account, to, { type: 'receive', transferId, from, amount }),
    ],
    { commandId: transferId, actor: 'bank' },
  );
}

/** Two accounts, and a transfer that is asked twice. */
export async function main(print: Print = console.log, nats: LedgerNats = {}): Promise<void> {
  const ledger = await openLedger({ ...bank, nats });
  const deposit = { type: 'deposit', amount: 100_00n } as const;
  await ledger.execute(account, 'ada', deposit, { commandId: 'deposit-1', actor: 'bank' });
  let minPosition = 0;
  for (const attempt of ['first', 'again']) {
    const { outcome, ...answer } = await transfer(ledger, 'transfer-1', 'ada', 'bob', 30_00n);
    if ('versions' in answer) minPosition = Math.max(minPosition, ...answer.versions);
    print(`${attempt}: ${outcome}`);
  }
  for (const id of ['ada', 'bob']) {
    const found = await ledger.view(accounts).get(id, { minPosition });
    print(`${id}: ${found?.row.balance}`);
  }
  await ledger.close();
}

if (process.argv[1] === import.meta.filename) await main();
