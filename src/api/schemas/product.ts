import Type from 'typebox';
import {
  Currency,
  commandFields,
  GivenReason,
  Money,
  Name,
  Next,
  Price,
  PriceMinor,
  Sku,
  Version,
} from './common.ts';
import { tea } from './examples.ts';

const strict = { additionalProperties: false } as const;

export const CreateProduct = Type.Object(
  { sku: Sku, name: Name(tea.name), price: Price },
  { ...strict, $id: 'CreateProduct' },
);

export const UpdateProduct = Type.Object(
  {
    name: Type.Optional(Name('Earl Grey, loose, 100 g')),
    price: Type.Optional(
      Type.Object(
        { amountMinor: PriceMinor, currency: Type.Optional(Currency) },
        { ...strict, description: 'The currency, where it is given, is that of the listing.' },
      ),
    ),
    discontinued: Type.Optional(
      Type.Literal(true, { description: 'For ever; other fields apply before it.' }),
    ),
  },
  {
    ...strict,
    $id: 'UpdateProduct',
    minProperties: 1,
    description: 'All of it in one step, or nothing.',
    examples: [{ name: 'Earl Grey, loose, 100 g', price: { amountMinor: 1390 } }],
  },
);

export const ReceiveStock = Type.Object(
  {
    receiptId: Type.String({
      pattern: '^[!-~]{1,100}$',
      description: "The delivery's own key: the same receipt never counts twice.",
      examples: ['DN-2026-00017'],
    }),
    quantity: Type.Integer({ minimum: 1, maximum: 1_000_000_000, examples: [50] }),
  },
  { ...strict, $id: 'ReceiveStock' },
);

export const CorrectStock = Type.Object(
  {
    correctionId: Type.String({
      pattern: '^[!-~]{1,100}$',
      description: "The correction's own key: the same correction never counts twice.",
      examples: ['ST-2026-0003'],
    }),
    kind: Type.Enum(['count', 'loss'], {
      description: '`count`: so many pieces are there. `loss`: so many are gone.',
      examples: ['loss'],
    }),
    quantity: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'At least 1 for a loss.',
      examples: [3],
    }),
    reason: GivenReason('Broken in the warehouse'),
  },
  { ...strict, $id: 'CorrectStock' },
);

const fields = {
  sku: Sku,
  name: Type.String({ examples: [tea.name] }),
  price: Money,
  status: Type.Enum(['listed', 'discontinued']),
  onHand: Type.Integer({ minimum: 0, description: 'Pieces in the warehouse.', examples: [50] }),
  reserved: Type.Integer({ minimum: 0, description: 'Pieces promised to orders.', examples: [0] }),
  available: Type.Integer({ minimum: 0, description: 'On hand and not reserved.', examples: [50] }),
};

/** As the read model shows it. */
export const Product = Type.Object(
  { ...fields, version: Version },
  { ...strict, $id: 'Product', title: 'Product' },
);

export const ProductPage = Type.Object(
  {
    items: Type.Array(Type.Unsafe<Type.Static<typeof Product>>({ $ref: 'Product#' })),
    next: Type.Optional(Next),
  },
  { ...strict, $id: 'ProductPage', title: 'Page of products' },
);

/** As a command leaves it. */
export const ProductAnswer = Type.Object(
  { ...fields, ...commandFields },
  { ...strict, $id: 'ProductAnswer', title: 'Product after a command' },
);
export type ProductBody = Omit<Type.Static<typeof ProductAnswer>, keyof typeof commandFields>;
