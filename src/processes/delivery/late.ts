import type { Runtime } from '../../eventstore/index.ts';
import type { Flow } from './flow.ts';
import type { Deliverable, DeliveryOutlet, DeliverySettings, Receiver } from './port.ts';
import type { Tail } from './tail.ts';

interface LateDeps {
  readonly tails: readonly Tail[];
  readonly runtime: Runtime;
  readonly settings: Pick<DeliverySettings, 'giveUpMs'>;
  readonly outlet: DeliveryOutlet;
  readonly receiver: Receiver;
  readonly flow: Flow;
  readonly isOn: () => boolean;
}

/**
 * Gives up what has waited for `giveUpMs` behind a receiver that takes nothing, read or not: its stream may let go of it
 * before anybody has tried it. Nothing may be read meanwhile.
 */
export async function giveUpLate(deps: LateDeps, error: string): Promise<void> {
  const { tails, runtime, settings, outlet, receiver, flow, isOn } = deps;
  const giveUp = async (event: Deliverable, attempts: number, firstAt: number): Promise<void> => {
    if (receiver.wants(event))
      await outlet.giveUp({ receiver: receiver.id, event, attempts, firstAt, error });
  };
  for (const { source } of tails) {
    const end = await source.before(runtime.now() - settings.giveUpMs);
    for (const event of flow.waiting(source.name, end)) {
      if (!isOn()) return;
      const found = await source.at(event.position);
      if (found !== undefined) await giveUp(found, event.attempts, event.firstAt);
      flow.drop(event);
    }
    for (let high = flow.high(source.name) ?? end; high < end && isOn(); ) {
      const { events, through } = await source.page(high);
      for (const event of events) if (event.position <= end) await giveUp(event, 0, 0);
      high = Math.min(through, end);
      flow.pass(source.name, high);
    }
  }
}
