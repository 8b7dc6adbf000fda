import { type DescField, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import Type, { type TSchema } from 'typebox';
import { exactNumber, isoTime } from '../../projections/views/json.ts';
import { Money, Time } from '../schemas/common.ts';

type Json = Record<string, unknown>;

/** How a message is shown to clients: as an object of the API, and not as protobuf writes it in JSON. */
export interface Form {
  readonly schema: TSchema;
  /** @throws RangeError for an integer that a JSON number does not hold exactly */
  readonly show: (message: Message) => Json;
}

/** What is known of a message besides its fields. */
interface Around {
  /** Examples of fields, by their names in the API. */
  readonly examples: Readonly<Record<string, unknown>>;
  /** Whether a message around this one names the currency of its amounts. */
  readonly hasCurrency: boolean;
}

/** A value as clients see it; `show` answers undefined for what is left out. */
interface Shown {
  readonly schema: TSchema;
  readonly show: (value: unknown, currency: string) => unknown;
}

const isCurrency = ({ name }: DescField): boolean => name === 'currency';
const isAmount = ({ name }: DescField): boolean => name.endsWith('_minor');
const isTime = ({ name }: DescField): boolean => name.endsWith('_at');
const isHidden = ({ proto }: DescField): boolean => proto.options?.debugRedact === true;
const holdsAmounts = ({ fields }: DescMessage): boolean =>
  fields.some((field) => isAmount(field) || (field.message !== undefined && holdsAmounts(field.message)));

/**
 * The form of a message, made from its descriptor by the rules of `proto`: `..._at` is a time, `..._minor` an amount in
 * the currency beside it or around it, any other integer a number. What is marked `debug_redact` is not there.
 * @throws Error naming a field that has no form, and the cure
 */
export function formOf(message: DescMessage, examples: Around['examples'] = {}): Form {
  const { schema, show } = formWithin(message, { examples, hasCurrency: false });
  return { schema, show: (event) => show(event, '') as Json };
}

function formWithin(message: DescMessage, around: Around): Shown {
  const currencyField = message.fields.find(isCurrency);
  const within = { ...around, hasCurrency: around.hasCurrency || currencyField !== undefined };
  // It stands in each amount.
  const said = holdsAmounts(message) ? currencyField : undefined;
  const fields = message.fields
    .filter((field) => !isHidden(field) && field !== said)
    .map((field) => ({ field, name: nameOf(field), shown: shownField(field, within) }));
  const properties = fields.map(({ field, name, shown }) => {
    const example = around.examples[name];
    const schema = example === undefined ? shown.schema : { ...shown.schema, examples: [example] };
    return [name, mayBeAbsent(field) ? Type.Optional(schema) : schema] as const;
  });
  return {
    schema: Type.Object(Object.fromEntries(properties), { additionalProperties: false }),
    show: (value, outer) => {
      const values = value as Json;
      const currency = currencyField === undefined ? outer : String(values[currencyField.localName]);
      const entries = fields.map(({ field, name, shown }) => {
        const one = values[field.localName];
        return [name, one === undefined ? undefined : shown.show(one, currency)];
      });
      return Object.fromEntries(entries.filter(([, one]) => one !== undefined)) as Json;
    },
  };
}

function nameOf(field: DescField): string {
  return isAmount(field) ? field.localName.replace(/Minor$/, '') : field.localName;
}

/** A time of 0 is one that events did not have yet when this one was stored. */
function mayBeAbsent(field: DescField): boolean {
  return isTime(field) || field.proto.proto3Optional || field.fieldKind === 'message';
}

function shownField(field: DescField, around: Around): Shown {
  if (field.oneof !== undefined || field.fieldKind === 'map') return noForm(field);
  if (field.fieldKind !== 'list') return shownValue(field, around);
  const { schema, show } = shownValue(field, around);
  return {
    schema: Type.Array(schema),
    show: (values, currency) => (values as readonly unknown[]).map((value) => show(value, currency)),
  };
}

function shownValue(field: DescField, around: Around): Shown {
  if (field.message !== undefined) return formWithin(field.message, around);
  if (field.enum !== undefined) {
    const { value: byNumber } = field.enum;
    return { schema: Type.String(), show: (value) => byNumber[Number(value)]?.name ?? String(value) };
  }
  const scalar = field.scalar;
  switch (scalar) {
    case ScalarType.STRING:
      return { schema: Type.String(), show: (value) => value };
    case ScalarType.BOOL:
      return { schema: Type.Boolean(), show: (value) => value };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { schema: Type.Number(), show: (value) => value };
    case ScalarType.BYTES:
    case undefined:
      return noForm(field);
    default:
      return shownInteger(field, around);
  }
}

function shownInteger(field: DescField, { hasCurrency }: Around): Shown {
  const exact = (value: unknown): number => (typeof value === 'bigint' ? exactNumber(value) : Number(value));
  if (isTime(field)) {
    return { schema: Time, show: (value) => (exact(value) === 0 ? undefined : isoTime(exact(value))) };
  }
  if (!isAmount(field)) return { schema: Type.Integer(), show: exact };
  if (!hasCurrency) throw new Error(`${field.toString()} is an amount: put a field \`currency\` beside it.`);
  return { schema: Money, show: (value, currency) => ({ amountMinor: exact(value), currency }) };
}

function noForm(field: DescField): never {
  throw new Error(
    `${field.toString()} cannot be shown: clients get texts, numbers, truth values, messages and lists of these.`,
  );
}
