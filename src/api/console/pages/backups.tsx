import { backups } from '../api.ts';
import { count, size } from '../format.ts';
import { Badge, Empty, Tile, Time } from '../parts.tsx';

/** The last backup, and whether it was proved. */
export function Backups() {
  const found = backups.value;
  if (found === undefined) return <Empty>Looking …</Empty>;
  const { taken, proved, restored } = found;
  const isOfLast = proved !== undefined && proved.takenAt === taken?.at;
  return (
    <>
      <h1>Backups</h1>
      {taken === undefined ? (
        <Empty>No backup was noted on this server. `jetledger backup` notes each.</Empty>
      ) : (
        <div class="tiles">
          <Tile name="Last backup" value={<Time at={taken.at} />} />
          <Tile name="Size" value={size(taken.bytes)} />
          <Tile name="Log up to" value={count(taken.last)} />
          <Tile name="Streams" value={count(taken.streams)} />
          <Tile name="Version" value={taken.version} />
        </div>
      )}
      <h2>Proof</h2>
      {proved === undefined ? (
        <p>
          <Badge tone="warn">Never proved.</Badge> `jetledger verify` folds every aggregate of a backup and
          notes what it found.
        </p>
      ) : (
        <p>
          <Badge tone={proved.ok ? 'good' : 'bad'}>{proved.ok ? 'whole' : 'not whole'}</Badge>{' '}
          {proved.problem} proved <Time at={proved.at} />, up to position {count(proved.last)}
          {isOfLast ? ', of the last backup.' : ', of an earlier backup than the last one.'}
        </p>
      )}
      {restored !== undefined && (
        <p>
          This log was brought back <Time at={restored.at} /> from a backup of <Time at={restored.takenAt} />,
          up to position {count(restored.last)}.
        </p>
      )}
    </>
  );
}
