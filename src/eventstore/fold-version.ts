import { createHash } from 'node:crypto';
import type { DescMessage } from '@bufbuild/protobuf';
import type { Upcaster } from './decider.ts';

interface Foldable {
  readonly events: readonly DescMessage[];
  readonly upcasters?: readonly Upcaster[];
  readonly evolve: (state: never, event: never) => unknown;
  readonly initial: unknown;
  readonly foldRevision?: number;
}

const versions = new WeakMap<object, string>();

/**
 * Names what a decider folds to: a digest of its `evolve`, its initial state, the shape of its events, its upcasters and
 * its `foldRevision`. Another fold never meets this one's snapshots. Code that `evolve` calls is not part of the digest:
 * raise `foldRevision` when it changes (the sampled verification finds it when that was forgotten).
 */
export function foldVersionOf(decider: Foldable): string {
  let version = versions.get(decider);
  if (version === undefined) {
    const hash = createHash('sha256');
    hash.update(`${decider.foldRevision ?? 0}\n${decider.evolve.toString()}\n`);
    hash.update(
      JSON.stringify(decider.initial, (_key, value: unknown) =>
        typeof value === 'bigint' ? `${value}n` : value,
      ),
    );
    for (const event of decider.events) hash.update(shapeOf(event, new Set()));
    for (const u of decider.upcasters ?? [])
      hash.update(`\n${u.type}/${u.fromVersion} ${u.upcast.toString()}`);
    version = hash.digest('hex').slice(0, 12);
    versions.set(decider, version);
  }
  return version;
}

/** A message with its fields and, once each, the messages within it. */
function shapeOf(message: DescMessage, seen: Set<DescMessage>): string {
  if (seen.has(message)) return message.name;
  seen.add(message);
  const fields = message.fields.map((f) => {
    const within = f.message === undefined ? '' : shapeOf(f.message, seen);
    return `${f.number}:${f.name}:${f.fieldKind}:${f.scalar ?? ''}${within}`;
  });
  return `\n${message.name}{${fields.join(',')}}`;
}
