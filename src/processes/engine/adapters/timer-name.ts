import { InvalidId } from '../../../eventstore/errors.ts';

const KIND = /^[A-Za-z0-9-]{1,32}$/;
const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** `<kind>.<id>`, two tokens of a subject. @throws InvalidId when one of them could be more or less than that */
export function timerName(kind: string, id: string): string {
  if (!KIND.test(kind)) throw new InvalidId('kind of timer', kind, '1 to 32 letters, digits and -');
  if (!ID.test(id)) throw new InvalidId(`id of the timer ${kind}`, id, '1 to 128 of A-Z, a-z, 0-9, - and _');
  return `${kind}.${id}`;
}
