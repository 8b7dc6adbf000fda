// Who may import whom. `npm run imports` checks it; test/architecture proves that each rule catches its violation.

const PROTOBUF = '@bufbuild/protobuf';
const NATS = '@nats-io/(transport-node|jetstream|kv|nats-core)';
const TELEMETRY_API = '@opentelemetry/api';

/** The parts of the kernel. Each has one door, its index.ts; what lies behind it is nobody else's business. */
const kernel = {
  eventstore: 'eventstore',
  'projections-engine': 'projections/engine',
  'processes-engine': 'processes/engine',
};
const door = (part) => `${kernel[part]}/index\\.ts$`;
const DOORS = Object.keys(kernel).map(door);

/** What the kernel's package takes of platform; it brings no configuration, logger or telemetry along. */
const KERNEL_PLATFORM = [
  'platform/nats-server/',
  'platform/(nats-connection|nats-monitor|new-log|durability|mask-url)\\.ts$',
  'platform/config/environment\\.ts$',
];

/**
 * For each part of src: its folder, the other parts of src and the packages it may import, and whether Node's own
 * modules. `service` and `cli` put everything together and may import all.
 */
const parts = {
  gen: { folder: 'gen', may: [], packages: [PROTOBUF], node: false },
  // The kernel, which knows nothing of the shop.
  eventstore: {
    folder: 'eventstore',
    may: ['gen/jetledger/(eventstore|options)/'],
    packages: [PROTOBUF, NATS, TELEMETRY_API],
    node: true,
  },
  'projections-engine': {
    folder: 'projections/engine',
    may: [door('eventstore')],
    // SQLite is what the lists are kept in.
    packages: [PROTOBUF, NATS, TELEMETRY_API, 'libsql'],
    node: true,
  },
  'processes-engine': {
    folder: 'processes/engine',
    may: [door('eventstore')],
    packages: [PROTOBUF, NATS, TELEMETRY_API],
    node: true,
  },
  // What puts the three together, for the shop and for others.
  ledger: {
    folder: 'ledger',
    may: [...DOORS, ...KERNEL_PLATFORM],
    packages: [PROTOBUF, NATS, TELEMETRY_API],
    node: true,
  },
  // The kernel's own test kit stands beside it and passes the same contract; the product never loads it.
  testing: {
    folder: 'testing',
    may: [
      ...Object.values(kernel).map((folder) => `${folder}/`),
      'gen/jetledger/eventstore/',
      'platform/nats-server/',
    ],
    packages: [
      PROTOBUF,
      NATS,
      TELEMETRY_API,
      'fast-check',
      'vitest',
      '@opentelemetry/(context-async-hooks|sdk-metrics|sdk-trace-base)',
    ],
    node: true,
  },
  // What makes services of the kernel out of templates.
  generator: { folder: 'generator', may: [], packages: [], node: true },
  // The shop.
  domain: { folder: 'domain', may: ['gen/', door('eventstore')], packages: [PROTOBUF], node: false },
  app: {
    folder: 'app',
    may: ['domain/', 'gen/', ...DOORS],
    packages: [PROTOBUF, 'uuid'],
    node: true,
  },
  views: {
    folder: 'projections/views',
    may: ['domain/', 'gen/', door('eventstore'), door('projections-engine')],
    packages: [PROTOBUF],
    node: true,
  },
  processes: {
    folder: 'processes/(?!engine/)',
    may: ['domain/', 'gen/', door('eventstore'), door('processes-engine')],
    packages: [PROTOBUF, NATS, TELEMETRY_API],
    node: true,
    // Adapters to other systems bring libraries of their own.
    freePackages: '[^/]+/adapters/',
  },
  api: {
    folder: 'api',
    may: ['domain/', 'app/', 'gen/', 'projections/views/', ...DOORS],
    packages: [
      PROTOBUF,
      TELEMETRY_API,
      'fastify',
      '@fastify/[^/]+',
      'typebox',
      'uuid',
      'preact',
      '@preact/signals',
      'uplot',
      'oauth4webapi',
    ],
    node: true,
  },
  platform: {
    folder: 'platform',
    may: ['gen/', ...DOORS],
    packages: [
      NATS,
      PROTOBUF,
      '@opentelemetry/[^/]+',
      'jose',
      'pino',
      'pino-pretty',
      'close-with-grace',
      'yaml',
      'typebox',
      'uuid',
    ],
    node: true,
  },
};

const PACKAGE_TYPES = ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'];

/** A rule for the parts of src, one for packages, and one for Node's modules where they are not allowed. */
function rulesOf([name, { folder, may, packages, node, freePackages }]) {
  const own = `^src/${folder}${folder.endsWith(')') ? '' : '/'}`;
  const rule = (what, comment, to, pathNot) => ({
    name: `${name}-${what}`,
    severity: 'error',
    comment,
    from: { path: own, ...(pathNot === undefined ? {} : { pathNot }) },
    to,
  });
  return [
    rule('parts', `${name} may import of src: itself, ${may.join(', ') || 'nothing else'}`, {
      path: '^src/',
      pathNot: [own, ...may.map((part) => `^src/${part}`)],
    }),
    rule(
      'packages',
      `${name} may import the packages ${packages.join(', ')}`,
      { dependencyTypes: PACKAGE_TYPES, pathNot: packages.map((pattern) => `(^|/)node_modules/${pattern}/`) },
      freePackages === undefined ? undefined : `${own}${freePackages}`,
    ),
    ...(node ? [] : [rule('node', `${name} is pure: none of Node's modules`, { dependencyTypes: ['core'] })]),
  ];
}

/** What lies behind a door is imported by its own part and by the test kit only. */
const doorRules = Object.entries({ ...kernel, ledger: 'ledger' }).map(([part, folder]) => ({
  name: `${part}-door`,
  severity: 'error',
  comment: `whatever others need of src/${folder} comes through its index.ts`,
  from: { path: '^src/', pathNot: [`^src/${folder}/`, '^src/testing/'] },
  to: { path: `^src/${folder}/`, pathNot: `^src/${folder}/index\\.ts$` },
}));

const TOP = '^src/(service|cli)/';
const DOOR_FILES = [...DOORS, 'ledger/index\\.ts$', 'testing/(contracts/)?index\\.ts$'].map(
  (path) => `^src/${path}`,
);
const OF_PLATFORM = KERNEL_PLATFORM.map((path) => `^src/${path}`);

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(parts).flatMap(rulesOf),
    ...doorRules,
    {
      name: 'kernel-of-platform',
      severity: 'error',
      comment:
        'what the kernel takes of platform is shipped with it, and knows no configuration of the service',
      from: { path: OF_PLATFORM },
      to: { path: '^src/', pathNot: [...OF_PLATFORM, `^src/${door('eventstore')}`] },
    },
    {
      name: 'kernel-of-platform-packages',
      severity: 'error',
      comment: 'what the kernel takes of platform imports the NATS client only',
      from: { path: OF_PLATFORM },
      to: { dependencyTypes: PACKAGE_TYPES, pathNot: `(^|/)node_modules/${NATS}/` },
    },
    {
      name: 'domain-imports-types-of-the-kernel',
      severity: 'error',
      comment: 'the domain is pure: of the kernel it knows what a decider is, and runs nothing of it',
      from: { path: '^src/domain/' },
      to: { path: '^src/eventstore/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'processes-apart',
      severity: 'error',
      comment: 'the order process, payment and notifications know each other by their ports only',
      from: { path: '^src/processes/(order|payment|notification)/' },
      to: {
        path: '^src/processes/(order|payment|notification)/',
        pathNot: ['^src/processes/$1/', '^src/processes/[^/]+/port\\.ts$'],
      },
    },
    {
      name: 'test-kit-is-not-loaded',
      severity: 'error',
      comment: 'the in-memory world is for tests, ours and those of our users',
      from: { path: '^src/', pathNot: '^src/testing/' },
      to: { path: '^src/testing/' },
    },
    {
      name: 'known-folders',
      severity: 'error',
      comment: 'a new folder of src needs its line in the table above',
      from: {
        path: '^src/',
        pathNot: [
          TOP,
          `^src/(${Object.values(parts)
            .map(({ folder }) => folder)
            .join('|')})`,
        ],
      },
      to: {},
    },
    {
      name: 'top-is-not-imported',
      severity: 'error',
      comment: 'things are put together in service and used by cli, so nothing below knows them',
      from: { path: '^src/', pathNot: TOP },
      to: { path: TOP },
    },
    {
      name: 'commands-are-not-imported',
      severity: 'error',
      comment: 'cli holds commands and imports the service, never the other way',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'files that import each other cannot be understood one at a time',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'no-barrels',
      severity: 'error',
      comment:
        'a file that only passes on others hides who needs what; the doors of the kernel are the only ones',
      from: { path: '^src/' },
      to: { path: '/index\\.ts$', pathNot: DOOR_FILES },
    },
    {
      name: 'no-re-exports',
      severity: 'error',
      comment: 'import a thing from the file that defines it, or from the door of its part',
      from: { path: '^src/', pathNot: DOOR_FILES },
      to: { dependencyTypes: ['export'] },
    },
    {
      name: 'no-test-code',
      severity: 'error',
      comment: 'the service does not rest on its tests, tools or development packages',
      from: { path: '^src/' },
      to: { path: '^(test|configs|\\.ci|dist)/' },
    },
    {
      name: 'no-dev-packages',
      severity: 'error',
      comment:
        'what is imported at run time stands under dependencies in package.json; the console is bundled',
      from: { path: '^src/', pathNot: '^src/(testing|api/console)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      comment: 'every import names something that is there',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    preserveSymlinks: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
    },
  },
};
