import { type Match, type Msg, type MsgHdrs, MsgHdrsImpl } from '@nats-io/transport-node';
import { wholeBuffer } from '../codec/event-decoder.ts';

/**
 * Headers of a message to be published that were written as text. The client's own collect values per name, look
 * through all names at each `set` and put the text together at the end: 3 us of an append's 11.
 * Only for publishing: nothing but `set` and `encode` looks at what is in them.
 */
export interface MessageHeaders extends MsgHdrsImpl {
  /** Adds a line; a name that is there already stays there too. */
  set(name: string, value: string): void;
}

/** A class, because the client asks headers for their bytes by a method of their own. */
class WrittenHeaders extends MsgHdrsImpl implements MessageHeaders {
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
export function writeHeaders(lines: string): MessageHeaders {
  return new WrittenHeaders(lines);
}

const LINE_BREAK = /[\r\n]/;

/** One header as it goes over the wire. @throws RangeError for a value that would end its line */
export function headerLine(name: string, value: string): string {
  if (LINE_BREAK.test(value)) throw new RangeError(`The header ${name} must not hold a line break`);
  return `${name}: ${value}\r\n`;
}

/** What a reader looks at of a message. */
export interface ReadMessage {
  readonly subject: string;
  readonly headers: MsgHdrs | undefined;
  readonly data: Uint8Array;
}

/** The client's messages say how long they are in all, though their type does not. */
type Sized = Msg & { size?(): number };

/**
 * A message that lets go of the client's own, and looks up a header where it lies. The client decodes all headers of a
 * message into a map, which takes a replay longer than anything else it does for a message.
 */
export function readMessage(msg: Sized): ReadMessage {
  const { subject, data } = msg;
  // The client keeps a message's headers right before its data, but does not say so: hence the look at what is there.
  const size = msg.size?.() ?? 0;
  const headerLength = size - subject.length - (msg.reply?.length ?? 0) - data.length;
  const from = data.byteOffset - headerLength;
  if (headerLength <= 0 || from < 0 || !startsHeaders(wholeBuffer(data), from))
    return { subject, headers: msg.headers, data };
  return new LazyMessage(subject, data, headerLength);
}

/** A class, because its accessors are shared: a replay makes 250,000 of these a second. */
class LazyMessage implements ReadMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly #headerLength: number;

  constructor(subject: string, data: Uint8Array, headerLength: number) {
    this.subject = subject;
    this.data = data;
    this.#headerLength = headerLength;
  }

  get headers(): MsgHdrs {
    const end = this.data.byteOffset;
    return new HeadersInPlace(wholeBuffer(this.data), end - this.#headerLength, end);
  }
}

/** Headers that lie in bytes of their own, without a status. */
export function headersIn(bytes: Buffer): MsgHdrs {
  return new HeadersInPlace(bytes, 0, bytes.length);
}

const START = Buffer.from('NATS/1.0\r\n');
const [LINE_END, SPACE, COLON, DELETE] = [13, 32, 58, 127];

/** True only for headers without a status, which stands where the line would end. */
function startsHeaders(bytes: Buffer, from: number): boolean {
  for (let i = 0; i < START.length; i++) if (bytes[from + i] !== START[i]) return false;
  return true;
}

/** Answers `get` from the bytes, and decodes all of them for whatever else is asked. */
class HeadersInPlace implements MsgHdrs {
  readonly #bytes: Buffer;
  readonly #from: number;
  readonly #to: number;
  #all: MsgHdrs | undefined;

  constructor(bytes: Buffer, from: number, to: number) {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
  }

  get(name: string, match?: Match): string {
    if (this.#all !== undefined || (match !== undefined && match !== 'exact'))
      return this.#decoded().get(name, match);
    const bytes = this.#bytes;
    for (let line = this.#from + START.length; line < this.#to; ) {
      // A search of its own costs more than the few bytes of a line.
      let end = line;
      while (end < this.#to && bytes[end] !== LINE_END) end++;
      if (end === this.#to) break;
      if (isNamed(bytes, line, name)) return headerValue(bytes, line + name.length + 1, end);
      line = end + 2;
    }
    return '';
  }

  #decoded(): MsgHdrs {
    this.#all ??= MsgHdrsImpl.decode(this.#bytes.subarray(this.#from, this.#to));
    return this.#all;
  }

  get hasError(): boolean {
    return this.#decoded().hasError;
  }
  get status(): string {
    return this.#decoded().status;
  }
  get code(): number {
    return this.#decoded().code;
  }
  get description(): string {
    return this.#decoded().description;
  }
  set(name: string, value: string, match?: Match): void {
    this.#decoded().set(name, value, match);
  }
  append(name: string, value: string, match?: Match): void {
    this.#decoded().append(name, value, match);
  }
  delete(name: string, match?: Match): void {
    this.#decoded().delete(name, match);
  }
  has(name: string, match?: Match): boolean {
    return this.#decoded().has(name, match);
  }
  last(name: string, match?: Match): string {
    return this.#decoded().last(name, match);
  }
  values(name: string, match?: Match): string[] {
    return this.#decoded().values(name, match);
  }
  keys(): string[] {
    return this.#decoded().keys();
  }
  [Symbol.iterator](): Iterator<[string, string[]]> {
    return this.#decoded()[Symbol.iterator]();
  }
  toString(): string {
    return this.#decoded().toString();
  }
}

function headerValue(bytes: Buffer, from: number, to: number): string {
  const start = bytes[from] === SPACE ? from + 1 : from;
  // Nearly every value is plain, and is made of its bytes at once.
  for (let at = start; at < to; at++) {
    const byte = bytes[at] ?? 0;
    if (byte <= SPACE || byte >= DELETE) return bytes.toString('utf8', start, to).trim();
  }
  return bytes.toString('latin1', start, to);
}

function isNamed(bytes: Buffer, line: number, name: string): boolean {
  if (bytes[line + name.length] !== COLON) return false;
  for (let i = 0; i < name.length; i++) if (bytes[line + i] !== name.charCodeAt(i)) return false;
  return true;
}
