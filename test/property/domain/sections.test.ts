import { deserialize, serialize } from 'node:v8';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ProductCommand, ProductState } from '../../../src/domain/product.ts';
import { sectionsOf, smallProduct } from '../../support/small-sections.ts';

const AT = 1_700_000_000_000;
const orderId = fc.integer({ min: 1, max: 9 }).map((i) => `order-${i}`);
const ask = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('reserveStock' as const),
      orderId,
      quantity: fc.constantFrom(1, 2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constantFrom('releaseStock' as const, 'shipStock' as const), orderId }),
  },
);
/** What happens: a command, a process that begins with what is stored, or a section that is stored. */
type Step = { readonly ask: ProductCommand } | { readonly restart: true } | { readonly store: number };
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: ask.map((command): Step => ({ ask: { ...command, at: AT } })) },
    { weight: 2, arbitrary: fc.constant<Step>({ restart: true }) },
    { weight: 2, arbitrary: fc.nat({ max: 2 }).map((store): Step => ({ store })) },
  ),
  { minLength: 20, maxLength: 120 },
);

interface Stored {
  readonly generation: number;
  readonly section: unknown;
}

/** How often it came to what the test is about. */
interface Seen {
  lacking: number;
  put: number;
  tooOld: number;
}

/**
 * Two products in step: one that is never taken apart, and one that is stored and begun anew from its head now and then.
 * They must say and be the same.
 * @param tolerance how many generations a stored section may be behind
 */
function inStep(decider: typeof smallProduct, all: readonly Step[], tolerance = 1, seen?: Seen): void {
  const sections = sectionsOf(decider);
  const beginning: ProductCommand[] = [
    { type: 'list', sku: 'TEA-1', name: 'Tea', priceMinor: 1n, currency: 'EUR', at: AT },
    { type: 'receiveStock', receiptId: 'r', quantity: 12, at: AT },
  ];
  let whole: ProductState = decider.initial;
  let partial: ProductState = decider.initial;
  const stored: Stored[] = [];

  const put = (index: number): boolean => {
    if (sections.take(partial, index) !== undefined) return true;
    if (seen !== undefined) seen.lacking++;
    const found = stored[index];
    if (found === undefined || found.generation < sections.generationOf(partial) - tolerance) {
      if (seen !== undefined) seen.tooOld++;
      // What a process then does: it folds the log.
      partial = whole;
      return false;
    }
    if (seen !== undefined) seen.put++;
    partial = sections.put(partial, index, found.section);
    return true;
  };
  const store = (index: number): void => {
    if (index >= sections.countIn(partial)) return;
    put(index);
    const section = deserialize(serialize(sections.take(partial, index)));
    stored[index] = { generation: sections.generationOf(partial), section };
  };
  const restart = (): void => {
    const generation = sections.generationOf(partial);
    for (let i = 0; generation > 0 && i < sections.countIn(partial); i++) {
      if ((stored[i]?.generation ?? 0) < generation - tolerance) store(i);
    }
    partial = sections.fromHead(deserialize(serialize(sections.head(partial))));
  };
  const execute = (command: ProductCommand): void => {
    const missing = sections.missing(partial, command);
    if (missing !== undefined) put(missing);
    const outcome = decider.decide(command, whole);
    expect(decider.decide(command, partial)).toEqual(outcome);
    if ('code' in outcome) return;
    whole = outcome.reduce(decider.evolve, whole);
    partial = outcome.reduce(decider.evolve, partial);
  };

  for (const command of beginning) execute(command);
  for (const step of all) {
    if ('ask' in step) execute(step.ask);
    else if ('store' in step) store(step.store);
    else restart();
    expect(sections.head(partial)).toEqual(sections.head(whole));
    for (let i = 0; i < sections.countIn(whole); i++) {
      const section = sections.take(partial, i);
      if (section !== undefined) expect(section).toEqual(sections.take(whole, i));
    }
  }
}

const holdsFor = (decider: typeof smallProduct, tolerance?: number) =>
  fc.assert(
    fc.property(steps, (all) => inStep(decider, all, tolerance)),
    { numRuns: 400, seed: 7, endOnFailure: true },
  );

test('a product of which sections are away folds and decides as a whole one', () => {
  const seen: Seen = { lacking: 0, put: 0, tooOld: 0 };
  fc.assert(
    fc.property(steps, (all) => inStep(smallProduct, all, 1, seen)),
    { numRuns: 200 },
  );
  expect(seen.put).toBeGreaterThan(200);
  expect(seen.tooOld).toBeGreaterThan(5);
});

test('a section that is older than the generation before would be noticed', () => {
  expect(() => holdsFor(smallProduct, 2)).toThrow();
});

test('a section that is not brought up to date would be noticed', () => {
  const sections = sectionsOf(smallProduct);
  const put: typeof sections.put = (state, index, section) => {
    if (state.status === 'absent') return state;
    const { open } = state.reservations;
    const unchanged = {
      ...open,
      latest: { entries: [], children: [] },
      before: { entries: [], children: [] },
    };
    const stale = sections.put(
      { ...state, reservations: { ...state.reservations, open: unchanged } },
      index,
      section,
    );
    if (stale.status === 'absent') return state;
    const joined = { ...open, sections: stale.reservations.open.sections };
    return { ...state, reservations: { ...state.reservations, open: joined } };
  };
  expect(() => holdsFor({ ...smallProduct, sections: { ...sections, put } })).toThrow();
});

test('what is away is never taken for absent: a decision on it throws', () => {
  const sections = sectionsOf(smallProduct);
  const blind = { ...smallProduct, sections: { ...sections, missing: () => undefined } };
  expect(() => holdsFor(blind)).toThrow(
    expect.objectContaining({ cause: new Error('The section of this key is not loaded.') }),
  );
});
