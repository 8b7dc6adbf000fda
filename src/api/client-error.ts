import type { Socket } from 'node:net';
import { PROBLEM_TYPE, problemBody } from './problem-reply.ts';
import { PROBLEMS, type TechnicalCode } from './problems.ts';

const BY_CODE: Readonly<Record<string, TechnicalCode>> = {
  HPE_HEADER_OVERFLOW: 'request/headers-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request/timeout',
};

/** Answers what Node could not read as HTTP, straight on the socket, and closes it. */
export function handleClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = BY_CODE[error.code ?? ''] ?? 'request/malformed';
  const body = problemBody({ code }, {});
  socket.end(
    `HTTP/1.1 ${PROBLEMS[code].status} ${PROBLEMS[code].title}\r\nContent-Type: ${PROBLEM_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
