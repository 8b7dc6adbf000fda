import type { Rejection } from '../eventstore/index.ts';
import type { Metadata, OrderPlaced } from '../gen/jetledger/order/v1/order_pb.ts';
import { normaliseText, rejected } from './values.ts';

/** Where an order is delivered to. */
export interface DeliveryAddress {
  readonly name: string;
  readonly street: string;
  /** Not every country has them. */
  readonly postalCode?: string;
  readonly city: string;
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
}

/** What the client says of an order besides what it buys: kept and shown as it is, and not interpreted. */
export interface OrderDetails {
  /** What the client's own systems call the order. */
  readonly externalReference?: string;
  readonly deliveryAddress?: DeliveryAddress;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface DetailsRejection extends Rejection {
  readonly code:
    | 'order/invalid-reference'
    /** Details: `field`, the first one that cannot be stored. */
    | 'order/invalid-address'
    | 'order/invalid-metadata';
}

/** The longest texts of an order's details, in characters. */
export const LONGEST = {
  externalReference: 100,
  name: 200,
  street: 200,
  postalCode: 20,
  city: 100,
  metadataValue: 200,
} as const;

/** The most pairs of metadata. */
export const MAX_METADATA = 20;

/** A key of metadata: 1 to 40 letters, digits, `_`, `-` and `.`, a letter first. */
export const METADATA_KEY = /^[A-Za-z][A-Za-z0-9_.-]{0,39}$/;

const COUNTRY = /^[A-Z]{2}$/;

/** The details as they are stored: texts like names, metadata by its keys. What is wrong first is refused. */
export function normaliseDetails(details: OrderDetails): OrderDetails | DetailsRejection {
  const { externalReference, deliveryAddress, metadata } = details;
  const reference = externalReference && normaliseText(externalReference, LONGEST.externalReference);
  if (externalReference !== undefined && !reference) {
    return rejected(
      'order/invalid-reference',
      'Give a reference of 1 to 100 visible characters on one line.',
    );
  }
  const address = deliveryAddress && normaliseAddress(deliveryAddress);
  if (address !== undefined && 'code' in address) return address;
  const pairs = metadata && normalisePairs(metadata);
  if (metadata !== undefined && pairs === undefined) {
    return rejected(
      'order/invalid-metadata',
      'Give up to 20 pairs: keys of 1 to 40 letters, digits, _, - and ., values of one line up to 200.',
    );
  }
  return {
    ...(reference && { externalReference: reference }),
    ...(address && { deliveryAddress: address }),
    ...(pairs && { metadata: pairs }),
  };
}

function normaliseAddress(address: DeliveryAddress): DeliveryAddress | DetailsRejection {
  const name = normaliseText(address.name, LONGEST.name);
  if (name === undefined) return wrongAddress('name');
  const street = normaliseText(address.street, LONGEST.street);
  if (street === undefined) return wrongAddress('street');
  const postalCode = address.postalCode && normaliseText(address.postalCode, LONGEST.postalCode);
  if (address.postalCode !== undefined && !postalCode) return wrongAddress('postalCode');
  const city = normaliseText(address.city, LONGEST.city);
  if (city === undefined) return wrongAddress('city');
  const { country } = address;
  if (!COUNTRY.test(country)) return wrongAddress('country');
  return { name, street, ...(postalCode && { postalCode }), city, country };
}

function wrongAddress(field: keyof DeliveryAddress): DetailsRejection {
  const message =
    'Give each part of the address in visible characters on one line, the country as two letters.';
  return rejected('order/invalid-address', message, { field });
}

function normalisePairs(metadata: Readonly<Record<string, string>>): OrderDetails['metadata'] | undefined {
  const pairs = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  if (pairs.length > MAX_METADATA) return undefined;
  const kept: [string, string][] = [];
  for (const [key, value] of pairs) {
    const text = normaliseText(value, LONGEST.metadataValue);
    if (!METADATA_KEY.test(key) || text === undefined) return undefined;
    kept.push([key, text]);
  }
  return Object.fromEntries(kept);
}

/** Whether two clients said the same of an order. Both as they are stored. */
export function areSameDetails(one: OrderDetails, other: OrderDetails): boolean {
  return textOf(one) === textOf(other);
}

function textOf({ externalReference, deliveryAddress: to, metadata = {} }: OrderDetails): string {
  const address = to && [to.name, to.street, to.postalCode, to.city, to.country];
  return JSON.stringify([externalReference, address, Object.entries(metadata)]);
}

type DetailFields = Pick<
  OrderPlaced,
  | 'externalReference'
  | 'deliveryName'
  | 'deliveryStreet'
  | 'deliveryPostalCode'
  | 'deliveryCity'
  | 'deliveryCountry'
  | 'metadata'
>;

/** The fields of the event that hold the details. */
export function fieldsOf({ externalReference, deliveryAddress, metadata }: OrderDetails): DetailFields {
  return {
    ...(externalReference !== undefined && { externalReference }),
    ...(deliveryAddress !== undefined && addressFields(deliveryAddress)),
    ...(metadata !== undefined && { metadata: pairsOf(metadata) }),
  };
}

function pairsOf(metadata: Readonly<Record<string, string>>): Metadata {
  const $typeName = 'jetledger.order.v1.MetadataPair';
  const pairs = Object.entries(metadata).map(([key, value]) => ({ $typeName, key, value }) as const);
  return { $typeName: 'jetledger.order.v1.Metadata', pairs };
}

function addressFields(address: DeliveryAddress): Omit<DetailFields, 'metadata'> {
  const { name, street, postalCode, city, country } = address;
  return {
    deliveryName: name,
    deliveryStreet: street,
    ...(postalCode !== undefined && { deliveryPostalCode: postalCode }),
    deliveryCity: city,
    deliveryCountry: country,
  };
}

const NONE: OrderDetails = {};

/** The details that an event holds; its texts are only copied. */
export function detailsOf(event: DetailFields): OrderDetails {
  const { externalReference, deliveryCountry, metadata } = event;
  if (externalReference === undefined && deliveryCountry === undefined && metadata === undefined) return NONE;
  return {
    ...(externalReference !== undefined && { externalReference }),
    ...(deliveryCountry !== undefined && { deliveryAddress: addressOf(event, deliveryCountry) }),
    ...(metadata !== undefined && {
      metadata: Object.fromEntries(metadata.pairs.map(({ key, value }) => [key, value])),
    }),
  };
}

function addressOf(event: DetailFields, country: string): DeliveryAddress {
  const { deliveryName: name = '', deliveryStreet: street = '', deliveryCity: city = '' } = event;
  const { deliveryPostalCode: postalCode } = event;
  return { name, street, ...(postalCode !== undefined && { postalCode }), city, country };
}
