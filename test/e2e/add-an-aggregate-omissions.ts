import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Copy, type Done, ONE_WORKER } from './add-an-aggregate.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LIST = 'src/service/shop.ts';
const ROUTES = 'src/api/routes/coupons.ts';

/** What is left out of which file, and the cure that is named where it is found. */
export interface Omission {
  readonly left: string;
  readonly path: string;
  /** The text without it; the file itself is missing where there is none. */
  readonly without?: (text: string) => string;
  readonly cure: string;
}

/** What is left out at the same time, and the command that finds all of it. */
export interface Round {
  readonly foundBy: readonly string[];
  readonly leaves: readonly Omission[];
}

const script = (...args: string[]): string[] => ['npm', 'run', '--silent', ...args];
const vitest = (...files: string[]): string[] => [...ONE_WORKER, ...files];

/** Each step of docs/add-an-aggregate.md once; what is found together is left out together. */
export const ROUNDS: readonly Round[] = [
  {
    foundBy: script('list'),
    leaves: [
      {
        left: 'the aggregate in the list',
        path: LIST,
        without: (text) => text.replace(/,\s*coupon\b/, ''),
        cure: 'coupon is not in the list. Add it to `aggregates` in src/service/shop.ts',
      },
      {
        left: 'the view in the list',
        path: LIST,
        without: (text) => text.replace(/,\s*coupons\b/, ''),
        cure: 'coupons is not in the list. Add it to `views` in src/service/shop.ts',
      },
      {
        left: 'the reaction in the list',
        path: LIST,
        without: (text) => text.replace(/,\s*orderReward\b/, ''),
        cure: 'orderReward is not in the list. Add it to `reactions` in src/service/shop.ts',
      },
      {
        left: 'the module of the API in the list',
        path: LIST,
        without: (text) => text.replace(/^.*couponApi,\n/m, ''),
        cure: 'couponApi is not in the list. Add it to `apiModules` in src/service/shop.ts',
      },
    ],
  },
  {
    foundBy: script('list'),
    leaves: [
      {
        left: 'the permission to append, where each category is named',
        path: 'configs/nats/users.conf',
        without: (text) => text.replaceAll('"jl.*.*.*.*.*"', '"jl.user.>", "jl.order.>"'),
        cure: 'the user api may not append to coupon. Allow jl.coupon.',
      },
    ],
  },
  {
    foundBy: script('reference', '--', '--check'),
    leaves: [
      {
        left: 'a schema among the components',
        path: ROUTES,
        without: (text) => text.replace(', CouponPage, ', ', '),
        cure: '/v1/coupons). Add them to the components of their module in src/api/routes',
      },
    ],
  },
  {
    foundBy: script('reference', '--', '--check'),
    leaves: [
      {
        left: 'the HTTP problem of a rejection',
        path: ROUTES,
        without: (text) => text.replace(/^.*'coupon\/expired': .*\n/m, ''),
        cure: 'describes the problem coupon/expired: add it to a describeProblems in src/api/routes',
      },
    ],
  },
  {
    foundBy: script('reference', '--', '--check'),
    leaves: [
      {
        left: 'who may call a route',
        path: ROUTES,
        without: (text) => text.replace('config: { access }', 'config: {}'),
        cure: 'do not say who may call them (config.access): POST /v1/coupons',
      },
    ],
  },
  {
    foundBy: script('reference', '--', '--check'),
    leaves: [
      {
        left: 'the page of reference',
        path: 'docs/reference.md',
        without: (text) => text.replace(/^.*order-reward.*\n/m, ''),
        cure: 'Run: npm run reference',
      },
    ],
  },
  {
    foundBy: script('proto:generated'),
    leaves: [
      {
        left: 'the generated code',
        path: 'src/gen/jetledger/coupon/v1/coupon_pb.ts',
        cure: 'Run: npm run generate',
      },
      {
        left: 'the baseline of the protos',
        path: 'proto/baseline.binpb',
        cure: 'Run: npm run proto:accept',
      },
    ],
  },
  {
    foundBy: vitest(
      'test/property/domain/deciders.test.ts',
      'test/unit/golden.test.ts',
      'test/unit/cli/reference.test.ts',
      'test/api/fuzz.test.ts',
    ),
    leaves: [
      {
        left: 'the commands for the rules of every decider',
        path: 'test/property/domain/commands/coupon.ts',
        cure: 'write test/property/domain/commands/coupon.ts',
      },
      {
        left: 'golden bytes',
        path: 'test/golden/coupon/CouponIssued.v1.json',
        cure: 'npm run golden',
      },
      {
        left: 'the page of the command line',
        path: 'docs/cli.md',
        without: (text) => text.replace(', coupon.', '.'),
        cure: 'npm run cli:reference',
      },
      {
        left: 'a coupon for made-up requests',
        path: 'test/api/known/coupon.ts',
        cure: 'see test/api/known/README.md',
      },
    ],
  },
];

/** Leaves it out of a copy in which nothing is missing, and runs what has to find it. The copy is whole again afterwards. */
export function leaveOut(copy: Copy, { foundBy, leaves }: Round): Promise<Done> {
  const [command = '', ...args] = foundBy;
  const change = async (): Promise<void> => {
    for (const { path, without } of leaves) {
      if (without !== undefined) await copy.edit(path, without);
      // A file that the repository has is left as it was there.
      else await copyFile(join(ROOT, path), join(copy.root, path)).catch(() => rm(join(copy.root, path)));
    }
  };
  const paths = [...new Set(leaves.map(({ path }) => path))];
  return copy.without(paths, change, () => copy.run(command, ...args));
}
