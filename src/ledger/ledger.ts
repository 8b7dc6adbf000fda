import { checkStream, history, KeysUnavailable } from '../eventstore/index.ts';
import type { Projection } from '../projections/engine/index.ts';
import { connectLedger } from './make.ts';
import type { Ledger, LedgerOptions } from './options.ts';
import { checkNames, openHandler, openOwnLog, openOwnViews, startReactions, warnOf } from './parts.ts';
import { openForgetting, openPersonal } from './personal.ts';
import { ledgerSettings, serverSettings } from './settings.ts';
import { viewOf } from './view.ts';

/**
 * Connects (or starts the embedded server), makes what is needed where no production is, and starts the views and
 * reactions of this process.
 * @throws NatsUnusable, NatsServerError, UnsafeLog, PermissionDenied, EventStoreError (`log/missing`, `ledger/...`),
 *   RangeError; each names the setting or what is missing, and its cure
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  checkNames(options);
  const ends: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    // Nothing stays open because something before it could not be closed.
    const failed: unknown[] = [];
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
      await end().catch((error: unknown) => failed.push(error));
    }
    if (failed.length > 0) throw failed[0];
  };
  try {
    return await openInOrder(options, (end) => ends.push(end), close);
  } catch (error) {
    // The reason why it could not be opened says more than what came of closing.
    await close().catch(() => undefined);
    throw error;
  }
}

async function openInOrder(
  options: LedgerOptions,
  opened: (end: () => Promise<unknown>) => void,
  close: () => Promise<void>,
): Promise<Ledger> {
  const isPersonal = options.personal !== undefined;
  const settings = ledgerSettings(options.prefix, { personal: isPersonal, ...options.settings });
  const { nats = {}, views = [], onTrouble = warnOf } = options;
  const { requestTimeoutMs } = serverSettings(nats);
  const server = await connectLedger(nats, settings);
  opened(server.close);
  const base = { options, settings, server, onTrouble, requestTimeoutMs };
  const log = await openOwnLog(base);
  const { prefix, replicas } = settings.log;
  const keys = { requests: server.requests, prefix, replicas, requestTimeoutMs };
  const personal = await openPersonal({ ...keys, personal: options.personal });
  const forgetting = personal.encrypt ? await openForgetting(keys) : undefined;
  const handler = await openHandler(base, log, personal);
  opened(handler.close);
  const { reader, stop } = openOwnViews(base, log);
  opened(stop);
  const engine = await startReactions(base, { log, handler, reader, personal });
  if (engine !== undefined) opened(engine.stop);
  const { execute, load, find, commitAll } = handler;
  let closed: Promise<void> | undefined;
  return {
    ...{ execute, load, find, commitAll, log, handler, reader, personal, server },
    history: ({ category }, id, until) => history(log, checkStream({ category, id }), until),
    view: <Row>(view: Projection<Row> | string) => viewOf(reader, views, view),
    forget: async (person) => {
      if (forgetting === undefined) throw new KeysUnavailable('this ledger was opened without `personal`');
      await forgetting.forget(person);
    },
    status: async () => ({
      connected: server.requests.connected(),
      views: await reader.status(),
      reactions: engine?.status() ?? [],
    }),
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}
