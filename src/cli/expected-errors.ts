import { EventStoreError } from '../eventstore/errors.ts';
import { KeyFileUnusable } from '../platform/auth/keys.ts';
import { BackupError } from '../platform/backup/errors.ts';
import { ConfigError } from '../platform/config/errors.ts';
import { HttpPortTaken } from '../platform/http-port.ts';
import { NatsUnusable } from '../platform/nats-connection.ts';
import { NatsServerError } from '../platform/nats-server/errors.ts';
import { ServiceEnded } from './cluster/services.ts';

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
