import type { FastifyInstance } from 'fastify';
import { KeyUnreadable, mayHoldSealed, type PersonalData } from '../eventstore/index.ts';

/**
 * Opens names, addresses and what else is sealed in every answer on its way out, so that rows, states, events and dead
 * letters stay ciphertext up to here, whichever route sends them. Answers without any go out as they are. Without the
 * keys nothing is sent but 503 `keys/unavailable`.
 */
export function openAnswers(app: FastifyInstance, personal: PersonalData): void {
  app.addHook('onSend', (_request, _reply, payload, done) => {
    const bytes = sealedIn(payload);
    if (bytes === undefined) return done(null, payload);
    openAnswer(personal, bytes).then(
      (opened) => done(null, opened),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  });
}

/** A list is answered also where the key of somebody in it is unreadable: that item says so. */
async function openAnswer(personal: PersonalData, bytes: Uint8Array): Promise<Uint8Array> {
  try {
    return await personal.openJson(bytes);
  } catch (error) {
    if (!(error instanceof KeyUnreadable)) throw error;
    const answer: unknown = JSON.parse(asBuffer(bytes).toString('utf8'));
    if (!isList(answer)) throw error;
    const items = answer.items.map((item) => personal.openListed(Buffer.from(JSON.stringify(item))));
    const opened = (await Promise.all(items)).map((item) => JSON.parse(asBuffer(item).toString('utf8')));
    return Buffer.from(JSON.stringify({ ...answer, items: opened }));
  }
}

function isList(answer: unknown): answer is { readonly items: readonly unknown[] } {
  return typeof answer === 'object' && answer !== null && 'items' in answer && Array.isArray(answer.items);
}

/** The events of a stream, opened; one of somebody whose key is unreadable says so. @throws KeysUnavailable */
export async function openFrames(personal: PersonalData, frames: string): Promise<string> {
  if (!mayHoldSealed(frames)) return frames;
  const lines = frames.split('\n').map(async (line) => {
    if (!mayHoldSealed(line)) return line;
    const at = line.indexOf('{');
    return (
      line.slice(0, at) + asBuffer(await personal.openListed(Buffer.from(line.slice(at)))).toString('utf8')
    );
  });
  return (await Promise.all(lines)).join('\n');
}

/** The bytes of what is sent, where something in them is sealed. */
function sealedIn(payload: unknown): Uint8Array | undefined {
  if (typeof payload === 'string') return mayHoldSealed(payload) ? Buffer.from(payload, 'utf8') : undefined;
  return Buffer.isBuffer(payload) && mayHoldSealed(payload) ? payload : undefined;
}

function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
