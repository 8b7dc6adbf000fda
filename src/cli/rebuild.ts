import { createNatsBuckets } from '../eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { RebuildProgress } from '../projections/beside.ts';
import type { Projection } from '../projections/projection.ts';
import { type RebuildDeps, type RebuildResult, rebuild, rollback } from '../projections/rebuild.ts';
import { refoldOne } from '../projections/refold-one.ts';
import type { Command } from './command.ts';
import { feedOfViews } from './fast-paths.ts';
import { interruptible } from './interrupt.ts';
import { openLog, openNats } from './open.ts';
import { type RebuildRequest, rebuildRequest, VIEW_NAMES } from './rebuild-options.ts';
import { openCommandTracing } from './tracing.ts';

export const rebuildCommand: Command = {
  name: 'rebuild',
  usage: '<view> | --all [options]',
  summary: 'Replay the log into a fresh bucket of a view and switch to it.',
  help: `Views: ${VIEW_NAMES}.
The live view answers until the new one has caught up; a running service switches by itself. Ctrl-C cancels: the
live view stays as it was, and --resume goes on with what was filled.

  --diff              print each key that differs between the old view and the new one, before the switch
  --throttle N        read at most N commits a second
  --resume            go on with what an earlier rebuild has left
  --from-position N   keep the rows that nothing after that position has touched
  --from-time TIME    the same from a time, for example 2026-01-15T09:30:00Z
  --id ID             fold only the row of that aggregate again, in the live view
  --rollback          point the view back at the bucket that was live before the last switch
  --json              print one line of JSON for each view (differing keys with --diff), and no progress

Examples:
  jetledger rebuild orders
  jetledger rebuild orders --diff --throttle 5000
  jetledger rebuild orders --id 4abe501a
  jetledger rebuild --all`,
  run: async (args, { config, logger, print }) => {
    const request = rebuildRequest(args);
    const nats = await openNats(config(), 'join');
    const tracing = await openCommandTracing(config(), logger);
    try {
      // With --json every line of the output is JSON.
      const log = await openLog(config(), nats, request.json ? () => undefined : print);
      const { requests } = nats;
      const { prefix, replicas } = config().log;
      const timeoutMs = config().nats.requestTimeoutMs;
      const runtime = systemRuntime;
      const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: true });
      const feed = feedOfViews(log, config().projections);
      const settings = { prefix, groups: config().projections.groups, ...feed.settings };
      const deps = { log: feed.log, buckets, runtime, settings };
      await interruptible(async (signal) => {
        for (const projection of request.chosen) {
          await perform({ ...deps, projection }, request, { signal, print });
        }
      });
      return 0;
    } finally {
      await tracing?.stop(config().tracing.exportTimeoutMs);
      await nats.close();
    }
  },
};

interface Terminal {
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

async function perform(
  deps: RebuildDeps,
  { mode, id, json, ...request }: RebuildRequest,
  { signal, print }: Terminal,
): Promise<void> {
  const { projection } = deps;
  const view = projection.name;
  if (id !== undefined) {
    const { position } = await refoldOne({ ...deps, id });
    print(
      json
        ? JSON.stringify({ view, id, position })
        : `${view}: ${id} is folded again, up to position ${position}`,
    );
    return;
  }
  const bar = json ? NO_BAR : progressBar(view, print);
  const onProgress = bar.show;
  try {
    const result =
      mode === 'rollback'
        ? await rollback({ ...deps, signal, onProgress })
        : await rebuild({ ...deps, ...optionsOf(request, json, print), signal, onProgress });
    bar.end();
    if (json) print(JSON.stringify({ view, ...result }));
    else report(projection, result, print);
  } catch (error) {
    bar.end();
    throw error;
  }
}

function optionsOf(
  { diff, resume, commitsPerSecond, from }: Omit<RebuildRequest, 'mode' | 'id' | 'json'>,
  json: boolean,
  print: Terminal['print'],
) {
  return {
    resume,
    ...(commitsPerSecond !== undefined && { commitsPerSecond }),
    ...(from !== undefined && { from }),
    ...(diff && {
      onDifference: ({ key, kind }: { readonly key: string; readonly kind: string }) =>
        print(json ? JSON.stringify({ kind, key }) : `${kind.padEnd(8)} ${key}`),
    }),
  };
}

function report(
  { name }: Projection,
  { bucket, switched, dropped, comparison }: RebuildResult,
  print: Terminal['print'],
): void {
  if (comparison !== undefined) {
    const { rows, differing, open } = comparison;
    print(`${name}: ${rows} rows compared, ${differing} differ, ${open} changed too fast to tell`);
  }
  print(switched ? `${name}: now in ${bucket}` : `${name}: another rebuild was faster`);
  for (const old of dropped) print(`${name}: dropped ${old}`);
}

const WIDTH = 30;

const NO_BAR = { show: () => undefined, end: () => undefined };

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
