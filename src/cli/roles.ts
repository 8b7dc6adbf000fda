import { createUseCases } from '../app/create-use-cases.ts';
import type { UseCaseSettings } from '../app/steps.ts';
import type { UseCases } from '../app/use-cases.ts';
import type { Handler } from '../eventstore/handler.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import { hasRole } from '../platform/config/roles.ts';
import type { Config } from '../platform/config/schema.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import { type NatsMonitor, startNatsMonitor } from '../platform/nats-monitor.ts';
import type { ConsumerStatus } from '../processes/engine/status.ts';
import type { ReadSide } from '../projections/read-side.ts';
import type { Core } from './core.ts';
import { startGauges } from './metering.ts';
import { buildHandler, buildReadSide } from './parts.ts';

/** What this process does besides answering over HTTP. */
export interface Parts {
  /** Queries, from views that are kept here or elsewhere. */
  readonly readSide: ReadSide;
  /** The way to change aggregates; only where a role changes some. */
  readonly commands: Commands | undefined;
  /** The consumers of this process; none without the role. */
  readonly consumers: () => readonly ConsumerStatus[];
  readonly monitor: NatsMonitor;
}

/** The command path of a process. */
export interface Commands {
  readonly handler: Handler;
  readonly useCases: UseCases;
}

/** Starts what the roles of this process need, and nothing else. */
export async function startRoles(core: Core, lifecycle: Lifecycle): Promise<Parts> {
  const { config, nats, log, logger, metering } = core;
  const tracer = core.tracing?.tracer;
  const changes = hasRole(config, 'api') || hasRole(config, 'processes');
  const commands = changes ? await openCommands(core, lifecycle) : undefined;
  const { readSide, stop } = buildReadSide(config, nats, log, logger, metering, tracer);
  const kept = hearing(nats, 'their last rows and checkpoints were not written', stop);
  lifecycle.started('views', hasRole(config, 'projections') ? kept : stop);
  const consumers = await startConsumers(core, lifecycle, readSide, commands);
  const monitor = startNatsMonitor({ urls: nats.monitorUrls, stream: config.log.stream });
  lifecycle.started('NATS monitor', monitor.stop);
  if (metering !== undefined) startGauges(metering, { config, nats, log, readSide, monitor, consumers });
  return { readSide, commands, consumers, monitor };
}

async function openCommands(core: Core, lifecycle: Lifecycle): Promise<Commands> {
  const { config, nats, log, logger, metering, tracing } = core;
  const handler = await buildHandler(config, nats, log, logger, metering, tracing?.tracer);
  lifecycle.started('snapshots', hearing(nats, 'those that waited, if any, were not written', handler.close));
  const { emailKey } = nats;
  const settings = useCaseSettings(config);
  return { handler, useCases: createUseCases({ handler, runtime: systemRuntime, emailKey, settings }) };
}

async function startConsumers(
  core: Core,
  lifecycle: Lifecycle,
  readSide: ReadSide,
  commands: Commands | undefined,
): Promise<() => readonly ConsumerStatus[]> {
  if (commands === undefined || !hasRole(core.config, 'processes')) return () => [];
  // Loaded only where somebody reacts to events.
  const { startProcesses } = await import('./processes.ts');
  const processes = await startProcesses({ ...core, ...commands, readSide, tracer: core.tracing?.tracer });
  const stop = hearing(core.nats, 'their last places in the log were not written', processes.stop);
  lifecycle.started('processes', stop, () => underWay(processes.status()));
  return processes.status;
}

/** Closes what writes to NATS at its end, and fails when NATS is away then, so that it is told what is missing. */
function hearing({ requests }: Core['nats'], missing: string, close: () => Promise<unknown>) {
  return async (): Promise<void> => {
    await close();
    if (!requests.connected()) throw new Error(`NATS is away: ${missing}; the next start makes up for it`);
  };
}

function underWay(consumers: readonly ConsumerStatus[]): string {
  const busy = consumers.filter(({ running }) => running > 0);
  return busy.map(({ consumer, running }) => `${consumer}: ${running} under way`).join(', ');
}

function useCaseSettings({ users, commands, processes, payment }: Config): UseCaseSettings {
  return {
    staleClaimMs: users.staleClaimMs,
    priceMaxAgeMs: commands.priceMaxAgeMs,
    paymentDeadlineMs: processes.paymentDeadlineMs,
    defaultPaymentToken: payment.adapter === 'simulated' ? 'tok_success' : undefined,
  };
}
