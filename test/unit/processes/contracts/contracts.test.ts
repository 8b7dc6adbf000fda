import { readFile } from 'node:fs/promises';
import { create, type DescMessage, hasOption, type Message, ScalarType, toJson } from '@bufbuild/protobuf';
import { describe, expect, it, test } from 'vitest';
import { personal } from '../../../../src/gen/jetledger/options/v1/personal_pb.ts';
import { type AnyContract, contractName, publicOf } from '../../../../src/processes/engine/index.ts';
import { contracts, hiddenFields } from '../../../../src/service/shop.ts';

const OF = { id: 'the-aggregate', time: 1_700_000_000_000 };

/** A private event in which every text is its own field's name and every number is 7. */
function filled(schema: DescMessage): Message {
  const fields = schema.fields.map((field) => {
    const value =
      field.message !== undefined
        ? filled(field.message)
        : field.scalar === ScalarType.STRING
          ? `text of ${field.name}`
          : field.scalar === ScalarType.BOOL || 7n;
    return [field.localName, field.fieldKind === 'list' ? [value] : value];
  });
  return create(schema, Object.fromEntries(fields));
}

/** The names of the fields that are a person's or shown to nobody, also within other messages. */
const secretsIn = ({ fields }: DescMessage): string[] =>
  fields.flatMap((field) => {
    if (hasOption(field, personal) || hiddenFields.has(field.localName)) return [field.name];
    return field.message === undefined ? [] : secretsIn(field.message);
  });

const published = ({ source, ...contract }: AnyContract) =>
  source.events.flatMap((schema) => {
    const event = publicOf({ source, ...contract }, filled(schema), OF);
    return event === undefined ? [] : [{ schema, event }];
  });

const schemaOf = ({ events }: AnyContract, { $typeName }: Message): DescMessage => {
  const found = events.find(({ typeName }) => typeName === $typeName);
  if (found === undefined) throw new Error(`${$typeName} is not in the contract.`);
  return found;
};

describe.each(contracts.map((contract) => [contract.context, contract] as const))(
  'the contract %s',
  (_, contract) => {
    it('says of every private event what becomes public of it', () => {
      const known = contract.source.events.map(({ typeName }) => typeName);
      expect(Object.keys(contract.toPublic).sort()).toEqual(known.sort());
    });

    it('promises no event that nobody says', () => {
      const said = new Set(published(contract).map(({ event }) => event.$typeName));
      const promised = contract.events.map(({ typeName }) => typeName);
      expect(promised.filter((name) => !said.has(name))).toEqual([]);
    });

    it('has protos of its own version', () => {
      for (const { typeName } of contract.events)
        expect(typeName).toMatch(
          new RegExp(`^jetledger\\.public\\.${contract.context}\\.v${contract.version}\\.\\w+$`),
        );
    });

    it('lets no personal text out, and none that is shown to nobody', () => {
      for (const { schema, event } of published(contract)) {
        const json = JSON.stringify(toJson(schemaOf(contract, event), event));
        for (const name of secretsIn(schema)) expect(json).not.toContain(`text of ${name}`);
      }
    });

    it('names the aggregate in each event, so that its data can be read alone', () => {
      for (const { event } of published(contract)) expect(Object.values(event)).toContain(OF.id);
    });
  },
);

test('a private event that a contract does not know is refused and never passed on', () => {
  const [contract] = contracts;
  if (contract === undefined) throw new Error('There is no contract.');
  const [other] = contracts[1]?.source.events ?? [];
  if (other === undefined) throw new Error('There is no other contract.');
  expect(() => publicOf(contract, filled(other), OF)).toThrow(
    /orders-v1 does not say what becomes public of/,
  );
});

test('docs/public-events.md has a line for each contract, as the list says', async () => {
  const page = await readFile(new URL('../../../../docs/public-events.md', import.meta.url), 'utf8');
  const lines = page.split('\n').filter((line) => line.includes('(../proto/jetledger/public/'));
  expect(lines).toEqual(
    contracts.map(
      ({ context, version, tells }) =>
        `| \`${context}\` | ${version} | ${tells} | [${context}.proto](../proto/jetledger/public/${context}/v${version}/${context}.proto) |`,
    ),
  );
});

test('what is public of orders is this and nothing else', () => {
  const [orders] = contracts;
  if (orders === undefined) throw new Error('There is no contract.');
  const fields = orders.events.map(
    ({ name, fields }) => `${name}: ${fields.map(({ name }) => name).join(', ')}`,
  );
  expect(fields).toEqual([
    'OrderPlaced: order_id, user_id, lines, currency, total_minor, placed_at',
    'OrderPaid: order_id, amount_minor, currency, paid_at',
    'OrderConfirmed: order_id, confirmed_at',
    'OrderRejected: order_id, step, code, rejected_at',
    'OrderCancelled: order_id, by, cancelled_at',
    'OrderShipped: order_id, shipped_at',
    'OrderDelivered: order_id, delivered_at',
    'OrderRefundGranted: order_id, restock, granted_at',
    'OrderPaymentReturned: order_id, amount_minor, currency, returned_at',
  ]);
});

it('the NATS user that sends webhooks may read what each contract publishes', async () => {
  const { CONTRACTS } = (await import(
    new URL('../../../../deploy/nats-roles.mjs', import.meta.url).href
  )) as {
    CONTRACTS: readonly string[];
  };
  expect([...CONTRACTS].sort()).toEqual(contracts.map(contractName).sort());
});
