/** A stock keeping unit: the id of a product, safe as a token of a subject. 1 to 64 characters. */
export const SKU_PATTERN = /^[A-Z0-9][A-Z0-9-]{0,63}$/;

/** Whether `value` is a SKU. */
export function isSku(value: string): boolean {
  return SKU_PATTERN.test(value);
}
