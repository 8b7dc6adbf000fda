// One evening in one hall: a hot aggregate. Everybody wants a seat of the same hall at once; nobody gets one twice.
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
import { type SeatReleased, SeatReleasedSchema, type SeatReserved, SeatReservedSchema } from './hall_pb.ts';

// The aggregate.

export type HallEvent = SeatReserved | SeatReleased;

export interface HallCommand {
  readonly type: 'reserve' | 'release';
  /** A row and a number, for example `C7`. */
  readonly seat: string;
  readonly guest: string;
}

export interface HallState {
  /** Who has which seat. */
  readonly taken: Readonly<Record<string, string>>;
}

const SEAT = /^[A-E](10|[1-9])$/;

const no = (reason: string, message: string): Rejection => ({ code: `hall/${reason}`, message });

export const hall: Decider<HallState, HallCommand, HallEvent, Rejection> = {
  category: 'hall',
  events: [SeatReservedSchema, SeatReleasedSchema],
  initial: { taken: {} },
  evolve: ({ taken }, { $typeName, seat, guest }) => {
    if ($typeName === 'examples.hall.SeatReserved') return { taken: { ...taken, [seat]: guest } };
    const { [seat]: _released, ...others } = taken;
    return { taken: others };
  },
  decide: ({ type, seat, guest }, { taken }) => {
    const holder = Object.hasOwn(taken, seat) ? taken[seat] : undefined;
    if (type === 'release') return holder === guest ? [create(SeatReleasedSchema, { seat, guest })] : [];
    if (!SEAT.test(seat)) return no('no-seat', 'There is no such seat: take A1 to E10.');
    if (holder === guest) return [];
    if (holder !== undefined) return no('taken', 'Somebody else has this seat: take another.');
    return [create(SeatReservedSchema, { seat, guest })];
  },
};

// The read model.

export interface HallRow {
  readonly free: number;
  readonly taken: Readonly<Record<string, string>>;
}

const SEATS = 50;

export const halls: Projection<HallRow, HallEvent> = {
  name: 'halls',
  version: 1,
  sources: [hall],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event) => {
    const { taken } = hall.evolve({ taken: row?.taken ?? {} }, event);
    return { taken, free: SEATS - Object.keys(taken).length };
  },
};

export const theatre: Pick<LedgerOptions, 'prefix' | 'aggregates' | 'views'> = {
  prefix: 'theatre',
  aggregates: [hall],
  views: [halls],
};

// The service.

type Print = (line: string) => void;

/** @returns what the hall says: `accepted`, `unchanged` when the guest has it already, or the code of its "no" */
export async function reserve(ledger: Ledger, evening: string, seat: string, guest: string): Promise<string> {
  const meta = { commandId: `${guest}-${seat}`, actor: guest };
  const result = await ledger.execute(hall, evening, { type: 'reserve', seat, guest }, meta);
  return result.outcome === 'rejected' ? result.rejection.code : result.outcome;
}

/** A hundred guests ask for ten seats at once. */
export async function main(print: Print = console.log, nats: LedgerNats = {}): Promise<void> {
  const ledger = await openLedger({ ...theatre, nats });
  const guests = Array.from({ length: 100 }, (_, i) => `guest-${i + 1}`);
  const asked = guests.map((guest, i) => reserve(ledger, 'friday', `A${(i % 10) + 1}`, guest));
  const answers = await Promise.all(asked);
  print(`reserved: ${answers.filter((answer) => answer === 'accepted').length}`);
  const minPosition = (await ledger.load(hall, 'friday')).version;
  const found = await ledger.view(halls).get('friday', { minPosition });
  print(`free: ${found?.row.free}`);
  await ledger.close();
}

if (process.argv[1] === import.meta.filename) await main();
