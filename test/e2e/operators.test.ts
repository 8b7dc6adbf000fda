import { describe, expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import { createDataDir, runCommand, startCommand, startService } from '../support/service-process.ts';
import { ask, must, since } from './client.ts';

const PAYMENT = { token: 'tok_success' };

describe('operators', () => {
  it('pause and resume a consumer, see how it stands, and rebuild views beside the running service', async () => {
    await using data = await createDataDir();
    await using service = await startService(data.variables);
    const { url } = service;
    const run = (...args: string[]) => runCommand(args, data.variables);
    const user = await must(201, url, 'POST', '/v1/users', { email: 'op@example.com', name: 'Op' });
    const price = { amountMinor: 500, currency: 'EUR' };
    await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
    await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 9 });
    const order = { userId: user.field('id'), lines: [{ sku: 'TEA', quantity: 1 }], payment: PAYMENT };
    const place = (wait: number) => must(201, url, 'POST', '/v1/orders', order, { prefer: `wait=${wait}` });

    const confirmed = await place(10);
    expect(confirmed.field('status')).toBe('confirmed');
    expect(confirmed.headers.get('preference-applied')).toBe('wait=10');

    expect((await run('consumers', 'pause', 'nobody')).code).toBe(1);
    expect((await run('consumers', 'pause', 'order-process')).stdout).toContain('order-process: paused');
    const paused = async () => {
      const { body } = await ask(url, 'GET', '/v1/admin/consumers');
      return (body as { items: { consumer: string; paused: boolean; lag: number }[] }).items.find(
        ({ consumer }) => consumer === 'order-process',
      );
    };
    await until('the pause shows', async () => (await paused())?.paused === true);
    const waiting = await place(1);
    expect([waiting.field('status'), waiting.headers.get('preference-applied')]).toEqual(['placed', null]);
    await until('the order counts as lag', async () => (await paused())?.lag === 1);
    const status = JSON.parse((await run('consumers', 'status', '--json')).stdout) as object[];
    expect(status).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ consumer: 'order-process', paused: true, lag: 1, parked: 0 }),
        expect.objectContaining({ consumer: 'email-backstop', paused: false, lag: 0 }),
      ]),
    );
    expect((await run('consumers', 'resume', 'order-process')).stdout).toContain('order-process: resumed');
    const path = `/v1/orders/${waiting.field('id')}`;
    const strong = () => ask(url, 'GET', `${path}?consistency=strong`);
    await until('it is confirmed', async () => (await strong()).field('status') === 'confirmed');

    await using slow = await startCommand(['rebuild', 'orders', '--throttle', '1'], data.variables);
    await until('the rebuild is under way', async () => /orders.*left/.test(slow.output().stderr));
    slow.signal('SIGINT');
    expect((await slow.ended()).code).toBe(1);
    expect(slow.output().stderr).toContain('jetledger: The rebuild was cancelled.');

    const rebuilt = await run('rebuild', 'orders', '--diff');
    expect(rebuilt.stdout).toMatch(/^orders: 2 rows compared, 0 differ, 0 changed too fast to tell$/m);
    expect(rebuilt.stdout).toContain('orders: now in jl_orders_v3\norders: dropped jl_orders_v2');
    const folded = await run('rebuild', 'orders', '--id', String(waiting.field('id')));
    expect(folded.stdout).toContain('is folded again');
    expect((await run('rebuild', 'orders', '--rollback')).stdout).toContain('orders: now in jl_orders_v1');
    const shown = await must(200, url, 'GET', path, undefined, since(await strong()));
    expect(shown.field('status')).toBe('confirmed');
  }, 60_000);
});
