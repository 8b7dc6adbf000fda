import type { DescMessage, Message } from '@bufbuild/protobuf';
import {
  type Bucket,
  holdsSealed,
  isAfter,
  type Log,
  numberOf,
  type Position,
  positionAt,
  type RecordedEvent,
} from '../../../eventstore/index.ts';
import { GiveUp, RetryLater } from '../cause.ts';
import type { Delivery, Reaction } from '../reaction.ts';
import { parseRow, toBytes } from '../rows.ts';
import { type AnyContract, contractName, type PublicEvent, publicOf } from './contract.ts';

/** Which private event a public one was made of, and which number it got; with its message, and where messages expire beside it. */
export interface Mark {
  /** Of the log. */
  readonly incarnation: string;
  /** Of the commit. */
  readonly position: Position;
  /** Of the event in its commit. */
  readonly index: number;
  readonly sequence: number;
}

/** A public event as it is to be stored. */
export interface Outgoing {
  readonly event: PublicEvent;
  readonly schema: DescMessage;
  readonly mark: Mark;
}

/** The stream of one contract. */
export interface PublicStream {
  /** The last message of an aggregate, as the leader knows it. @throws LogUnavailable */
  last(id: string): Promise<{ readonly place: number; readonly mark: Mark } | undefined>;
  /** The ids of the events of an aggregate that are there. @throws LogUnavailable */
  ids(id: string): Promise<ReadonlySet<string>>;
  /**
   * Stores a message as the next one of its aggregate.
   * @param after the place of the last one that was read; 0 = there was none
   * @returns its place; undefined when another one came before it
   * @throws LogUnavailable, OutcomeUnknown; EventStoreError `stream/refused` for good
   */
  store(outgoing: Outgoing, after: number): Promise<number | undefined>;
}

export interface PublisherDeps {
  readonly contract: AnyContract;
  readonly log: Pick<Log, 'incarnation'>;
  readonly stream: PublicStream;
  /** Where marks outlive their messages; only where messages expire. */
  readonly marks?: Bucket | undefined;
  /** `ce-source` of every event. */
  readonly source: string;
}

/** What a contract's publisher is called among the consumers; with the version, so that a new one begins at the beginning. */
export function publisherName(contract: Pick<AnyContract, 'context' | 'version'>): string {
  return `public-${contractName(contract)}`;
}

/**
 * Publishes what a contract says of each commit, once and in order for each aggregate (protocol 33). Who publishes a
 * commit again, after a crash or beside a successor, finds by the last mark what is left of it, and the fence on that
 * message refuses whoever has read an older one.
 */
export function createPublisher(deps: PublisherDeps): Reaction {
  const { contract } = deps;
  return {
    name: publisherName(contract),
    sources: [contract.source],
    from: 'beginning',
    handle: async (delivery) => {
      const told = delivery.events.flatMap((recorded) => toldOf(contract, delivery, recorded));
      if (told.length > 0) await publishLeft(deps, delivery, told);
    },
  };
}

/** A private event with what is public of it. */
interface Told {
  readonly recorded: RecordedEvent;
  readonly schema: DescMessage;
  readonly data: Message;
}

/** @throws GiveUp for what must not get out */
function toldOf(
  contract: AnyContract,
  { stream: { id } }: Delivery<Message>,
  recorded: RecordedEvent,
): Told[] {
  const data = publicOf(contract, recorded.event, { id, time: recorded.time });
  if (data === undefined) return [];
  const name = contractName(contract);
  const schema = contract.events.find(({ typeName }) => typeName === data.$typeName);
  if (schema === undefined) throw new GiveUp(`The contract ${name} has no event ${data.$typeName}.`);
  if (holdsSealed(data))
    throw new GiveUp(`The contract ${name} would let personal data out in ${data.$typeName}.`);
  return [{ recorded, schema, data }];
}

async function publishLeft(
  deps: PublisherDeps,
  { stream: { id }, position }: Delivery<Message>,
  told: readonly Told[],
): Promise<void> {
  const { contract, log, stream, marks, source } = deps;
  const { incarnation } = log;
  const message = await stream.last(id);
  const kept = await markOf(marks, contract, id);
  let last = newer(message?.mark, kept?.mark);
  const left = await leftOf(told, position, last, { incarnation, ids: () => stream.ids(id) });
  let after: number | undefined = message?.place ?? 0;
  for (const { recorded, schema, data } of left) {
    const { id: eventId, index, time, traceparent, tracestate } = recorded;
    const sequence = (last?.sequence ?? 0) + 1;
    const type = schema.typeName;
    const event = { id: eventId, source, type, subject: id, sequence, time, traceparent, tracestate, data };
    last = { incarnation, position, index, sequence };
    after = await stream.store({ event, schema, mark: last }, after);
    if (after === undefined)
      throw new RetryLater(`Another instance publishes ${contractName(contract)} of ${id}.`);
  }
  if (marks === undefined || last === undefined || last.sequence === kept?.mark.sequence) return;
  const row = {
    key: markKey(contract, id),
    value: toBytes(storedOf(last)),
    expectedRevision: kept?.revision ?? 0,
  };
  if (!(await marks.write(row)).written) throw new RetryLater(`Another instance marks ${row.key}.`);
}

/** What of a commit is not published yet. */
async function leftOf(
  told: readonly Told[],
  position: Position,
  last: Mark | undefined,
  { incarnation, ids }: { readonly incarnation: string; readonly ids: () => Promise<ReadonlySet<string>> },
): Promise<readonly Told[]> {
  if (last === undefined) return told;
  if (last.incarnation === incarnation) {
    if (isAfter(last.position, position)) return [];
    return isAfter(position, last.position)
      ? told
      : told.filter(({ recorded }) => recorded.index > last.index);
  }
  // The log was restored: positions of before may be those of other commits now, ids never are.
  const there = await ids();
  return told.filter(({ recorded }) => !there.has(recorded.id));
}

function newer(one: Mark | undefined, other: Mark | undefined): Mark | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.sequence >= other.sequence ? one : other;
}

/** A mark as a row or header holds it. */
interface StoredMark extends Omit<Mark, 'position'> {
  readonly position: number;
}

/** A mark as plain JSON. Stored. */
export function storedOf(mark: Mark): StoredMark {
  return { ...mark, position: numberOf(mark.position) };
}

function markKey(contract: AnyContract, id: string): string {
  return `${contractName(contract)}.${id}`;
}

async function markOf(marks: Bucket | undefined, contract: AnyContract, id: string) {
  const row = await marks?.get(markKey(contract, id), { leader: true });
  const stored = parseRow<StoredMark>(row);
  return (
    row && stored && { revision: row.revision, mark: { ...stored, position: positionAt(stored.position) } }
  );
}
