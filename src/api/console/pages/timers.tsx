import type { PaymentBody, TimerBody } from '../../operators/waiting.ts';
import { payments, timers } from '../api.ts';
import { count, shortId } from '../format.ts';
import { AggregateLink, Badge, Due, Empty, Table, Time } from '../parts.tsx';

/** What time or a payment provider is waited for. */
export function Timers() {
  const found = timers.value;
  const doubtful = payments.value;
  if (found === undefined || doubtful === undefined) return <Empty>Looking …</Empty>;
  return (
    <>
      <h1>Timers and payments</h1>
      <h2>Payments in doubt</h2>
      {doubtful.length === 0 ? (
        <Empty>
          <Badge tone="good">No payment is in doubt.</Badge>
        </Empty>
      ) : (
        <Table label="Payments in doubt" names={['Order', 'To', 'Since', 'State', 'Position']}>
          {doubtful.map((payment) => (
            <Payment key={`${payment.id}${payment.position}`} payment={payment} />
          ))}
        </Table>
      )}
      <h2>Timers</h2>
      {found.items.length === 0 ? (
        <Empty>No timer waits.</Empty>
      ) : (
        <Table label="Timers" names={['Due', 'Kind', 'Aggregate', 'State']}>
          {found.items.map((timer) => (
            <Line key={`${timer.kind}${timer.id}${timer.state}`} timer={timer} />
          ))}
        </Table>
      )}
      <p class="faint">
        The {count(found.items.length)} soonest of {count(found.total)}
        {!found.complete && ', among the 2,000 that were armed first'}. A timer of the kind payment-deadline
        is a payment that is due.
      </p>
    </>
  );
}

function Payment({
  payment: { id, step, since, parked, error, position },
}: {
  readonly payment: PaymentBody;
}) {
  return (
    <tr>
      <td>
        <AggregateLink category="order" id={id} />
      </td>
      <td>{step}</td>
      <td>
        <Time at={since} />
      </td>
      <td>
        {parked ? (
          <>
            <Badge tone="bad">waits for an operator</Badge> {error} <a href="/console/stuck">Stuck</a>
          </>
        ) : (
          <Badge tone="warn">tried again</Badge>
        )}
      </td>
      <td class="number">{count(position)}</td>
    </tr>
  );
}

function Line({ timer: { kind, category, id, at, state } }: { readonly timer: TimerBody }) {
  return (
    <tr>
      <td>
        <Due at={at} />
      </td>
      <td>{kind}</td>
      <td>
        {category === undefined ? (
          <span class="mono">{shortId(id)}</span>
        ) : (
          <AggregateLink category={category} id={id} />
        )}
      </td>
      <td>{state}</td>
    </tr>
  );
}
