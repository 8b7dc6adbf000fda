import { Webhook } from 'standardwebhooks';
import type { Runtime } from '../../../eventstore/index.ts';
import { type Dialler, TargetRefused } from '../../delivery/adapters/dial.ts';
import type { Deliverable, Tried } from '../../delivery/port.ts';

/** Where and how a webhook is sent something. */
export interface Destination {
  readonly url: string;
  /** `whsec_` and base64; each signs. */
  readonly secrets: readonly string[];
}

/** One try, as it is kept and shown. */
export interface Attempt extends Pick<Deliverable, 'id' | 'type' | 'subject' | 'source' | 'position'> {
  readonly attempt: number;
  /** When it began, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly durationMs: number;
  readonly taken: boolean;
  readonly status?: number;
  /** Why there was no answer. */
  readonly error?: string;
  /** The beginning of what was answered. */
  readonly answer?: string;
}

export interface SendOptions {
  readonly dialler: Dialler;
  readonly runtime: Pick<Runtime, 'now'>;
}

const GONE = 410;
/** A receiver that says so wants nothing at all for a while, whatever it is. */
const BUSY: ReadonlySet<number> = new Set([429, 503]);

/** Posts an event by the Standard Webhooks scheme. Any status of 200 to 299 means "taken". Never rejects. */
export async function send(
  { dialler, runtime }: SendOptions,
  { url, secrets }: Destination,
  event: Deliverable,
  attempt: number,
): Promise<{ readonly tried: Tried; readonly kept: Attempt }> {
  const { id, type, subject, source, position } = event;
  const at = runtime.now();
  const about = { id, type, subject, source, position, attempt, at };
  try {
    const body = event.body();
    const headers = headersOf(id, new Date(at), body, secrets);
    const { status, answer, retryAfterMs } = await dialler.post(url, headers, body);
    const taken = status >= 200 && status <= 299;
    const kept = {
      ...about,
      durationMs: runtime.now() - at,
      taken,
      status,
      ...(answer !== '' && { answer }),
    };
    if (taken) return { tried: { taken }, kept };
    const wait = BUSY.has(status) && retryAfterMs !== undefined && { retryAfterMs };
    return { tried: { taken, error: `status ${status}`, gone: status === GONE, ...wait }, kept };
  } catch (fault) {
    const error = reasonOf(fault);
    return {
      tried: { taken: false, error },
      kept: { ...about, durationMs: runtime.now() - at, taken: false, error },
    };
  }
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

/** A few words without the URL, which may hold a secret. */
function reasonOf(fault: unknown): string {
  if (!(fault instanceof Error)) return 'no connection';
  if (fault instanceof TargetRefused || fault.name === 'TimeoutError') return fault.message;
  const code = 'code' in fault && typeof fault.code === 'string' ? `: ${fault.code}` : '';
  return `no connection${code}`;
}
