import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addFiles,
  type Copy,
  copyRepository,
  type Done,
  digestsOf,
  editOf,
  ONE_WORKER,
} from './add-an-aggregate.ts';
import { leaveOut, ROUNDS } from './add-an-aggregate-omissions.ts';
import { inProduction, type Production } from './add-an-aggregate-production.ts';
import { type Answer, ask, must, since } from './client.ts';
import { addEvent, commandsNamed, OF_THE_EVENT, RUN_ELSEWHERE, succeed } from './contributing.ts';

const PAGE = 'docs/add-an-aggregate.md';
const LIST = 'src/service/shop.ts';
const NEW_LINE = '- Coupons: `POST /v1/coupons`.\n';

/** What the generator adds beside what is added by hand. */
const GENERATED = [
  ['aggregate', 'voucher'],
  ['view', 'voucher-counts', '--of', 'voucher'],
  ['reaction', 'tell-vouchers', '--of', 'voucher'],
];

/** Copied and made once: to it is added what docs/add-an-aggregate.md says, and the event of CONTRIBUTING.md. */
let copy: Copy;
/**
 * Paths of what the copy has that the repository does not, by hand and by the generator, and of what differs; what belongs
 * to the event alone left out.
 */
let added: string[];
let generated: string[];
let changed: string[];

beforeAll(async () => {
  copy = await copyRepository();
  const before = await digestsOf(copy);
  const edit = editOf(await copy.read(PAGE));
  expect(edit.path).toBe(LIST);
  await addEvent(copy);
  for (const [kind = '', ...rest] of GENERATED) {
    const made = await copy.run('node', '--import', 'tsx', 'src/cli/jetledger.ts', 'new', kind, ...rest);
    expect(made, made.output).toMatchObject({ code: 0 });
  }
  await addFiles(copy, new URL('../fixtures/coupon', import.meta.url));
  await copy.edit(edit.path, edit.apply);
  await copy.edit('CHANGELOG.md', (text) => text.replace('### Added\n', `### Added\n${NEW_LINE}`));
  await succeed(copy, 'make fix');
  const after = await digestsOf(copy);
  for (const path of Object.values(OF_THE_EVENT)) {
    before.delete(path);
    after.delete(path);
  }
  const news = [...after.keys()].filter((path) => !before.has(path));
  generated = news.filter((path) => path.includes('voucher'));
  added = news.filter((path) => !path.includes('voucher'));
  changed = [...before.keys()].filter((path) => after.get(path) !== before.get(path));
}, 600_000);
afterAll(() => copy?.[Symbol.asyncDispose]());

describe('an aggregate that was added as the page says', () => {
  it('changes at most five files that there were, each of which the page names', async () => {
    const page = await copy.read(PAGE);
    const rows = [...page.matchAll(/^\| `([^`]+)` \| (?:you|`make fix`)/gm)].map(([, path = '']) => path);
    expect(changed.toSorted()).toEqual(rows.toSorted());
    expect(changed.length).toBeLessThanOrEqual(5);
  });

  it('adds the files that the page names, and what is made of them', async () => {
    const page = await copy.read(PAGE);
    const made = /^(src\/gen|test\/golden)\/.*coupon/;
    expect(added.filter((path) => !made.test(path) && !page.includes(`\`${path}\``))).toEqual([]);
    expect(added.filter((path) => made.test(path)).length).toBeGreaterThan(3);
  });

  it.each([['types'], ['imports'], ['unused'], ['proto:lint'], ['list'], ['words']])(
    'passes npm run %s',
    async (...script) => {
      const { code, output } = await copy.run('npm', 'run', '--silent', ...script);
      expect([code, code === 0 ? '' : output]).toEqual([0, '']);
    },
    400_000,
  );

  it('is formatted and linted by then', async () => {
    const mine = [...added, ...generated, ...changed].filter((path) => path.endsWith('.ts'));
    const options = ['check', '--config-path=configs', '--error-on-warnings'];
    const { code, output } = await copy.run('npx', 'biome', ...options, ...mine);
    expect([code, code === 0 ? '' : output]).toEqual([0, '']);
  });

  it('passes its own tests and those that hold for every aggregate', async () => {
    const own = [...added, ...generated].filter((path) => path.endsWith('.test.ts'));
    const every = [
      'test/property/domain/deciders.test.ts',
      'test/unit/golden.test.ts',
      'test/unit/processes/order/consumers.test.ts',
      'test/api/openapi.test.ts',
      'test/api/examples.test.ts',
    ];
    const { code, output } = await copy.run(...ONE_WORKER, ...own, ...every);
    expect(output).toContain('coupon');
    expect(own).toEqual(
      expect.arrayContaining([
        'test/api/coupons.test.ts',
        'test/api/vouchers.test.ts',
        'test/unit/domain/coupon.test.ts',
        'test/unit/domain/voucher.test.ts',
        'test/unit/processes/order/order-reward.test.ts',
        'test/unit/processes/order/tell-vouchers.test.ts',
        'test/unit/projections/voucher-counts.test.ts',
      ]),
    );
    expect(own).toHaveLength(7);
    expect([code, code === 0 ? '' : output]).toEqual([0, '']);
  }, 400_000);
});

describe('a step that is left out', () => {
  describe.each(ROUNDS)('$foundBy finds, and names the cure', (round) => {
    let found: Done;
    beforeAll(async () => {
      found = await leaveOut(copy, round);
    }, 400_000);

    it.each(round.leaves.map(({ left, cure }) => [left, cure]))('%s', (_left, cure) => {
      expect(found.output).toContain(cure);
      expect(found.code).not.toBe(0);
    });
  });
});

describe('whoever follows CONTRIBUTING', () => {
  it('adds an event to an aggregate: each step does what it says', async () => {
    expect(await commandsNamed('Add an event to an aggregate')).toEqual(['make generate', 'make fix']);
    await succeed(copy, 'npm run --silent proto:generated');
    expect(await copy.read(OF_THE_EVENT.golden)).toContain('"schemaVersion": 1');
    expect(await copy.read('docs/reference.md')).toContain('EmailChecked');
  }, 60_000);

  it('changes an event only as old bytes allow', async () => {
    expect(await commandsNamed('Change an event')).toContain('make proto-accept');
    const { proto } = OF_THE_EVENT;
    const change = () =>
      copy.edit(proto, (text) => text.replace('string attempt = 2;', 'int64 attempt = 2;'));
    const refused = await copy.without([proto], change, () => copy.run('make', 'proto-accept'));
    expect(refused.code).not.toBe(0);
    expect(refused.output).toContain('attempt');
  }, 60_000);

  it('is shown every target, and finds each command that the page names', async () => {
    const named = new Set(await commandsNamed());
    const here = [
      'make',
      'make generate',
      'make fix',
      'make proto-accept',
      'make test TEST=test/unit/domain',
      'npm run lockfile',
    ];
    expect([...named].filter((command) => !here.includes(command) && !(command in RUN_ELSEWHERE))).toEqual(
      [],
    );
    const help = await succeed(copy, 'make');
    for (const target of ['run', 'quick', 'test', 'fix', 'check', 'ci'])
      expect(help).toContain(`make ${target} `);
    await succeed(copy, 'make test TEST=test/unit/domain/values.test.ts');
  }, 400_000);
});

it('the page about reactions shows the reaction that is compiled and run here', async () => {
  const page = await copy.read('docs/reactions.md');
  const [, path = '', code = ''] = /<!-- example: (\S+) -->\n```ts\n([\s\S]*?)```/.exec(page) ?? [];
  expect(added).toContain(path);
  expect(await copy.read(path)).toContain(code);
  expect(code).toContain('causedBy(consumed)');
});

describe('in production, with the NATS users as they are shipped', () => {
  let production: Production;
  beforeAll(async () => {
    production = await inProduction(copy);
  }, 400_000);
  afterAll(() => production?.[Symbol.asyncDispose]());

  const amount = { amountMinor: 1_000, currency: 'EUR' };
  const send = (path: string, body: object, status = 201): Promise<Answer> =>
    must(status, production.url, 'POST', path, body, production.keyed(`${path} ${JSON.stringify(body)}`));

  it('a coupon is issued, shown and listed', async () => {
    const coupon = { code: 'TEN', userId: 'u1', amount, expires: '2099-12-31' };
    const issued = await send('/v1/coupons', coupon);
    const fresh = { ...production.headers, ...since(issued) };
    const row = await must(200, production.url, 'GET', '/v1/coupons/TEN', undefined, fresh);
    expect(row.body).toMatchObject({ code: 'TEN', userId: 'u1', amount, status: 'issued' });
    const list = await must(200, production.url, 'GET', '/v1/coupons', undefined, fresh);
    expect(list.field('items')).toEqual([row.body]);
  });

  it('a large order that is confirmed earns its user a coupon', async () => {
    const { url, headers } = production;
    const user = await send('/v1/users', { email: 'ada@example.com', name: 'Ada' });
    const price = { amountMinor: 20_000, currency: 'EUR' };
    await send('/v1/products', { sku: 'SOFA', name: 'Sofa', price });
    await send('/v1/products/SOFA/stock', { receiptId: 'r1', quantity: 1 }, 200);
    const payment = { token: 'tok_success' };
    const lines = [{ sku: 'SOFA', quantity: 1 }];
    const order = await send('/v1/orders', { userId: user.field('id'), lines, payment });
    const path = `/v1/coupons/reward-${String(order.field('id'))}?consistency=strong`;
    let reward = await ask(url, 'GET', path, undefined, headers);
    for (let look = 0; look < 100 && reward.status === 404; look++) {
      await delay(100);
      reward = await ask(url, 'GET', path, undefined, headers);
    }
    expect([reward.status, reward.field('amount')]).toEqual([200, amount]);
    expect(reward.field('userId')).toBe(user.field('id'));
  });

  it('verify counts its category, and nobody was refused anything', async () => {
    const { code, output } = await production.verify();
    expect(output).toMatch(/^\s*coupon\s+2 aggregates?, 2 commits/m);
    expect([code, await production.violations()]).toEqual([0, []]);
  });
});
