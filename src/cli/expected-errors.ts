import { EventStoreError } from '../eventstore/index.ts';
import { BackupError } from '../platform/backup/manifest.ts';
import { ConfigError } from '../platform/config/errors.ts';
import { NatsUnusable } from '../platform/nats-connection.ts';
import { NatsServerError } from '../platform/nats-server/errors.ts';
import { KeyFileUnusable } from '../platform/tokens.ts';
import { HttpPortTaken, ServiceEnded, WrongContexts } from '../service/errors.ts';

const KINDS = [
  HttpPortTaken,
  ConfigError,
  NatsServerError,
  NatsUnusable,
  KeyFileUnusable,
  EventStoreError,
  BackupError,
  ServiceEnded,
  WrongContexts,
];

/** What the person at the terminal can mend, as the system names it: rights, wrong paths, no room. */
const FILE_CODES: ReadonlySet<string> = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ENOSPC',
  'EDQUOT',
]);

/** Faults whose message is meant for the person at the terminal. */
export function isExpected(error: unknown): error is Error {
  return KINDS.some((kind) => error instanceof kind);
}

/** What to tell the person at the terminal in one line; undefined for a bug, which shows its stack. */
export function messageOf(error: unknown): string | undefined {
  if (isExpected(error)) return error.message;
  if (!(error instanceof Error) || !('code' in error) || !('path' in error)) return undefined;
  if (!FILE_CODES.has(String(error.code))) return undefined;
  return `${error.message}: see that the path is right and that this user may use it`;
}
