import { Webhook } from 'standardwebhooks';
import type { Runtime } from '../../../eventstore/index.ts';
import { type Attempt, attemptOf } from '../../delivery/adapters/attempts.ts';
import type { Dialler } from '../../delivery/adapters/dial.ts';
import { tryPost } from '../../delivery/adapters/try-post.ts';
import type { Deliverable, Tried } from '../../delivery/port.ts';

/** Where and how a webhook is sent something. */
export interface Destination {
  readonly url: string;
  /** `whsec_` and base64; each signs. */
  readonly secrets: readonly string[];
}

export interface SendOptions {
  readonly dialler: Dialler;
  readonly runtime: Pick<Runtime, 'now'>;
}

const GONE = 410;

/** Posts an event by the Standard Webhooks scheme. Never rejects. */
export async function send(
  { dialler, runtime }: SendOptions,
  { url, secrets }: Destination,
  event: Deliverable,
  attempt: number,
): Promise<{ readonly tried: Tried; readonly kept: Attempt }> {
  const at = runtime.now();
  const body = event.body();
  const headers = headersOf(event.id, new Date(at), body, secrets);
  const posted = await tryPost(dialler, url, headers, body);
  return {
    tried: { ...posted, gone: posted.status === GONE },
    kept: attemptOf(event, attempt, posted, [at, runtime.now()]),
  };
}

function headersOf(id: string, at: Date, body: string, secrets: readonly string[]): Record<string, string> {
  return {
    'content-type': 'application/json',
    'user-agent': 'JetLedger-Webhooks',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': secrets.map((secret) => signerOf(secret).sign(id, at, body)).join(' '),
  };
}

/** Reading a secret costs more than signing with it. */
const signers = new Map<string, Webhook>();
const MOST_SIGNERS = 10_000;

function signerOf(secret: string): Webhook {
  const known = signers.get(secret);
  if (known !== undefined) return known;
  const signer = new Webhook(secret);
  if (signers.size >= MOST_SIGNERS) signers.clear();
  signers.set(secret, signer);
  return signer;
}
