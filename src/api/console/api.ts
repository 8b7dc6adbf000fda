import { signal } from '@preact/signals';
import type { OrderFunnelBody } from '../operators/funnel.ts';
import type { NotificationsBody, WebhookDeliveryBody, WebhooksBody } from '../operators/outgoing.ts';
import type { AdminRequestBody, CauseBody, SituationBody, ViewBody } from '../operators/schemas.ts';
import type { TraceSummary } from '../operators/trace-schemas.ts';
import type { BackupsBody } from '../operators/upkeep.ts';
import type { PaymentBody, TimersBody } from '../operators/waiting.ts';
import type { ConsumerBody } from '../schemas/admin.ts';
import { isSignedIn, signOut, textOf, token } from './session.ts';

/** What the live stream tells; undefined until it has. */
export const stuck = signal<readonly CauseBody[] | undefined>(undefined);
export const reactions = signal<readonly ConsumerBody[] | undefined>(undefined);
export const views = signal<readonly ViewBody[] | undefined>(undefined);
export const requests = signal<readonly AdminRequestBody[] | undefined>(undefined);
export const situation = signal<(SituationBody & { readonly at: string }) | undefined>(undefined);
export const timers = signal<TimersBody | undefined>(undefined);
export const payments = signal<readonly PaymentBody[] | undefined>(undefined);
export const backups = signal<BackupsBody | undefined>(undefined);
export const outgoing = signal<
  | {
      readonly notifications: NotificationsBody;
      /** The first page. */
      readonly webhooks: WebhooksBody;
      readonly disabled: readonly WebhookDeliveryBody[];
    }
  | undefined
>(undefined);
/** Only while a page shows them. */
export const funnel = signal<OrderFunnelBody | undefined>(undefined);
export const traces = signal<readonly TraceSummary[] | undefined>(undefined);
/** Empty while the stream is open and the log can be read. */
export const away = signal('connecting');

/** Points for the plots: seconds since the Unix epoch, commits a second, the largest lag of a reaction in events. */
export const history = signal<
  readonly { readonly at: number; readonly rate: number; readonly lag: number }[]
>([]);
const MOST_POINTS = 600;

/** A refusal, as the service explains it. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

function headers(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return token.value === undefined ? { ...more } : { ...more, authorization: `Bearer ${token.value}` };
}

async function checked(answer: Response): Promise<Response> {
  if (answer.ok) return answer;
  const { title = answer.statusText, detail = '' } = (await answer.json().catch(() => ({}))) as {
    title?: string;
    detail?: string;
  };
  if (answer.status === 401) signOut('The token has ended or is not accepted: sign in again.');
  throw new Refused(`${title}. ${detail}`);
}

/** @throws Refused, TypeError where the service cannot be reached */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(path, { headers: headers(), ...(signal && { signal }) });
  return (await checked(answer)).json() as Promise<T>;
}

/** @throws as `get` */
export async function post<T>(
  path: string,
  body: object = {},
  more: Readonly<Record<string, string>> = {},
): Promise<T> {
  const init = { method: 'POST', headers: headers({ 'content-type': 'application/json', ...more }) };
  return (await checked(await fetch(path, { ...init, body: JSON.stringify(body) }))).json() as Promise<T>;
}

/** Follows everything until the signal fires. @param also a section that is wanted, too */
export function follow(signal: AbortSignal, also: string | undefined): Promise<void> {
  const path = `/v1/admin/live${also === undefined ? '' : `?also=${also}`}`;
  return keepReading(
    () => path,
    signal,
    take,
    (why) => (away.value = why),
  );
}

/**
 * Reads a stream until the signal fires, and again when it ends.
 * @param path asked for each time
 * @param on told of each event, with its data as JSON
 * @param tell told why nothing comes
 */
export async function keepReading(
  path: () => string,
  signal: AbortSignal,
  on: (event: string, data: string) => void,
  tell: (why: string) => void,
): Promise<void> {
  for (let failures = 0; !signal.aborted && isSignedIn(); ) {
    try {
      const answer = await checked(await fetch(path(), { headers: headers(), signal }));
      failures = 0;
      if (answer.body !== null) await readEvents(answer.body.pipeThrough(new TextDecoderStream()), on);
      tell('the service has ended the stream');
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      tell(textOf(error));
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(10_000, 500 * 2 ** failures)));
  }
}

async function readEvents(
  stream: ReadableStream<string>,
  on: (event: string, data: string) => void,
): Promise<void> {
  const reader = stream.getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const frames = rest.split('\n\n');
    rest = frames.pop() ?? '';
    for (const frame of frames) {
      const event = /^event: (.*)$/m.exec(frame)?.[1];
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (event !== undefined && data !== undefined) on(event, data);
    }
  }
}

function take(event: string, data: string): void {
  const body = JSON.parse(data);
  away.value = event === 'away' ? 'the log cannot be read at the moment' : '';
  if (event === 'stuck') stuck.value = body.items;
  else if (event === 'reactions') reactions.value = body.items;
  else if (event === 'views') views.value = body.items;
  else if (event === 'requests') requests.value = body.items;
  else if (event === 'timers') timers.value = body;
  else if (event === 'backups') backups.value = body;
  else if (event === 'outgoing') outgoing.value = body;
  else if (event === 'payments') payments.value = body.items;
  else if (event === 'orders') funnel.value = body;
  else if (event === 'traces') traces.value = body.items;
  else if (event === 'situation') takeSituation(body);
}

function takeSituation(next: SituationBody & { readonly at: string }): void {
  const before = situation.value;
  situation.value = next;
  if (before === undefined) return;
  const seconds = (Date.parse(next.at) - Date.parse(before.at)) / 1_000;
  if (seconds <= 0) return;
  const rate = Math.max(0, next.log.head - before.log.head) / seconds;
  const lag = Math.max(0, ...(reactions.value ?? []).map((one) => one.lag));
  history.value = [...history.value, { at: Date.parse(next.at) / 1_000, rate, lag }].slice(-MOST_POINTS);
}
