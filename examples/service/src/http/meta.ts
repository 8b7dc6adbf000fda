import { createHash, randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { CommandMeta } from 'jetledger/eventstore';

/** Headers that commands and queries take. */
export const commandHeaders = {
  type: 'object',
  properties: {
    'idempotency-key': {
      type: 'string',
      minLength: 1,
      maxLength: 128,
      description: 'The same key again is answered as the first time, and nothing is stored twice.',
    },
  },
} as const;

export const queryHeaders = {
  type: 'object',
  properties: {
    'min-position': {
      type: 'integer',
      minimum: 0,
      description: 'What `Position` of an earlier answer said: the answer shows at least that.',
    },
  },
} as const;

const digest = (...parts: readonly string[]): Buffer =>
  createHash('sha256').update(parts.join('\n')).digest();

/** A command's id and the digest of what was asked: from the Idempotency-Key, or new. */
export function metaOf(request: FastifyRequest): CommandMeta {
  const key = request.headers['idempotency-key'];
  const commandId = typeof key === 'string' ? digest(key).toString('base64url') : randomUUID();
  const fingerprint = digest(request.method, request.url, JSON.stringify(request.body ?? null));
  return { commandId, fingerprint, actor: 'anonymous' };
}

/** An id for what a command creates: the same for the same command. */
export const newIdOf = ({ commandId }: CommandMeta): string =>
  digest('id', commandId).toString('base64url').slice(0, 22);
