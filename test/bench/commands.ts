import type { Handler } from '../../src/eventstore/handler.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream } from '../support/nats-log.ts';
import { interleaved, perSecond, ratioOf, rounded, scaled, secondsOf } from './measure.ts';
import { type Peer, startPeer } from './peers/peer.ts';
import { executeOn, fill, openProduct } from './product.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';
import { tally } from './tally.ts';

/** How one command is given to one of many aggregates. */
type Execute = (id: string) => Promise<unknown>;

interface Row {
  readonly name: string;
  readonly goal?: number;
  readonly callers: number;
  readonly own: { readonly ids: readonly string[]; readonly execute: Execute };
  readonly other: { readonly ids: readonly string[]; readonly execute: Execute } | undefined;
}

const EVENTS = { short: 10, long: 1_000 } as const;

/** Commands through the handler, without HTTP, beside emmett's CommandHandler where `--peers` asks for it. */
export const commandScenario = (peers: boolean): Scenario => ({
  name: 'commands',
  title: 'Commands through the handler, without HTTP, neither side syncs',
  run: (options) => beside(peers, false, options),
});

/** The same where both sides write to disk before they answer. */
export const durableCommandScenario = (peers: boolean): Scenario => ({
  name: 'durable-commands',
  title: 'Commands through the handler, without HTTP, both sides sync every write',
  run: (options) => beside(peers, true, options),
});

async function beside(peers: boolean, syncAlways: boolean, options: BenchOptions): Promise<ResultRow[]> {
  await using peer = peers ? await startPeer(syncAlways) : undefined;
  if (peer !== undefined) {
    options.print(`beside ${peer.what}`);
    await fillPeer(peer, idsOf(options));
  }
  return await onServer(syncAlways, peer, options);
}

/** The aggregates of both sides; enough of them that a snapshot is written before its aggregate's turn comes again. */
function idsOf({ scale }: BenchOptions) {
  const names = (kind: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `${kind}-${i}`);
  const many = scaled(4_000, scale, 800);
  // What a process keeps in its cache is not what it finds cold: each kind of command has aggregates of its own.
  return {
    warm: names('warm', many),
    short: names('short', many),
    long: names('long', scaled(400, scale, 160)),
  };
}

async function fillPeer(peer: Peer, ids: ReturnType<typeof idsOf>): Promise<void> {
  for (const id of ids.short) await peer.fill(id, EVENTS.short);
  for (const id of ids.long) await peer.fill(id, EVENTS.long);
}

async function onServer(
  syncAlways: boolean,
  peer: Peer | undefined,
  options: BenchOptions,
): Promise<ResultRow[]> {
  await using server = await startTestServer({ syncAlways });
  await createLogStream(server.url);
  await using product = await openProduct(server.url, syncAlways);
  const { short, long, warm: used } = idsOf(options);
  options.print(
    `${short.length} aggregates with 10 events, ${long.length} with 1,000, synced: ${syncAlways}`,
  );
  await fill(product, used, EVENTS.short);
  await fill(product, short, EVENTS.short);
  await fill(product, long, EVENTS.long);
  const [warm, cold] = [product.handler(), product.handler({ cacheEntries: 0 })];
  for (const id of used) await warm.load(tally, id);
  const by = (handler: Handler, events = 1): Execute => {
    return (id) => executeOn(handler, id, events);
  };
  const theirs = (ids: readonly string[]) => peer && { ids, execute: (id: string) => peer.execute(id, 1) };
  const other = peer === undefined ? '' : ' / emmett';
  // Goals are those of the durable side: what is not on disk may be lost.
  const goal = (value: number) => (syncAlways && peer !== undefined ? { goal: value } : {});
  const rows: Row[] = [
    {
      name: `4. warm command, 10 events, 1 in flight${other}`,
      ...goal(10),
      callers: 1,
      own: { ids: used, execute: by(warm) },
      other: theirs(short),
    },
    {
      name: `4. the same, 16 in flight${other}`,
      ...goal(20),
      callers: 16,
      own: { ids: used, execute: by(warm) },
      other: theirs(short),
    },
    {
      name: `5. cold command, 10 events${other}`,
      ...goal(3),
      callers: 1,
      own: { ids: short, execute: by(cold) },
      other: theirs(short),
    },
    {
      name: `5. cold command, 1,000 events${other}`,
      ...goal(30),
      callers: 1,
      own: { ids: long, execute: by(cold) },
      other: theirs(long),
    },
    {
      name: `5. cold command, 10 events, 16 in flight${other}`,
      ...goal(3),
      callers: 16,
      own: { ids: short, execute: by(cold) },
      other: theirs(short),
    },
    {
      name: `5. cold command, 1,000 events, 16 in flight${other}`,
      ...goal(30),
      callers: 16,
      own: { ids: long, execute: by(cold) },
      other: theirs(long),
    },
  ];
  const alone: Row[] = [
    {
      name: '6. cold command at 1,000 events / at 10',
      goal: 0.8,
      callers: 1,
      own: { ids: long, execute: by(cold) },
      other: { ids: short, execute: by(cold) },
    },
    {
      name: '7. a decision of 3 events / of one, warm, 16 in flight',
      goal: 0.85,
      callers: 16,
      own: { ids: used, execute: by(warm, 3) },
      other: { ids: used, execute: by(warm) },
    },
  ];
  const results: ResultRow[] = [];
  for (const row of syncAlways ? rows : [...rows, ...alone]) results.push(await measure(row, options));
  return results;
}

async function measure(row: Row, { rounds, scale, print }: BenchOptions): Promise<ResultRow> {
  print(row.name);
  const { name, goal, callers, own, other } = row;
  const side = ({ ids, execute }: Row['own']) => {
    let next = 0;
    return () =>
      perSecond(callers, secondsOf(scale), async () => {
        await execute(ids[next++ % ids.length] ?? '');
        return true;
      });
  };
  const unit = 'commands/s';
  const head = { name, unit, ...(goal === undefined ? {} : { goal }) };
  if (other === undefined) {
    const { product } = await interleaved(rounds, { product: side(own) });
    return { ...head, product: rounded(product) };
  }
  const { product, baseline } = await interleaved(rounds, { product: side(own), baseline: side(other) });
  return {
    ...head,
    ratio: ratioOf(product, baseline),
    product: rounded(product),
    baseline: rounded(baseline),
  };
}
