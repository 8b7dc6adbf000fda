import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addFiles, type Copy, copyRepository, editOf } from './add-an-aggregate.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = 'docs/add-an-aggregate.md';
const LIST = 'src/service/shop.ts';
const ROUTES = 'src/api/routes/coupons.ts';

let copy: Copy;

const script = (...args: string[]): string[] => ['npm', 'run', '--silent', ...args];
const vitest = (file: string): string[] => ['npx', 'vitest', 'run', file];

beforeAll(async () => {
  copy = await copyRepository();
  const edit = editOf(await copy.read(PAGE));
  await addFiles(copy, new URL('../fixtures/coupon', import.meta.url));
  await copy.edit(edit.path, edit.apply);
  // What `make fix` runs, but for the formatting and what no case here looks at.
  for (const name of ['generate', 'proto:accept', 'golden', 'reference', 'cli:reference']) {
    const { code, output } = await copy.run('npm', 'run', '--silent', name);
    expect([name, code, code === 0 ? '' : output]).toEqual([name, 0, '']);
  }
}, 180_000);
afterAll(() => copy?.[Symbol.asyncDispose]());

/** What is left out of which file, the command that finds it, and the cure that it names. */
interface Omission {
  readonly left: string;
  readonly path: string;
  /** The text without it; the file itself is missing where there is none. */
  readonly without?: (text: string) => string;
  readonly foundBy: readonly string[];
  readonly cure: string;
}

const OMISSIONS: readonly Omission[] = [
  {
    left: 'the aggregate in the list',
    path: LIST,
    without: (text) => text.replace(/,\n *coupon\b/, ''),
    foundBy: script('list'),
    cure: 'coupon is not in the list. Add it to `aggregates` in src/service/shop.ts',
  },
  {
    left: 'the view in the list',
    path: LIST,
    without: (text) => text.replace(/,\n *coupons\b/, ''),
    foundBy: script('list'),
    cure: 'coupons is not in the list. Add it to `views` in src/service/shop.ts',
  },
  {
    left: 'the reaction in the list',
    path: LIST,
    without: (text) => text.replace(/,\n *orderReward\b/, ''),
    foundBy: script('list'),
    cure: 'orderReward is not in the list. Add it to `reactions` in src/service/shop.ts',
  },
  {
    left: 'the module of the API in the list',
    path: LIST,
    without: (text) => text.replace(/^.*couponApi,\n/m, ''),
    foundBy: script('list'),
    cure: 'couponApi is not in the list. Add it to `apiModules` in src/service/shop.ts',
  },
  {
    left: 'the permission to append, where each category is named',
    path: 'configs/nats/users.conf',
    without: (text) => text.replaceAll('"jl.*.*.*.*.*"', '"jl.user.>", "jl.order.>"'),
    foundBy: script('list'),
    cure: 'the user api may not append to coupon. Allow jl.coupon.',
  },
  {
    left: 'a schema among the components',
    path: ROUTES,
    without: (text) => text.replace(', CouponPage, ', ', '),
    foundBy: script('reference', '--', '--check'),
    cure: '/v1/coupons). Add them to the components of their module in src/api/routes',
  },
  {
    left: 'the HTTP problem of a rejection',
    path: ROUTES,
    without: (text) => text.replace(/^.*'coupon\/expired': .*\n/m, ''),
    foundBy: script('reference', '--', '--check'),
    cure: 'describes the problem coupon/expired: add it to a describeProblems in src/api/routes',
  },
  {
    left: 'who may call a route',
    path: ROUTES,
    without: (text) => text.replace('config: { access }', 'config: {}'),
    foundBy: script('reference', '--', '--check'),
    cure: 'do not say who may call them (config.access): POST /v1/coupons',
  },
  {
    left: 'the page of reference',
    path: 'docs/reference.md',
    without: (text) => text.replace(/^.*order-reward.*\n/m, ''),
    foundBy: script('reference', '--', '--check'),
    cure: 'Run: npm run reference',
  },
  {
    left: 'the generated code',
    path: 'src/gen/jetledger/coupon/v1/coupon_pb.ts',
    foundBy: script('proto:generated'),
    cure: 'Run: npm run generate',
  },
  {
    left: 'the baseline of the protos',
    path: 'proto/baseline.binpb',
    foundBy: script('proto:generated'),
    cure: 'Run: npm run proto:accept',
  },
  {
    left: 'the commands for the rules of every decider',
    path: 'test/property/domain/commands/coupon.ts',
    foundBy: vitest('test/property/domain/deciders.test.ts'),
    cure: 'write test/property/domain/commands/coupon.ts',
  },
  {
    left: 'golden bytes',
    path: 'test/golden/coupon/CouponIssued.v1.json',
    foundBy: vitest('test/unit/golden.test.ts'),
    cure: 'npm run golden',
  },
  {
    left: 'the page of the command line',
    path: 'docs/cli.md',
    without: (text) => text.replace(', coupon.', '.'),
    foundBy: vitest('test/unit/cli/reference.test.ts'),
    cure: 'npm run cli:reference',
  },
  {
    left: 'a coupon for made-up requests',
    path: 'test/api/known/coupon.ts',
    foundBy: vitest('test/api/fuzz.test.ts'),
    cure: 'see test/api/known/README.md',
  },
];

it.each(OMISSIONS.map((omission) => [omission.left, omission] as const))(
  '%s, left out, is found, and the cure is named',
  async (_left, omission) => {
    const { path, without, foundBy, cure } = omission;
    const [command = '', ...args] = foundBy;
    const leaveOut = async (): Promise<void> => {
      if (without !== undefined) return copy.edit(path, without);
      const before = join(ROOT, path);
      // A file that the repository has is left as it was there.
      await copyFile(before, join(copy.root, path)).catch(() => rm(join(copy.root, path)));
    };
    const { code, output } = await copy.without([path], leaveOut, () => copy.run(command, ...args));
    expect(output).toContain(cure);
    expect(code).not.toBe(0);
  },
  120_000,
);
