import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { CommandHandler } from '../../../src/eventstore/command.ts';
import { emptyCommandLog, rememberCommand } from '../../../src/eventstore/command-log.ts';
import { type Folded, foldVersionOf } from '../../../src/eventstore/fold.ts';
import type { SnapshotSettings, WrongSnapshot } from '../../../src/eventstore/snapshots/snapshots.ts';
import { DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { type CounterState, counter } from '../../../src/testing/contracts/toy.ts';
import { add, mapStore, meta, rest, service } from './kernel.ts';

/** Where the snapshot of the counter `a` is kept. */
export const KEY = `counter.${foldVersionOf(counter)}.a`;
/** Of the logs in memory that are made here. */
export const INCARNATION = 'memory-1';

/** An aggregate that two commands made what it is: one of a single command gets no snapshot. */
export function folded(total: number, version: number, count = 2): Folded<CounterState> {
  const commands = emptyCommandLog();
  for (let i = 0; i < count; i++)
    rememberCommand(commands, create(DecisionSchema, { commandId: `c${i}` }), version);
  return { state: { total, notes: [] }, version, commands, confirmedAt: 0 };
}

/** A service with a snapshot store; what is found wrong is collected. */
export function withSnapshots(settings: Partial<SnapshotSettings> = {}) {
  const store = mapStore();
  const wrong: WrongSnapshot[] = [];
  const snapshots = {
    store,
    settings: { verifyShare: 0, fewestCommands: 2, ...settings },
    onWrong: (w: WrongSnapshot) => wrong.push(w),
  };
  return { ...service({ snapshots }), store, wrong };
}

/** So many commands on the counter `a`. */
export async function fill(handler: CommandHandler, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await handler.execute(counter, 'a', add(1), { ...meta(`c${i}`), fingerprint: digest(`c${i}`) });
  }
  await rest();
}

/** As the service makes them: a Buffer, where the log gives a plain Uint8Array back. */
const digest = (text: string) => createHash('sha256').update(text).digest();
