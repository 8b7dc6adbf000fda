import { parseArgs } from 'node:util';
import { createNatsBuckets } from '../eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { RebuildProgress } from '../projections/beside.ts';
import { allProjections } from '../projections/read-side.ts';
import { rebuild } from '../projections/rebuild.ts';
import { type Command, UsageError } from './command.ts';
import { openLog, openNats } from './open.ts';

const NAMES = allProjections.map((projection) => projection.name).join(', ');

export const rebuildCommand: Command = {
  name: 'rebuild',
  usage: '<view> | --all',
  summary: 'Replay the log into a fresh bucket of a view and switch to it.',
  help: `Views: ${NAMES}.
The live view answers until the new one has caught up; a running service switches by itself.

Examples:
  jetledger rebuild orders
  jetledger rebuild --all`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { all: { type: 'boolean', default: false } },
    });
    const chosen = allProjections.filter((p) => values.all || positionals.includes(p.name));
    const unknown = positionals.filter((name) => !allProjections.some((p) => p.name === name));
    if (unknown.length > 0) throw new UsageError(`There is no view ${unknown.join(', ')}. Views: ${NAMES}.`);
    if (chosen.length === 0) throw new UsageError(`Name a view, or --all. Views: ${NAMES}.`);
    const nats = await openNats(config(), 'join');
    try {
      const log = await openLog(config(), nats, print);
      const { requests } = nats;
      const { prefix, replicas } = config().log;
      const timeoutMs = config().nats.requestTimeoutMs;
      const buckets = createNatsBuckets({
        requests,
        runtime: systemRuntime,
        replicas,
        timeoutMs,
        announceLosses: true,
      });
      for (const projection of chosen) {
        const bar = progressBar(projection.name, print);
        const onProgress = bar.show;
        const result = await rebuild({
          log,
          buckets,
          projection,
          runtime: systemRuntime,
          settings: { prefix },
          onProgress,
        });
        bar.end();
        print(
          result.switched
            ? `${projection.name}: now in ${result.bucket}`
            : `${projection.name}: another rebuild was faster`,
        );
      }
      return 0;
    } finally {
      await nats.close();
    }
  },
};

const WIDTH = 30;

/** A bar that is drawn over itself on a terminal, and a line now and then elsewhere. */
function progressBar(
  name: string,
  print: (line: string) => void,
): { show(p: RebuildProgress): void; end(): void } {
  const live = process.stdout.isTTY === true;
  let lastLine = 0;
  return {
    show: ({ applied, total, eventsPerSecond, etaSeconds }) => {
      const share = total === 0 ? 1 : Math.min(1, applied / total);
      const bar = '#'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '.');
      const line = `${name} [${bar}] ${applied}/${total}, ${Math.round(eventsPerSecond)} events/s, ${Math.ceil(etaSeconds ?? 0)} s left`;
      if (live) process.stdout.write(`\r${line}\u001b[K`);
      else if (Date.now() - lastLine > 2_000) {
        lastLine = Date.now();
        print(line);
      }
    },
    end: () => {
      if (live) process.stdout.write('\n');
    },
  };
}
