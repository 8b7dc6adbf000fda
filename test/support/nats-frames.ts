/** One unit of the NATS client protocol: a control line, with its payload where it has one. */
export interface Frame {
  /** Upper case: INFO, MSG, HMSG, PUB, HPUB, PING, ... */
  readonly verb: string;
  /** The rest of the control line. */
  readonly args: string;
  /** Headers and payload together; empty for a frame without. */
  readonly body: Buffer;
  /** Everything as it was on the wire. */
  readonly bytes: Buffer;
}

const WITH_BODY = new Set(['MSG', 'HMSG', 'PUB', 'HPUB']);
const CRLF = '\r\n';

/** Cuts a byte stream into frames; what is incomplete waits for the next chunk. */
export function frameReader(): (chunk: Buffer) => Frame[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const frames: Frame[] = [];
    let at = 0;
    for (;;) {
      const frame = frameAt(rest, at);
      if (frame === undefined) break;
      frames.push(frame);
      at += frame.bytes.length;
    }
    rest = rest.subarray(at);
    return frames;
  };
}

function frameAt(buffer: Buffer, start: number): Frame | undefined {
  const lineEnd = buffer.indexOf(CRLF, start);
  if (lineEnd < 0) return undefined;
  const line = buffer.toString('latin1', start, lineEnd);
  const space = line.search(/[ \t]/);
  const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
  const args = space < 0 ? '' : line.slice(space + 1).trim();
  const bodyStart = lineEnd + CRLF.length;
  // The length of everything behind the line is always its last token.
  const bodyLength = WITH_BODY.has(verb) ? Number(args.slice(args.lastIndexOf(' ') + 1)) : undefined;
  const end = bodyLength === undefined ? bodyStart : bodyStart + bodyLength + CRLF.length;
  if (end > buffer.length) return undefined;
  return {
    verb,
    args,
    body: buffer.subarray(bodyStart, bodyStart + (bodyLength ?? 0)),
    bytes: buffer.subarray(start, end),
  };
}

/** A stream's "stored" to a publisher. Refusals and other replies are not. */
export function isPublishAck(frame: Frame): boolean {
  if (frame.verb !== 'MSG' && frame.verb !== 'HMSG') return false;
  const text = frame.body.toString('latin1');
  return text.startsWith('{"stream":') && text.includes('"seq":');
}

/** A client's publish whose subject starts with `prefix`. */
export function isPublishTo(prefix: string): (frame: Frame) => boolean {
  return ({ verb, args }) => (verb === 'PUB' || verb === 'HPUB') && args.startsWith(prefix);
}

/** The server's INFO without the addresses of other servers, so that a client stays where it was sent. */
export function withoutServerAddresses(frame: Frame): Buffer {
  if (frame.verb !== 'INFO') return frame.bytes;
  const info = JSON.parse(frame.args) as Record<string, unknown>;
  if (info.connect_urls === undefined) return frame.bytes;
  const { connect_urls: _others, ...own } = info;
  return Buffer.from(`INFO ${JSON.stringify(own)}${CRLF}`);
}
