import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { AdminRequestBody } from '../operators/schemas.ts';
import { age, count, due, now, shortId, timeText } from './format.ts';
import { settings, textOf } from './session.ts';

/** A time, and how long ago it is. */
export function Time({ at }: { readonly at: string }) {
  return (
    <time dateTime={at} title={timeText(at)}>
      {age(at)} ago
    </time>
  );
}

/** When something is due; late is told in words, and by its sign. */
export function Due({ at }: { readonly at: string }) {
  const isLate = Date.parse(at) < now.value;
  return (
    <time dateTime={at} title={timeText(at)}>
      {isLate ? <Badge tone="warn">{due(at)}</Badge> : due(at)}
    </time>
  );
}

/** An aggregate, and the way to its page. */
export function AggregateLink({ category, id }: { readonly category: string; readonly id: string }) {
  return (
    <a href={`/console/aggregate/${category}/${encodeURIComponent(id)}`} title={id}>
      {category}/{shortId(id)}
    </a>
  );
}

/** A trace: on its page here where this process keeps some, else in the store that is configured. */
export function TraceLink({
  traceId,
  elsewhere = false,
}: {
  readonly traceId: string;
  /** In the store in any case. */
  readonly elsewhere?: boolean;
}) {
  const { traces = false, traceUrl = '' } = settings.value ?? {};
  if (traceId === '') return <>—</>;
  if (traces && !elsewhere) return <a href={`/console/traces/${traceId}`}>{traceId}</a>;
  if (traceUrl === '') return <>{traceId}</>;
  return (
    <a href={traceUrl.replaceAll('{traceId}', traceId)} target="_blank" rel="noreferrer">
      {elsewhere ? 'The store of traces' : traceId}
    </a>
  );
}

type Tone = 'good' | 'warn' | 'bad' | 'plain';
const SIGNS: Readonly<Record<Tone, string>> = { good: '✓', warn: '▲', bad: '✕', plain: '·' };

/** A state in words, with a sign and a colour that say the same. */
export function Badge({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{SIGNS[tone]}</span> {children}
    </span>
  );
}

export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** A part of the page that scrolls by itself: then it is reached with the keyboard, else it is no stop on the way. */
export function Scroll({
  label,
  children,
}: {
  readonly label: string;
  readonly children: ComponentChildren;
}) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const element = box.current;
    const content = element?.firstElementChild;
    if (element === null || !content) return;
    const watch = new ResizeObserver(() => {
      const { scrollWidth, clientWidth, scrollHeight, clientHeight } = element;
      element.tabIndex = scrollWidth > clientWidth || scrollHeight > clientHeight ? 0 : -1;
    });
    for (const each of [element, content]) watch.observe(each);
    return () => watch.disconnect();
  }, []);
  return (
    <section ref={box} class="scroll" aria-label={label}>
      {children}
    </section>
  );
}

/** A table that scrolls sideways where it is too wide. @param names of the columns */
export function Table({
  label,
  names,
  children,
}: {
  readonly label: string;
  readonly names: readonly string[];
  readonly children: ComponentChildren;
}) {
  return (
    <Scroll label={label}>
      <table>
        <thead>
          <tr>
            {names.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scroll>
  );
}

/** What was said last to the user; read out by screen readers. */
export const notice = signal<{ readonly tone: Tone; readonly text: string } | undefined>(undefined);

/** Does something, and tells why it did not work. @returns whether it did */
export async function attempt(work: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await work();
    notice.value = { tone: 'good', text: done };
    return true;
  } catch (error) {
    notice.value = { tone: 'bad', text: textOf(error) };
    return false;
  }
}

export interface Question {
  readonly title: string;
  readonly explain: string;
  readonly action: string;
  /** What must be typed to confirm; nothing unless given. */
  readonly typed?: string;
  /** Whether a rate can be given. */
  readonly rate?: boolean;
  readonly run: (answer: { readonly reason: string; readonly rate: number | undefined }) => Promise<unknown>;
  readonly done: string;
}

/** What the user is asked at the moment. */
export const question = signal<Question | undefined>(undefined);

/** Asks for a reason, and for a typed confirmation of what cannot be undone. */
export function Ask() {
  const asked = question.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const [rate, setRate] = useState('');
  useEffect(() => {
    if (asked === undefined) dialog.current?.close();
    else {
      setReason('');
      setTyped('');
      setRate('');
      dialog.current?.showModal();
    }
  }, [asked]);
  const ready = reason.trim() !== '' && (asked?.typed === undefined || typed === asked.typed);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (asked === undefined || !ready) return;
    const answer = { reason: reason.trim(), rate: rate === '' ? undefined : Number(rate) };
    question.value = undefined;
    await attempt(() => asked.run(answer), asked.done);
  };
  return (
    <dialog ref={dialog} aria-labelledby="ask-title" onClose={() => (question.value = undefined)}>
      <form onSubmit={submit}>
        <h2 id="ask-title">{asked?.title}</h2>
        <p>{asked?.explain}</p>
        <label>
          Reason
          <input value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        {asked?.rate && (
          <label>
            At most so many commits a second (empty: as fast as it goes)
            <input
              value={rate}
              inputMode="numeric"
              pattern="[1-9][0-9]{0,6}"
              onInput={(event) => setRate(event.currentTarget.value)}
            />
          </label>
        )}
        {asked?.typed !== undefined && (
          <label>
            Type “{asked.typed}” to confirm
            <input
              value={typed}
              autocomplete="off"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        )}
        <div class="actions">
          <button type="button" onClick={() => (question.value = undefined)}>
            Leave it
          </button>
          <button type="submit" class={asked?.typed === undefined ? 'primary' : 'danger'} disabled={!ready}>
            {asked?.action}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** A figure with its name. */
export function Tile({ name, value }: { readonly name: string; readonly value: ComponentChildren }) {
  return (
    <div class="tile">
      <span class="label">{name}</span>
      <strong>{value}</strong>
    </div>
  );
}

/** Parts of a whole as a bar, in words too. */
export function Bar({
  parts,
  label,
}: {
  readonly label: string;
  readonly parts: readonly (readonly [Tone, number])[];
}) {
  const total = parts.reduce((sum, [, value]) => sum + value, 0);
  return (
    <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect class="track" width="100" height="4" />
      {parts.map(([tone, value], at) => {
        const before = parts.slice(0, at).reduce((sum, [, one]) => sum + one, 0);
        const scale = total === 0 ? 0 : 100 / total;
        return <rect key={tone} class={tone} x={before * scale} width={value * scale} height="4" />;
      })}
    </svg>
  );
}

/** What became of a request so far. */
export function Outcome({ request }: { readonly request: AdminRequestBody }) {
  const { outcome, progress, state, result } = request;
  if (outcome !== undefined) {
    const { marked, done, failed, waiting } = outcome;
    const text = `${count(done)} of ${count(marked)} done, ${count(failed)} failed again, ${count(waiting)} waiting`;
    const parts = [['good', done] as const, ['bad', failed] as const, ['plain', waiting] as const];
    return (
      <div class="outcome">
        <Bar label={text} parts={parts} />
        <span>{text}</span>
      </div>
    );
  }
  if (state === 'running' && progress !== undefined) {
    const { applied, total, etaSeconds } = progress;
    const text = `${count(applied)} of ${count(total)} commits, about ${count(Math.ceil(etaSeconds))} s left`;
    return (
      <div class="outcome">
        <Bar
          label={text}
          parts={[['good', applied] as const, ['plain', Math.max(0, total - applied)] as const]}
        />
        <span>{text}</span>
      </div>
    );
  }
  const tone =
    state === 'done' ? 'good' : state === 'failed' ? 'bad' : state === 'cancelled' ? 'warn' : 'plain';
  return (
    <span>
      <Badge tone={tone}>{state}</Badge> {result}
    </span>
  );
}

/** The newest requests, with who made them and why. */
export function Requests({ list }: { readonly list: readonly AdminRequestBody[] }) {
  if (list.length === 0) return <Empty>Nobody has asked for anything.</Empty>;
  return (
    <ul class="requests">
      {list.map((request) => (
        <li key={request.id}>
          <p>
            <strong>{request.action}</strong> <span class="mono">{request.target}</span> by {request.by},{' '}
            <Time at={request.at} />
            {request.reason !== '' && <q>{request.reason}</q>}
          </p>
          <Outcome request={request} />
        </li>
      ))}
    </ul>
  );
}
