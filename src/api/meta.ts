import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { v5 as uuidV5 } from 'uuid';
import type { CommandMeta, Expectation, Runtime } from '../eventstore/index.ts';

import type { AppDeps } from './deps.ts';
import { traceContextOf } from './tracing.ts';

// Fixed for ever: ids of what earlier keys created derive from it.
const NAMESPACE = 'b1b7a4f6-5d0c-4d0e-9a43-3f2f6d3c8e51';
const FINGERPRINT_BYTES = 16;

/** A command's identity as its request gives it. */
export interface RequestCommand {
  readonly meta: CommandMeta;
  /** The id of what the request creates: the same for ever under the same key, else new. */
  readonly creationId: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** The actor of a request without a token, where none is needed. */
const ANONYMOUS = 'anonymous';

/** Who asks, as it is stored with each decision and as part of every idempotency key: never a name or an address. */
export function principalOf(request: FastifyRequest): string {
  return request.identity?.principal ?? ANONYMOUS;
}

/** A part of a request that is a command of its own. */
interface RequestPart {
  /** Tells it from the other parts. */
  readonly name: string;
  /** What the client sent for it. */
  readonly content: unknown;
}

/**
 * What accompanies the command of a request, or of a part of it. With an `Idempotency-Key`, ids derive from principal,
 * route and key, and the part's name, and the fingerprint from what the client sent; without one the ids are new.
 */
export function commandOf(request: FastifyRequest, runtime: Runtime, part?: RequestPart): RequestCommand {
  const actor = principalOf(request);
  const at = runtime.now();
  const key = request.headers['idempotency-key'];
  if (typeof key !== 'string') {
    return { meta: metaOf(request, actor, runtime.id()), creationId: runtime.id(), at };
  }
  const route = `${request.method} ${request.routeOptions.url}`;
  const named = part === undefined ? [] : [part.name];
  const idFor = (purpose: string) =>
    uuidV5(JSON.stringify([purpose, actor, route, key, ...named]), NAMESPACE);
  const content = part === undefined ? (request.body ?? {}) : part.content;
  const digest = fingerprintOf([route, request.params, content]);
  const meta = metaOf(request, actor, idFor('command'), request.server.fingerprintsOf(digest));
  return { meta, creationId: idFor('creation'), at };
}

/** What the content of a command is recognised by. */
type Fingerprints = Pick<CommandMeta, 'fingerprint' | 'formerFingerprint'>;

declare module 'fastify' {
  interface FastifyInstance {
    /** What a digest of what the client sent is stored as, and what instances of another setting stored it as. */
    readonly fingerprintsOf: (digest: Uint8Array) => Fingerprints;
  }
}

/** Under a secret key nobody who has the log can try addresses; instances that store it unkeyed understand both. */
export function rememberRequests(app: FastifyInstance, { keyed, storeKeyed }: AppDeps['fingerprints']): void {
  app.decorate('fingerprintsOf', (digest: Uint8Array): Fingerprints => {
    const under = keyed(digest);
    return storeKeyed
      ? { fingerprint: under, formerFingerprint: digest }
      : { fingerprint: digest, formerFingerprint: under };
  });
}

function metaOf(
  request: FastifyRequest,
  actor: string,
  commandId: string,
  fingerprints?: Fingerprints,
): CommandMeta {
  const trace = traceContextOf(request);
  return {
    commandId,
    ...fingerprints,
    correlationId: request.id,
    actor,
    traceparent: trace?.traceparent,
    tracestate: trace?.tracestate,
  };
}

/** What `If-Match` demands: exactly a version, or with `*` that it exists; anything goes without the header. */
export function expectedOf(request: FastifyRequest): { expected: Expectation } {
  const header = request.headers['if-match'];
  if (header === undefined) return { expected: 'any' };
  return { expected: header === '*' ? 'exists' : Number(header.slice(1, -1)) };
}

/** 16 bytes of SHA-256 over JSON with sorted keys, so that the order of a client's fields does not matter. */
export function fingerprintOf(value: unknown): Uint8Array {
  const digest = createHash('sha256').update(canonicalJson(value)).digest();
  return new Uint8Array(digest.subarray(0, FINGERPRINT_BYTES));
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
