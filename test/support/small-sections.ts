import { type ProductEvent, type ProductState, product } from '../../src/domain/product.ts';
import { emptySectionedMap, type SectionLimits } from '../../src/domain/sectioned-map.ts';

/** So small that a handful of orders makes sections and generations. */
const SMALL: SectionLimits = { inOnePiece: 2, sections: 3, generation: 4 };

/** Products as they are, but for when their reservations are divided. */
export const smallProduct: typeof product = { ...product, evolve };

function evolve(before: ProductState, event: ProductEvent): ProductState {
  const state = product.evolve(before, event);
  if (before.status !== 'absent' || state.status === 'absent') return state;
  return { ...state, reservations: { ...state.reservations, open: emptySectionedMap(SMALL) } };
}

/** The hooks of products, which every one of them has. */
export function sectionsOf(decider: typeof product) {
  if (decider.sections === undefined) throw new Error('products have sections');
  return decider.sections;
}
