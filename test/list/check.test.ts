import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, test } from 'vitest';
import * as shop from '../../src/service/shop.ts';
import { listProblems, notPermitted, type ServiceList } from './check.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const without = (change: Partial<ServiceList>): ServiceList => ({ ...shop, ...change });

describe('the list of what the service is made of', () => {
  it('holds everything that is written', async () => {
    expect(await listProblems(ROOT, shop)).toEqual([]);
  });

  test.each([
    ['aggregates', { aggregates: shop.aggregates.slice(1) }, 'src/domain/user.ts: user is not in the list'],
    ['proto', { aggregates: shop.aggregates.slice(1) }, 'proto/jetledger/user has no aggregate'],
    ['views', { views: shop.views.slice(1) }, 'src/projections/views/users.ts: users is not in the list'],
    [
      'reactions',
      { reactions: shop.reactions.slice(1) },
      'src/processes/order/order-process.ts: orderProcess is not in the list',
    ],
    [
      'timers',
      { timers: shop.timers.slice(1) },
      'src/processes/order/deadline.ts: paymentDeadline is not in the list',
    ],
    [
      'contracts',
      { contracts: shop.contracts.slice(1) },
      'src/processes/contracts/orders.ts: orders is not in the list',
    ],
    [
      'modules of the API',
      { apiModules: async () => (await shop.apiModules()).slice(1) },
      'src/api/routes/users.ts: userApi is not in the list',
    ],
  ] as const)('is found to lack one of the %s', async (_what, change, problem) => {
    const problems = await listProblems(ROOT, without(change));
    expect(problems.join('\n')).toContain(problem);
    expect(problems.join('\n')).toContain('src/service/shop.ts');
  });

  it('is compared with what both files of NATS users permit', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'jetledger-list-'));
    try {
      for (const path of ['src', 'proto', 'configs', 'deploy'])
        await symlink(join(ROOT, path), join(folder, path));
      await rm(join(folder, 'configs'));
      await cp(join(ROOT, 'configs/nats'), join(folder, 'configs/nats'), { recursive: true });
      const users = join(folder, 'configs/nats/users.conf');
      await writeFile(users, (await readFile(users, 'utf8')).replaceAll('jl.*.*.*.*.*', 'jl.user.>'));
      const problems = notPermitted(folder, shop);
      const denied = problems.filter((line) => line.includes('may not append to order'));
      expect(denied).toHaveLength(2);
      expect(denied.join()).toContain('Allow jl.order.');
      expect(problems.filter((line) => line.includes('may not append to user'))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
