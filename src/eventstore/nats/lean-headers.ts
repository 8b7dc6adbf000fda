import { MsgHdrsImpl } from '@nats-io/transport-node';

/**
 * Headers of a message to be published that were written as text. The client's own collect values per name, look
 * through all names at each `set` and put the text together at the end: 3 us of an append's 11.
 * Only for publishing: nothing but `set` and `encode` looks at what is in them.
 */
export interface LeanHeaders extends MsgHdrsImpl {
  /** Adds a line; a name that is there already stays there too. */
  set(name: string, value: string): void;
}

/** A class, because the client asks headers for their bytes by a method of their own. */
class WrittenHeaders extends MsgHdrsImpl implements LeanHeaders {
  #lines: string;

  constructor(lines: string) {
    super();
    this.#lines = lines;
  }

  override set(name: string, value: string): void {
    this.#lines += headerLine(name, value);
  }

  override encode(): Uint8Array {
    return Buffer.from(`NATS/1.0\r\n${this.#lines}\r\n`);
  }
}

/** @param lines what `headerLine` returned, in a row */
export function leanHeaders(lines: string): LeanHeaders {
  return new WrittenHeaders(lines);
}

const LINE_BREAK = /[\r\n]/;

/** One header as it goes over the wire. @throws RangeError for a value that would end its line */
export function headerLine(name: string, value: string): string {
  if (LINE_BREAK.test(value)) throw new RangeError(`The header ${name} must not hold a line break`);
  return `${name}: ${value}\r\n`;
}
