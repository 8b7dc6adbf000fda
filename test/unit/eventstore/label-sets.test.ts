import { expect, it } from 'vitest';
import { labelSets } from '../../../src/eventstore/telemetry/metrics.ts';

it('the same values are the same object of labels, and others another one', () => {
  const labels = labelSets('category', 'outcome');
  const first = labels('order', 'accepted');
  expect(first).toEqual({ category: 'order', outcome: 'accepted' });
  expect(labels('order', 'accepted')).toBe(first);
  expect(labels('order', 'rejected')).toEqual({ category: 'order', outcome: 'rejected' });
  expect(labels('accepted', 'order')).toEqual({ category: 'accepted', outcome: 'order' });
});
