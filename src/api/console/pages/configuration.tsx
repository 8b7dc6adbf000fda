import { useEffect, useState } from 'preact/hooks';
import type { ConfigurationBody } from '../../operators/upkeep.ts';
import { get, situation } from '../api.ts';
import { count, many } from '../format.ts';
import { Badge, Empty, Table } from '../parts.tsx';
import { textOf } from '../session.ts';

type Setting = ConfigurationBody['items'][number];
type Instances = ConfigurationBody['instances'];

const SHOWN = ['differing', 'set', 'all'] as const;

/** What the processes run with, and how they differ. */
export function Configuration() {
  const [found, setFound] = useState<ConfigurationBody | undefined>();
  const [problem, setProblem] = useState('');
  const [shown, setShown] = useState<(typeof SHOWN)[number]>('set');
  const [text, setText] = useState('');
  // Again when a process comes or goes.
  const processes = (situation.value?.instances ?? []).map(({ id }) => id).join();
  useEffect(() => {
    const ended = new AbortController();
    get<ConfigurationBody>('/v1/admin/configuration', ended.signal)
      .then(setFound)
      .catch((error: unknown) => !ended.signal.aborted && setProblem(textOf(error)));
    return () => ended.abort();
  }, [processes]);
  if (problem !== '') return <p role="alert">{problem}</p>;
  if (found === undefined) return <Empty>Looking …</Empty>;
  const differing = found.items.filter(({ values }) => values.length > 1).length;
  const wanted = found.items.filter(
    ({ name, values }) =>
      name.toLowerCase().includes(text.toLowerCase()) &&
      (shown === 'all' ||
        (shown === 'differing' ? values.length > 1 : values.some(({ origin }) => origin !== 'default'))),
  );
  return (
    <>
      <h1>Configuration</h1>
      <p>
        {many(found.instances.length, 'process', 'processes')};{' '}
        {differing === 0 ? (
          <Badge tone="good">all run with the same settings</Badge>
        ) : (
          <Badge tone="plain">{many(differing, 'setting differs', 'settings differ')}</Badge>
        )}
      </p>
      <search class="search">
        <label class="grow">
          <span class="label">Name</span>
          <input type="search" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <label>
          <span class="label">Show</span>
          <select
            value={shown}
            onChange={({ currentTarget: { value } }) =>
              setShown(SHOWN.find((known) => known === value) ?? 'all')
            }
          >
            <option value="set">what is set</option>
            <option value="differing">what differs</option>
            <option value="all">all</option>
          </select>
        </label>
      </search>
      {wanted.length === 0 ? (
        <Empty>No setting like that.</Empty>
      ) : (
        <Table label="Settings" names={['Setting', 'Value', 'From', 'Processes']}>
          {wanted.map((setting) => (
            <Lines key={setting.name} setting={setting} instances={found.instances} />
          ))}
        </Table>
      )}
      <p class="faint">
        {count(wanted.length)} of {count(found.items.length)}. Secrets are never told, nor whether they
        differ.
      </p>
    </>
  );
}

function Lines({ setting, instances }: { readonly setting: Setting; readonly instances: Instances }) {
  const nameOf = (id: string): string => {
    const one = instances.find((instance) => instance.id === id);
    return one === undefined ? id : `${one.name} (${one.roles.join(', ')})`;
  };
  return (
    <>
      {setting.values.map(({ value, origin, instances: ids }, at) => (
        <tr key={origin + value}>
          <th scope="row" class="mono">
            {at === 0 ? setting.name : <span class="faint">{setting.name}</span>}
          </th>
          <td class="mono">{value === '' ? '(empty)' : (value ?? 'not known')}</td>
          <td class="mono">{origin}</td>
          <td>{ids.length === instances.length ? 'all' : ids.map(nameOf).join('; ')}</td>
        </tr>
      ))}
    </>
  );
}
