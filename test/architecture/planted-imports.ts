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
  sideEffect('domain-parts', 'src/domain/planted-parts.ts', '../app/planted-target.ts'),
  {
    rule: 'domain-parts',
    file: 'src/domain/planted-type.ts',
    code: "import type { Log } from '../eventstore/log.ts';\nexport type Planted = Log;\n",
  },
  {
    rule: 'domain-imports-types-of-the-kernel',
    file: 'src/domain/planted-value.ts',
    code: "import { systemRuntime } from '../eventstore/index.ts';\nexport const planted = systemRuntime;\n",
  },
  sideEffect('domain-packages', 'src/domain/planted-packages.ts', 'uuid'),
  sideEffect('domain-node', 'src/domain/planted-node.ts', 'node:crypto'),
  sideEffect('eventstore-parts', 'src/eventstore/planted-domain.ts', '../domain/user.ts'),
  sideEffect('eventstore-parts', 'src/eventstore/planted-gen.ts', '../gen/jetledger/user/v1/user_pb.ts'),
  sideEffect('eventstore-parts', 'src/eventstore/nats/planted-deep.ts', '../../platform/planted-target.ts'),
  sideEffect('eventstore-packages', 'src/eventstore/planted-packages.ts', 'fastify'),
  sideEffect('eventstore-door', 'src/app/planted-log.ts', '../eventstore/log.ts'),
  sideEffect('eventstore-door', 'src/projections/engine/planted-log.ts', '../../eventstore/log.ts'),
  sideEffect('projections-engine-parts', 'src/projections/engine/planted-view.ts', '../views/users.ts'),
  sideEffect('projections-engine-parts', 'src/projections/engine/planted-domain.ts', '../../domain/order.ts'),
  sideEffect(
    'projections-engine-parts',
    'src/projections/engine/planted-engine.ts',
    '../../processes/engine/index.ts',
  ),
  sideEffect('projections-engine-packages', 'src/projections/engine/planted-packages.ts', 'fastify'),
  sideEffect('projections-engine-door', 'src/projections/views/planted-rows.ts', '../engine/rows.ts'),
  sideEffect('processes-engine-parts', 'src/processes/engine/planted-domain.ts', '../../domain/order.ts'),
  sideEffect('processes-engine-parts', 'src/processes/engine/planted-shop.ts', '../payment/port.ts'),
  sideEffect('processes-engine-packages', 'src/processes/engine/planted-packages.ts', 'fastify'),
  sideEffect('processes-engine-door', 'src/processes/order/planted-lanes.ts', '../engine/lanes.ts'),
  sideEffect('ledger-parts', 'src/ledger/planted-config.ts', '../platform/config/schema.ts'),
  sideEffect('ledger-packages', 'src/ledger/planted-packages.ts', 'pino'),
  sideEffect('ledger-door', 'src/service/planted-make.ts', '../ledger/make.ts'),
  sideEffect('kernel-of-platform', 'src/platform/nats-server/planted-config.ts', '../config/schema.ts'),
  sideEffect('kernel-of-platform-packages', 'src/platform/nats-server/planted-packages.ts', 'pino'),
  sideEffect('testing-parts', 'src/testing/planted-domain.ts', '../domain/user.ts'),
  sideEffect('testing-packages', 'src/testing/planted-packages.ts', 'fastify'),
  sideEffect('generator-parts', 'src/generator/planted-shop.ts', '../service/shop.ts'),
  sideEffect('generator-packages', 'src/generator/planted-packages.ts', 'yaml'),
  sideEffect('test-kit-is-not-loaded', 'src/service/planted-world.ts', '../testing/world.ts'),
  sideEffect('views-parts', 'src/projections/views/planted-api.ts', '../../api/planted-target.ts'),
  sideEffect(
    'views-parts',
    'src/projections/views/planted-processes.ts',
    '../../processes/planted-target.ts',
  ),
  sideEffect('views-packages', 'src/projections/views/planted-packages.ts', '@nats-io/jetstream'),
  sideEffect('processes-parts', 'src/processes/order/planted-views.ts', '../../projections/views/users.ts'),
  sideEffect(
    'processes-parts',
    'src/processes/payment/adapters/planted-platform.ts',
    '../../../platform/planted-target.ts',
  ),
  sideEffect('processes-packages', 'src/processes/planted-packages.ts', 'fastify'),
  sideEffect('processes-apart', 'src/processes/payment/planted-order.ts', '../order/react.ts'),
  sideEffect('app-parts', 'src/app/planted-platform.ts', '../platform/planted-target.ts'),
  sideEffect('app-parts', 'src/app/planted-nats-log.ts', '../eventstore/nats/wire.ts'),
  sideEffect('app-packages', 'src/app/planted-packages.ts', '@nats-io/transport-node'),
  sideEffect('api-parts', 'src/api/planted-platform.ts', '../platform/planted-target.ts'),
  sideEffect('api-parts', 'src/api/planted-processes.ts', '../processes/planted-target.ts'),
  sideEffect('api-packages', 'src/api/planted-packages.ts', '@nats-io/transport-node'),
  sideEffect('platform-parts', 'src/platform/planted-domain.ts', '../domain/user.ts'),
  sideEffect('platform-packages', 'src/platform/planted-packages.ts', 'fastify'),
  sideEffect('known-folders', 'src/helpers/planted-folder.ts', '../domain/user.ts'),
  sideEffect('top-is-not-imported', 'src/app/planted-top.ts', '../service/planted-target.ts'),
  sideEffect('commands-are-not-imported', 'src/service/planted-command.ts', '../cli/planted-target.ts'),
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
  ...['src/platform', 'src/api', 'src/app', 'src/processes', 'src/service', 'src/cli', 'test'].map(
    (folder) => ({
      file: `${folder}/planted-target.ts`,
      code: 'export const target = 1;\n',
    }),
  ),
  {
    file: 'src/domain/planted-decider.ts',
    code: "import type { Decider } from '../eventstore/index.ts';\nexport type Planted = Decider<never, never, never, never>;\n",
  },
  { file: 'src/processes/payment/adapters/planted-library.ts', code: "import 'fastify';\n" },
  { file: 'src/processes/order/planted-port.ts', code: "import '../payment/port.ts';\n" },
  { file: 'src/eventstore/planted-kernel.ts', code: "import 'node:crypto';\nimport '@nats-io/jetstream';\n" },
  { file: 'src/api/planted-route.ts', code: "import 'fastify';\nimport '../eventstore/index.ts';\n" },
  { file: 'src/ledger/planted-open.ts', code: "import '../platform/nats-server/embedded.ts';\n" },
  { file: 'src/testing/planted-kit.ts', code: "import '../eventstore/log.ts';\n" },
  // The other half of the planted cycle, which is reported once, under its first file.
  { file: 'src/domain/planted-cycle-b.ts', code: "import './planted-cycle-a.ts';\n" },
  { file: 'src/cli/planted-wiring.ts', code: "import '../service/planted-target.ts';\n" },
];
