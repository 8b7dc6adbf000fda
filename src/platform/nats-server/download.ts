import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Bounds of one download, in milliseconds. */
export interface DownloadBounds {
  /** Until the first byte of the body, redirects included. */
  readonly firstByteMs: number;
  /** Between two pieces of the body. */
  readonly idleMs: number;
  readonly totalMs: number;
}

const BOUNDS: DownloadBounds = { firstByteMs: 10_000, idleMs: 10_000, totalMs: 120_000 };

/**
 * Downloads `url` into `file`.
 *
 * @param onBytes gets how far it is, such as `3.1 of 6.2 MB`, with each piece
 * @throws `Error` with the reason, one line
 */
export async function download(
  url: string,
  file: string,
  onBytes: (progress: string) => void,
  bounds: DownloadBounds = BOUNDS,
): Promise<void> {
  const limit = new AbortController();
  const total = setTimeout(() => limit.abort(tooSlow('not complete', bounds.totalMs)), bounds.totalMs);
  let silence = setTimeout(() => limit.abort(tooSlow('no answer', bounds.firstByteMs)), bounds.firstByteMs);
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => limit.abort(tooSlow('nothing more', bounds.idleMs)), bounds.idleMs);
  };
  try {
    const response = await fetch(url, { signal: limit.signal });
    if (!response.ok || response.body === null) throw new Error(`answer ${response.status}`);
    const size = Number(response.headers.get('content-length') ?? 0);
    let received = 0;
    const counted = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        heard();
        received += chunk.length;
        onBytes(describe(received, size));
        yield chunk;
      }
    };
    await pipeline(Readable.fromWeb(response.body), counted, createWriteStream(file), {
      signal: limit.signal,
    });
  } catch (error) {
    throw new Error(reasonOf(limit.signal.aborted ? limit.signal.reason : error), { cause: error });
  } finally {
    clearTimeout(total);
    clearTimeout(silence);
  }
}

function tooSlow(what: string, milliseconds: number): Error {
  return new Error(`${what} within ${milliseconds / 1_000} s`);
}

function describe(received: number, size: number): string {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
  return size > 0 ? `${megabytes(received)} of ${megabytes(size)} MB` : `${megabytes(received)} MB`;
}

// `fetch failed` says nothing; what it wraps does.
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.message === 'fetch failed'
    ? error.cause.message
    : error.message;
}
