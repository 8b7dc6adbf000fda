import { toBinary } from '@bufbuild/protobuf';
import { type UserEvent, user } from '../../../src/domain/user.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { eventIdOf } from '../../../src/eventstore/reading/recorded-event.ts';
import { users } from '../../../src/processes/contracts/users.ts';
import { publicOf } from '../../../src/processes/engine/publishing/contract.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import type { MemoryPublicStore } from '../../support/memory-public-stream.ts';
import { OLD_TEXT } from './forgetting-people.ts';

const STREAM = { category: user.category, id: 'ada' };

/** Public events of the person that are missing, come twice or in another order, or hold its texts, as sentences. */
export function publicViolations(log: MemoryStore, { stored }: MemoryPublicStore): string[] {
  const { decode } = codecOf<UserEvent>(user);
  const due = log.ofStream(STREAM, 0, log.head(), 10_000).flatMap(({ commitId, decisions }) =>
    decisions
      .flatMap(({ events }) => events)
      .flatMap((event, index) => {
        const told = publicOf(users, decode(event, STREAM.id), { id: STREAM.id, time: 0 });
        return told === undefined ? [] : [`${told.$typeName} ${eventIdOf(commitId, STREAM, index)}`];
      }),
  );
  const told = stored.filter(({ event }) => event.subject === STREAM.id);
  const wanted = due.map((each, index) => `${index + 1} ${each}`).join(', ');
  const got = told.map(({ event: { sequence, type, id } }) => `${sequence} ${type} ${id}`).join(', ');
  return [
    ...(got === wanted ? [] : [`published of ada: ${got} instead of ${wanted}`]),
    ...told.flatMap(({ event, schema }) => {
      const text = OLD_TEXT.exec(Buffer.from(toBinary(schema, event.data)).toString('latin1'));
      return text === null ? [] : [`${event.type} of ada tells ${text[0]}`];
    }),
  ];
}
