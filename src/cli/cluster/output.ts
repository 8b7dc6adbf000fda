import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';

const LOOK_EVERY_MS = 200;
const CHUNK_BYTES = 65_536;

/** Takes text in pieces and hands out whole lines. */
function lineBuffer(onLine: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
  };
}

/** Hands out each line that a process writes. */
export function linesOf(stream: Readable, onLine: (line: string) => void): void {
  stream.setEncoding('utf8').on('data', lineBuffer(onLine));
}

/** Hands out each line of a file that grows, from its beginning, until it is told to stop. */
export function followFile(path: string, onLine: (line: string) => void): { stop(): void } {
  const take = lineBuffer(onLine);
  let offset = 0;
  let reading = false;
  const look = async (): Promise<void> => {
    if (reading) return;
    reading = true;
    try {
      await using file = await open(path);
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset);
        if (bytesRead === 0) break;
        offset += bytesRead;
        take(buffer.toString('utf8', 0, bytesRead));
      }
    } catch {
      // Not there yet, or no more; the next look tells.
    } finally {
      reading = false;
    }
  };
  const timer = setInterval(() => void look(), LOOK_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}
