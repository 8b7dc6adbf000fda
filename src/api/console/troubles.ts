import { away, backups, outgoing, payments, reactions, situation, stuck, timers, views } from './api.ts';
import { count, many, now, span } from './format.ts';

/** Something that an operator should look at, and where. */
export interface Trouble {
  readonly page: 'stuck' | 'health' | 'reactions' | 'views' | 'timers' | 'outgoing' | 'backups';
  readonly tone: 'bad' | 'warn';
  readonly text: string;
}

/** A reaction or view that is older is told, as the alerts do. */
const LATE_SECONDS = 60;
const LATE_COMMITS = 1_000;
const NEARLY_FULL = 0.8;
const DAY_MS = 86_400_000;
const OLD_DAYS = 2;

/** Everything that is not well, the worst first; nothing where everything is. */
export function troubles(): readonly Trouble[] {
  const found = [
    ...ofDeadLetters(),
    ...ofReactions(),
    ...ofViews(),
    ...ofTimers(),
    ...ofOutgoing(),
    ...ofBackups(),
    ...ofSituation(),
  ];
  return found.sort((a, b) => Number(a.tone === 'warn') - Number(b.tone === 'warn'));
}

function ofDeadLetters(): Trouble[] {
  return (stuck.value ?? []).map(({ consumer, count: letters, error }) => ({
    page: 'stuck',
    tone: 'bad',
    text: `${many(letters, 'dead letter')} of ${consumer}: ${error.message}`,
  }));
}

function ofReactions(): Trouble[] {
  return (reactions.value ?? []).flatMap(
    ({ consumer, paused, pause, lag, lagSeconds, groups }): Trouble[] => {
      const page = 'reactions';
      if (paused)
        return [
          { page, tone: 'warn', text: `${consumer} is paused${pause?.reason ? `: ${pause.reason}` : ''}.` },
        ];
      const free = groups.of - groups.held;
      if (free > 0)
        return [{ page, tone: 'bad', text: `${many(free, 'group')} of ${consumer} held by nobody.` }];
      if (lagSeconds <= LATE_SECONDS) return [];
      return [
        { page, tone: 'warn', text: `${consumer} is ${span(lagSeconds)} behind, ${many(lag, 'event')}.` },
      ];
    },
  );
}

function ofViews(): Trouble[] {
  return (views.value ?? []).flatMap(({ view, state, lag, parked }): Trouble[] => {
    const found: Trouble[] = [];
    if (state !== 'sound') found.push({ page: 'views', tone: 'bad', text: `The view ${view} is ${state}.` });
    else if (lag > LATE_COMMITS)
      found.push({ page: 'views', tone: 'warn', text: `The view ${view} is ${count(lag)} commits behind.` });
    if (parked.length > 0)
      found.push({ page: 'stuck', tone: 'bad', text: `${many(parked.length, 'row')} of ${view} stuck.` });
    return found;
  });
}

function ofTimers(): Trouble[] {
  const late = (timers.value?.items ?? []).filter(
    ({ at }) => now.value - Date.parse(at) > LATE_SECONDS * 1_000,
  );
  // Those that wait for an operator are told as dead letters.
  const doubtful = (payments.value ?? []).filter(
    ({ parked, since }) => !parked && now.value - Date.parse(since) > LATE_SECONDS * 1_000,
  );
  const page = 'timers';
  return [
    ...(late.length > 0 ? [{ page, tone: 'bad', text: `${many(late.length, 'timer')} late.` } as const] : []),
    ...(doubtful.length > 0
      ? [{ page, tone: 'warn', text: `${many(doubtful.length, 'payment')} in doubt.` } as const]
      : []),
  ];
}

function ofOutgoing(): Trouble[] {
  const found = outgoing.value;
  if (found === undefined) return [];
  const page = 'outgoing';
  const disabled = found.disabled.filter(({ cause }) => cause !== 'operator');
  const { oldestAt } = found.notifications;
  const lateMs = oldestAt === undefined ? 0 : now.value - Date.parse(oldestAt);
  return [
    ...disabled.map(
      ({ url, cause }): Trouble => ({ page, tone: 'bad', text: `The webhook ${url} is ${cause}.` }),
    ),
    ...(lateMs > LATE_SECONDS * 1_000
      ? [{ page, tone: 'warn', text: `A notification waits for ${span(lateMs / 1_000)}.` } as const]
      : []),
  ];
}

function ofBackups(): Trouble[] {
  const { taken, proved } = backups.value ?? {};
  const page = 'backups';
  const days = taken === undefined ? 0 : (now.value - Date.parse(taken.at)) / DAY_MS;
  return [
    ...(proved?.ok === false
      ? [{ page, tone: 'bad', text: `A backup is not whole: ${proved.problem ?? 'see its proof'}.` } as const]
      : []),
    // Where none was noted, something else may copy the log.
    ...(days > OLD_DAYS
      ? [{ page, tone: 'warn', text: `The last backup is ${Math.floor(days)} days old.` } as const]
      : []),
  ];
}

function ofSituation(): Trouble[] {
  const now = situation.value;
  if (now === undefined) return [];
  const found: Trouble[] = [];
  if (away.value !== '') found.push({ page: 'health', tone: 'bad', text: `Not up to date: ${away.value}.` });
  const { log, storage, servers, instances } = now;
  if (log.copies.missing.length > 0)
    found.push({
      page: 'health',
      tone: 'bad',
      text: `Copies of the log are away or behind: ${log.copies.missing.join(', ')}.`,
    });
  if (storage && storage.limitBytes > 0 && storage.usedBytes > storage.limitBytes * NEARLY_FULL)
    found.push({ page: 'health', tone: 'bad', text: 'The storage is nearly full.' });
  for (const { name, illness, syncAlways } of servers) {
    if (illness !== undefined) found.push({ page: 'health', tone: 'bad', text: `${name}: ${illness}` });
    if (syncAlways === false)
      found.push({ page: 'health', tone: 'warn', text: `${name} does not sync always.` });
  }
  if (new Set(instances.map(({ version }) => version)).size > 1)
    found.push({ page: 'health', tone: 'warn', text: 'Processes of several versions run.' });
  return found;
}
