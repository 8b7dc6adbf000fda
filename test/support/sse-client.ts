import { type IncomingMessage, request } from 'node:http';

/** One server-sent event. */
export interface SseEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  /** Parsed. */
  readonly data: Record<string, unknown>;
}

/** A client of one stream over a socket of its own. */
export interface SseClient {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** What came so far, without heartbeats. */
  readonly events: readonly SseEvent[];
  readonly heartbeats: () => number;
  /** What a browser would send as Last-Event-ID. */
  readonly lastId: () => string | undefined;
  /** What came in milliseconds as `retry`, last. */
  readonly retry: () => number | undefined;
  /** The body as text, for answers that are no stream. */
  readonly text: () => string;
  /** Resolves when the answer has ended, whoever ended it. */
  readonly ended: Promise<void>;
  /** Stops or goes on reading. */
  pause(): void;
  resume(): void;
  close(): void;
}

/** Opens a stream; resolves with its head, whatever its status. */
export function openSse(url: string, headers: Record<string, string> = {}): Promise<SseClient> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, headers: { accept: 'text/event-stream', ...headers } });
    sent.once('error', reject).once('response', (response) => {
      // From here on the client's own end is no error.
      sent.on('error', () => undefined);
      resolve(clientOf(response));
    });
    sent.end();
  });
}

function clientOf(response: IncomingMessage): SseClient {
  const events: SseEvent[] = [];
  let rest = '';
  let heartbeats = 0;
  let lastId: string | undefined;
  let retry: number | undefined;

  const take = (block: string): void => {
    const lines = block.split('\n');
    const field = (name: string) =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const id = field('id');
    lastId = id ?? lastId;
    const wait = field('retry');
    if (wait !== undefined) retry = Number(wait);
    if (block.startsWith(':')) heartbeats++;
    const data = field('data');
    if (data !== undefined)
      events.push({ id, event: field('event'), data: JSON.parse(data) as Record<string, unknown> });
  };
  response.setEncoding('utf8').on('data', (text: string) => {
    rest += text;
    if (!response.headers['content-type']?.startsWith('text/event-stream')) return;
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) take(block);
  });
  const ended = new Promise<void>((resolve) => {
    response.once('close', resolve).once('error', () => resolve());
  });
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events,
    heartbeats: () => heartbeats,
    lastId: () => lastId,
    retry: () => retry,
    text: () => rest,
    ended,
    pause: () => {
      response.pause();
    },
    resume: () => {
      response.resume();
    },
    close: () => {
      response.destroy();
    },
  };
}
