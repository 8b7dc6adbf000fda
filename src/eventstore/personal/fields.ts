import {
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  type Message,
  ScalarType,
} from '@bufbuild/protobuf';
import { personal } from '../../gen/jetledger/options/v1/personal_pb.ts';
import { EventStoreError } from '../errors.ts';

/** A field of an event that is marked as a person's. */
export interface PersonalField {
  readonly number: number;
  /** Its name in code. */
  readonly name: string;
  /** The name in code of the field that says whose it is; undefined = the aggregate's own id does. */
  readonly subject: string | undefined;
}

/** What a mark's subject says where the aggregate itself is the person. */
const OWN_ID = '@id';

/** The marked fields of an event, by its proto. @throws EventStoreError `event/invalid-mark`, which names the field */
export function personalFieldsOf(schema: DescMessage): readonly PersonalField[] {
  refuseInner(schema, new Set([schema]));
  return schema.fields.filter(isMarked).map((field) => {
    if (field.fieldKind !== 'scalar' || field.scalar !== ScalarType.STRING || field.oneof !== undefined)
      throw invalid(field, 'only a single text can be sealed: give it the type string');
    const { subject } = getOption(field, personal);
    return { number: field.number, name: field.localName, subject: subjectOf(schema, field, subject) };
  });
}

function subjectOf(schema: DescMessage, field: DescField, subject: string): string | undefined {
  if (subject === OWN_ID) return undefined;
  const named = schema.fields.find(({ name }) => name === subject);
  if (named?.fieldKind !== 'scalar' || named.scalar !== ScalarType.STRING || isMarked(named))
    throw invalid(
      field,
      `its subject ${JSON.stringify(subject)} is neither ${OWN_ID} nor an unmarked text of the message`,
    );
  return named.localName;
}

/** Marks within other messages would be passed over without a word. */
function refuseInner({ fields }: DescMessage, seen: Set<DescMessage>): void {
  for (const { message } of fields) {
    if (message === undefined || seen.has(message)) continue;
    seen.add(message);
    const marked = message.fields.find(isMarked);
    if (marked !== undefined)
      throw invalid(marked, 'only texts of the event itself can be sealed: move it into the event');
    refuseInner(message, seen);
  }
}

const isMarked = (field: DescField): boolean => hasOption(field, personal);

function invalid({ parent, name }: DescField, problem: string): EventStoreError {
  return new EventStoreError(
    'event/invalid-mark',
    `The field ${parent.name}.${name} cannot be marked as personal: ${problem}.`,
  );
}

/** Whose data a field of an event is. @throws EventStoreError `event/invalid` where the event names nobody */
export function personOf(field: PersonalField, event: Message, id: string): string {
  if (field.subject === undefined) return id;
  const person = (event as Message & Readonly<Record<string, unknown>>)[field.subject];
  if (typeof person === 'string' && person !== '') return person;
  throw new EventStoreError(
    'event/invalid',
    `${event.$typeName} cannot be stored: ${field.name} is a person's and ${field.subject} names nobody. Nothing was stored.`,
  );
}

/** The text of a marked field. */
export function textOf(field: PersonalField, event: Message): string {
  const text = (event as Message & Readonly<Record<string, unknown>>)[field.name];
  return typeof text === 'string' ? text : '';
}
