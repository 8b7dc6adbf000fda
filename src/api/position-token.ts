import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { numberOf, type Position, positionOf } from '../eventstore/index.ts';
import type { LivePlace } from '../projections/views/live-fold.ts';
import { sendProblem } from './problem-reply.ts';

/** A position of the log as clients send it back: `1234@qX3-b_9k`, or the bare number, which no restored log can refuse. */
export const POSITION_PATTERN = '^[0-9]{1,15}(@[A-Za-z0-9_-]{8})?$';

/** A place of a stream: `1234@qX3-b_9k` behind a commit, `1234.2@qX3-b_9k` behind the second of its events. */
export const PLACE_PATTERN = '^[0-9]{1,15}(\\.[0-9]{1,6})?@[A-Za-z0-9_-]{8}$';

const DIGEST_CHARACTERS = 8;

/** Positions of one incarnation of the log as tokens, and back (protocol 15). */
export interface PositionTokens {
  /** @param seen how many events of the commit there were seen; without it all of them */
  write(position: Position, seen?: number): string;
  /** The place that a token of PLACE_PATTERN or POSITION_PATTERN names; undefined when it is of another incarnation. */
  read(token: string): LivePlace | undefined;
}

/** @param incarnation of the log; a token holds a digest of it, since it has to tell incarnations apart and not more */
export function positionTokens(incarnation: string): PositionTokens {
  const digest = createHash('sha256').update(incarnation).digest('base64url').slice(0, DIGEST_CHARACTERS);
  return {
    write: (position, seen) => `${numberOf(position)}${seen === undefined ? '' : `.${seen}`}@${digest}`,
    read: (token) => {
      const [place = '', of = digest] = token.split('@', 2);
      if (of !== digest) return undefined;
      const [position, seen] = place.split('.', 2);
      return { position: positionOf(Number(position)), ...(seen !== undefined && { seen: Number(seen) }) };
    },
  };
}

/** `Min-Position`, or `minPosition` where the header is absent, as it was sent. Call it after validation. */
export function minPositionOf(request: FastifyRequest): string | undefined {
  const inHeader = request.headers['min-position'];
  const { minPosition } = (request.query ?? {}) as { minPosition?: unknown };
  const given = inHeader ?? minPosition;
  return typeof given === 'string' ? given : undefined;
}

/**
 * Every `Position` that is answered names the log's incarnation; a `Min-Position` of another one is answered 412 before
 * anything is read: the position would mean other commits there.
 */
export function guardPositions(app: FastifyInstance, tokens: PositionTokens): void {
  app.addHook('preHandler', (request, reply, done) => {
    const given = minPositionOf(request);
    if (given === undefined || tokens.read(given) !== undefined) done();
    else sendProblem(request, reply, { code: 'position/not-in-log' });
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    const position = reply.getHeader('position');
    if (typeof position === 'string') reply.header('position', tokens.write(positionOf(Number(position))));
    done();
  });
}
