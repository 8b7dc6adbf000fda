import type { Attributes } from '@opentelemetry/api';

/** Names of what spans say beyond the semantic conventions. Ids are fine in values, personal data is not. */
export const SAYS = {
  category: 'jetledger.category',
  aggregateId: 'jetledger.aggregate.id',
  outcome: 'jetledger.outcome',
  rejection: 'jetledger.rejection',
  version: 'jetledger.version',
  attempts: 'jetledger.attempts',
  repeated: 'jetledger.repeated',
  commands: 'jetledger.commands',
  position: 'jetledger.position',
  commitId: 'jetledger.commit.id',
  attempt: 'jetledger.attempt',
  redriven: 'jetledger.redriven',
  redelivered: 'jetledger.redelivered',
  step: 'jetledger.step',
  orderId: 'jetledger.order.id',
  reason: 'jetledger.reason',
  views: 'jetledger.views',
  view: 'jetledger.view',
  problem: 'jetledger.problem.code',
} as const;

/** What every span of a message says of it. The system has two names while the conventions rename it. */
export function messaging(
  operation: 'append' | 'publish' | 'process',
  destination: string,
  more: Attributes = {},
): Attributes {
  return {
    'messaging.system': 'nats',
    'messaging.system.name': 'nats',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation === 'process' ? 'process' : 'send',
    'messaging.destination.name': destination,
    ...more,
  };
}
