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

/** The fields of a message that are marked as a person's. */
export interface PersonalFields {
  readonly texts: readonly MarkedText[];
  /** Messages and lists of messages within it that hold marked texts. */
  readonly parts: readonly MarkedPart[];
}

interface MarkedText {
  readonly number: number;
  /** Its name in code. */
  readonly name: string;
  /** Whether it may be absent. */
  readonly isOptional: boolean;
  /** The field that says whose it is; undefined = the aggregate's own id does. */
  readonly subject: Subject | undefined;
}

interface Subject {
  readonly name: string;
  /** In which of the messages it stands that the text lies in; 0 is the event. */
  readonly depth: number;
}

interface MarkedPart {
  readonly number: number;
  readonly name: string;
  readonly fields: PersonalFields;
}

/** What a mark's subject says where the aggregate itself is the person. */
const OWN_ID = '@id';

/** The marked fields of an event, by its proto. @throws EventStoreError `event/invalid-mark`, which names the field */
export function personalFieldsOf(schema: DescMessage): PersonalFields {
  return fieldsOf([schema]);
}

/** @param path the event, and down to the message whose fields are wanted */
function fieldsOf(path: readonly DescMessage[]): PersonalFields {
  const texts: MarkedText[] = [];
  const parts: MarkedPart[] = [];
  for (const field of path.at(-1)?.fields ?? []) {
    const { number, localName: name } = field;
    if (isMarked(field)) texts.push(markedText(path, field));
    else if (field.message !== undefined && holdsMark(field.message, new Set())) {
      if (path.includes(field.message)) throw invalid(field, 'a message that contains itself cannot hold it');
      if (field.fieldKind === 'map' || field.oneof !== undefined)
        throw invalid(field, 'neither a map nor a oneof can hold it: use a message or a list of messages');
      parts.push({ number, name, fields: fieldsOf([...path, field.message]) });
    }
  }
  return { texts, parts };
}

function holdsMark({ fields }: DescMessage, seen: Set<DescMessage>): boolean {
  return fields.some((field) => {
    const { message } = field;
    if (isMarked(field)) return true;
    return message !== undefined && !seen.has(message) && holdsMark(message, seen.add(message));
  });
}

/** Whether nothing is marked. */
export function isEmpty({ texts, parts }: PersonalFields): boolean {
  return texts.length + parts.length === 0;
}

function markedText(path: readonly DescMessage[], field: DescField): MarkedText {
  if (!isSingleText(field)) throw invalid(field, 'only a single text can be sealed: give it the type string');
  const { number, localName: name } = field;
  const subject = subjectOf(path, field, getOption(field, personal).subject);
  return { number, name, isOptional: field.proto.proto3Optional, subject };
}

/** The nearest field of that name: of the same message, else of those around it. */
function subjectOf(path: readonly DescMessage[], field: DescField, subject: string): Subject | undefined {
  if (subject === OWN_ID) return undefined;
  for (let depth = path.length - 1; depth >= 0; depth--) {
    const named = path[depth]?.fields.find(({ name }) => name === subject);
    if (named !== undefined && isSingleText(named) && !isMarked(named))
      return { name: named.localName, depth };
  }
  throw invalid(
    field,
    `its subject ${JSON.stringify(subject)} is neither ${OWN_ID} nor an unmarked text of the message`,
  );
}

const isSingleText = (field: DescField): boolean =>
  field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING && field.oneof === undefined;
const isMarked = (field: DescField): boolean => hasOption(field, personal);

function invalid({ parent, name }: DescField, problem: string): EventStoreError {
  return new EventStoreError(
    'event/invalid-mark',
    `The field ${parent.name}.${name} cannot be marked as personal: ${problem}.`,
  );
}

/** A text of a person, as an event holds it. */
export interface PersonalText {
  /** The number of the event's field that it is, or lies in. */
  readonly field: number;
  /** Where it lies in that field, by places in a list and numbers of fields: `0.1.2.2`; empty when it is the field. */
  readonly within: string;
  readonly text: string;
  readonly person: string;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The texts of an event that are persons' and say something.
 * @param id of the aggregate
 * @throws EventStoreError `event/invalid` where the event names nobody for a text
 */
export function personalTexts(fields: PersonalFields, event: Message, id: string): PersonalText[] {
  const found: PersonalText[] = [];
  collect(fields, [event as Message & Fields], []);
  return found;

  function collect(
    { texts, parts }: PersonalFields,
    messages: readonly Fields[],
    path: readonly number[],
  ): void {
    const message = messages.at(-1) ?? {};
    for (const { name, number, subject } of texts) {
      const text = message[name];
      if (typeof text !== 'string' || text === '') continue;
      const [field = 0, ...within] = [...path, number];
      found.push({ field, within: within.join('.'), text, person: personOf(name, subject, messages) });
    }
    for (const part of parts)
      for (const [place, inner] of messagesIn(message[part.name]).entries())
        collect(part.fields, [...messages, inner], [...path, part.number, place]);
  }

  function personOf(name: string, subject: Subject | undefined, messages: readonly Fields[]): string {
    if (subject === undefined) return id;
    const person = messages[subject.depth]?.[subject.name];
    if (typeof person === 'string' && person !== '') return person;
    throw new EventStoreError(
      'event/invalid',
      `${event.$typeName} cannot be stored: ${name} is a person's and ${subject.name} names nobody. Nothing was stored.`,
    );
  }
}

/** An event without the texts of persons. */
export function withoutPersonalTexts(fields: PersonalFields, event: Message): Message {
  // The same fields, of the same types.
  return withoutTexts(fields, event as Message & Fields) as Message & Fields;
}

function withoutTexts({ texts, parts }: PersonalFields, message: Fields): Fields {
  const copy: Record<string, unknown> = { ...message };
  for (const { name, isOptional } of texts)
    if (copy[name] !== undefined && copy[name] !== '') copy[name] = isOptional ? undefined : '';
  for (const { name, fields } of parts) {
    const part = copy[name];
    if (Array.isArray(part)) copy[name] = part.map((each) => withoutTexts(fields, each));
    else if (isMessage(part)) copy[name] = withoutTexts(fields, part);
  }
  return copy;
}

const isMessage = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const messagesIn = (value: unknown): Fields[] => [value].flat().filter(isMessage);
