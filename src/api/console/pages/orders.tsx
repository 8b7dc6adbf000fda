import type { OrderFunnelBody } from '../../operators/funnel.ts';
import { funnel } from '../api.ts';
import { count, timeText } from '../format.ts';
import { AggregateLink, Badge, Bar, Empty, Table, Time } from '../parts.tsx';

type Counts = OrderFunnelBody['hour'];

const STAGES = ['placed', 'validated', 'reserved', 'paid', 'confirmed'] as const;
const STEPS = {
  customer_validation: 'the customer is validated',
  inventory: 'stock is reserved',
  payment: 'it is paid',
} as const;

/** Orders as a funnel, and those that wait longest. */
export function Orders() {
  const now = funnel.value;
  if (now === undefined) return <Empty>Looking …</Empty>;
  const { hour, day, since, complete, waiting, at } = now;
  return (
    <>
      <h1>Orders</h1>
      <p class="faint">
        Counted at {timeText(at)}, from {timeText(since)} on.{' '}
        {!complete && <Badge tone="warn">the log is being read: the counts grow</Badge>}
      </p>
      <div class="pair">
        <Stages title="Last hour" counts={hour} />
        <Stages title="Last day" counts={day} />
      </div>
      <h2>On their way</h2>
      {waiting === undefined ? (
        <Empty>The list of orders on their way is being made.</Empty>
      ) : (
        <Table label="On their way" names={['Wait until', 'How many', 'The oldest', 'Placed', 'There since']}>
          {waiting.map((step) => (
            <Waiting key={step.step} waiting={step} />
          ))}
        </Table>
      )}
    </>
  );
}

function Stages({ title, counts }: { readonly title: string; readonly counts: Counts }) {
  const most = Math.max(1, ...STAGES.map((stage) => counts[stage]));
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <Table label={`${title}, by step`} names={['Step', 'Orders', 'Share']}>
        {STAGES.map((stage) => (
          <tr key={stage}>
            <th scope="row">{stage}</th>
            <td class="number">{count(counts[stage])}</td>
            <td class="wide">
              <Bar
                label={`${stage}: ${count(counts[stage])}`}
                parts={[
                  ['good', counts[stage]],
                  ['plain', most - counts[stage]],
                ]}
              />
            </td>
          </tr>
        ))}
        {counts.cancelled > 0 && (
          <tr>
            <th scope="row">cancelled</th>
            <td class="number">{count(counts.cancelled)}</td>
            <td />
          </tr>
        )}
        {counts.rejected.map(({ code, count: rejected }) => (
          <tr key={code}>
            <th scope="row">
              <Badge tone="bad">rejected</Badge> <span class="mono">{code}</span>
            </th>
            <td class="number">{count(rejected)}</td>
            <td />
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Waiting({ waiting }: { readonly waiting: NonNullable<OrderFunnelBody['waiting']>[number] }) {
  const { step, count: known, more, oldest } = waiting;
  const [first, ...rest] = oldest;
  const head = (
    <>
      <th scope="rowgroup" rowSpan={Math.max(1, oldest.length)}>
        {STEPS[step]}
      </th>
      <td class="number" rowSpan={Math.max(1, oldest.length)}>
        {more ? `more than ${count(known)}` : count(known)}
      </td>
    </>
  );
  if (first === undefined)
    return (
      <tr>
        {head}
        <td colSpan={3}>—</td>
      </tr>
    );
  return (
    <>
      <tr>
        {head}
        <Oldest order={first} />
      </tr>
      {rest.map((order) => (
        <tr key={order.id}>
          <Oldest order={order} />
        </tr>
      ))}
    </>
  );
}

function Oldest({
  order: { id, placedAt, since },
}: {
  readonly order: { id: string; placedAt: string; since: string };
}) {
  return (
    <>
      <td>
        <AggregateLink category="order" id={id} />
      </td>
      <td>
        <Time at={placedAt} />
      </td>
      <td>
        <Time at={since} />
      </td>
    </>
  );
}
