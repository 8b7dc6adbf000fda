import { EventStoreError } from '../eventstore/index.ts';
import { BackupError } from '../platform/backup/manifest.ts';
import { ConfigError } from '../platform/config/errors.ts';
import { NatsUnusable } from '../platform/nats-connection.ts';
import { NatsServerError } from '../platform/nats-server/errors.ts';
import { KeyFileUnusable } from '../platform/tokens.ts';
import { HttpPortTaken, ServiceEnded } from '../service/errors.ts';

const KINDS = [
  HttpPortTaken,
  ConfigError,
  NatsServerError,
  NatsUnusable,
  KeyFileUnusable,
  EventStoreError,
  BackupError,
  ServiceEnded,
];

/** Faults whose message is meant for the person at the terminal; everything else is a bug and shows its stack. */
export function isExpected(error: unknown): error is Error {
  return KINDS.some((kind) => error instanceof kind);
}
