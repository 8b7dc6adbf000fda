import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What was received since it was taken last; ages in milliseconds, from the time that an event names to its receipt. */
export interface Received {
  readonly count: number;
  readonly p99: number;
}

// Takes what is posted; /hang never answers, and what comes to /quiet counts nothing.
let ages: number[] = [];
const server = createServer((request, response) => {
  if (request.url === '/hang') return;
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { time } = JSON.parse(Buffer.concat(chunks).toString()) as { time: string };
    if (request.url !== '/quiet') ages.push(Date.now() - Date.parse(time));
    response.writeHead(204).end();
  });
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('message', (what: 'count' | 'take') => {
  const told: Received = { count: ages.length, p99: what === 'take' ? p99() : Number.NaN };
  if (what === 'take') ages = [];
  process.send?.(told);
});
process.on('disconnect', () => process.exit(0));

function p99(): number {
  return ages.sort((a, b) => a - b)[Math.floor(ages.length * 0.99)] ?? Number.NaN;
}
