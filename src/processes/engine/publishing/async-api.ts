import type { DescMessage } from '@bufbuild/protobuf';
import { type JsonSchema, payloadSchemaOf } from '../../../eventstore/index.ts';
import { MEDIA_TYPES, type PublicFormat } from './cloud-event.ts';
import { type AnyContract, contractName } from './contract.ts';

/** A contract as the document tells it. */
export interface DocumentedContract {
  readonly contract: AnyContract;
  /** The NATS stream that keeps it. */
  readonly stream: string;
  /** In a few words, such as `for ever`. */
  readonly kept: string;
}

/** An AsyncAPI document, as far as others look into it. */
export interface AsyncApi {
  readonly asyncapi: '3.0.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly channels: Readonly<
    Record<string, { readonly address: string; readonly title: string; readonly description: string }>
  >;
  readonly components: {
    readonly messages: Readonly<
      Record<string, { readonly name: string; readonly title: string; readonly payload: JsonSchema }>
    >;
    readonly schemas: Readonly<Record<string, JsonSchema>>;
  };
}

const text = (description: string, more: JsonSchema = {}): JsonSchema => ({
  type: 'string',
  description,
  ...more,
});

/** The headers of every message. */
const HEADERS: JsonSchema = {
  type: 'object',
  description: 'CloudEvents 1.0 in the binary mode of its NATS binding.',
  required: ['specversion', 'id', 'source', 'type', 'subject', 'time', 'datacontenttype', 'sequence'].map(
    (name) => `ce-${name}`,
  ),
  properties: {
    'ce-specversion': { type: 'string', const: '1.0' },
    'ce-id': text('Of this event for ever; take it as the idempotency key.'),
    'ce-source': text('Who says it: the log, the context, and the version of its contract.'),
    'ce-type': text('The full name of the message.'),
    'ce-subject': text('The id of the aggregate.'),
    'ce-time': text('When it was decided.', { format: 'date-time' }),
    'ce-datacontenttype': text('How the data is written.', { enum: Object.values(MEDIA_TYPES) }),
    'ce-sequence': text('Among the events of this aggregate here: 1 and on, without gaps.', {
      pattern: '^[0-9]{12,}$',
    }),
    'ce-traceparent': text('The trace of the request that it follows from.'),
    'ce-tracestate': text('More of that trace.'),
  },
};

/** The AsyncAPI 3 document of contracts: what is published where, message by message. */
export function asyncApiOf(
  contracts: readonly DocumentedContract[],
  info: { readonly title: string; readonly version: string; readonly format: PublicFormat },
): AsyncApi & JsonSchema {
  const { title, version, format } = info;
  const description =
    'Public events: each once and in order for each aggregate, delivered at least once. Contracts only grow: pass over fields and types that you do not know.';
  return {
    asyncapi: '3.0.0',
    info: { title, version, description },
    defaultContentType: MEDIA_TYPES[format],
    channels: Object.fromEntries(contracts.map((one) => [contractName(one.contract), channelOf(one)])),
    operations: Object.fromEntries(
      contracts.map(({ contract }) => [`publish-${contractName(contract)}`, operationOf(contract)]),
    ),
    components: {
      messages: Object.fromEntries(
        contracts.flatMap(({ contract }) =>
          contract.events.map((event) => [messageName(contract, event), messageOf(event, format)]),
        ),
      ),
      schemas: { CloudEvent: HEADERS },
    },
  };
}

const messageName = (contract: AnyContract, { name }: DescMessage): string =>
  `${contractName(contract)}.${name}`;
const reference = (...path: string[]): JsonSchema => ({ $ref: `#/${path.join('/')}` });

function channelOf({ contract, stream, kept }: DocumentedContract) {
  const { context, version, tells, events } = contract;
  return {
    address: `pub.${context}.v${version}.{slot}.{id}`,
    title: contractName(contract),
    description: `${tells}. Stream ${stream}, kept ${kept}.`,
    parameters: {
      slot: { description: 'A hash of the id, 0 to 63, by which readers may share the work.' },
      id: { description: 'The id of the aggregate.' },
    },
    messages: Object.fromEntries(
      events.map((event) => [event.name, reference('components', 'messages', messageName(contract, event))]),
    ),
  };
}

function operationOf(contract: AnyContract): JsonSchema {
  return {
    action: 'send',
    channel: reference('channels', contractName(contract)),
    summary: `Tells ${contract.tells}.`,
  };
}

function messageOf(event: DescMessage, format: PublicFormat) {
  const { name, typeName } = event;
  return {
    name: typeName,
    title: name,
    contentType: MEDIA_TYPES[format],
    headers: reference('components', 'schemas', 'CloudEvent'),
    payload: openTo(payloadSchemaOf(event)),
    'x-protobuf-message': typeName,
  };
}

/** With room for fields that a newer version of us adds. */
function openTo(schema: JsonSchema): JsonSchema {
  const entries = Object.entries(schema).filter(([key]) => key !== 'additionalProperties');
  return Object.fromEntries(entries.map(([key, value]) => [key, isSchema(value) ? openTo(value) : value]));
}

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
