import { history, situation } from '../api.ts';
import { count, size } from '../format.ts';
import { Badge, Bar, Empty, Table, Tile, Time } from '../parts.tsx';
import { Plot } from '../plot.tsx';

/** How full the storage may be before it is told, as `JetLedgerStorageNearlyFull`. */
const NEARLY_FULL = 0.8;

/** Servers, log and processes. */
export function Health() {
  const found = situation.value;
  if (found === undefined) return <Empty>Looking …</Empty>;
  const { log, storage, servers, instances } = found;
  const { missing, wanted } = log.copies;
  const share =
    storage === undefined || storage.limitBytes === 0 ? 0 : storage.usedBytes / storage.limitBytes;
  return (
    <>
      <h1>Health</h1>
      <div class="tiles">
        <Tile name="Head of the log" value={count(log.head)} />
        <Tile name="Commits" value={count(log.commits)} />
        <Tile name="Size of the log" value={size(log.bytes)} />
        <Tile name="Copies" value={`${wanted - missing.length} of ${wanted}`} />
        <Tile name="Leader" value={log.leader ?? 'the only server'} />
        <Tile name="Incarnation" value={log.incarnation} />
      </div>
      {missing.length > 0 && (
        <p>
          <Badge tone="bad">Copies away or behind: {missing.join(', ')}</Badge>
        </p>
      )}
      {storage && storage.limitBytes > 0 && (
        <div class="outcome">
          <Bar
            label={`Storage: ${size(storage.usedBytes)} of ${size(storage.limitBytes)}`}
            parts={[
              [share > NEARLY_FULL ? 'bad' : 'good', storage.usedBytes] as const,
              ['plain', storage.limitBytes - storage.usedBytes] as const,
            ]}
          />
          <span>
            Storage: {size(storage.usedBytes)} of {size(storage.limitBytes)}
          </span>
        </div>
      )}
      <Plot
        title="Commits"
        unit="a second"
        points={history.value.map(({ at, rate }) => [at, rate] as const)}
      />
      <h2>Servers</h2>
      <Table label="Servers" names={['Server', 'Version', 'Health', 'Sync', 'Memory']}>
        {servers.map(({ name, version, illness, syncAlways, memoryBytes }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{version}</td>
            <td>
              {illness === undefined ? <Badge tone="good">well</Badge> : <Badge tone="bad">{illness}</Badge>}
            </td>
            <td>
              {syncAlways === undefined ? (
                'not known here'
              ) : syncAlways ? (
                <Badge tone="good">always</Badge>
              ) : (
                <Badge tone="warn">not always</Badge>
              )}
            </td>
            <td class="number">{memoryBytes === undefined ? '—' : size(memoryBytes)}</td>
          </tr>
        ))}
      </Table>
      <h2>Processes</h2>
      <Instances />
      <p class="faint">
        Instances are those that were heard of within a minute{instances.length > 0 ? '.' : ': none.'}
      </p>
    </>
  );
}

function Instances() {
  const instances = situation.value?.instances ?? [];
  const versions = new Set(instances.map(({ version }) => version));
  return (
    <Table label="Processes" names={['Process', 'Roles', 'Version', 'Node.js', 'Started', 'Heard of']}>
      {instances.map(({ id, name, roles, version, node, startedAt, seenAt }) => (
        <tr key={id}>
          <th scope="row">
            {name} <span class="faint mono">{id.slice(-6)}</span>
          </th>
          <td>{roles.join(', ')}</td>
          <td>{versions.size > 1 ? <Badge tone="warn">{version}</Badge> : version}</td>
          <td>{node}</td>
          <td>
            <Time at={startedAt} />
          </td>
          <td>
            <Time at={seenAt} />
          </td>
        </tr>
      ))}
    </Table>
  );
}
