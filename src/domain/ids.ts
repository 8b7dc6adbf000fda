// User and order ids and attempts are made by the service and checked by the kernel as tokens of a subject.
// A receipt id is the warehouse's own and no token: any printable ASCII without blanks.
const RECEIPT_ID = /^[\x21-\x7e]{1,100}$/;

/** Whether `value` can name a delivery: 1 to 100 printable ASCII characters without blanks. */
export function isReceiptId(value: string): boolean {
  return RECEIPT_ID.test(value);
}
