import type { FastifyInstance } from 'fastify';
import type { PersonalData } from '../eventstore/index.ts';

/** How `JSON.stringify` writes the begin of a sealed text. */
const SEALED = '"\\u0001';

/**
 * Opens names, addresses and what else is sealed in every answer on its way out, so that rows, states, events and dead
 * letters stay ciphertext up to here, whichever route sends them. Answers without any go out as they are. Without the
 * keys nothing is sent but 503 `keys/unavailable`.
 */
export function openAnswers(app: FastifyInstance, personal: PersonalData): void {
  app.addHook('onSend', (_request, _reply, payload, done) => {
    const bytes = sealedIn(payload);
    if (bytes === undefined) return done(null, payload);
    personal.openJson(bytes).then(
      (opened) => done(null, opened),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  });
}

/** The events of a stream, opened. @throws KeysUnavailable */
export async function openFrames(personal: PersonalData, frames: string): Promise<string> {
  const bytes = sealedIn(frames);
  return bytes === undefined ? frames : asBuffer(await personal.openJson(bytes)).toString('utf8');
}

/** The bytes of what is sent, where something in them is sealed. */
function sealedIn(payload: unknown): Uint8Array | undefined {
  if (typeof payload === 'string') return payload.includes(SEALED) ? Buffer.from(payload, 'utf8') : undefined;
  return Buffer.isBuffer(payload) && payload.includes(SEALED) ? payload : undefined;
}

function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
