import { createHash } from 'node:crypto';
import type { DescMessage } from '@bufbuild/protobuf';

interface Foldable {
  readonly events: readonly DescMessage[];
  readonly evolve: (state: never, event: never) => unknown;
  readonly initial: unknown;
  readonly foldRevision?: number;
}

const versions = new WeakMap<object, string>();

/**
 * Names what a decider folds to: a digest of its `evolve`, its initial state, the shape of its events and its
 * `foldRevision`. Another fold never meets this one's snapshots. Code that `evolve` calls is not part of the digest:
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
    for (const event of decider.events) hash.update(shapeOf(event));
    version = hash.digest('hex').slice(0, 12);
    versions.set(decider, version);
  }
  return version;
}

function shapeOf(message: DescMessage): string {
  const fields = message.fields.map((f) => `${f.number}:${f.name}:${f.fieldKind}:${f.kind}`);
  return `\n${message.name}{${fields.join(',')}}`;
}
