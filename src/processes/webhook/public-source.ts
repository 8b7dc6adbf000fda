import { toJson } from '@bufbuild/protobuf';
import { EventStoreError, type Requests, type Runtime } from '../../eventstore/index.ts';
import { createNatsSource } from '../delivery/adapters/nats-source.ts';
import type { Deliverable, DeliverySource } from '../delivery/port.ts';
import {
  type AnyContract,
  type PublicEvent,
  publicEventOf,
  publicStreamName,
  publicSubject,
} from '../engine/index.ts';

interface PublicSourceOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  /** The log's prefix. */
  readonly prefix: string;
  readonly contract: AnyContract;
  /** Of each request, in milliseconds. */
  readonly timeoutMs: number;
}

/** The public events of a contract, to be delivered. What is none of them, or newer than this build, is passed over. */
export function publicSource({ contract, prefix, ...rest }: PublicSourceOptions): DeliverySource {
  return createNatsSource({
    ...rest,
    stream: publicStreamName(prefix, contract),
    subject: publicSubject(contract).replace('{key}', '*'),
    subjectOf: (id) => publicSubject(contract, id),
    read: ({ headers, data, seq }) => {
      const carried = { headers: Object.fromEntries([...(headers ?? [])]), data };
      const event = readable(carried, contract);
      return event && deliverableOf(event, seq, contract, publicStreamName(prefix, contract));
    },
  });
}

/** What no publisher of ours has written is nobody's event, and must not keep others from theirs. */
function readable(
  carried: Parameters<typeof publicEventOf>[0],
  { events }: AnyContract,
): PublicEvent | undefined {
  try {
    return publicEventOf(carried, events);
  } catch (error) {
    if (error instanceof EventStoreError) return undefined;
    throw error;
  }
}

function deliverableOf(
  event: PublicEvent,
  position: number,
  contract: AnyContract,
  stream: string,
): Deliverable {
  const { id, type, subject, time } = event;
  let body: string | undefined;
  return {
    ...{ source: stream, position, id, type, subject, time },
    body: () => {
      body ??= JSON.stringify(cloudEventOf(event, contract));
      return body;
    },
  };
}

/** CloudEvents 1.0 in its JSON format. */
function cloudEventOf(event: PublicEvent, { events }: AnyContract): object {
  const { id, source, type, subject, sequence, time, traceparent, data } = event;
  const schema = events.find(({ typeName }) => typeName === type);
  return {
    specversion: '1.0',
    ...{ id, source, type, subject },
    time: new Date(time).toISOString(),
    sequence: String(sequence),
    ...(traceparent !== '' && { traceparent }),
    datacontenttype: 'application/json',
    data: schema && toJson(schema, data, { alwaysEmitImplicit: true }),
  };
}
