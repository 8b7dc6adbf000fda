import { describe, expect, it } from 'vitest';
import { LogUnavailable, PermissionDenied } from '../../../src/eventstore/errors.ts';
import type { Reply } from '../../../src/eventstore/nats/requests.ts';
import { type Position, positionOf } from '../../../src/eventstore/position.ts';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import type { ConsumerStatus } from '../../../src/processes/engine/reaction.ts';
import { createHealth } from '../../../src/service/readiness.ts';

const consumer = (lag: number): ConsumerStatus => ({
  consumer: 'order-process',
  lag,
  lagSeconds: 0,
  oldestAt: undefined,
  held: 0,
  running: 0,
  retrying: 0,
  retries: 0,
  parked: 0,
  paused: false,
  stopped: false,
  groups: [0],
  lastError: undefined,
});

/** A process whose state is changed by the tests. */
function processWith(roles: string) {
  const denials: PermissionDenied[] = [];
  const losses = new Map<string, string>();
  const state = { connected: true, away: false, viewLag: 0, consumerLag: 0, stopping: false, probes: 0 };
  const request = async (): Promise<Reply> => {
    state.probes++;
    return { failed: state.away ? 'timeout' : 'no-responders' };
  };
  const head = async (): Promise<Position> => {
    if (state.away) throw new LogUnavailable('reading the end');
    return positionOf(7);
  };
  const health = createHealth(
    {
      config: loadConfig({ env: { JETLEDGER_SERVICE__ROLES: roles }, dir: configDir({}) }),
      nats: { requests: { connected: () => state.connected, request, denials: () => denials } },
      log: { confirm: head },
    },
    {
      views: {
        status: async () => [{ view: 'orders', position: positionOf(7), lag: state.viewLag, running: true }],
      },
      consumers: () => (roles.includes('processes') ? [consumer(state.consumerLag)] : []),
      monitor: { latest: () => [] },
      losses: { latest: () => losses },
    },
    () => state.stopping,
  );
  const failing = async (): Promise<string[]> => {
    const { ok, checks } = await health.ready();
    const names = Object.keys(checks).filter((name) => checks[name]?.ok === false);
    expect(ok).toBe(names.length === 0);
    return names;
  };
  return { state, health, failing, denials, losses };
}

describe('readiness', () => {
  it('names every reason at once', async () => {
    const { state, failing } = processWith('api,projections,processes');
    Object.assign(state, { connected: false, away: true, viewLag: 5_001, stopping: true });
    expect(await failing()).toEqual(['stopping', 'nats', 'log', 'log writable', 'view orders']);
  });

  it('looks at views only where they are kept, and asks for appends only where there are some', async () => {
    const views = processWith('projections');
    expect(await views.failing()).toEqual([]);
    expect(views.state.probes).toBe(0);
    views.state.viewLag = 5_001;
    expect(await views.failing()).toEqual(['view orders']);
    const api = processWith('api');
    api.state.viewLag = 5_001;
    expect(await api.failing()).toEqual(['log writable']);
  });

  it('says what is lost, with its cure, in the place of the check that it fails', async () => {
    const { health, losses } = processWith('projections');
    losses.set('view orders', 'its bucket is gone. Run: jetledger rebuild orders');
    losses.set('log', 'it is another one. Restart the service');
    const { ok, checks } = await health.ready();
    expect(ok).toBe(false);
    expect(checks['view orders']).toEqual({ ok: false, detail: losses.get('view orders') });
    expect(checks.log).toEqual({ ok: false, detail: losses.get('log') });
  });

  it('fails with what NATS denied, but for snapshots, which cost time only, and appends, which are asked for anew', async () => {
    const { health, failing, denials } = processWith('projections');
    denials.push(new PermissionDenied('publish', '$KV.jl_snapshots.order.o-1', 'the user api'));
    denials.push(new PermissionDenied('publish', 'jl.order.0.0.0.o-1', 'the user api'));
    expect(await failing()).toEqual([]);
    denials.push(new PermissionDenied('publish', '$KV.jl_orders_v1.o-1', 'the user api'));
    denials.push(new PermissionDenied('publish', '$KV.jl_orders_v1.o-2', 'the user api'));
    expect(await failing()).toEqual(['nats permissions']);
    const { checks } = await health.ready();
    expect(checks['nats permissions']?.detail).toMatch(
      /does not allow the user api to publish to \$KV\.jl_orders_v1\.o-2\..* And 1 more\.$/,
    );
  });

  it('counts the backlog of consumers only where nobody waits for answers', async () => {
    const alone = processWith('projections,processes');
    const serving = processWith('api,processes');
    for (const { state } of [alone, serving]) state.consumerLag = 50_000;
    expect(await alone.failing()).toEqual(['log writable', 'consumer order-process']);
    expect(await serving.failing()).toEqual(['log writable']);
  });
});

describe('startup', () => {
  it('waits until the process has caught up once, and never goes back', async () => {
    const { state, health } = processWith('projections');
    state.viewLag = 5_001;
    expect((await health.startup()).ok).toBe(false);
    state.viewLag = 0;
    expect(await health.startup()).toMatchObject({ ok: true, checks: { started: { ok: true } } });
    state.viewLag = 5_001;
    expect((await health.startup()).ok).toBe(true);
    expect((await health.ready()).ok).toBe(false);
  });

  it('does not wait for the backlog of consumers', async () => {
    const { state, health } = processWith('projections,processes');
    state.consumerLag = 50_000;
    const { checks } = await health.startup();
    expect(checks['consumer order-process']?.ok).toBe(true);
  });
});
