import type { Row } from '../eventstore/bucket.ts';
import { parseRow } from './row-loader.ts';
import { PART } from './sorted-index.ts';
import type { OrderRow } from './views/order-row.ts';
import type { ProductRow } from './views/products.ts';

const BY_SKU = 'sku';
const BY_NAME = 'name';

/** A name as it is compared: case and composition of letters do not matter. */
function folded(name: string): string {
  return name.normalize('NFC').toLowerCase().normalize('NFC').replaceAll(PART, ' ');
}

/** A product stands in two lists: by SKU and by name. */
export function productPlaces(row: Row): string[] {
  const { name } = parseRow(row.value) as ProductRow;
  return [[BY_SKU, row.key].join(PART), [BY_NAME, folded(name), row.key].join(PART)];
}

/** All products by SKU. */
export const SKU_LIST = BY_SKU + PART;

/** The products whose names begin like that, by name. */
export function nameList(prefix: string): string {
  return BY_NAME + PART + folded(prefix);
}

/** An order stands in the list of its status, by when it was placed, which never changes. */
export function orderPlaces(row: Row): string[] {
  const { status, placedAt } = parseRow(row.value) as OrderRow;
  return [[status, placedAt, row.key].join(PART)];
}

/** The orders of a status. */
export function statusList(status: string): string {
  return status.replaceAll(PART, '') + PART;
}
