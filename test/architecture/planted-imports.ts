/** A file that breaks one of the import rules. */
export interface PlantedImport {
  /** The rule's name in configs/dependency-cruiser.mjs. */
  readonly rule: string;
  readonly file: string;
  readonly code: string;
}

const sideEffect = (rule: string, file: string, imported: string): PlantedImport => ({
  rule,
  file,
  code: `import '${imported}';\n`,
});

/** At least one violation of every rule; each file of the list is planted into a copy of `src`. */
export const plantedImports: readonly PlantedImport[] = [
  sideEffect('gen-parts', 'src/gen/planted-parts.ts', '../domain/user.ts'),
  sideEffect('gen-packages', 'src/gen/planted-packages.ts', 'uuid'),
  sideEffect('gen-node', 'src/gen/planted-node.ts', 'node:fs'),
  sideEffect('domain-parts', 'src/domain/planted-parts.ts', '../eventstore/log.ts'),
  {
    rule: 'domain-parts',
    file: 'src/domain/planted-type.ts',
    code: "import type { Log } from '../eventstore/log.ts';\nexport type Planted = Log;\n",
  },
  sideEffect('domain-packages', 'src/domain/planted-packages.ts', 'uuid'),
  sideEffect('domain-node', 'src/domain/planted-node.ts', 'node:crypto'),
  sideEffect('eventstore-parts', 'src/eventstore/planted-domain.ts', '../domain/user.ts'),
  sideEffect('eventstore-parts', 'src/eventstore/planted-gen.ts', '../gen/jetledger/user/v1/user_pb.ts'),
  sideEffect('eventstore-parts', 'src/eventstore/nats/planted-deep.ts', '../../platform/planted-target.ts'),
  sideEffect('eventstore-packages', 'src/eventstore/planted-packages.ts', 'fastify'),
  sideEffect('projections-parts', 'src/projections/planted-api.ts', '../api/planted-target.ts'),
  sideEffect('projections-parts', 'src/projections/planted-processes.ts', '../processes/planted-target.ts'),
  sideEffect('projections-packages', 'src/projections/planted-packages.ts', 'fastify'),
  sideEffect('processes-parts', 'src/processes/planted-projections.ts', '../projections/planted-target.ts'),
  sideEffect(
    'processes-parts',
    'src/processes/payment/adapters/planted-platform.ts',
    '../../../platform/planted-target.ts',
  ),
  sideEffect('processes-packages', 'src/processes/planted-packages.ts', 'fastify'),
  sideEffect('app-parts', 'src/app/planted-platform.ts', '../platform/planted-target.ts'),
  sideEffect('app-parts', 'src/app/planted-nats-log.ts', '../eventstore/nats/wire.ts'),
  sideEffect('app-packages', 'src/app/planted-packages.ts', '@nats-io/transport-node'),
  sideEffect('api-parts', 'src/api/planted-platform.ts', '../platform/planted-target.ts'),
  sideEffect('api-parts', 'src/api/planted-projections.ts', '../projections/planted-target.ts'),
  sideEffect('api-packages', 'src/api/planted-packages.ts', '@nats-io/transport-node'),
  sideEffect('platform-parts', 'src/platform/planted-domain.ts', '../domain/user.ts'),
  sideEffect('platform-packages', 'src/platform/planted-packages.ts', 'fastify'),
  sideEffect('known-folders', 'src/helpers/planted-folder.ts', '../domain/user.ts'),
  sideEffect('top-is-not-imported', 'src/app/planted-top.ts', '../cli/planted-target.ts'),
  sideEffect('no-cycles', 'src/domain/planted-cycle-a.ts', './planted-cycle-b.ts'),
  sideEffect('no-barrels', 'src/domain/planted-barrel-user.ts', './index.ts'),
  {
    rule: 'no-re-exports',
    file: 'src/domain/index.ts',
    code: "export { user } from './user.ts';\n",
  },
  sideEffect('no-test-code', 'src/app/planted-test-code.ts', '../../test/planted-target.ts'),
  sideEffect('no-dev-packages', 'src/cli/planted-dev-package.ts', 'vitest'),
  sideEffect('resolvable', 'src/app/planted-missing.ts', './nowhere.ts'),
];

/** Files that break nothing: what the violations above point at, and what the rules must let through. */
export const innocentFiles: readonly { readonly file: string; readonly code: string }[] = [
  ...['src/platform', 'src/api', 'src/processes', 'src/projections', 'src/cli', 'test'].map((folder) => ({
    file: `${folder}/planted-target.ts`,
    code: 'export const target = 1;\n',
  })),
  { file: 'src/processes/payment/adapters/planted-library.ts', code: "import 'fastify';\n" },
  { file: 'src/eventstore/planted-kernel.ts', code: "import 'node:crypto';\nimport '@nats-io/jetstream';\n" },
  { file: 'src/api/planted-route.ts', code: "import 'fastify';\nimport '../eventstore/command.ts';\n" },
  // The other half of the planted cycle, which is reported once, under its first file.
  { file: 'src/domain/planted-cycle-b.ts', code: "import './planted-cycle-a.ts';\n" },
  { file: 'src/cli/planted-wiring.ts', code: "import '../platform/planted-target.ts';\n" },
];
