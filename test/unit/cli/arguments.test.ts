import { userInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { interruptible, UsageError } from '../../../src/cli/command.ts';
import { consumersArguments, linesOf } from '../../../src/cli/consumers.ts';
import { rebuildRequest } from '../../../src/cli/rebuild.ts';

describe('jetledger consumers', () => {
  it('takes an action, a name where it needs one, and --json', () => {
    const actor = userInfo().username;
    expect(consumersArguments(['status', '--json'])).toEqual({
      action: 'status',
      name: undefined,
      json: true,
      actor,
    });
    const pause = { action: 'pause', name: 'order-process', json: false, actor };
    expect(consumersArguments(['pause', 'order-process'])).toEqual(pause);
  });

  it('names the person who asks: the one that is given, else the login name', () => {
    expect(consumersArguments(['status', '--actor', ' Ada L. '])).toMatchObject({ actor: 'Ada L.' });
    for (const name of ['', ' ', 'two\nlines', '\u001b[31m', '\u202eevil', 'x'.repeat(101)])
      expect(() => consumersArguments(['status', '--actor', name])).toThrow(UsageError);
  });

  it.each([[[]], [['stop']], [['pause']], [['status', 'x']], [['resume', 'a', 'b']]])(
    '%j is wrong',
    (args) => {
      expect(() => consumersArguments(args)).toThrow(UsageError);
    },
  );

  it('tells how each consumer stands in a line', () => {
    const common = { consumer: 'order-process', parked: 2, groups: { of: 4, held: 3 } };
    const lines = linesOf([
      { ...common, lag: 0, lagSeconds: 0, paused: false },
      { ...common, lag: 7, lagSeconds: 12.4, paused: true },
      { ...common, consumer: 'webhooks', lag: 7, lagSeconds: 0, paused: false },
    ]);
    expect(lines).toEqual([
      'order-process     up to date, 2 parked, 3 of 4 groups held',
      'order-process     7 behind, the oldest 12 s old, 2 parked, 3 of 4 groups held  paused',
      'webhooks          7 wait for their receivers (GET /v1/admin/webhooks), 2 parked, 3 of 4 groups held',
    ]);
    expect(linesOf([])).toEqual(['No consumer has ever run.']);
  });
});

describe('jetledger rebuild', () => {
  it('takes views with what a rebuild can be told', () => {
    const request = rebuildRequest(['orders', '--diff', '--throttle', '500', '--from-position', '0']);
    expect(request).toMatchObject({
      mode: 'rebuild',
      diff: true,
      commitsPerSecond: 500,
      from: { position: 0 },
    });
    expect(request.chosen.map(({ name }) => name)).toEqual(['orders']);
    expect(rebuildRequest(['users', '--id', 'u1'])).toMatchObject({ mode: 'one', id: 'u1' });
    expect(rebuildRequest(['--all', '--rollback'])).toMatchObject({ mode: 'rollback' });
    const from = { time: Date.UTC(2026, 0, 15) };
    expect(rebuildRequest(['users', '--from-time', '2026-01-15T00:00:00Z'])).toMatchObject({ from });
  });

  it.each([
    [[]],
    [['nonsense']],
    [['orders', '--all']],
    [['orders', '--throttle', '0']],
    [['orders', '--from-position', '-']],
    [['orders', '--from-time', 'yesterday']],
    [['orders', '--from-time', '2027-02-30T00:00:00Z']],
    [['orders', '--resume', '--from-position', '3']],
    [['orders', '--rollback', '--id', 'a']],
    [['orders', '--rollback', '--diff']],
    [['--all', '--id', 'a']],
  ])('%j is wrong', (args) => {
    expect(() => rebuildRequest(args)).toThrow(UsageError);
  });
});

it('the first Ctrl-C asks the work to end, and nothing stays installed afterwards', async () => {
  const before = process.listenerCount('SIGINT');
  const ended = interruptible(
    (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('cancelled'))),
  );
  process.emit('SIGINT');
  expect(await ended).toBe('cancelled');
  expect([process.listenerCount('SIGINT'), process.listenerCount('SIGTERM')]).toEqual([
    before,
    process.listenerCount('SIGTERM'),
  ]);
});
