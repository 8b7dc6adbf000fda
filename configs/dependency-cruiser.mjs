// Who may import whom. `npm run imports` checks it; test/architecture proves that each rule catches its violation.

const PROTOBUF = '@bufbuild/protobuf';
const NATS = '@nats-io/(transport-node|jetstream|kv|nats-core)';
const TELEMETRY_API = '@opentelemetry/api';

/**
 * For each folder of src: the other parts of src and the packages it may import, and whether Node's own modules.
 * `main.ts` and `cli` wire everything together and may import all.
 */
const folders = {
  gen: { parts: [], packages: [PROTOBUF], node: false },
  domain: { parts: ['gen/'], packages: [PROTOBUF], node: false },
  eventstore: { parts: ['gen/jetledger/eventstore/'], packages: [PROTOBUF, NATS, TELEMETRY_API], node: true },
  projections: {
    parts: ['domain/', 'eventstore/', 'gen/'],
    packages: [PROTOBUF, NATS, TELEMETRY_API],
    node: true,
  },
  processes: {
    parts: ['domain/', 'eventstore/', 'gen/'],
    packages: [PROTOBUF, NATS, TELEMETRY_API],
    node: true,
    // Adapters to other systems bring libraries of their own.
    freePackages: '[^/]+/adapters/',
  },
  app: { parts: ['domain/', 'eventstore/[^/]+$', 'gen/'], packages: [PROTOBUF, 'uuid'], node: true },
  api: {
    parts: ['domain/', 'app/', 'eventstore/[^/]+$', 'projections/read-models\\.ts$', 'gen/'],
    packages: [PROTOBUF, TELEMETRY_API, 'fastify', '@fastify/[^/]+', 'typebox', 'uuid'],
    node: true,
  },
  platform: {
    parts: ['eventstore/', 'gen/'],
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
function rulesOf([name, { parts, packages, node, freePackages }]) {
  const own = `^src/${name}/`;
  const rule = (what, comment, to, pathNot) => ({
    name: `${name}-${what}`,
    severity: 'error',
    comment,
    from: { path: own, ...(pathNot === undefined ? {} : { pathNot }) },
    to,
  });
  return [
    rule('parts', `${name} may import of src: itself, ${parts.join(', ') || 'nothing else'}`, {
      path: '^src/',
      pathNot: [own, ...parts.map((part) => `^src/${part}`)],
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

const TOP = '^src/(main\\.ts$|cli/)';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(folders).flatMap(rulesOf),
    {
      name: 'known-folders',
      severity: 'error',
      comment: 'a new folder of src needs its line in the table above',
      from: { path: '^src/', pathNot: [TOP, `^src/(${Object.keys(folders).join('|')})/`] },
      to: {},
    },
    {
      name: 'top-is-not-imported',
      severity: 'error',
      comment: 'things are wired together in main.ts and cli, so nothing below knows them',
      from: { path: '^src/', pathNot: TOP },
      to: { path: TOP },
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
      comment: 'a file that only passes on others hides who needs what',
      from: { path: '^src/' },
      to: { path: '/index\\.ts$' },
    },
    {
      name: 'no-re-exports',
      severity: 'error',
      comment: 'import a thing from the file that defines it',
      from: { path: '^src/' },
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
      comment: 'what is imported at run time stands under dependencies in package.json',
      from: { path: '^src/' },
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
