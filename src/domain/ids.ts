const AGGREGATE_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** Whether `value` can be the id of an aggregate, and thus a token of a subject and a key of a read model. */
export function isAggregateId(value: string): boolean {
  return AGGREGATE_ID.test(value);
}

// A receipt id is the warehouse's own and no token: any printable ASCII without blanks.
const RECEIPT_ID = /^[\x21-\x7e]{1,100}$/;

/** Whether `value` can name a delivery: 1 to 100 printable ASCII characters without blanks. */
export function isReceiptId(value: string): boolean {
  return RECEIPT_ID.test(value);
}
